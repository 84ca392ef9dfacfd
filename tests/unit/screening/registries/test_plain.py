"""The plain list of entities: documented columns, several values a cell, nothing lost in silence."""

import re
from pathlib import Path

import pytest

from omphalos.screening.registries import base
from omphalos.screening.registries.base import RegistryRecords
from omphalos.screening.registries.plain import COLUMNS, PlainReader
from omphalos.screening.registries.sources import RegistryDamagedError, RegistryEncodingError

LIST = Path(__file__).parent / "fixtures" / "plain" / "watch.csv"
GUIDE = Path(__file__).parents[4] / "docs" / "howto" / "add-a-list.md"
CODES = {"Ruritania": "RU", "Zembla": "ZE"}


def load(path: Path) -> RegistryRecords:
    return PlainReader().read("house", PlainReader().parts(path), CODES.get)


def test_a_full_row_fills_every_table() -> None:
    """Values separated by a bar become names, addresses, identifiers, countries and programs."""
    tables = load(LIST).to_arrow()
    first = tables["registry"].to_pylist()[0]

    assert ("house:W-1", "organization", "RU", "RU;ZE", "export;house,list", "2031-01-02") == tuple(
        first[name] for name in ("entity_id", "entity_type", "country", "countries", "programs", "listed_on")
    )
    assert [
        (0, "primary", "Borealis Maritime Trading Co."),
        (1, "alias", "Borealis Shipping"),
        (2, "alias", "Northwind Trading"),
        (3, "weak", "BMT"),
    ] == [
        (row["name_no"], row["name_kind"], row["name"])
        for row in tables["registry_names"].to_pylist()
        if row["entity_id"] == "house:W-1"
    ]
    assert ["12 Harbour Road, Port Streslau", "1 Quay, Kronburg"] == tables["registry_addresses"]["address"].to_pylist()
    assert [("tax-id", "7712345678"), ("passport", "Z1234567")] == [
        (row["identifier_kind"], row["value"]) for row in tables["registry_identifiers"].to_pylist()
    ]


def test_every_problem_is_a_reject_with_its_record_number() -> None:
    """Each bad field and each bad row says where and why."""
    found = load(LIST).to_arrow()["registry_rejects"].to_pylist()

    assert [
        (1, "identifiers", "identifierUnreadable"),
        (2, "listed_on", "dateUnreadable"),
        (3, "aliases", "duplicateName"),
        (3, "entity_type", "entityTypeUnknown"),
        (4, None, "duplicateRecord"),
        (4, "identifiers", "identifierUnreadable"),
        (5, None, "nameMissing"),
        (6, None, "wrongWidth"),
    ] == [(row["row"], row["field"], row["reason"]) for row in found]


@pytest.mark.parametrize(
    ("header", "says", "hint"),
    [
        ("entity_id,nmae", "unknown column 'nmae'", "'name'"),
        ("entity_id,aliases", "no column 'name'", "entity_id and name"),
        ("entity_id,name,name", "twice", ""),
        ("", "no column 'entity_id'", ""),
    ],
)
def test_a_wrong_header_is_refused(tmp_path: Path, header: str, says: str, hint: str) -> None:
    """Unknown, missing and repeated columns stop the reader with a hint."""
    path = tmp_path / "list.csv"
    path.write_text(header + "\nW-1,Name\n" if header else "")

    with pytest.raises(RegistryDamagedError, match=says) as caught:
        load(path)
    assert hint in caught.value.hint


def test_columns_may_stand_in_any_order_and_a_mark_may_lead(tmp_path: Path) -> None:
    """Only the two needed columns, in any order, behind a byte order mark, make a list."""
    path = tmp_path / "list.csv"
    path.write_bytes(b"\xef\xbb\xbfname,entity_id\r\nNight Heron,W-9\r\n")

    assert ["house:W-9"] == load(path).entities["entity_id"]


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    """The plain list is UTF-8; another byte names its line."""
    path = tmp_path / "list.csv"
    path.write_bytes(b"entity_id,name\nW-1,Caf\xe9\n")

    with pytest.raises(RegistryEncodingError, match="line 2"):
        load(path)


def test_the_guide_names_every_column() -> None:
    """The how-to documents each column of the plain list."""
    text = GUIDE.read_text(encoding="utf-8")

    assert [] == [name for name in COLUMNS if f"`{name}`" not in text]


def test_the_guide_explains_every_reason() -> None:
    """Each reason the readers can give stands in the how-to, and the how-to names no other."""
    text = GUIDE.read_text(encoding="utf-8").split("## Reasons", 1)[1]
    code = "".join(path.read_text(encoding="utf-8") for path in sorted(Path(base.__file__).parent.glob("*.py")))
    listed = set(re.findall(r"`([a-z]+(?:[A-Z][a-zA-Z]+)+)`", text))

    assert [] == sorted(reason for reason in listed if f'"{reason}"' not in code)
    # A reason is a camelCase literal that is returned, or stands in a call of reject or beside the word itself; the
    # other ones are names of members in the publishers' files.
    given = set(re.findall(r'(?:reject\([^\n]*|return |reason[^\n]*)"([a-z]+(?:[A-Z][a-z]+)+)"', code))
    assert 10 < len(given)
    assert [] == sorted(given - listed)
