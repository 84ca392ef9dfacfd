"""Scores: integer features of each candidate, fixed weights, qualifiers, bands and ranks.

Rules of this file: a score is a sum anyone can redo by hand from the feature columns and ``weights.toml`` (`formula`);
similarity is computed from integer edit distances, never from floats; every order is total: score descending,
similarity of the full forms descending, entity_id, name_no.

Features (basis points): ``full_bp``, ``core_bp`` (forms with their tokens sorted) and ``joined_bp`` (core without
spaces, tokens as they stand) are the Indel similarity 10000 * (la + lb - d) // (la + lb); ``party_token_bp`` and
``name_token_bp`` are the information-weighted shares of each side's tokens with a counterpart (`tokens`), ``token_bp``
their weighted mean; ``evidence_bp`` is the information of what agrees, against the amount that is full evidence.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import process
from rapidfuzz.distance import Indel

from omphalos.screening.match.candidates import FORM_CHARS, THREADS
from omphalos.screening.match.formula import mean_bp, name_band_sql, score_sql
from omphalos.screening.match.integers import FULL, Ints, in_order, texts, whole
from omphalos.screening.match.params import MatchParams, Weights, load_weights
from omphalos.screening.match.reasons import codes_sql
from omphalos.screening.match.tokens import Tokens

Con: TypeAlias = duckdb.DuckDBPyConnection
_NO_SCRIPT = "('', 'Zyyy', 'Zzzz')"  # no letters, or a script without a name here (ISO 15924)
PAIRS = 1 << 16  # candidates scored at once
_NOBODY = np.zeros(0, dtype=np.int64)


def score_candidates(
    con: Con, tokens: Tokens, params: MatchParams, weights: Weights | None = None, threads: int = THREADS
) -> int:
    """Score ``match_candidates``, fill ``party_matches``; return how many pairs (party form, name) were scored.

    Expects the tables of `build_candidates`, ``parties`` and ``registry``.
    """
    weights = weights or load_weights()
    parties = _forms(con, "match_party_forms", "form_no", "match_party_cores")
    names = _Forms(_forms(con, "match_name_forms", "name_form", "match_name_cores"))
    scorer = _Scorer(parties, names, tokens, params, weights)
    reader = con.execute("""
        SELECT form_no, name_form FROM match_candidates ORDER BY form_no, name_form""").to_arrow_reader(PAIRS)
    scored = 0

    def score(batch: Any) -> tuple[int, Any]:
        return batch.num_rows, scorer.score(whole(batch.column(0)), whole(batch.column(1)))

    batches = [scorer.score(_NOBODY, _NOBODY)]
    with ThreadPoolExecutor(threads) as pool:
        for rows, table in in_order(pool, score, reader, threads):
            scored += rows
            batches.append(table)
    con.register("match_batch", pa.concat_tables(batches))
    con.execute("CREATE OR REPLACE TEMP TABLE match_pairs AS SELECT * FROM match_batch")
    con.unregister("match_batch")
    _make_matches(con, params, weights)
    return scored


class _Forms:
    """Forms of one side: text arrays, and the position of each form's core among the distinct cores.

    Of the parties, who may be many, only those of a batch are made to text, while it is scored.
    """

    def __init__(self, table: Any) -> None:
        self.full = texts(table.column("full_form"))
        self.core = texts(table.column("core_form"))
        self.joined = texts(table.column("joined"))
        self.full_sorted = texts(table.column("full_sorted"))
        self.core_sorted = texts(table.column("core_sorted"))
        self.script = texts(table.column("script"))
        self.core_no = whole(table.column("core_no"))


def _forms(con: Con, table: str, number: str, cores: str) -> Any:
    """Return the forms of one side as an Arrow table, in the order of their numbers, which begin at 0."""
    cut = f"left({{0}}, {FORM_CHARS})"
    ordered = f"array_to_string(list_sort(string_split({cut}, ' ')), ' ')"
    return con.execute(f"""
            SELECT full_form, {cut.format("core_form")} AS core_form, {cut.format("joined")} AS joined,
                   {ordered.format("full_form")} AS full_sorted, {ordered.format("core_form")} AS core_sorted,
                   CASE WHEN script IN {_NO_SCRIPT} THEN '' ELSE script END AS script,
                   coalesce(core_no, 0) AS core_no
            FROM {table} LEFT JOIN {cores} c ON c.core = {cut.format("core_form")}
            ORDER BY {number}""").to_arrow_table()


def similarity_bp(left: Any, right: Any) -> Ints:
    """Return the Indel similarity of aligned arrays of text in basis points; 0 where both are empty."""
    first, second = left.tolist(), right.tolist()
    distance = process.cpdist(first, second, scorer=Indel.distance, dtype=np.int32).astype(np.int64)
    total = _lengths(first) + _lengths(second)
    return np.where(total > 0, FULL * (total - distance) // np.maximum(total, 1), 0)


def _lengths(values: list[str]) -> Ints:
    return whole(pc.utf8_length(pa.array(values, pa.string())))


@dataclass(frozen=True, slots=True)
class _Scorer:
    """Scores pairs (party form, name) by everything that does not depend on the country or the kind of name."""

    parties: Any  # Arrow table of `_forms`
    names: _Forms
    tokens: Tokens
    params: MatchParams
    weights: Weights

    def score(self, form: Ints, row: Ints) -> Any:
        """Return the feature columns of the pairs that can still reach the threshold, as an Arrow table."""
        weights, names = self.weights, self.names
        first, last = (int(form[0]), int(form[-1])) if len(form) else (0, -1)  # the pairs come in the order of forms
        parties, at = _Forms(self.parties.slice(first, last + 1 - first)), form - first
        full = similarity_bp(parties.full_sorted[at], names.full_sorted[row])
        core = similarity_bp(parties.core_sorted[at], names.core_sorted[row])
        plain = similarity_bp(parties.core[at], names.core[row])
        joined = similarity_bp(parties.joined[at], names.joined[row])
        aligned = self.tokens.align(parties.core_no[at], names.core_no[row])
        # Equal once joined: every token has its counterpart, however the words were split.
        same = (joined == FULL) & (core < FULL)
        party = np.where(same, FULL, aligned.party_bp)
        name = np.where(same, FULL, aligned.name_bp)
        evidence = np.where(same, np.minimum(aligned.party_mass, aligned.name_mass), aligned.evidence_milli)
        bits = evidence
        evidence = np.minimum(FULL, FULL * bits // weights.evidence_full_milli)
        wide = np.minimum(FULL, FULL * bits // weights.evidence_wide_milli)
        text = np.maximum(core, joined)
        # Forms in two scripts differ in every letter that transliteration chose: their cores stand in for them.
        left, right = parties.script[at], names.script[row]
        other = ((left != right) & (left != "") & (right != "")).astype(bool)
        full = np.where(other, np.maximum(full, text), full)
        base = mean_bp((full, text, party, name, np.maximum(party, name), evidence, wide), weights)
        base = np.maximum(0, FULL - (FULL - base) * weights.stretch_percent // 100)
        equal = (parties.full[at] == names.full[row]).astype(bool)
        base = np.where(equal, FULL, base)
        keep = base * weights.scale_bp // FULL + weights.country_support >= self.params.threshold_bp
        columns = {
            "form_no": form,
            "name_form": row,
            "full_bp": full,
            "core_bp": core,
            "joined_bp": joined,
            "party_token_bp": party,
            "name_token_bp": name,
            "evidence_bp": evidence,
            "evidence_wide_bp": wide,
            "base_bp": base,
            "typo": aligned.typo & ~same,
            "sound": aligned.sound & ~same,
            "joined": aligned.joined | same,
            "extra": aligned.extra & ~same,
            "numbers": aligned.numbers & ~same,
            "reworded": aligned.reworded & ~equal,
            "reordered": (core > plain) & ~same,
        }
        return pa.table({key: pa.array(column[keep]) for key, column in columns.items()})


def _make_matches(con: Con, params: MatchParams, weights: Weights) -> None:
    """Add country and list qualifiers, keep the best name per (party, entity), rank, and fill ``party_matches``."""
    listed = "coalesce(nullif(r.countries, ''), nullif(r.country, ''))"
    con.execute(f"""
        CREATE OR REPLACE TABLE party_matches AS
        WITH pairs AS (
            SELECT m.*, n.entity_id, n.name_no, n.name_kind, n.name AS matched_name, n.craft, n.person,
                   instr(n.core_form, ' ') = 0 AS one_word,
                   p.legal_forms <> '' AS party_has_form,
                   p.full_form = n.full_form AS equal_full, n.tail AS name_tail, p.low OR n.low AS low,
                   p.legal_forms <> n.legal_forms AS legal_differs,
                   p.script <> n.script AND p.script NOT IN {_NO_SCRIPT} AND n.script NOT IN {_NO_SCRIPT}
                       AS scripts_differ
            FROM match_pairs m
            JOIN match_party_forms p USING (form_no) JOIN match_names n ON n.name_form = m.name_form
            WHERE NOT (n.craft AND instr(n.core_form, ' ') = 0 AND n.full_form <> p.full_form)),
        placed AS (
            SELECT q.party_id, pairs.*, q.behind, q.behind OR q.tail <> name_tail AS tail_differs,
                   CASE WHEN coalesce(q.country, '') = '' OR {listed} IS NULL THEN 'unknown'
                        WHEN q.country = r.country OR list_contains(string_split({listed}, ';'), q.country)
                        THEN 'support' ELSE 'conflict' END AS country_relation
            FROM pairs
            JOIN match_parties q USING (form_no)
            LEFT JOIN registry r ON r.entity_id = pairs.entity_id),
        scored AS (
            SELECT *, {score_sql(weights)} AS score_bp
            FROM placed),
        banded AS (
            SELECT *, {name_band_sql(params)} AS band
            FROM scored WHERE score_bp >= {params.threshold_bp}),
        best AS (
            SELECT * FROM banded
            QUALIFY row_number() OVER (
                PARTITION BY party_id, entity_id
                ORDER BY CASE band WHEN 'high' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END,
                         score_bp DESC, full_bp DESC, name_no, behind, form_no) = 1)
        SELECT party_id, entity_id, name_no::BIGINT AS name_no, matched_name, name_kind, score_bp::BIGINT AS score_bp,
               row_number() OVER (PARTITION BY party_id
                                  ORDER BY score_bp DESC, full_bp DESC, entity_id)::BIGINT AS match_rank,
               band,
               {codes_sql()} AS reasons, {codes_sql(against_only=True)} AS against, country_relation,
               full_bp, core_bp, joined_bp, party_token_bp, name_token_bp, evidence_bp, evidence_wide_bp,
               base_bp
        FROM best ORDER BY party_id, entity_id""")
