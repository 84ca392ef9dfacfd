"""What the screening benchmark measures on: a registry of all real lists, and queries from it and from real feeds.

Rules of this file: everything follows from the files and fixed seeds; a draw is a hash of a seed and a name, never of
an order. Entities are split in two halves, *dev* (where choices are made) and *test* (scored once the thresholds are
frozen on dev); trade parties likewise. Two protocols hold aliases out: *strict*, where an alias leaves the registry
wherever it stands, on every list, and *open*, where it leaves its own record only (docs/design/0004).
"""

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from rapidfuzz.fuzz import token_sort_ratio

from omphalos.screening.normalize.countries import country_code
from omphalos.screening.normalize.legal_forms import NameForms, name_forms
from omphalos.screening.normalize.text import fold
from omphalos.screening.registries import reader_for

NEAR = 55  # token-sorted similarity, percent, to a name that stays: the alias is a spelling, not another name
HALVES = ("dev", "test")
PROTOCOLS = ("strict", "open")


def draw(*key: str) -> int:
    """Return a number below 2**64 that depends on ``key`` alone."""
    return int.from_bytes(blake2b("\0".join(key).encode(), digest_size=8).digest(), "big")


@dataclass
class Entity:
    """A listed entity with its names as (kind, name), the primary one first."""

    entity_id: str
    entity_type: str
    country: str
    names: list[tuple[str, str]]


@dataclass
class Query:
    """A party name with the entities it stands for (none for a trade party).

    ``spelled``: a native name that is a transcription, by `transcribed`.
    """

    name: str
    truth: frozenset[str]
    kind: str
    spelled: bool = False


@dataclass
class Half:
    """One half: its registry, and its queries. ``noisy``: its threshold is set on trade parties that carry noise."""

    entities: list[Entity]
    queries: list[Query]
    negatives: list[Query]
    noisy: bool = False


class Forms:
    """The comparison forms of names, each computed once."""

    def __init__(self) -> None:
        self._made: dict[str, NameForms] = {}

    def __call__(self, name: str) -> NameForms:
        if name not in self._made:
            self._made[name] = name_forms(name)
        return self._made[name]


def load_lists(data: Path) -> list[Entity]:
    """Return the entities of every list below ``data``, in order of their ids."""
    lists = data / "lists"
    places = [
        ("ofac", "ofac-sdn-csv", lists / "ofac_sdn_2021-07"),
        ("ofac-later", "ofac-sdn-csv", lists / "ofac_sdn_2023-11"),
        ("ofac-cons", "ofac-sdn-csv", lists / "ofac_cons"),
        ("un", "un-xml", lists / "un" / "UN_consolidated.xml"),
    ]
    for path in sorted((lists / "us_restricted_2026-07").glob("*.json")):
        if path.name != "lists.json":
            places.append((path.stem.replace("_", "-"), "bis-entity-json", path))
    entities = []
    for source, form, path in places:
        reader = reader_for(form)
        tables = reader.read(source, reader.parts(path), country_code)
        names = defaultdict(list)
        for entity_id, kind, name in zip(
            *(tables.names[key] for key in ("entity_id", "name_kind", "name")), strict=True
        ):
            names[entity_id].append((kind, name))
        columns = (tables.entities[key] for key in ("entity_id", "entity_type", "country"))
        for entity_id, kind, country in zip(*columns, strict=True):
            entities.append(Entity(entity_id, kind, country or "", names[entity_id]))
    for path in sorted((lists / "jp_cn").glob("*.json")):
        for record in json.loads(path.read_text(encoding="utf-8")):
            aliases = [("alias", alias) for alias in record["aliases"]]
            names = [("primary", record["entity_name"]), *aliases]
            entities.append(Entity(f"{path.stem}:{record['id']}", record["entity_type"] or "unknown", "", names))
    return sorted(entities, key=lambda entity: entity.entity_id)


def load_trade(data: Path) -> list[str]:
    """Return the distinct party names of the customs records, in order."""
    with (data / "trade" / "shipments_26_reporters.csv").open(encoding="utf-8", newline="") as stream:
        names = {row[role].strip() for row in csv.DictReader(stream) for role in ("exporter", "importer")}
    return sorted(name for name in names if name and name != "NULL")


def relatives(entities: list[Entity], forms: Forms) -> dict[str, frozenset[str]]:
    """Return for each entity all that share a telling core form with it: one party on several lists."""
    holders = defaultdict(set)
    for entity in entities:
        for _, name in entity.names:
            made = forms(name)
            if made.core and not made.low_information:
                holders[made.core].add(entity.entity_id)
    found = {}
    for entity in entities:
        same = {entity.entity_id}
        for _, name in entity.names:
            made = forms(name)
            if made.core and not made.low_information:
                same |= holders[made.core]
        if entity.entity_id.startswith(("ofac:", "ofac-later:")):
            number = entity.entity_id.split(":")[1]
            same |= {f"ofac:{number}", f"ofac-later:{number}"}
        found[entity.entity_id] = frozenset(same)
    return found


def make_halves(
    data: Path, noise: dict[str, Callable[[str, int], str]], sizes: dict[str, int], protocol: str, forms: Forms
) -> dict[str, Half]:
    """Return both halves; ``sizes`` says how many queries there are of ``alias``, ``native`` and each noise class."""
    entities = load_lists(data)
    related = relatives(entities, forms)
    by_id = {entity.entity_id: entity for entity in entities}
    trade = load_trade(data)
    if protocol == "open":
        return {half: _open_half(half, entities, by_id, related, trade, forms, sizes) for half in HALVES}
    return {half: _half(half, entities, by_id, related, trade, forms, noise, sizes) for half in HALVES}


def _open_half(half, entities, by_id, related, trade, forms, sizes):
    """Return a half by the open protocol: the whole registry, less each held-out name in its own record.

    Every record may give one query. An alias is chosen where its token-sorted similarity to the record's primary name
    is at least `NEAR` percent and their cores differ; for *native*, all names of the record in other scripts leave it.
    Found is whoever bears an equal core (the same party on other lists).
    """
    order = sorted(
        (
            e
            for e in entities
            if _side(min(related[e.entity_id])) == half and e.entity_type not in ("vessel", "aircraft")
        ),
        key=lambda entity: draw("open", half, entity.entity_id),
    )
    queries: list[Query] = []
    gone: set[tuple[str, str]] = set()
    counts: dict[str, int] = defaultdict(int)
    for entity in order:
        truth = related[entity.entity_id]
        primary = forms(entity.names[0][1])
        native = sorted({n for _, n in entity.names if _foreign(forms, n)}, key=lambda n: draw("pick", half, n))
        latin = any(forms(name).script == "Latn" for _, name in entity.names)
        if native and latin and counts["native"] < sizes["open native"]:
            stays = {n for one in sorted(truth & by_id.keys()) for _, n in by_id[one].names}
            cores = {forms(name).core for name in stays if forms(name).script == "Latn"}
            queries.append(Query(native[0], truth, "native", transcribed(native[0], cores, forms)))
            gone.update((entity.entity_id, name) for name in native)
            counts["native"] += 1
            continue
        for alias in sorted(
            {n for kind, n in entity.names[1:] if kind == "alias" and forms(n).script == "Latn"},
            key=lambda n: draw("pick", half, n),
        ):
            made = forms(alias)
            if made.low_information or made.core == primary.core or counts["alias"] >= sizes["open alias"]:
                continue
            if token_sort_ratio(made.core, primary.core) >= NEAR:
                queries.append(Query(alias, truth, "alias near"))
                gone.add((entity.entity_id, alias))
                counts["alias"] += 1
                break
    kept = []
    for entity in entities:
        names = [(kind, name) for kind, name in entity.names if (entity.entity_id, name) not in gone]
        kept.append(Entity(entity.entity_id, entity.entity_type, entity.country, names))
    negatives = [Query(name, frozenset(), "trade") for name in trade if _side("trade", name) == half]
    return Half(kept, queries, negatives, noisy=True)


def _side(*key: str) -> str:
    return HALVES[draw("split", *key) % 2]


def _half(half, entities, by_id, related, trade, forms, noise, sizes):
    # A group of entities that are one party belongs to one half, and gives at most one query.
    own = [e for e in entities if _side(min(related[e.entity_id])) == half and e.entity_id == min(related[e.entity_id])]
    order = sorted(own, key=lambda entity: draw("order", half, entity.entity_id))
    queries: list[Query] = []
    gone_cores: set[str] = set()
    gone_native: set[str] = set()
    used: set[str] = set()
    counts: dict[str, int] = defaultdict(int)
    for entity in order:
        truth = related[entity.entity_id]
        if truth & used or entity.entity_type in ("vessel", "aircraft"):
            continue
        names = [(kind, name) for one in sorted(truth & by_id.keys()) for kind, name in by_id[one].names]
        native = sorted({name for _, name in names if _foreign(forms, name)}, key=lambda name: draw("pick", half, name))
        latin = {forms(name).core for _, name in names if forms(name).script == "Latn"}
        if native and latin and counts["native"] < sizes["native"]:
            queries.append(Query(native[0], truth, "native", transcribed(native[0], latin, forms)))
            gone_native.update(truth)
            counts["native"] += 1
            used |= truth
            continue
        aliases = sorted(
            {name for kind, name in names if kind == "alias" and forms(name).script == "Latn"},
            key=lambda name: draw("pick", half, name),
        )
        for alias in aliases:
            made = forms(alias)
            others = {core for core in latin if core.replace(" ", "") != made.core.replace(" ", "")}
            if made.low_information or not others or counts["alias"] >= sizes["alias"]:
                continue
            near = max(token_sort_ratio(made.core, core) for core in others) >= NEAR
            queries.append(Query(alias, truth, "alias near" if near else "alias far"))
            gone_cores.add(made.core.replace(" ", ""))
            counts["alias"] += 1
            used |= truth
            break
    for kind, change in noise.items():
        for entity in sorted(own, key=lambda one: draw("noise", half, kind, one.entity_id)):
            if counts[kind] >= sizes["noise"]:
                break
            name = entity.names[0][1]
            if entity.entity_type in ("vessel", "aircraft") or related[entity.entity_id] & used:
                continue
            changed = change(name, draw("noise", half, kind, name))
            if forms(name).low_information or changed == name:
                continue
            queries.append(Query(changed, related[entity.entity_id], kind))
            counts[kind] += 1
    kept = []
    for entity in entities:
        names = [
            (kind, name)
            for kind, name in entity.names
            if forms(name).core.replace(" ", "") not in gone_cores
            and not (entity.entity_id in gone_native and _foreign(forms, name))
        ]
        if names:
            kept.append(Entity(entity.entity_id, entity.entity_type, entity.country, names))
    negatives = [Query(name, frozenset(), "trade") for name in trade if _side("trade", name) == half]
    return Half(kept, queries, negatives)


def transcribed(name: str, latin: Iterable[str], forms: Forms) -> bool:
    """Say whether a name in another script is a spelling of a Latin name that stays, and no translation of it.

    Its plain romanization (folded letter by letter, without this project's tables for other scripts; the legal form
    taken off) is at least `NEAR` percent alike to one of the cores ``latin``: the rule of the near aliases.
    """
    plain = forms(fold(name)).core
    return any(token_sort_ratio(plain, core) >= NEAR for core in sorted(latin))


def _foreign(forms: Forms, name: str) -> bool:
    return forms(name).script not in ("Latn", "Zyyy")
