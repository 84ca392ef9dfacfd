"""The formula of a score and its band: which features are weighed, and what is added and taken off after them.

Rules of this file: it is the one place that holds the formula. `score` makes SQL and array arithmetic of it, and the
explanation of a match (`review.arithmetic`) redoes it from the recorded row; weights come from ``weights.toml``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from omphalos.screening.match.integers import FULL
from omphalos.screening.match.params import MatchParams, Weights

FEATURES: Final = ("full", "text", "token_party", "token_name", "token_better", "evidence", "evidence_wide")
"""The weighed features, each by the name of its weight."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded match as a row of ``party_matches``, its reason codes, and the type of the entity."""

    match: Mapping[str, Any]
    codes: frozenset[str]
    entity_type: str


@dataclass(frozen=True, slots=True)
class Qualifier:
    """What is added to the scaled base where something holds.

    ``step`` is how an explanation calls it, ``weight`` the member of `Weights`; ``condition`` is SQL over the columns
    of a scored pair; ``holds`` says the same of a recorded match.
    """

    step: str
    weight: str
    condition: str
    holds: Callable[[Recorded], bool]


QUALIFIERS: Final = (
    Qualifier("country", "country_support", "country_relation = 'support'",
              lambda one: one.match["country_relation"] == "support"),
    Qualifier("country", "country_conflict", "country_relation = 'conflict'",
              lambda one: one.match["country_relation"] == "conflict"),
    Qualifier("number_mismatch", "number_mismatch", "numbers", lambda one: "NUMBER_MISMATCH" in one.codes),
    Qualifier("type_mismatch", "type_mismatch", "craft", lambda one: one.entity_type in ("vessel", "aircraft")),
    Qualifier("person_mismatch", "person_mismatch", "person AND party_has_form",
              lambda one: one.entity_type == "person" and "TYPE_MISMATCH" in one.codes),
    Qualifier("low_information", "low_information", "low", lambda one: "LOW_INFORMATION_NAME" in one.codes),
    Qualifier("weak_alias", "weak_alias", "name_kind = 'weak'", lambda one: one.match["name_kind"] == "weak"),
    Qualifier("unequal", "unequal", "NOT (equal_full AND NOT tail_differs)",
              lambda one: "EXACT" not in one.codes or "ADDRESS_TAIL" in one.codes),
)  # fmt: skip
"""In the order in which an explanation tells them."""


def mean_bp(values: Sequence[Any], weights: Weights) -> Any:
    """Return the weighted mean of the features, given in the order of `FEATURES`: integers, or arrays of them."""
    shares = [getattr(weights, name) for name in FEATURES]
    return sum(share * value for share, value in zip(shares, values, strict=True)) // sum(shares)


def score_sql(weights: Weights) -> str:
    """Return the SQL of a score over ``base_bp`` and the columns that the qualifiers ask for, within 0 and 10000."""
    steps = "".join(
        f" + CASE WHEN {one.condition} THEN {getattr(weights, one.weight)} ELSE 0 END" for one in QUALIFIERS
    )
    return f"greatest(0, least({FULL}, base_bp * {weights.scale_bp} // {FULL}{steps}))"


def band_sql(params: MatchParams) -> str:
    """Return the SQL of the band of ``score_bp``, wherever the score comes from."""
    high, medium = params.high_bp, params.medium_bp
    return f"CASE WHEN score_bp >= {high} THEN 'high' WHEN score_bp >= {medium} THEN 'medium' ELSE 'low' END"


def name_band_sql(params: MatchParams) -> str:
    """Return the SQL of the band of a pair that its names connect, over the columns of a scored pair.

    An equal name says little where the publisher calls the alias weak, and less where it is the one word that a vessel
    or aircraft is called by: the first is at most medium and the second low. The score is not touched, so the order
    among them stays. After OFAC's guidance on weak aliases, which it does not expect to be screened for by themselves.
    """
    medium = params.medium_bp
    return (
        f"CASE WHEN craft AND one_word THEN 'low' "
        f"WHEN name_kind = 'weak' AND score_bp >= {medium} THEN 'medium' ELSE {band_sql(params)} END"
    )
