"""The UN consolidated list: names, scripts, alias quality, and a parser that refuses what the list never has."""

from pathlib import Path

import pytest

from omphalos.screening.registries.base import RegistryRecords
from omphalos.screening.registries.builder import DuplicateEntityError, EmptyRegistryError
from omphalos.screening.registries.sources import RegistryDamagedError, RegistryEncodingError
from omphalos.screening.registries.un import UnReader, spellings

LIST = Path(__file__).parent / "fixtures" / "un" / "list.xml"
CODES = {"Ruritania": "RU", "Zembla": "ZE"}


def load(path: Path) -> RegistryRecords:
    return UnReader().read("un", UnReader().parts(path), CODES.get)


def altered(tmp_path: Path, old: str, new: str) -> Path:
    text = LIST.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "list.xml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_names_are_joined_and_scripts_and_spellings_kept_apart() -> None:
    """First to fourth names are joined; original scripts and every spelling in a field are names of their kind."""
    table = load(LIST).to_arrow()["registry_names"].to_pylist()

    assert [
        ("un:ZEe.001", 0, "primary", "BOREALIS TRADING HOUSE"),
        ("un:ZEe.001", 1, "alias", "BTH"),
        ("un:ZEe.001", 2, "alias", "Северный дом"),
        ("un:ZEe.001", 3, "alias", "Northern House"),
        ("un:ZEe.001", 4, "alias", "Severny Dom"),
        ("un:ZEi.001", 0, "primary", "IVO PETROV ZEMBLAN"),
        ("un:ZEi.001", 1, "alias", "Иво Петров Земблан"),
        ("un:ZEi.001", 2, "alias", "Ivo Zemblanov"),
        ("un:ZEi.001", 3, "alias", "Iwo Zemblanow"),
        ("un:ZEi.001", 4, "weak", "The Grey"),
        ("un:ZEi.001", 5, "weak", "Серый"),
    ] == [(row["entity_id"], row["name_no"], row["name_kind"], row["name"]) for row in table]


def test_an_entity_filed_under_two_names_has_both(tmp_path: Path) -> None:
    """A slash between spaces separates names of an entity as a semicolon does."""
    records = load(altered(tmp_path, "BOREALIS TRADING HOUSE ; BTH", "BOREALIS A/S / BTH"))

    assert ["BOREALIS A/S", "BTH"] == records.names["name"][:2]


def test_entity_columns_come_from_the_record() -> None:
    """Country is the first nationality, the listing date loses its time zone, remarks hold birth and comments."""
    entity, person = load(LIST).to_arrow()["registry"].to_pylist()

    assert ("person", "ZE", "RU;ZE", "Zembla", "2015-07-01") == tuple(
        person[name] for name in ("entity_type", "country", "countries", "programs", "listed_on")
    )
    assert "Title: Colonel; Born: between 1960 and 1964; Said to have left Zembla." == person["remarks"]
    assert ("organization", None, None) == tuple(entity[name] for name in ("entity_type", "country", "listed_on"))


def test_addresses_and_documents_are_read_and_blanks_left_out() -> None:
    """An address keeps its note; empty address and document elements leave no row."""
    tables = load(LIST).to_arrow()

    assert [
        ("un:ZEe.001", None, "Port Streslau", None),
        ("un:ZEi.001", "4 Cliff Street (previous address)", "Kronburg", "RU"),
    ] == [
        (row["entity_id"], row["address"], row["city"], row["country"])
        for row in tables["registry_addresses"].to_pylist()
    ]
    assert [("un:ZEi.001", "passport", "Z1234567", "ZE")] == [
        (row["entity_id"], row["identifier_kind"], row["value"], row["country"])
        for row in tables["registry_identifiers"].to_pylist()
    ]


def test_what_cannot_be_read_is_counted() -> None:
    """An impossible date is a reject of that field, an unknown country a counted word."""
    counts = load(LIST).counts

    assert {"dateUnreadable": 1} == counts.rejected
    assert {"Atlantis": 1} == counts.unknown_countries
    assert (2, 2, 0) == (
        counts.files["list.xml"].records,
        counts.files["list.xml"].used,
        counts.files["list.xml"].rejected,
    )


@pytest.mark.parametrize(
    "declaration",
    [
        "<!DOCTYPE CONSOLIDATED_LIST>",
        '<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE l SYSTEM "file:///etc/hostname">',
    ],
)
def test_a_doctype_is_refused(tmp_path: Path, declaration: str) -> None:
    """No document type, inner or outer, is accepted, so no entity can be declared."""
    path = altered(tmp_path, "<CONSOLIDATED_LIST", declaration + "<CONSOLIDATED_LIST")

    with pytest.raises(RegistryDamagedError, match="DOCTYPE"):
        load(path)


def test_a_truncated_document_is_an_error_with_its_line(tmp_path: Path) -> None:
    """A document that stops short gives no shorter list."""
    path = tmp_path / "list.xml"
    path.write_bytes(LIST.read_bytes()[:2000])

    with pytest.raises(RegistryDamagedError, match=r"list\.xml line \d+: "):
        load(path)


def test_bytes_that_are_not_utf8_are_named_by_line(tmp_path: Path) -> None:
    """A byte outside UTF-8 is an encoding error on its line."""
    path = tmp_path / "list.xml"
    path.write_bytes(LIST.read_bytes().replace(b"<SECOND_NAME>PETROV", b"<SECOND_NAME>PETR\xd6V", 1))

    with pytest.raises(RegistryEncodingError, match=r"list\.xml line 8"):
        load(path)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    """Elements nested beyond the cap are refused."""
    path = altered(tmp_path, "<SORT_KEY/>", "<a>" * 20 + "</a>" * 20)

    with pytest.raises(RegistryDamagedError, match="nested deeper"):
        load(path)


def test_another_document_is_refused(tmp_path: Path) -> None:
    """A document with another root, or another kind of record, is not read as an empty list."""
    other = tmp_path / "other.xml"
    other.write_text("<html><body>moved</body></html>")
    with pytest.raises(RegistryDamagedError, match="root element"):
        load(other)

    changed = altered(tmp_path, "<ENTITIES>", "<ENTITIES><GROUP/>")
    with pytest.raises(RegistryDamagedError, match="where a record is expected"):
        load(changed)


def test_a_list_of_no_entity_is_an_error(tmp_path: Path) -> None:
    """A well-formed list without records is refused as empty."""
    path = tmp_path / "list.xml"
    path.write_text("<CONSOLIDATED_LIST><INDIVIDUALS/><ENTITIES/></CONSOLIDATED_LIST>")

    with pytest.raises(EmptyRegistryError):
        load(path)


def test_one_reference_number_with_two_contents_is_refused(tmp_path: Path) -> None:
    """Two different records under one reference number refuse the list."""
    with pytest.raises(DuplicateEntityError, match=r"ZEi\.001"):
        load(altered(tmp_path, "ZEe.001", "ZEi.001"))


def test_a_record_without_reference_number_takes_its_data_id(tmp_path: Path) -> None:
    """The data id stands in for a missing reference number."""
    path = altered(tmp_path, "<REFERENCE_NUMBER>ZEe.001</REFERENCE_NUMBER>", "<REFERENCE_NUMBER/>")

    assert ["1000002", "ZEi.001"] == load(path).entities["native_id"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Ivo Zemblan", ["Ivo Zemblan"]),
        ("Zembla Front (ZF)", ["Zembla Front (ZF)"]),
        ("A b) B c) C", ["A", "B", "C"]),
        ("Серый (Seriy)", ["Серый", "Seriy"]),
        ("Seriy (original script: Серый)", ["Seriy", "Серый"]),
        ("ZF (Серый (original script); Grey)", ["ZF", "Серый", "Grey"]),
        ("A (x; y); B", ["A", "x", "y", "B"]),
        ("", []),
    ],
)
def test_spellings_are_split_where_the_publisher_marks_them(text: str, found: list[str]) -> None:
    """Only the publisher's own separators split a field; a plain parenthesis stays."""
    assert found == spellings(text)
