"""The review table: one row per party and entity, ranked for the first hour."""

from typing import Any

import duckdb
import pytest

from omphalos.screening.exposure import ExposureError
from omphalos.screening.job import ReviewSpec
from omphalos.screening.review import build_party_flags, build_review
from omphalos.screening.review.decisions import apply_decisions, load_decisions

MATCHES = [
    # party, entity, score, rank, band
    ("P1", "t:1", 9000, 2, "high"),
    ("P1", "t:2", 9500, 1, "high"),
    ("P2", "t:1", 9000, 1, "high"),
    ("P3", "t:1", 7600, 1, "medium"),
    ("P4", "t:1", 9000, 1, "high"),
]


@pytest.fixture
def con() -> Any:
    """Return a connection with four parties of different weight."""
    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE trade_feed (shipment_id TEXT, ship_month TEXT, ship_date TEXT, value_minor BIGINT, "
            "currency TEXT, hs_chapter TEXT)"
        )
        feed = [(f"S{i:02}", f"2025-{i:02}", None, 100 * i, "USD", f"{80 + i}") for i in range(1, 9)]
        feed += [("S;9", None, "2024-11-02", 10_000, "USD", "84"), ("S10", None, None, 5, "EUR", None)]
        con.executemany("INSERT INTO trade_feed VALUES (?, ?, ?, ?, ?, ?)", feed)
        con.execute("CREATE TABLE shipment_parties (shipment_id TEXT, role TEXT, party_id TEXT)")
        held = [(f"S{i:02}", "importer", "P1") for i in range(8, 0, -1)] + [("S08", "consignee", "P1")]
        held += [("S;9", "exporter", "P2"), ("S01", "exporter", "P3"), ("S10", "end_user", "P4")]
        con.executemany("INSERT INTO shipment_parties VALUES (?, ?, ?)", held)
        con.execute("CREATE TABLE parties (party_id TEXT, name TEXT, country TEXT)")
        con.executemany("INSERT INTO parties VALUES (?, 'Zarvand', 'AE')", [("P1",), ("P2",), ("P3",), ("P4",)])
        con.execute(
            "CREATE TABLE registry (entity_id TEXT, source TEXT, name TEXT, entity_type TEXT, country TEXT, "
            "programs TEXT, listed_on TEXT, record_hash TEXT)"
        )
        con.executemany(
            "INSERT INTO registry VALUES (?, 't', 'Zarvand', 'organization', 'IR', 'A;B', NULL, 'ab')",
            [("t:1",), ("t:2",)],
        )
        con.execute(
            "CREATE TABLE party_matches (party_id TEXT, entity_id TEXT, score_bp BIGINT, match_rank BIGINT, band TEXT, "
            "matched_name TEXT, name_kind TEXT, reasons TEXT, against TEXT, country_relation TEXT)"
        )
        con.executemany(
            "INSERT INTO party_matches VALUES (?, ?, ?, ?, ?, 'Zarvand', 'primary', 'EXACT', '', 'conflict')", MATCHES
        )
        load_decisions(con, None)
        apply_decisions(con, ReviewSpec())
        build_party_flags(con)
        yield con


def review(con: Any, currency: str = "USD") -> list[dict[str, Any]]:
    """Build and return the review table as it lies."""
    build_review(con, currency)
    made: list[dict[str, Any]] = con.execute("SELECT * FROM review").to_arrow_table().to_pylist()
    return made


def test_rank_is_band_then_best_entity_then_score_then_value_then_ids(con):
    """The queue is a total order 1 to n: a rival comes after every best entity of its band, no value after any."""
    queue = sorted(review(con), key=lambda row: row["review_rank"])
    assert [row["review_rank"] for row in queue] == [1, 2, 3, 4, 5]
    assert [(row["party_id"], row["entity_id"]) for row in queue] == [
        ("P1", "t:2"),
        ("P2", "t:1"),
        ("P4", "t:1"),
        ("P1", "t:1"),
        ("P3", "t:1"),
    ]


def test_what_decides_between_equal_scores(con):
    """Of equal scores the match with fewer reasons against it is looked at first, then the one with more red flags."""
    con.execute("UPDATE party_matches SET against = 'NUMBER_MISMATCH' WHERE party_id = 'P2'")
    con.execute("CREATE TABLE shipment_flags AS SELECT 'S10' AS shipment_id, unnest(['b', 'a']) AS flag")
    con.execute("UPDATE party_matches SET score_bp = 9000 WHERE entity_id = 't:2'")
    build_party_flags(con)
    queue = sorted(review(con), key=lambda row: row["review_rank"])
    assert [row["party_id"] for row in queue[:3]] == ["P4", "P1", "P2"]
    assert [(row["flags"], row["flagged_shipments"]) for row in queue[:2]] == [("a;b", 1), ("", 0)]


def test_rivals_are_counted(con):
    """A row says how many other entities its party matched."""
    assert {row["party_id"]: row["rivals"] for row in review(con)} == {"P1": 1, "P2": 0, "P3": 0, "P4": 0}


def test_rows_lie_in_key_order(con):
    """The table itself is in order of its key."""
    keys = [(row["party_id"], row["entity_id"]) for row in review(con)]
    assert keys == sorted(keys)


def test_a_row_holds_what_a_decision_needs(con):
    """Roles, shipments, value, months, chapters and samples are those of the party, each shipment once."""
    row = next(row for row in review(con) if row["party_id"] == "P1")
    assert row["roles"] == "consignee;importer"
    assert row["shipments"] == 8
    assert row["value_minor"] == 3600
    assert (row["first_seen"], row["last_seen"]) == ("2025-01", "2025-08")
    assert row["hs_chapters"] == "81;82;83;84;85;86;87;88"
    assert row["sample_shipments"] == "S01;S02;S03;S04;S05"
    assert (row["entity_country"], row["programs"], row["record_hash"]) == ("IR", "A;B", "ab")


def test_a_separator_inside_an_id_is_replaced(con):
    """A joined list can be taken apart again, whatever the ids hold."""
    row = next(row for row in review(con) if row["party_id"] == "P2")
    assert row["sample_shipments"] == "S,9"
    assert row["first_seen"] == "2024-11"


def test_other_currencies_are_not_added(con):
    """A party whose shipments are in another currency has no value, and keeps its row."""
    row = next(row for row in review(con) if row["party_id"] == "P4")
    assert row["value_minor"] is None
    assert row["shipments"] == 1
    assert row["hs_chapters"] is None


def test_a_sum_beyond_64_bits_is_an_error(con):
    """Absurd values stop the review instead of wrapping round."""
    con.execute("UPDATE trade_feed SET value_minor = 9223372036854775807")
    with pytest.raises(ExposureError):
        build_review(con, "USD")


def test_no_matches_give_an_empty_review(con):
    """An empty match table is no error."""
    con.execute("DELETE FROM party_matches")
    assert review(con) == []


def test_columns_are_text_and_64_bit_integers(con):
    """No HUGEINT, list or float leaves this file."""
    build_review(con, "USD")
    assert {row[1] for row in con.execute("DESCRIBE review").fetchall()} == {"VARCHAR", "BIGINT"}
