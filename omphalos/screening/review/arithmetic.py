"""The arithmetic of a score, redone by hand: every feature with its weight, and every step to the recorded number.

Rules of this file: integers; it takes the recorded features of one match and the weights of the method, and nothing
else, so that whoever has the table and ``weights.toml`` can do the same on paper. It is no second scorer: what it
gives must equal what was recorded, and a test over whole runs says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omphalos.screening.match.integers import FULL
from omphalos.screening.match.params import Weights


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``features`` are (feature, value, weight); ``steps`` (what, amount) add up to ``score_bp``."""

    features: tuple[tuple[str, int, int], ...]
    mean_bp: int
    base_bp: int
    steps: tuple[tuple[str, int], ...]
    score_bp: int


def redo(match: Mapping[str, Any], entity_type: str, weights: Weights) -> Arithmetic:
    """Return the arithmetic of one row of ``party_matches`` about an entity of ``entity_type``."""
    party, name = match["party_token_bp"], match["name_token_bp"]
    features = (
        ("full", match["full_bp"], weights.full),
        ("text", max(match["core_bp"], match["joined_bp"]), weights.text),
        ("token_party", party, weights.token_party),
        ("token_name", name, weights.token_name),
        ("token_better", max(party, name), weights.token_better),
        ("evidence", match["evidence_bp"], weights.evidence),
        ("evidence_wide", match["evidence_wide_bp"], weights.evidence_wide),
    )
    mean = sum(value * weight for _, value, weight in features) // sum(weight for _, _, weight in features)
    codes = set(match["reasons"].split(";"))
    stretched = max(0, FULL - (FULL - mean) * weights.stretch_percent // 100)
    base = FULL if "EXACT" in codes else stretched
    country = {"support": weights.country_support, "conflict": weights.country_conflict}
    qualifiers = (
        ("country", country.get(match["country_relation"], 0)),
        ("number_mismatch", weights.number_mismatch if "NUMBER_MISMATCH" in codes else 0),
        ("type_mismatch", weights.type_mismatch if entity_type in ("vessel", "aircraft") else 0),
        ("low_information", weights.low_information if "LOW_INFORMATION_NAME" in codes else 0),
        ("weak_alias", weights.weak_alias if match["name_kind"] == "weak" else 0),
        ("unequal", 0 if "EXACT" in codes else weights.unequal),
    )
    scaled = base * weights.scale_bp // FULL
    steps = [("scaled_base", scaled), *((what, amount) for what, amount in qualifiers if amount)]
    total = sum(amount for _, amount in steps)
    score = max(0, min(FULL, total))
    if score != total:
        steps.append(("bounded", score - total))
    return Arithmetic(features, mean, base, tuple(steps), score)
