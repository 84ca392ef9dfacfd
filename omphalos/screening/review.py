"""The review table: what a person must look at, one row per (party, entity), the most telling first.

Rules of this file: everything a reviewer needs to decide stands in the row; ``review_rank`` is a total order, made so
that the first hour finds the most: band, then score, then value at stake, then ids.
"""

from typing import TypeAlias

import duckdb

from omphalos.screening.exposure import check_sum, joined_sql

Con: TypeAlias = duckdb.DuckDBPyConnection

SAMPLE = 5  # shipment ids shown per row


def build_review(con: Con, currency: str) -> None:
    """Make ``review``, one row per row of ``party_matches``, ordered by (party_id, entity_id).

    ``value_minor`` adds the party's shipments in ``currency``, each once (NULL where none has a value);
    ``sample_shipments`` are the first ids in text order. Reads ``party_matches``, ``parties``, ``registry``,
    ``shipment_parties`` and ``trade_feed``.

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
    con.execute("""
        CREATE OR REPLACE TABLE review AS
        SELECT row_number() OVER (
                   ORDER BY CASE m.band WHEN 'high' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END, m.score_bp DESC,
                            s.value_minor DESC NULLS LAST, m.party_id, m.entity_id)::BIGINT AS review_rank,
               m.band, m.score_bp, m.match_rank, m.party_id, p.name AS party_name, p.country AS party_country,
               coalesce(s.roles, '') AS roles, m.entity_id, r.name AS entity_name, r.source, r.entity_type,
               m.matched_name, m.name_kind, r.country AS entity_country, r.programs, m.reasons, m.against,
               m.country_relation, coalesce(s.shipments, 0)::BIGINT AS shipments,
               s.value_minor::BIGINT AS value_minor, s.first_seen, s.last_seen, s.hs_chapters,
               coalesce(array_to_string(list_transform(s.sample, lambda id: replace(id, ';', ',')), ';'), '')
                   AS sample_shipments,
               r.record_hash
        FROM party_matches m
        JOIN parties p USING (party_id)
        JOIN registry r ON r.entity_id = m.entity_id
        LEFT JOIN review_parties s ON s.party_id = m.party_id
        ORDER BY m.party_id, m.entity_id""")
    con.execute("DROP TABLE temp.review_parties")
