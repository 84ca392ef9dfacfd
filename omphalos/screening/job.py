"""The job file: what to screen, against what, and how, read from TOML and checked to the last key.

Rules of this file: an unknown key is refused and never ignored, because a misspelled threshold that silently stays at
its default is a wrong screening. Every message names the key's full dotted path. Paths stay out of the normalized
configuration (only base names enter it), so that where files lay cannot change the plan; every default is filled in,
so that two spellings of one job are one plan. Numbers are integers: shares and scores are basis points.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path, PurePath
from typing import Any, Final

from omphalos.catalog.query import Asked, answerable
from omphalos.format.errors import OmphalosError
from omphalos.screening.jobtable import (
    MAX_INT,
    JobError,
    Key,
    Table,
    apply_overrides,
    read_toml,
    refuse_unknown,
    section,
)
from omphalos.screening.match.params import MatchParams

FEED_FIELDS: Final[tuple[str, ...]] = (
    "shipment_id",
    "flow",
    "date",
    "reporter",
    "exporter",
    "exporter_country",
    "importer",
    "importer_country",
    "consignee",
    "consignee_country",
    "notify_party",
    "notify_party_country",
    "end_user",
    "end_user_country",
    "country",
    "hs_code",
    "description",
    "origin",
    "destination",
    "value",
    "currency",
    "quantity",
    "quantity_unit",
    "net_mass_kg",
    # What is filed of a party beside its name, for each role; and the ship by name and IMO number.
    "exporter_address",
    "exporter_tax_id",
    "exporter_registration_id",
    "exporter_id",
    "importer_address",
    "importer_tax_id",
    "importer_registration_id",
    "importer_id",
    "consignee_address",
    "consignee_tax_id",
    "consignee_registration_id",
    "consignee_id",
    "notify_party_address",
    "notify_party_tax_id",
    "notify_party_registration_id",
    "notify_party_id",
    "end_user_address",
    "end_user_tax_id",
    "end_user_registration_id",
    "end_user_id",
    "vessel",
    "vessel_imo",
)
ROLES: Final[tuple[str, ...]] = ("exporter", "importer", "consignee", "notify_party", "end_user")
FEED_FORMATS: Final[tuple[str, ...]] = ("csv", "tsv", "jsonl", "parquet")
COMPRESSIONS: Final[tuple[str, ...]] = ("none", "gzip", "zstd")
ENCODINGS: Final[tuple[str, ...]] = (
    "utf-8",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "latin-1",
    "iso8859-2",
    "iso8859-5",
    "iso8859-9",
    "iso8859-15",
    "cp1250",
    "cp1251",
    "cp1252",
    "cp1253",
    "cp1254",
    "cp1256",
    "koi8-r",
    "gb18030",
    "big5",
    "cp932",
    "euc-jp",
    "cp949",
    "euc-kr",
)
# Bytes that cannot stand inside a number, a word or a quoted cell; 0x01 and 0x1f are what Hive and old exports use.
DELIMITERS: Final[tuple[str, ...]] = (",", ";", "\t", "|", "^", "~", ":", "\x01", "\x1f")
DATE_FORMATS: Final[tuple[str, ...]] = ("iso", "month-name", "ymd-compact", "dmy", "mdy")
REGISTRY_FORMATS: Final[tuple[str, ...]] = (
    "ofac-sdn-csv",
    "ofac-sdn-xml",
    "un-xml",
    "eu-fsf-xml",
    "eu-fsf-csv",
    "uk-conlist-csv",
    "csl-csv",
    "csl-json",
    "bis-entity-json",
    "opensanctions-simple-csv",
    "ftm-json",
    "entities-csv",
)
DECIMAL_SEPARATORS: Final[tuple[str, ...]] = (".", ",")
THOUSANDS_SEPARATORS: Final[tuple[str, ...]] = ("", ",", ".", " ", "'", "\u00a0", "\u202f")
JOB_SCHEMA: Final = "omphalos.job/1"
_FORMAT_SUFFIXES: Final = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_COMPRESSION_SUFFIXES: Final = {".gz": "gzip", ".zst": "zstd"}
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
# The base name is what enters the plan; a path that ends in dots would take a folder name of this machine instead.
_PATH_RULE: Final = "a path that ends in the name of a file or folder"
_NAME_RULE: Final = "lower-case letters, digits and hyphens, 1 to 64 of them, not starting with a hyphen"


@dataclass(frozen=True, slots=True)
class FeedSpec:
    """How to read one feed file; ``columns`` and ``constants`` are sorted (field, text) pairs."""

    path: Path
    format: str
    compression: str = "none"
    encoding: str = "utf-8"
    delimiter: str = ","
    null_values: tuple[str, ...] = ("",)
    date_formats: tuple[str, ...] = ("iso", "month-name", "ymd-compact")
    decimal_separator: str = "."
    thousands_separator: str = ""
    currency: str = ""
    minor_unit_digits: int = 2
    max_rejected_share_bp: int = 500
    columns: tuple[tuple[str, str], ...] = ()
    constants: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RegistrySpec:
    """One list to screen against: a short name, its publisher's format, and a file or folder."""

    source: str
    format: str
    path: Path


@dataclass(frozen=True, slots=True)
class SyntheticSpec:
    """The reference job on invented data: its seed and its size."""

    seed: int = 1
    shipments: int = 1000
    entities: int = 200


@dataclass(frozen=True, slots=True)
class ReviewSpec:
    """What earlier reviews decided, the day on which they are read, and how many evidence packets are made.

    ``decisions`` is a file of decisions or None; ``as_of`` is an ISO date, empty for the latest date of the feed;
    ``evidence`` is how many entities get a packet.
    """

    decisions: Path | None = None
    as_of: str = ""
    evidence: int = 20


@dataclass(frozen=True, slots=True)
class Job:
    """One screening: a feed and registries, or synthetic data, exactly one of the two; how to match and to review.

    ``queries`` are of the catalog, in order of name, with what they are asked; their answers are files of the run.
    """

    name: str
    feed: FeedSpec | None
    registries: tuple[RegistrySpec, ...]
    match: MatchParams
    synthetic: SyntheticSpec | None
    review: ReviewSpec = ReviewSpec()
    queries: tuple[Asked, ...] = ()


def is_day(text: str) -> bool:
    """Say whether ``text`` is a day of the calendar, written as ISO 8601 (2026-01-31)."""
    try:
        return bool(_DAY.fullmatch(text)) and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


_SCORE: Final = Key("int", low=1, high=10_000)
_TOP: Final = {
    "name": Key("text", required=True, check=lambda t: bool(_NAME.fullmatch(t)), rule=_NAME_RULE),
    "queries": Key("texts"),
}
_SECTIONS: Final = ("feed", "registry", "match", "review", "synthetic")
_FEED: Final = {
    "path": Key("text", required=True, check=lambda t: PurePath(t).name not in ("", ".."), rule=_PATH_RULE),
    "format": Key("text", choices=FEED_FORMATS),
    "compression": Key("text", choices=COMPRESSIONS),
    "encoding": Key("text", choices=ENCODINGS),
    "delimiter": Key("text", choices=DELIMITERS),
    "null_values": Key("texts"),
    "date_formats": Key("texts", choices=DATE_FORMATS),
    "decimal_separator": Key("text", choices=DECIMAL_SEPARATORS),
    "thousands_separator": Key("text", choices=THOUSANDS_SEPARATORS),
    "currency": Key("text", check=lambda t: bool(_CURRENCY.fullmatch(t)), rule="three capital letters (ISO 4217)"),
    "minor_unit_digits": Key("int", high=4),
    "max_rejected_share_bp": Key("int", high=10_000),
    "columns": Key("mapping", required=True),
    "constants": Key("mapping"),
}
_REGISTRY: Final = {
    "source": Key("text", required=True, check=lambda t: bool(_NAME.fullmatch(t)), rule=_NAME_RULE),
    "format": Key("text", required=True, choices=REGISTRY_FORMATS),
    "path": Key("text", required=True, check=lambda t: PurePath(t).name not in ("", ".."), rule=_PATH_RULE),
}
_MATCH: Final = {
    "threshold_bp": _SCORE,
    "medium_bp": _SCORE,
    "high_bp": _SCORE,
    "max_candidates": Key("int", low=1, high=1000),
}
_REVIEW: Final = {
    "decisions": Key("text", check=lambda t: PurePath(t).name not in ("", ".."), rule=_PATH_RULE),
    "as_of": Key("text", check=is_day, rule="a day, such as 2026-01-31"),
    "evidence": Key("int", high=200),
}
_SYNTHETIC: Final = {
    "seed": Key("int"),
    "shipments": Key("int", low=1, high=10_000_000),
    "entities": Key("int", low=1, high=1_000_000),
}


def schema_keys() -> tuple[str, ...]:
    """Return the dotted path of every key a job file may hold, in the order of the schema."""
    sections = {"feed": _FEED, "registry": _REGISTRY, "match": _MATCH, "review": _REVIEW, "synthetic": _SYNTHETIC}
    return (*_TOP, *(f"{section}.{key}" for section, keys in sections.items() for key in keys))


def parse_job(text: bytes, *, base: PurePath, overrides: Sequence[str] = ()) -> Job:
    """Return the job that ``text`` (TOML, UTF-8) describes; relative paths in it start at ``base``.

    ``overrides`` are ``key=value`` texts applied before anything is checked (see ``apply_overrides``). No file is
    opened. Raises JobError, naming the key's dotted path, for anything that is not exactly a job.
    """
    return job_of_table(apply_overrides(read_toml(text), overrides), base=base)


def job_of_table(table: Mapping[str, Any], *, base: PurePath) -> Job:
    """Return the job in a parsed TOML table; the second half of ``parse_job``, with the same errors."""
    refuse_unknown(table, (*_TOP, *_SECTIONS), "")
    # Queries are texts or tables, which no key of the schema is, and are read apart.
    top = section({key: table[key] for key in _TOP if key in table and key != "queries"}, _TOP, "")
    real = [key for key in ("feed", "registry") if key in table]
    if "synthetic" in table and real:
        raise JobError(
            f"synthetic and {real[0]} exclude each other", hint="screen a feed against registries, or synthetic data"
        )
    match = _match(table.get("match", {}))
    review = _review(table.get("review", {}), base)
    queries = _queries(table.get("queries", []))
    if "synthetic" in table:
        synthetic = SyntheticSpec(**section(table["synthetic"], _SYNTHETIC, "synthetic"))
        return Job(top["name"], None, (), match, synthetic, review, queries)
    if "feed" not in table:
        raise JobError("the job has no feed", hint="add [feed] and [[registry]], or [synthetic]")
    feed = _feed(table["feed"], base)
    return Job(top["name"], feed, _registries(table.get("registry", []), base), match, None, review, queries)


def _match(table: Any) -> MatchParams:
    found = {**asdict(MatchParams()), **section(table, _MATCH, "match")}
    low, medium, high = (found[key] for key in ("threshold_bp", "medium_bp", "high_bp"))
    if not low <= medium <= high:
        raise JobError(
            f"match.threshold_bp ({low}), match.medium_bp ({medium}) and match.high_bp ({high}) are not in "
            "ascending order",
            hint="threshold_bp <= medium_bp <= high_bp",
        )
    return MatchParams(**found)


def _queries(given: Any) -> tuple[Asked, ...]:
    if not isinstance(given, list) or not all(isinstance(item, str | dict) for item in given):
        hint = 'queries = ["workload"], or [[queries]] with name and params'
        raise JobError("queries must be a list of texts or of tables", hint=hint)
    asked = []
    for number, item in enumerate(given):
        path = f"queries.{number}"
        table = {"name": item} if isinstance(item, str) else item
        refuse_unknown(table, ("name", "params"), path)
        name: Any = table.get("name")
        params: Any = table.get("params", {})
        if not isinstance(name, str):
            raise JobError(f"{path}.name is missing or no text", hint="'omphalos sql list' shows the names")
        if not isinstance(params, dict):
            raise JobError(f"{path}.params is not a table", hint='params = {top = 5, band = "high"}')
        large = [key for key, value in params.items() if isinstance(value, int) and not 0 <= value <= MAX_INT]
        if large:
            raise JobError(f"{path}.params.{large[0]} must lie between 0 and {MAX_INT} in a job")
        asked.append((name, params))
    try:
        return answerable(asked)
    except OmphalosError as error:
        raise JobError(f"queries: {error.message}", hint=error.hint) from error


def _review(table: Any, base: PurePath) -> ReviewSpec:
    found = section(table, _REVIEW, "review")
    if "decisions" in found:
        found["decisions"] = Path(base) / found["decisions"]
    return ReviewSpec(**found)


def _feed(table: Any, base: PurePath) -> FeedSpec:
    found = section(table, _FEED, "feed")
    path = Path(base) / found.pop("path")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = _COMPRESSION_SUFFIXES.get(suffixes[-1]) if suffixes else None
    inner = suffixes[-2:-1] if packed else suffixes[-1:]
    if "format" not in found:
        named = _FORMAT_SUFFIXES.get(inner[0]) if inner else None
        if named is None:
            raise JobError(
                f"feed.format is missing and the name {path.name} does not tell it",
                hint=f"one of {', '.join(FEED_FORMATS)}",
            )
        found["format"] = named
    found.setdefault("compression", packed or "none")
    if found["format"] in ("jsonl", "parquet") and "delimiter" in found:
        raise JobError(f"feed.delimiter has no meaning for {found['format']}", hint="remove it")
    if found["format"] == "parquet" and (found["compression"], found.get("encoding", "utf-8")) != ("none", "utf-8"):
        raise JobError("feed.compression and feed.encoding have no meaning for parquet", hint="remove them")
    if found["format"] == "tsv":
        found.setdefault("delimiter", "\t")
    if "null_values" in found:
        found["null_values"] = tuple(sorted(set(found["null_values"])))
    _check_dates(found.get("date_formats", FeedSpec.__dataclass_fields__["date_formats"].default))
    separators = (found.get("decimal_separator", "."), found.get("thousands_separator", ""))
    if separators[0] == separators[1]:
        raise JobError(f"feed.decimal_separator and feed.thousands_separator are both {separators[0]!r}")
    columns = _fields(found["columns"], "feed.columns")
    constants = _fields(found.get("constants", {}), "feed.constants")
    _check_fields(dict(columns), dict(constants), found.get("currency", ""))
    return FeedSpec(**{**found, "path": path, "columns": columns, "constants": constants})


def _check_dates(formats: tuple[str, ...]) -> None:
    if not formats or len(set(formats)) != len(formats):
        raise JobError("feed.date_formats must name at least one format, each once")
    if "dmy" in formats and "mdy" in formats:
        raise JobError(
            "feed.date_formats has both dmy and mdy, so 03/04/2025 would have two meanings",
            hint="keep the one the file was written with",
        )


def _check_fields(columns: dict[str, str], constants: dict[str, str], currency: str) -> None:
    both = sorted(columns.keys() & constants.keys())
    if both:
        raise JobError(f"{both[0]} stands in feed.columns and in feed.constants", hint="keep one of the two")
    if not columns.keys() & set(ROLES):
        raise JobError("feed.columns names no party, so there is nothing to screen", hint=f"map {', '.join(ROLES)}")
    if "value" in {**columns, **constants} and not currency:
        raise JobError(
            "feed.currency is missing although value is mapped",
            hint='an amount without a currency means nothing; add currency = "USD", or whichever it is',
        )


def _fields(table: dict[str, str], path: str) -> tuple[tuple[str, str], ...]:
    refuse_unknown(table, FEED_FIELDS, path)
    empty = sorted(field for field, text in table.items() if not text)
    if empty:
        raise JobError(f"{path}.{empty[0]} is empty", hint="leave the key out where the file does not carry it")
    return tuple(sorted(table.items()))


def _registries(tables: Any, base: PurePath) -> tuple[RegistrySpec, ...]:
    if not isinstance(tables, list):
        raise JobError("registry is not a list of tables", hint="write [[registry]] with two brackets")
    if not tables:
        raise JobError("the job has no registry", hint="add [[registry]] with source, format and path")
    specs = []
    for number, table in enumerate(tables):
        found = section(table, _REGISTRY, f"registry.{number}")
        specs.append(RegistrySpec(found["source"], found["format"], Path(base) / found["path"]))
    specs.sort(key=lambda spec: spec.source)
    for first, second in itertools.pairwise(specs):
        if first.source == second.source:
            raise JobError(f"two registries have the source {first.source}", hint="give each its own short name")
    return tuple(specs)


def normalized(job: Job) -> Table:
    """Return the canonical configuration that is hashed into the plan: texts, integers, lists and tables of them.

    Every default is filled in; a path is reduced to its base name; keys are sorted; registries are sorted by source and
    null values as a set, while ``date_formats`` keeps its order, which has a meaning.
    """
    result: Table = {
        "match": _plain_table(job.match),
        "name": job.name,
        "queries": [asked.plain() for asked in job.queries],
        "review": _plain_table(job.review),
        "schema": JOB_SCHEMA,
    }
    if job.synthetic is not None:
        result["synthetic"] = _plain_table(job.synthetic)
    if job.feed is not None:
        result["feed"] = _plain_table(job.feed)
        result["registry"] = [_plain_table(spec) for spec in job.registries]
    return dict(sorted(result.items()))


def _plain_table(spec: FeedSpec | RegistrySpec | MatchParams | ReviewSpec | SyntheticSpec) -> Table:
    table: Table = {}
    for name in spec.__dataclass_fields__:
        value = getattr(spec, name)
        if name == "decisions":
            table[name] = value.name if value is not None else ""
        elif isinstance(value, PurePath):
            table["file"] = value.name
        elif name in ("columns", "constants"):
            table[name] = dict(value)
        else:
            table[name] = list(value) if isinstance(value, tuple) else value
    return dict(sorted(table.items()))
