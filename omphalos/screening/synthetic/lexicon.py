"""The word parts and goods of the synthetic data, read from the two data files beside this module.

Rules of this file: what is read is laid out as flat pools, one per place in a name, so that a name is composed by
taking one index per place for a hundred thousand parties at a time. Index 0 of every pool is the empty text. A pool
holds the native writing of every item first and the Latin writing of every item after it, in the same order.
"""

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import pyarrow as pa

from omphalos.screening.synthetic.draws import U64

SECTORS = 8
TRADING, LOGISTICS = 8, 9  # places of `activity` after the sectors
PLACES = ("front", "lead", "first", "middle", "third", "fourth", "tail", "activity", "back")

# A party that is a company or a person, listed or not, takes its distinctive tail from its own group.
TAIL_GROUPS = ("end.listed", "end.free", "family.listed", "family.free")


@dataclass(frozen=True)
class Pool:
    """All texts of one place, and where each group of each region lies in them."""

    texts: Any  # pyarrow string array: natives, then Latins
    half: int
    start: dict[str, U64]
    count: dict[str, U64]


@dataclass(frozen=True)
class Lexicon:
    """Everything the generator knows about regions and countries."""

    region_ids: tuple[str, ...]
    weighted: U64  # region numbers, each as often as its weight
    native_per_mille: U64
    spaced: tuple[bool, ...]  # whether the native script puts a space between words
    two_scripts: tuple[bool, ...]
    family_first: tuple[bool, ...]
    pools: dict[str, Pool]
    country_start: U64
    country_count: U64
    region_countries: U64  # flat: numbers into country_codes
    country_codes: tuple[str, ...]
    country_words: tuple[str, ...]
    # per region and writing (0 native, 1 Latin): the (prefix, suffix) of every legal form
    forms: tuple[tuple[tuple[tuple[str, str], ...], ...], ...]


@dataclass(frozen=True)
class Goods:
    """The goods, flat over sectors; ``per_sector`` of them each."""

    per_sector: int
    hs6: tuple[str, ...]
    descriptions: tuple[str, ...]
    cents_per_kg: U64
    units: tuple[str, ...]
    grams_per_unit: U64
    sector_grams: U64
    sector_octaves: U64


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _pairs(items: list[str]) -> list[tuple[str, str]]:
    split = [item.partition("/") for item in items]
    return [(native, latin or native) for native, _, latin in split]


class _PoolBuilder:
    def __init__(self) -> None:
        self.items: list[tuple[str, str]] = [("", "")]
        self.spans: dict[str, list[tuple[int, int]]] = {}

    def add(self, group: str, pairs: list[tuple[str, str]]) -> None:
        self.spans.setdefault(group, []).append((len(self.items), len(pairs)) if pairs else (0, 1))
        self.items.extend(pairs)

    def build(self) -> Pool:
        texts = [native for native, _ in self.items] + [latin for _, latin in self.items]
        return Pool(
            pa.array(texts, pa.string()),
            len(self.items),
            {group: np.array([start for start, _ in spans], dtype=np.uint64) for group, spans in self.spans.items()},
            {group: np.array([count for _, count in spans], dtype=np.uint64) for group, spans in self.spans.items()},
        )


def _add_region(builders: dict[str, _PoolBuilder], region: dict[str, Any]) -> None:
    gap = region.get("join", " ")
    forms = region["forms"]
    builders["front"].add("form", [(form[0], form[2]) for form in forms])
    builders["back"].add("form", [(form[1], form[3]) for form in forms])
    given = _pairs(region["given"].split())
    builders["front"].add("given", [(native + gap, latin + " ") for native, latin in given])
    lead = _pairs(region.get("lead", "").split())
    builders["lead"].add("", [(native + gap, latin + " ") for native, latin in lead])
    for place in ("first", "middle"):
        builders[place].add("", _pairs(region[place].split()))
    for place in ("third", "fourth"):
        builders[place].add("", _pairs(region["third"].split()))
    end, family = _pairs(region["end"].split()), _pairs(region["family"].split())
    for group, pairs in zip(TAIL_GROUPS, (end[0::2], end[1::2], family[0::2], family[1::2]), strict=True):
        builders["tail"].add(group, pairs)
    builders["activity"].add("", [(gap + native, " " + latin) for native, latin in _pairs(region["activity"])])


@functools.cache
def lexicon() -> Lexicon:
    """Return the parsed word parts; the data file ships with the package, so it cannot be absent or malformed."""
    document = _read("lexicon.toml")
    regions: list[dict[str, Any]] = document["region"]
    words: dict[str, str] = document["countries"]
    codes = tuple(words)
    builders = {place: _PoolBuilder() for place in PLACES}
    flat: list[int] = []
    starts: list[int] = []
    for region in regions:
        _add_region(builders, region)
        starts.append(len(flat))
        flat.extend(codes.index(code) for code in region["countries"].split())
    ends = [*starts[1:], len(flat)]
    return Lexicon(
        region_ids=tuple(region["id"] for region in regions),
        weighted=np.array([n for n, region in enumerate(regions) for _ in range(region["weight"])], dtype=np.uint64),
        native_per_mille=np.array([region["native"] * 10 for region in regions], dtype=np.uint64),
        spaced=tuple(region.get("join", " ") == " " for region in regions),
        two_scripts=tuple("/" in region["first"] for region in regions),
        family_first=tuple(region.get("family_first", False) for region in regions),
        pools={place: builder.build() for place, builder in builders.items()},
        country_start=np.array(starts, dtype=np.uint64),
        country_count=np.array([end - start for start, end in zip(starts, ends, strict=True)], dtype=np.uint64),
        region_countries=np.array(flat, dtype=np.uint64),
        country_codes=codes,
        country_words=tuple(words.values()),
        forms=tuple(
            tuple(tuple((form[at], form[at + 1]) for form in region["forms"]) for at in (0, 2)) for region in regions
        ),
    )


@functools.cache
def goods() -> Goods:
    """Return the parsed goods."""
    sectors: list[dict[str, Any]] = _read("goods.toml")["sector"]
    flat = [item for sector in sectors for item in sector["goods"]]
    return Goods(
        per_sector=len(flat) // len(sectors),
        hs6=tuple(item[0] for item in flat),
        descriptions=tuple(item[1] for item in flat),
        cents_per_kg=np.array([item[2] for item in flat], dtype=np.uint64),
        units=tuple(item[3] for item in flat),
        grams_per_unit=np.array([item[4] for item in flat], dtype=np.uint64),
        sector_grams=np.array([sector["grams"] for sector in sectors], dtype=np.uint64),
        sector_octaves=np.array([sector["octaves"] for sector in sectors], dtype=np.uint64),
    )
