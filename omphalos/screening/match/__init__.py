"""Matching: which parties of a feed may be entities of a registry, how sure, and why.

`match_parties` reads ``parties``, ``registry`` and ``registry_forms`` and makes ``party_matches``. The steps are in
`candidates` (who is compared), `tokens` and `score` (how alike), `reasons` (in words). docs/matching.md explains them.
"""

from dataclasses import dataclass
from typing import TypeAlias

import duckdb

from omphalos.screening.match.candidates import THREADS, CandidateReport, build_candidates
from omphalos.screening.match.params import MatchParams, MatchParamsError, load_weights
from omphalos.screening.match.reasons import REASONS, Reason
from omphalos.screening.match.score import score_candidates

__all__ = ["REASONS", "CandidateReport", "MatchParams", "MatchParamsError", "MatchReport", "Reason", "match_parties"]

Con: TypeAlias = duckdb.DuckDBPyConnection

_SCRATCH = (
    "match_behind",
    "match_parties",
    "match_party_forms",
    "match_names",
    "match_party_cores",
    "match_name_cores",
    "match_core_pairs",
    "match_name_forms",
    "match_candidates",
    "match_pairs",
)


@dataclass(frozen=True, slots=True)
class MatchReport:
    """What a match did; all members are counts, except the version of the weights."""

    weights_version: int
    parties: int
    candidates: CandidateReport
    pairs_scored: int  # (party form, name)
    matches: int  # (party, entity) at or above the threshold
    high: int
    medium: int
    low: int
    matched_parties: int
    matched_entities: int


def match_parties(con: Con, params: MatchParams, threads: int = THREADS) -> MatchReport:
    """Make the table ``party_matches``, one row per (party_id, entity_id) whose best name reaches the threshold.

    Reads ``parties`` (party_id, name, country, full_form, core_form, legal_forms, script, low_information, tail_form),
    ``registry`` (entity_id, entity_type, country, countries) and ``registry_forms`` (entity_id, name_no, name_kind,
    name and the same forms). ``threads`` changes no byte of the outcome. Temporary tables ``match_*`` are made on the
    way and dropped.
    """
    candidates = build_candidates(con, params, threads=threads)
    scored = score_candidates(con, candidates.tokens, params, threads=threads)
    for table in _SCRATCH:
        con.execute(f"DROP TABLE IF EXISTS temp.{table}")
    row = con.execute("""
        SELECT (SELECT count(*) FROM parties), count(*), count(*) FILTER (band = 'high'),
               count(*) FILTER (band = 'medium'), count(*) FILTER (band = 'low'), count(DISTINCT party_id),
               count(DISTINCT entity_id) FROM party_matches""").fetchone()
    parties, matches, high, medium, low, matched_parties, matched_entities = (int(value) for value in row)
    return MatchReport(
        weights_version=load_weights().version,
        parties=parties,
        candidates=candidates.report,
        pairs_scored=scored,
        matches=matches,
        high=high,
        medium=medium,
        low=low,
        matched_parties=matched_parties,
        matched_entities=matched_entities,
    )
