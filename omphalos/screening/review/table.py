"""The review table: what a person must look at, one row per (party, entity), the most telling first.

Rules of this file: everything a reviewer needs to decide stands in the row; a pair that was dismissed keeps its row
and leaves the queue; ``review_rank`` is a total order, made so that the first hour finds the most: pairs in the queue,
band, the party's best entity before its rivals, score, fewer reasons against, red flags, value at stake, ids.
"""

from typing import Final, TypeAlias

import duckdb

from omphalos.screening.exposure import check_sum, joined_sql
from omphalos.screening.review.decisions import IN_QUEUE

Con: TypeAlias = duckdb.DuckDBPyConnection

SAMPLE = 5  # shipment ids shown per row
_QUEUE: Final = ", ".join(f"'{state}'" for state in IN_QUEUE)
QUEUE_SQL: Final = f"state IN ({_QUEUE})"  # of the rows that a person still has to look at


def build_party_flags(con: Con) -> None:
    """Make ``party_flags``: the red flags of the shipments of each matched party, sorted, joined by ``;``.

    Reads ``shipment_flags`` (shipment_id, flag), where it is there; a flag of a shipment is one of all its parties.
    """
    made = con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'shipment_flags'").fetchone()
    if made is None:
        con.execute("CREATE OR REPLACE TABLE party_flags (party_id VARCHAR, flags VARCHAR, flagged_shipments BIGINT)")
        return
    con.execute(f"""
        CREATE OR REPLACE TABLE party_flags AS
        SELECT s.party_id, {joined_sql("f.flag")} AS flags, count(DISTINCT s.shipment_id) AS flagged_shipments
        FROM shipment_parties s JOIN shipment_flags f USING (shipment_id)
        WHERE s.party_id IN (SELECT party_id FROM party_matches) GROUP BY s.party_id""")


def build_review(con: Con, currency: str) -> None:
    """Make ``review``, one row per row of ``party_matches``, ordered by (party_id, entity_id).

    ``value_minor`` adds the party's shipments in ``currency``, each once (NULL where none has a value);
    ``sample_shipments`` are the first ids in text order; ``rivals`` counts the other entities the party matched. Reads
    ``party_matches``, ``parties``, ``registry``, ``shipment_parties``, ``trade_feed``, ``pair_states`` and
    ``party_flags`` (party_id, flags, flagged_shipments).

    Raises:
        ExposureError: a sum of values does not fit 64 bits.
    """
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE review_parties AS
        WITH held AS (
            SELECT party_id, shipment_id, role FROM shipment_parties
            WHERE party_id IN (SELECT party_id FROM party_matches)),
        roles AS (SELECT party_id, {joined_sql("role")} AS roles FROM held GROUP BY party_id),
        once AS (
            SELECT d.party_id, f.shipment_id, f.value_minor, f.currency, f.hs_chapter,
                   coalesce(f.ship_month, left(f.ship_date, 7)) AS month
            FROM (SELECT DISTINCT party_id, shipment_id FROM held) d JOIN trade_feed f USING (shipment_id)),
        sums AS (
            SELECT party_id, count(*) AS shipments,
                   sum(value_minor::HUGEINT) FILTER (WHERE currency = $currency) AS value_minor,
                   min(month) AS first_seen, max(month) AS last_seen, {joined_sql("hs_chapter")} AS hs_chapters,
                   min(shipment_id, {SAMPLE}) AS sample
            FROM once GROUP BY party_id)
        SELECT * FROM roles JOIN sums USING (party_id)""",
        {"currency": currency},
    )
    check_sum(con, "review_parties", "value_minor")
    con.execute(f"""
        CREATE OR REPLACE TABLE review AS
        WITH joined AS (
            SELECT m.*, p.name AS party_name, p.country AS party_country, coalesce(s.roles, '') AS roles,
                   r.name AS entity_name, r.source, r.entity_type, r.country AS entity_country, r.programs,
                   r.listed_on, r.record_hash, count(*) OVER (PARTITION BY m.party_id) - 1 AS rivals,
                   coalesce(s.shipments, 0) AS shipments, s.value_minor, s.first_seen, s.last_seen, s.hs_chapters,
                   coalesce(array_to_string(list_transform(s.sample, lambda id: replace(id, ';', ',')), ';'), '')
                       AS sample_shipments,
                   coalesce(g.flags, '') AS flags, coalesce(g.flagged_shipments, 0) AS flagged_shipments,
                   coalesce(d.state, 'open') AS state, d.state_reason, d.verdict, d.decided, d.expires, d.reviewer,
                   d.decision_reason,
                   CASE m.band WHEN 'high' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END AS band_no,
                   len(list_filter(string_split(m.against, ';'), lambda code: code <> '')) AS against_codes,
                   len(list_filter(string_split(coalesce(g.flags, ''), ';'), lambda code: code <> '')) AS flag_codes
            FROM party_matches m
            JOIN parties p USING (party_id)
            JOIN registry r ON r.entity_id = m.entity_id
            LEFT JOIN review_parties s ON s.party_id = m.party_id
            LEFT JOIN pair_states d ON d.party_id = m.party_id AND d.entity_id = m.entity_id
            LEFT JOIN party_flags g ON g.party_id = m.party_id)
        SELECT row_number() OVER (
                   ORDER BY NOT {QUEUE_SQL}, band_no, match_rank > 1, score_bp DESC, against_codes, flag_codes DESC,
                            value_minor DESC NULLS LAST, party_id, entity_id)::BIGINT AS review_rank,
               state, band, score_bp, match_rank, rivals::BIGINT AS rivals, party_id, party_name, party_country, roles,
               entity_id, entity_name, source, entity_type, matched_name, name_kind, entity_country, programs,
               listed_on, reasons, against, country_relation, shipments::BIGINT AS shipments,
               value_minor::BIGINT AS value_minor, first_seen, last_seen, hs_chapters, sample_shipments, flags,
               flagged_shipments::BIGINT AS flagged_shipments, record_hash, state_reason, verdict, decided, expires,
               reviewer, decision_reason
        FROM joined ORDER BY party_id, entity_id""")
    con.execute("DROP TABLE temp.review_parties")


def add_open_exposure(con: Con, currency: str) -> None:
    """Add to ``entity_scores`` what of it is open: without the pairs that ``review`` holds as suppressed.

    ``open_parties``, ``open_shipments`` and ``open_value_minor`` count as ``parties``, ``shipments`` and
    ``value_minor`` do; ``suppressed_parties`` are the parties that were dismissed. A shipment that touches the entity
    by an open and by a suppressed party is open.

    Raises:
        ExposureError: a sum of values does not fit 64 bits.
    """
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE open_exposure AS
        WITH touched AS (
            SELECT DISTINCT e.entity_id, e.shipment_id FROM entity_matches e
            JOIN review v USING (party_id, entity_id) WHERE v.state <> 'suppressed'),
        sums AS (
            SELECT entity_id, count(*) AS open_shipments,
                   sum(f.value_minor::HUGEINT) FILTER (WHERE f.currency = $currency) AS open_value_minor
            FROM touched JOIN trade_feed f USING (shipment_id) GROUP BY entity_id),
        parties AS (
            SELECT e.entity_id, count(DISTINCT party_id) FILTER (WHERE v.state <> 'suppressed') AS open_parties,
                   count(DISTINCT party_id) FILTER (WHERE v.state = 'suppressed') AS suppressed_parties
            FROM entity_matches e JOIN review v USING (party_id, entity_id) GROUP BY e.entity_id)
        SELECT * FROM parties LEFT JOIN sums USING (entity_id)""",
        {"currency": currency},
    )
    check_sum(con, "open_exposure", "open_value_minor")
    con.execute("""
        CREATE OR REPLACE TABLE entity_scores AS
        SELECT s.*, o.open_parties::BIGINT AS open_parties, coalesce(o.open_shipments, 0)::BIGINT AS open_shipments,
               o.open_value_minor::BIGINT AS open_value_minor, o.suppressed_parties::BIGINT AS suppressed_parties
        FROM entity_scores s JOIN open_exposure o USING (entity_id) ORDER BY s.entity_id""")
    con.execute("DROP TABLE temp.open_exposure")
