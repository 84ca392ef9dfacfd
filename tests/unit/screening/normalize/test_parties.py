"""Parties out of accepted shipments, and forms of registry names."""

from typing import Any

import duckdb
import pytest
from blake3 import blake3

from omphalos.screening.job import ROLES
from omphalos.screening.normalize import parties as module
from omphalos.screening.normalize.parties import PartyIdCollision, build_parties, build_registry_forms, party_id


def trade_feed(con: Any, rows: list[tuple[str, dict[str, str]]]) -> None:
    """Make ``trade_feed`` with the columns parties are read from."""
    columns = [f"{role}_{part}" for role in ROLES for part in ("name", "country")]
    con.execute(f"CREATE TABLE trade_feed (shipment_id VARCHAR, {', '.join(f'{c} VARCHAR' for c in columns)})")
    for shipment, cells in rows:
        marks = ", ".join("?" for _ in range(len(columns) + 1))
        con.execute(f"INSERT INTO trade_feed VALUES ({marks})", [shipment, *(cells.get(c) for c in columns)])


ROWS = [
    (
        "s2",
        {"exporter_name": "Acme Ltd", "exporter_country": "CN", "importer_name": "Acme Ltd", "importer_country": "CN"},
    ),
    ("s1", {"exporter_name": "Acme Ltd", "end_user_name": "ООО Ромашка", "end_user_country": "RU"}),
    ("s3", {"exporter_country": "CN"}),
]


@pytest.mark.parametrize("threads", [1, 2])
def test_parties_are_distinct_names_and_countries(threads: int) -> None:
    """One party per name and country over all roles, each shipment role leads to it, all in key order."""
    con = duckdb.connect(config={"threads": threads})
    trade_feed(con, ROWS)
    build_parties(con)
    found = con.execute("SELECT * FROM parties").fetchall()
    assert sorted(found, key=lambda row: row[0]) == found
    assert {row[1:] for row in found} == {
        ("Acme Ltd", "CN", "ACME LTD", "ACME", "LTD", "Latn", 0, ""),
        ("Acme Ltd", None, "ACME LTD", "ACME", "LTD", "Latn", 0, ""),
        ("ООО Ромашка", "RU", "OOO ROMASHKA", "ROMASHKA", "OOO", "Cyrl", 0, ""),
    }
    assert con.execute("SELECT * FROM shipment_parties").fetchall() == [
        ("s1", "end_user", party_id("ООО Ромашка", "RU")),
        ("s1", "exporter", party_id("Acme Ltd", None)),
        ("s2", "exporter", party_id("Acme Ltd", "CN")),
        ("s2", "importer", party_id("Acme Ltd", "CN")),
    ]
    assert {row[0] for row in found} == {
        party for (party,) in con.execute("SELECT party_id FROM shipment_parties").fetchall()
    }


def test_party_id_is_the_published_hash() -> None:
    """Anyone can compute a party's id from its name and country."""
    assert party_id("Acme", "CN") == "P" + blake3(b"Acme\0CN").hexdigest()[:20]
    assert party_id("Acme", None) == "P" + blake3(b"Acme\0").hexdigest()[:20]


def test_colliding_ids_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two parties under one id would be one party in every later table: the run stops instead."""
    monkeypatch.setattr(module, "PARTY_ID_DIGITS", 0)
    con = duckdb.connect()
    trade_feed(con, ROWS)
    with pytest.raises(PartyIdCollision):
        build_parties(con)


def test_no_parties_at_all() -> None:
    """A feed without names gives empty tables with the right columns."""
    con = duckdb.connect()
    trade_feed(con, [])
    build_parties(con)
    assert con.execute("SELECT count(*) FROM parties").fetchone() == (0,)
    assert con.execute("SELECT count(*) FROM shipment_parties").fetchone() == (0,)


def test_registry_forms_add_columns_to_every_name() -> None:
    """Each registry name keeps its row, in key order, with the forms of its name."""
    con = duckdb.connect()
    con.execute("CREATE TABLE registry_names (entity_id VARCHAR, name_no BIGINT, name_kind VARCHAR, name VARCHAR)")
    con.execute(
        "INSERT INTO registry_names VALUES ('x:2', 0, 'primary', 'Zephyr JSC'), "
        "('x:1', 1, 'weak', 'Joint Stock Company'), ('x:1', 0, 'primary', 'Zephyr JSC')"
    )
    build_registry_forms(con)
    assert con.execute("SELECT * FROM registry_forms").fetchall() == [
        ("x:1", 0, "primary", "Zephyr JSC", "ZEPHYR JSC", "ZEPHYR", "JSC", "Latn", 0, ""),
        ("x:1", 1, "weak", "Joint Stock Company", "JSC", "JSC", "JSC", "Latn", 1, ""),
        ("x:2", 0, "primary", "Zephyr JSC", "ZEPHYR JSC", "ZEPHYR", "JSC", "Latn", 0, ""),
    ]
