"""Exposure: which shipments touch which listed entity, and how much of the feed that is, per entity.

Rules of this file: SQL with explicit total orders; a shipment counts once per entity, in whatever roles and by whatever
names it matched; money is added only within the job's currency, and what could not be added is counted; a sum that does
not fit 64 bits is an error, never a wrong number.
"""

from typing import ClassVar, TypeAlias

import duckdb

from omphalos.format.errors import ErrorKind, OmphalosError

Con: TypeAlias = duckdb.DuckDBPyConnection

_LARGEST = (1 << 63) - 1


class ExposureError(OmphalosError):
    """The exposure cannot be stated in the integers of the tables."""

    kind: ClassVar[ErrorKind] = ErrorKind.INCOMPLETE
    id: ClassVar[str] = "exposure-overflow"


def joined_sql(column: str, where: str = "true") -> str:
    """Return SQL that joins the distinct values of a text column by ``;`` in binary order, NULL where there is none.

    A ``;`` inside a value becomes ``,`` so that the list can be taken apart again.
    """
    values = f"list(DISTINCT replace({column}, ';', ',')) FILTER (WHERE {column} IS NOT NULL AND {where})"
    return f"nullif(array_to_string(list_sort({values}), ';'), '')"


def check_sum(con: Con, table: str, column: str) -> None:
    """Raise ExposureError where a HUGEINT sum in ``table`` does not fit 64 bits."""
    row = con.execute(f"SELECT max({column}) FROM {table}").fetchone()
    if row and row[0] is not None and row[0] > _LARGEST:
        raise ExposureError(
            f"a sum of {column} does not fit 64 bits",
            hint="look for absurd values in the feed; they are in minor units of the currency",
            undone="no exposure was computed",
        )


def build_entity_matches(con: Con) -> None:
    """Make ``entity_matches``: one row per (shipment_id, role, entity_id), in that order.

    Reads ``shipment_parties``, ``party_matches``, ``parties`` and ``registry``.
    """
    con.execute("""
        CREATE OR REPLACE TABLE entity_matches AS
        SELECT s.shipment_id, s.role, m.entity_id, m.party_id, p.name AS party_name, r.name AS entity_name,
               m.matched_name, m.name_kind, r.source, m.score_bp, m.match_rank, m.band, m.reasons, m.country_relation
        FROM party_matches m
        JOIN shipment_parties s USING (party_id)
        JOIN parties p USING (party_id)
        JOIN registry r ON r.entity_id = m.entity_id
        ORDER BY s.shipment_id, s.role, m.entity_id""")


def build_entity_scores(con: Con, currency: str) -> None:
    """Make ``entity_scores``: one row per entity with a match on a shipment, ordered by entity_id.

    Args:
        con: holds ``entity_matches``, ``shipment_parties``, ``trade_feed``, ``party_matches`` and ``registry``.
        currency: ISO 4217 code of the job; ``value_minor`` adds shipments in it (NULL where none has a value), and
            ``other_currency_shipments`` counts those with a value in another or unknown currency.

    ``counterparties`` are the distinct opposite parties: for an exporter all other roles of the shipment, for the other
    roles its exporter; a party that itself matches the entity is not its own counterparty. ``first_seen`` and
    ``last_seen`` are months.

    Raises:
        ExposureError: a sum of values does not fit 64 bits.
    """
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE exposure_sums AS
        WITH touched AS (
            SELECT entity_id, shipment_id, bool_or(role = 'exporter') AS exporter,
                   bool_or(role = 'importer') AS importer, bool_or(role NOT IN ('exporter', 'importer')) AS other
            FROM entity_matches GROUP BY ALL),
        per_shipment AS (
            SELECT t.*, f.value_minor, f.currency, f.hs_chapter,
                   coalesce(f.ship_month, left(f.ship_date, 7)) AS month
            FROM touched t JOIN trade_feed f USING (shipment_id))
        SELECT entity_id, count(*) AS shipments,
               sum(value_minor::HUGEINT) FILTER (WHERE currency = $currency) AS value_minor,
               count(*) FILTER (WHERE value_minor IS NOT NULL AND currency IS DISTINCT FROM $currency)
                   AS other_currency_shipments,
               count(*) FILTER (WHERE exporter) AS as_exporter, count(*) FILTER (WHERE importer) AS as_importer,
               count(*) FILTER (WHERE other) AS as_other,
               {joined_sql("hs_chapter")} AS hs_chapters, min(month) AS first_seen, max(month) AS last_seen
        FROM per_shipment GROUP BY entity_id""",
        {"currency": currency},
    )
    check_sum(con, "exposure_sums", "value_minor")
    con.execute(
        """
        CREATE OR REPLACE TABLE entity_scores AS
        WITH best AS (
            SELECT entity_id, max(score_bp) AS best_score_bp, arg_max(band, score_bp) AS best_band,
                   count(DISTINCT party_id) AS parties
            FROM entity_matches GROUP BY entity_id),
        opposite AS (
            SELECT DISTINCT e.entity_id, o.party_id
            FROM entity_matches e
            JOIN shipment_parties o ON o.shipment_id = e.shipment_id
                 AND CASE WHEN e.role = 'exporter' THEN o.role <> 'exporter' ELSE o.role = 'exporter' END
            ANTI JOIN party_matches m ON m.party_id = o.party_id AND m.entity_id = e.entity_id),
        counterparts AS (SELECT entity_id, count(*) AS counterparties FROM opposite GROUP BY entity_id)
        SELECT s.entity_id, r.source, r.name, r.entity_type, r.country, r.programs,
               b.best_score_bp::BIGINT AS best_score_bp, b.best_band, b.parties::BIGINT AS parties,
               s.shipments::BIGINT AS shipments, s.value_minor::BIGINT AS value_minor, $currency::VARCHAR AS currency,
               s.other_currency_shipments::BIGINT AS other_currency_shipments,
               coalesce(c.counterparties, 0)::BIGINT AS counterparties,
               s.as_exporter::BIGINT AS as_exporter, s.as_importer::BIGINT AS as_importer,
               s.as_other::BIGINT AS as_other, s.hs_chapters, s.first_seen, s.last_seen
        FROM exposure_sums s JOIN best b USING (entity_id) JOIN registry r ON r.entity_id = s.entity_id
        LEFT JOIN counterparts c ON c.entity_id = s.entity_id
        ORDER BY s.entity_id""",
        {"currency": currency},
    )
    con.execute("DROP TABLE temp.exposure_sums")


def build_entity_facts(con: Con) -> None:
    """Make ``entity_facts``: what beyond names connects each entity of ``entity_scores``, and the flags around it.

    Counts of distinct parties by identifier, address and conflict, of listed links, and of shipments with a red flag
    other than the match itself. Reads ``entity_scores``, ``entity_matches``, ``match_facts``, ``entity_links`` and
    ``shipment_flags``.
    """
    con.execute("""
        CREATE OR REPLACE TABLE entity_facts AS
        WITH facts AS (
            SELECT entity_id, count(DISTINCT party_id) FILTER (fact = 'IDENTIFIER') AS identified,
                   count(DISTINCT party_id) FILTER (fact = 'ADDRESS_MATCH') AS addressed,
                   count(DISTINCT party_id) FILTER (fact = 'IDENTIFIER_CONFLICT') AS conflicting
            FROM match_facts GROUP BY entity_id),
        links AS (SELECT entity_id, count(*) AS links FROM entity_links GROUP BY entity_id),
        flagged AS (
            SELECT m.entity_id, count(DISTINCT m.shipment_id) AS shipments, count(DISTINCT f.flag) AS flags
            FROM entity_matches m JOIN shipment_flags f USING (shipment_id) WHERE f.flag <> 'listedParty'
            GROUP BY m.entity_id)
        SELECT s.entity_id, coalesce(identified, 0)::BIGINT AS identifier_parties,
               coalesce(addressed, 0)::BIGINT AS address_parties, coalesce(conflicting, 0)::BIGINT AS conflict_parties,
               coalesce(links, 0)::BIGINT AS links, coalesce(g.shipments, 0)::BIGINT AS flagged_shipments,
               coalesce(g.flags, 0)::BIGINT AS flags
        FROM entity_scores s LEFT JOIN facts USING (entity_id) LEFT JOIN links USING (entity_id)
        LEFT JOIN flagged g USING (entity_id) ORDER BY s.entity_id""")
