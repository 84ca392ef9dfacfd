"""Parameters of a match: what a job may choose (`MatchParams`) and what the method fixes (`Weights`).

Rules of this file: every value is an integer and is checked on entry; the weights are data beside the code
(``weights.toml``), carry a version, and are part of the method, so changing one changes the method's id.
"""

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.screening.match.integers import FULL


class MatchParamsError(OmphalosError):
    """The parameters of a match are out of range or contradict each other."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "match-params"


@dataclass(frozen=True, slots=True)
class MatchParams:
    """What a job may choose.

    Args:
        threshold_bp: the lowest score, in basis points, that makes a candidate a match.
        medium_bp: the lowest score of the band ``medium``.
        high_bp: the lowest score of the band ``high``.
        max_candidates: how many names of the registry one party form may be compared with, beside equal names.

    Raises:
        MatchParamsError: a value is no integer, out of range, or the thresholds are not ascending.
    """

    threshold_bp: int = 6_500
    medium_bp: int = 7_500
    high_bp: int = 8_800
    max_candidates: int = 32

    def __post_init__(self) -> None:
        for field in fields(self):
            value: object = getattr(self, field.name)
            if type(value) is not int:
                raise MatchParamsError(f"{field.name} is not an integer", hint="give a whole number")
        if not 1 <= self.threshold_bp <= self.medium_bp <= self.high_bp <= FULL:
            raise MatchParamsError(
                "match thresholds are not ascending between 1 and 10000",
                hint="threshold_bp <= medium_bp <= high_bp, in basis points",
            )
        if not 1 <= self.max_candidates <= 1_000:
            raise MatchParamsError("max_candidates is not between 1 and 1000", hint="32 is the default")


@dataclass(frozen=True, slots=True)
class Weights:
    """The fixed integer weights of the method; ``weights.toml`` says where each comes from."""

    version: int
    full: int
    text: int
    token_party: int
    token_name: int
    token_better: int
    evidence: int
    evidence_wide: int
    stretch_percent: int
    scale_bp: int
    country_support: int
    country_conflict: int
    unequal: int
    number_mismatch: int
    type_mismatch: int
    person_mismatch: int
    low_information: int
    weak_alias: int
    evidence_full_milli: int
    evidence_wide_milli: int
    names_floor: int
    generic_percent: int
    place_percent: int
    typo_from: int
    letters_per_edit: int
    join_from: int
    initial: int
    same_sound: int
    skeleton_long: int
    skeleton_short: int
    skeleton_spelling: int
    near_from: int
    near_percent: int
    part_percent: int
    least_alike: int
    postings: int
    floor_bp: int


def parse_weights(text: str) -> Weights:
    """Return the weights in ``text`` (TOML).

    Raises:
        MatchParamsError: the text is no TOML, a member is missing, unknown or no integer.
    """
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MatchParamsError(f"the weights are not TOML: {error}") from error
    flat: dict[str, object] = {}
    for name, value in document.items():
        flat.update(value if isinstance(value, dict) else {name: value})
    wanted = {field.name for field in fields(Weights)}
    if set(flat) != wanted:
        odd = ", ".join(sorted(wanted ^ set(flat)))
        raise MatchParamsError(f"the weights have unknown or missing members: {odd}")
    numbers: dict[str, int] = {}
    for name, value in flat.items():
        if type(value) is not int:
            raise MatchParamsError(f"the weight {name} is not an integer")
        numbers[name] = value
    return Weights(**numbers)


@cache
def load_weights() -> Weights:
    """Return the weights that ship with the package."""
    return parse_weights(files(__package__).joinpath("weights.toml").read_text(encoding="utf-8"))
