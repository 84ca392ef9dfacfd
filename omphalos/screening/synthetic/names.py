"""Names composed out of word parts, for many parties at once.

Rules of this file: a party's name, region and country are a function of (seed, party number) alone. A listed entity
takes its distinctive tail from letters no unlisted party may use (see lexicon.toml), so an unplanted party never
bears a listed distinctive word.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from omphalos.screening.synthetic.draws import U64, Bools, Draws
from omphalos.screening.synthetic.lexicon import LOGISTICS, PLACES, SECTORS, TRADING, lexicon

# Numbers from here on are second and later draws for a name whose word was taken.
REDRAWN = np.uint64(1 << 32)


@dataclass(frozen=True)
class Shape:
    """What kind of name each party has; ``activity`` is a place in the lexicon and means nothing for persons."""

    region: U64
    person: Bools
    activity: U64


@dataclass(frozen=True)
class Parts:
    """One index per place of the name, for every party."""

    region: U64
    person: Bools
    places: dict[str, U64]


def pick_regions(draws: Draws, label: str, numbers: U64) -> U64:
    """Return a region number per party, by the weights of the lexicon."""
    weighted = lexicon().weighted
    regions: U64 = weighted[draws.below(label + ".region", numbers, len(weighted))]
    return regions


def pick_countries(draws: Draws, label: str, numbers: U64, region: U64) -> U64:
    """Return a country number per party, one of its region's."""
    words = lexicon()
    within = draws.below(label + ".country", numbers, words.country_count[region])
    countries: U64 = words.region_countries[words.country_start[region] + within]
    return countries


def pick_activities(draws: Draws, label: str, numbers: U64, sector: U64) -> U64:
    """Return the activity a company names itself after: its sector's, or just trading."""
    named_after = draws.chance(label + ".activity", numbers, 600)
    return np.where(named_after, sector, np.uint64(TRADING))


def compose(draws: Draws, label: str, numbers: U64, shape: Shape, *, listed: bool) -> Parts:
    """Return the parts of one name per number.

    Args:
        label: the family of names; two families of one seed are independent.
        shape: one entry per number.
        listed: whether the names are of listed entities.
    """
    pools, region, person = lexicon().pools, shape.region, shape.person

    def pick(place: str, group: str = "", stream: str = "") -> U64:
        pool = pools[place]
        within = draws.below(f"{label}.{stream or place}", numbers, pool.count[group][region])
        return pool.start[group][region] + within

    nothing = np.zeros(len(numbers), dtype=np.uint64)
    # A given name after a family name is two syllables; a redrawn name is long, for there are many of those.
    redrawn = numbers >= REDRAWN
    short = person & np.array(lexicon().family_first)[region]
    third = (draws.chance(label + ".three", numbers, 600) & ~short) | redrawn
    fourth = (third & draws.chance(label + ".four", numbers, 400)) | redrawn
    kind = "listed" if listed else "free"
    places = {
        "front": np.where(person, pick("front", "given"), pick("front", "form", "form")),
        "lead": np.where(person, nothing, pick("lead")),
        "first": pick("first"),
        "middle": pick("middle"),
        "third": np.where(third, pick("third"), nothing),
        "fourth": np.where(fourth, pick("fourth"), nothing),
        "tail": np.where(person, pick("tail", f"family.{kind}"), pick("tail", f"end.{kind}")),
        "activity": np.where(person, nothing, pools["activity"].start[""][region] + shape.activity),
        # The stream is the front's: prefix and suffix belong to one legal form.
        "back": np.where(person, nothing, pick("back", "form", "form")),
    }
    return Parts(region, person, places)


def place_texts(parts: Parts, place: str, latin: Bools) -> Any:
    """Return the text of one place of every name as an Arrow string array, Latin where asked, else native."""
    pool = lexicon().pools[place]
    return pool.texts.take(pa.array(parts.places[place] + latin * np.uint64(pool.half)))


def join(*columns: Any, separator: str = "") -> Any:
    """Return the element-wise concatenation of string arrays and plain strings; at least one must be an array."""
    length = next(len(column) for column in columns if not isinstance(column, str))
    arrays = [pa.repeat(column, length) if isinstance(column, str) else column for column in columns]
    return pc.binary_join_element_wise(*arrays, separator)


def name_texts(parts: Parts, latin: Bools) -> Any:
    """Return the whole names as an Arrow string array."""
    return join(*(place_texts(parts, place, latin) for place in PLACES))


def root_texts(parts: Parts, latin: Bools) -> Any:
    """Return the distinctive words of the names as an Arrow string array."""
    return join(*(place_texts(parts, place, latin) for place in ("first", "middle", "third", "fourth", "tail")))


@dataclass(frozen=True)
class Parties:
    """Unlisted parties: their names as filed, and their countries as numbers into the lexicon's."""

    names: Any
    country: U64


# A party number holds the kind in its lowest two bits: the same rank in two kinds is two parties.
EXPORTER, IMPORTER, FORWARDER = 0, 1, 2
KIND_BITS = np.uint64(2)


def sectors_of(draws: Draws, numbers: U64) -> U64:
    """Return the sector each party works in."""
    return draws.below("party.sector", numbers, SECTORS)


def countries_of(draws: Draws, numbers: U64) -> U64:
    """Return the country number of each party."""
    return pick_countries(draws, "party", numbers, pick_regions(draws, "party", numbers))


def parties(draws: Draws, numbers: U64) -> Parties:
    """Return names and countries of unlisted parties by their numbers."""
    region = pick_regions(draws, "party", numbers)
    forwarder = (numbers & np.uint64(3)) == FORWARDER
    person = draws.chance("party.person", numbers, 80) & ~forwarder
    sector = sectors_of(draws, numbers)
    activity = np.where(forwarder, np.uint64(LOGISTICS), pick_activities(draws, "party", numbers, sector))
    parts = compose(draws, "party", numbers, Shape(region, person, activity), listed=False)
    latin = ~draws.chance("party.native", numbers, lexicon().native_per_mille[region])
    names = name_texts(parts, latin)
    capitals = draws.chance("party.capitals", numbers, 120)
    names = pc.if_else(pa.array(capitals), pc.utf8_upper(names), names)
    return Parties(names, pick_countries(draws, "party", numbers, region))
