"""The registry's own records: names compared with care are listed, equal parties of several lists are linked."""

from typing import Any

import duckdb
import pytest

from omphalos.screening.match.hygiene import HANDLING, build_hygiene, hygiene_report
from omphalos.screening.normalize.parties import build_registry_forms

# Columns are entity, source, type and country; the names follow as pairs of kind and name.
ENTITIES = [
    ("a:1", "a", "organization", "IR", [("primary", "Zarvand Petrokimya Co"), ("weak", "Joint Stock Company")]),
    ("a:2", "a", "organization", "RU", [("primary", "General Trading LLC"), ("alias", "!!!"), ("alias", "XQ Ltd")]),
    ("a:3", "a", "vessel", None, [("primary", "Felicity")]),
    ("a:4", "a", "person", "SY", [("primary", "Kolmer")]),
    ("b:1", "b", "organization", "IR", [("primary", "ZARVAND PETROKIMYA COMPANY")]),
    ("b:2", "b", "person", "CN", [("primary", "Kolmer")]),
    ("b:3", "b", "vessel", None, [("primary", "Zarvand Petrokimya Co")]),
    ("c:1", "c", "unknown", "CN", [("primary", "Zarvand Petrokimya Co."), ("alias", "K" * 600)]),
    ("c:2", "c", "organization", None, [("primary", "Hollinger Werke")]),
]
IDENTIFIERS = [("a:4", "tax", "7701234567"), ("c:2", "tax", "7701234567"), ("a:1", "tax", "12"), ("b:2", "tax", "12")]


@pytest.fixture
def con() -> Any:
    """Return a connection with the tables of a small registry."""
    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE registry (entity_id TEXT, source TEXT, entity_type TEXT, country TEXT, countries TEXT)"
        )
        con.execute("CREATE TABLE registry_names (entity_id TEXT, name_no BIGINT, name_kind TEXT, name TEXT)")
        con.execute("CREATE TABLE registry_identifiers (entity_id TEXT, identifier_kind TEXT, value TEXT)")
        for entity, source, kind, country, names in ENTITIES:
            con.execute("INSERT INTO registry VALUES (?, ?, ?, ?, ?)", [entity, source, kind, country, country])
            for number, (name_kind, name) in enumerate(names):
                con.execute("INSERT INTO registry_names VALUES (?, ?, ?, ?)", [entity, number, name_kind, name])
        con.executemany("INSERT INTO registry_identifiers VALUES (?, ?, ?)", IDENTIFIERS)
        build_registry_forms(con)
        build_hygiene(con)
        yield con


def test_every_name_that_is_compared_with_care_is_listed(con: Any) -> None:
    """Each reason is found where it holds, with what is done instead, and names like any other are absent."""
    rows = con.execute("SELECT entity_id, name_no, reason, handling FROM registry_hygiene").fetchall()
    assert rows == [
        ("a:1", 1, "onlyLegalForms", "exact-only"),
        ("a:1", 1, "weakAlias", "lowered"),
        ("a:2", 0, "onlyTradeWords", "exact-only"),
        ("a:2", 1, "noLetters", "never-compared"),
        ("a:2", 2, "fewLetters", "exact-only"),
        ("a:3", 0, "oneWordCraft", "exact-only"),
        ("c:1", 1, "longName", "cut"),
    ]
    assert {row[2] for row in rows} == {reason for reason, *_ in HANDLING}


def test_no_name_is_dropped(con: Any) -> None:
    """Listing a name leaves it in the registry."""
    before = sum(len(names) for *_, names in ENTITIES)
    assert con.execute("SELECT count(*) FROM registry_forms").fetchone() == (before,)


def test_equal_parties_of_several_lists_are_linked(con: Any) -> None:
    """Records of different lists with one name or identifier point at each other, with the countries beside it."""
    rows = con.execute("SELECT * FROM registry_links").fetchall()
    name = "ZARVAND PETROKIMYA CO"
    assert rows == [
        ("a:1", "b:1", "name", name, "agree"),
        ("a:4", "c:2", "identifier", "tax 7701234567", "unknown"),
        ("b:1", "a:1", "name", name, "agree"),
        ("c:1", "a:1", "name", name, "differ"),
        ("c:2", "a:4", "identifier", "tax 7701234567", "unknown"),
    ]


def test_a_vessel_is_no_company_and_one_word_no_person(con: Any) -> None:
    """Kinds of entities are not linked across, and neither are persons by a single word or by short numbers."""
    linked = {row[0] for row in con.execute("SELECT entity_id FROM registry_links").fetchall()}
    assert not linked & {"b:3", "b:2"}


def test_the_report_counts_by_list(con: Any) -> None:
    """The report says how many names of which list are compared with care, and which lists share entities."""
    report = hygiene_report(con)
    assert {"source": "a", "reason": "oneWordCraft", "handling": "exact-only", "names": 1} in report["names"]
    assert {"source": "c", "other_source": "a", "basis": "name", "entities": 1} in report["links"]
    assert set(report["meaning"]) == {reason for reason, *_ in HANDLING}


def test_a_name_that_many_records_bear_is_linked_in_linear_work() -> None:
    """Every record of a crowd is linked once, not to all others."""
    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE registry AS SELECT 's' || (i % 2) || ':' || i AS entity_id, 's' || (i % 2) AS source, "
            "'organization' AS entity_type, 'IR' AS country, 'IR' AS countries FROM range(20000) t(i)"
        )
        con.execute("CREATE TABLE registry_names AS SELECT entity_id, 0 AS name_no, 'primary' AS name_kind, "
                    "'Zarvand Kolmer' AS name FROM registry")  # fmt: skip
        con.execute("CREATE TABLE registry_identifiers (entity_id TEXT, identifier_kind TEXT, value TEXT)")
        build_registry_forms(con)
        build_hygiene(con)
        assert con.execute("SELECT count(*) FROM registry_links").fetchone() == (20000,)
