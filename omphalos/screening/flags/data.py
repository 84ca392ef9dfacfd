"""The data file of red flags (``flags.toml``): which there are, from where, since when, and their parameters.

Rules of this file: every flag has a title, a source and a date or the statement that none was recorded; a member that
the rules do not know is refused, because a parameter that nobody reads would be believed; numbers are integers.
"""

import csv
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar, Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.shipped import shipped

# flag -> its parameters; what a parameter means stands beside it in the data file.
PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "listedParty": ("bands",),
    "highPriorityGoods": (),
    "highPriorityToTransshipmentPoint": (),
    "highPriorityToFirstTimeImporter": ("after_months",),
    "forwarderOrBankAsConsignee": ("forwarders", "banks"),
    "priceOutlier": ("least_shipments", "deviations", "least_spread_part"),
    "deliveredToThirdCountry": (),
    "originIsDestination": (),
    "rareRoute": ("least_shipments", "most_share_bp"),
    "sharedAddress": ("least_parties", "least_words"),
    "severalIdentifiers": ("least_identifiers",),
    "identifierConflict": (),
    "roundValue": ("multiple_minor",),
    "commodityNotGiven": (),
    "importerNotGiven": (),
}
_WORD_LISTS: Final = ("bands", "forwarders", "banks")
_MEMBERS: Final = ("version", "title", "source", "dated")
_WORDS: Final = re.compile(r"[A-Za-z0-9]+(?: [A-Z0-9]+)*\*?")


class FlagDataError(OmphalosError):
    """The data file of flags is not what the rules read."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "flag-data"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag; ``numbers`` and ``words`` are its parameters by name."""

    flag: str
    version: int
    title: str
    source: str
    dated: str
    numbers: Mapping[str, int]
    words: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class FlagParams:
    """All flags, in the order of the data file, and the version of the file."""

    version: int
    flags: tuple[Flag, ...]

    def __getitem__(self, name: str) -> Flag:
        return next(flag for flag in self.flags if flag.flag == name)


def parse_flags(text: str) -> FlagParams:
    """Return the flags in ``text`` (TOML).

    Raises:
        FlagDataError: the text is no TOML; a flag or member is missing, unknown, empty or of the wrong type.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FlagDataError(f"the flags are not TOML: {error}") from error
    flags = table.get("flag")
    if set(table) != {"version", "flag"} or type(table["version"]) is not int or not isinstance(flags, dict):
        raise FlagDataError("the flags have unknown or missing sections")
    if set(flags) != set(PARAMETERS):
        odd = ", ".join(sorted(set(flags) ^ set(PARAMETERS)))
        raise FlagDataError(f"the flags are not those the rules know: {odd}")
    return FlagParams(table["version"], tuple(_flag(name, members) for name, members in flags.items()))


def _flag(name: str, members: Mapping[str, Any]) -> Flag:
    wanted = {*_MEMBERS, *PARAMETERS[name]}
    if set(members) != wanted:
        odd = ", ".join(sorted(set(members) ^ wanted))
        raise FlagDataError(f"the flag {name} has unknown or missing members: {odd}")
    for member in ("title", "source", "dated"):
        if not isinstance(members[member], str) or not members[member]:
            raise FlagDataError(f"the flag {name} has no {member}")
    numbers: dict[str, int] = {}
    words: dict[str, tuple[str, ...]] = {}
    for member in ("version", *PARAMETERS[name]):
        value = members[member]
        if member in _WORD_LISTS:
            if not isinstance(value, list) or not all(isinstance(w, str) and _WORDS.fullmatch(w) for w in value):
                raise FlagDataError(f"the flag {name} has {member} that are no folded words")
            words[member] = tuple(value)
        elif type(value) is not int or value < 1:
            raise FlagDataError(f"the flag {name} has a {member} that is no whole number from 1 on")
        else:
            numbers[member] = value
    version = numbers.pop("version")
    return Flag(name, version, members["title"], members["source"], members["dated"], numbers, words)


@cache
def load_flags() -> FlagParams:
    """Return the flags that ship with the package."""
    return parse_flags(files(__package__).joinpath("flags.toml").read_text(encoding="utf-8"))


@cache
def high_priority_goods() -> tuple[tuple[str, str], ...]:
    """Return (hs6, tier) of the Common High Priority List: the seed that the marts read too."""
    return tuple((row["hs6"], row["tier"]) for row in _seed("high_priority_goods"))


@cache
def transshipment_points() -> tuple[str, ...]:
    """Return the countries of the seed ``transshipment_points``, which the marts read too."""
    return tuple(row["country"] for row in _seed("transshipment_points"))


def _seed(name: str) -> list[dict[str, str]]:
    with (shipped("warehouse") / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
