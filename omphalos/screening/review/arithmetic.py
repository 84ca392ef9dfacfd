"""The arithmetic of a score, redone by hand: every feature with its weight, and every step to the recorded number.

Rules of this file: integers; it takes the recorded features and facts of one match, the formula (`match.formula`) and
the weights of the method, and nothing else, so that whoever has the table and ``weights.toml`` can do the same on
paper. It is no second scorer: what it gives must equal what was recorded, and a test over whole runs says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omphalos.screening.match.facts import ADDRESS_MATCH, IDENTIFIER, IDENTIFIER_CONFLICT, load_facts
from omphalos.screening.match.formula import FEATURES, QUALIFIERS, Recorded, mean_bp
from omphalos.screening.match.integers import FULL
from omphalos.screening.match.params import Weights


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``features`` are (feature, value, weight), ``mean_bp`` is their mean; ``steps`` (what, amount) add up."""

    features: tuple[tuple[str, int, int], ...]
    mean_bp: int
    base_bp: int
    steps: tuple[tuple[str, int], ...]
    score_bp: int


def redo(
    match: Mapping[str, Any],
    entity_type: str,
    weights: Weights,
    threshold_bp: int,
    facts: Sequence[Mapping[str, Any]] = (),
) -> Arithmetic:
    """Return the arithmetic of one row of ``party_matches``.

    Args:
        match: the row.
        entity_type: what the listed entity is.
        weights: the weights of the method.
        threshold_bp: from where on a candidate of the run is a match.
        facts: the rows of ``match_facts`` about the pair (fact, strength_bp).
    """
    party, name = match["party_token_bp"], match["name_token_bp"]
    text = max(match["core_bp"], match["joined_bp"])
    better = max(party, name)
    values = (match["full_bp"], text, party, name, better, match["evidence_bp"], match["evidence_wide_bp"])
    features = tuple((key, value, getattr(weights, key)) for key, value in zip(FEATURES, values, strict=True))
    mean = mean_bp(values, weights)
    # A pair that only a fact connects has no features, and its base is zero.
    steps = _by_name(match, entity_type, weights) if match["base_bp"] else []
    score = _by_facts(steps, facts, threshold_bp)
    return Arithmetic(features, mean, match["base_bp"], tuple(steps), score)


def _by_name(match: Mapping[str, Any], entity_type: str, weights: Weights) -> list[tuple[str, int]]:
    """Return the steps from the base to the score of the names."""
    recorded = Recorded(match, frozenset(match["reasons"].split(";")), entity_type)
    steps = [("scaled_base", match["base_bp"] * weights.scale_bp // FULL)]
    for one in QUALIFIERS:
        amount = getattr(weights, one.weight)
        if amount and one.holds(recorded):
            steps.append((one.step, amount))
    total = sum(amount for _, amount in steps)
    if not 0 <= total <= FULL:
        steps.append(("bounded", max(0, min(FULL, total)) - total))
    return steps


def _by_facts(steps: list[tuple[str, int]], facts: Sequence[Mapping[str, Any]], threshold_bp: int) -> int:
    """Add the steps that facts make to ``steps``; return the score."""
    numbers = load_facts()
    kinds = {fact["fact"] for fact in facts}
    name = sum(amount for _, amount in steps)
    score = name
    if IDENTIFIER in kinds:
        score = min(FULL, max(numbers.identifiers.score_bp + name // 100, name))
        steps.append(("identifier", score - name))
    elif ADDRESS_MATCH in kinds:
        strength = max(fact["strength_bp"] for fact in facts if fact["fact"] == ADDRESS_MATCH)
        score = min(FULL, max(strength, name + numbers.addresses.support_bp if name else 0))
        steps.append(("address", score - name))
    if IDENTIFIER_CONFLICT in kinds:
        lowered = max(score + numbers.identifiers.conflict_bp, min(threshold_bp, score))
        steps.append(("identifier_conflict", lowered - score))
        score = lowered
    return score
