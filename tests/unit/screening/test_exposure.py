"""Exposure tables: shipments, roles, money and counterparties of listed entities."""

from typing import Any

import duckdb
import pytest

from omphalos.screening.exposure import ExposureError, build_entity_matches, build_entity_scores

SHIPMENTS = [
    # id, month, date, value, currency, chapter
    ("S1", "2025-01", "2025-01-05", 100_00, "USD", "84"),
    ("S2", "2025-03", None, 50_00, "USD", "85"),
    ("S3", None, "2024-12-31", 70_00, "EUR", "84"),
    ("S4", "2025-02", None, None, None, None),
    ("S5", "2025-02", None, 1_00, "USD", "01"),
]
ROLES = [
    ("S1", "exporter", "P1"),
    ("S1", "importer", "P2"),
    ("S1", "consignee", "P1"),
    ("S2", "exporter", "P3"),
    ("S2", "importer", "P1"),
    ("S3", "exporter", "P4"),
    ("S3", "end_user", "P1b"),
    ("S4", "exporter", "P1"),
    ("S4", "importer", "P1b"),
    ("S5", "exporter", "P3"),
    ("S5", "importer", "P4"),
]
MATCHES = [
    # party, entity, name_no, name, kind, score, rank, band
    ("P1", "t:1", 0, "Zarvand", "primary", 9800, 1, "high"),
    ("P1b", "t:1", 1, "Zarvend", "alias", 7800, 1, "medium"),
    ("P2", "t:2", 0, "Kolmer", "primary", 7000, 1, "low"),
]


@pytest.fixture
def con() -> Any:
    """Return a connection with a feed of five shipments and three matches."""
    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE trade_feed (shipment_id TEXT, ship_month TEXT, ship_date TEXT, value_minor BIGINT, "
            "currency TEXT, hs_chapter TEXT)"
        )
        con.executemany("INSERT INTO trade_feed VALUES (?, ?, ?, ?, ?, ?)", SHIPMENTS)
        con.execute("CREATE TABLE shipment_parties (shipment_id TEXT, role TEXT, party_id TEXT)")
        con.executemany("INSERT INTO shipment_parties VALUES (?, ?, ?)", ROLES)
        con.execute("CREATE TABLE parties (party_id TEXT, name TEXT, country TEXT)")
        con.executemany(
            "INSERT INTO parties VALUES (?, ?, 'IR')", [(p, f"name {p}") for p in ("P1", "P1b", "P2", "P3", "P4")]
        )
        con.execute(
            "CREATE TABLE registry (entity_id TEXT, source TEXT, name TEXT, entity_type TEXT, country TEXT, "
            "programs TEXT)"
        )
        con.executemany(
            "INSERT INTO registry VALUES (?, 't', ?, 'organization', 'IR', NULL)",
            [("t:1", "Zarvand"), ("t:2", "Kolmer"), ("t:3", "Unseen")],
        )
        con.execute(
            "CREATE TABLE party_matches (party_id TEXT, entity_id TEXT, name_no BIGINT, matched_name TEXT, "
            "name_kind TEXT, score_bp BIGINT, match_rank BIGINT, band TEXT)"
        )
        con.executemany("INSERT INTO party_matches VALUES (?, ?, ?, ?, ?, ?, ?, ?)", MATCHES)
        con.execute("ALTER TABLE party_matches ADD COLUMN reasons TEXT DEFAULT 'EXACT'")
        con.execute("ALTER TABLE party_matches ADD COLUMN country_relation TEXT DEFAULT 'unknown'")
        yield con


def rows(con: Any, table: str) -> list[dict[str, Any]]:
    """Return all rows of a table as they lie."""
    found: list[dict[str, Any]] = con.execute(f"SELECT * FROM {table}").to_arrow_table().to_pylist()
    return found


def test_every_role_of_a_matched_party_is_a_row(con):
    """One row per shipment, role and entity, in key order, with the party and the entity by name."""
    build_entity_matches(con)
    made = rows(con, "entity_matches")
    assert [(r["shipment_id"], r["role"], r["entity_id"]) for r in made] == [
        ("S1", "consignee", "t:1"),
        ("S1", "exporter", "t:1"),
        ("S1", "importer", "t:2"),
        ("S2", "importer", "t:1"),
        ("S3", "end_user", "t:1"),
        ("S4", "exporter", "t:1"),
        ("S4", "importer", "t:1"),
    ]
    assert (made[0]["party_name"], made[0]["entity_name"], made[0]["source"]) == ("name P1", "Zarvand", "t")


def test_a_shipment_counts_once_per_entity(con):
    """Two roles, or two parties, of one entity on a shipment add its value and count once."""
    build_entity_matches(con)
    build_entity_scores(con, "USD")
    first, second = rows(con, "entity_scores")
    assert first["entity_id"] == "t:1"
    assert first["shipments"] == 4
    assert first["value_minor"] == 150_00
    assert first["other_currency_shipments"] == 1
    assert first["parties"] == 2
    assert (first["as_exporter"], first["as_importer"], first["as_other"]) == (2, 2, 2)
    assert (first["best_score_bp"], first["best_band"]) == (9800, "high")
    assert (first["first_seen"], first["last_seen"]) == ("2024-12", "2025-03")
    assert first["hs_chapters"] == "84;85"
    assert (second["entity_id"], second["shipments"], second["value_minor"]) == ("t:2", 1, 100_00)


def test_counterparties_are_the_other_side(con):
    """An exporter faces all other roles, the others face the exporter, and nobody faces itself."""
    build_entity_matches(con)
    build_entity_scores(con, "USD")
    first, second = rows(con, "entity_scores")
    assert first["counterparties"] == 3  # P2 as importer, P3 and P4 as exporters; P1b is the entity itself
    assert second["counterparties"] == 1


def test_no_value_in_the_currency_is_no_sum(con):
    """Where no shipment has a value in the job's currency, the sum is missing, not zero."""
    build_entity_matches(con)
    build_entity_scores(con, "JPY")
    assert [r["value_minor"] for r in rows(con, "entity_scores")] == [None, None]
    assert [r["other_currency_shipments"] for r in rows(con, "entity_scores")] == [3, 1]
    assert {r["currency"] for r in rows(con, "entity_scores")} == {"JPY"}


def test_a_sum_beyond_64_bits_is_an_error(con):
    """Absurd values stop the exposure instead of wrapping round."""
    con.execute(
        "UPDATE trade_feed SET value_minor = 9223372036854775807, currency = 'USD' WHERE shipment_id IN ('S1', 'S2')"
    )
    build_entity_matches(con)
    with pytest.raises(ExposureError, match="64 bits"):
        build_entity_scores(con, "USD")


def test_no_matches_give_empty_tables(con):
    """An empty match table is no error."""
    con.execute("DELETE FROM party_matches")
    build_entity_matches(con)
    build_entity_scores(con, "USD")
    assert rows(con, "entity_matches") == rows(con, "entity_scores") == []


def test_money_columns_are_64_bit_integers(con):
    """No HUGEINT or float leaves this file."""
    build_entity_matches(con)
    build_entity_scores(con, "USD")
    kinds = {
        row[1] for table in ("entity_matches", "entity_scores") for row in con.execute(f"DESCRIBE {table}").fetchall()
    }
    assert kinds == {"VARCHAR", "BIGINT"}
