"""Restricted-party lists as JSON: ids without ids, repeats, left-over wording, strict documents."""

import json
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from omphalos.screening.registries.base import RegistryRecords
from omphalos.screening.registries.bis import BisReader, split_addresses, split_names
from omphalos.screening.registries.builder import Builder, EmptyRegistryError
from omphalos.screening.registries.sources import RegistryDamagedError, RegistryEncodingError, RegistryFileError

LIST = Path(__file__).parent / "fixtures" / "restricted" / "list.json"
CODES = {"Ruritania": "RU", "Zembla": "ZE"}


def load(path: Path) -> RegistryRecords:
    return BisReader().read("restricted", BisReader().parts(path), CODES.get)


def write(folder: Path, document: Any) -> Path:
    path = folder / "list.json"
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return path


def by_name(records: RegistryRecords) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in records.to_arrow()["registry"].to_pylist()}


def test_every_record_is_used_or_rejected_with_its_reason() -> None:
    """Repeats, wrong types, missing names and unreadable dates are all counted."""
    counts = load(LIST).counts

    assert {"list.json": {"records": 10, "used": 6, "rejected": 4}} == counts.as_json()["files"]
    assert {
        "dateUnreadable": 1,
        "duplicateName": 1,
        "duplicateRecord": 1,
        "nameMissing": 1,
        "notAnObject": 1,
        "wrongType": 1,
    } == counts.rejected
    assert {"Fishing Vessels": 1} == counts.unknown_countries


def test_the_native_id_is_a_hash_of_four_fields() -> None:
    """The id is the first 16 hex digits of BLAKE3 over name, country, address and citation."""
    expected = blake3(b'["Copperfield Imports GmbH","Ruritania",null,"88 FR 2, 1/2/31"]').hexdigest()[:16]

    assert expected == by_name(load(LIST))["Copperfield Imports GmbH"]["native_id"]


def test_two_orders_against_one_party_stay_two_entities() -> None:
    """Records equal in the four fields and different elsewhere keep distinct ids, in any order."""
    records = load(LIST)
    farms = [row for row in records.to_arrow()["registry"].to_pylist() if row["name"] == "Silverpine Farm"]

    assert {"1991-11-14", "1992-03-18"} == {row["listed_on"] for row in farms}
    assert all(row["native_id"] == row["record_hash"][:16] for row in farms)


def test_the_order_of_records_does_not_change_the_entities(tmp_path: Path) -> None:
    """Reversing the list gives the same entities, names, addresses and identifiers."""
    document = json.loads(LIST.read_text(encoding="utf-8"))
    document["entities"].reverse()
    before, after = load(LIST).to_arrow(), load(write(tmp_path, document)).to_arrow()

    for table in ("registry", "registry_names", "registry_addresses", "registry_identifiers"):
        assert before[table] == after[table]


def test_names_left_behind_aka_are_read_apart() -> None:
    """The publisher's left-over wording is split off the name and never kept as a name."""
    records = load(LIST)
    entity = by_name(records)["Greywater Works"]
    found = [
        (row["name_kind"], row["name"])
        for row in records.to_arrow()["registry_names"].to_pylist()
        if row["entity_id"] == entity["entity_id"]
    ]

    assert [
        ("primary", "Greywater Works"),
        ("alias", "Grey Works (GW) Plant"),
        ("alias", "Greywater Institute"),
    ] == found
    assert ("2022-06-21", "invented-list") == (entity["listed_on"], entity["programs"])


def test_addresses_are_split_and_their_countries_read() -> None:
    """The plain separator splits; a bare semicolon inside an address does not."""
    assert [
        ("No. 5 Mill Road, Port Streslau, Ruritania", "RU"),
        ("Room 12, Unit 4; Tower B, Kronburg, Zembla.", "ZE"),
    ] == [(row["address"], row["country"]) for row in load(LIST).to_arrow()["registry_addresses"].to_pylist()]


def test_a_code_in_the_notes_is_an_identifier() -> None:
    """A unified social credit code in the notes is read with its country."""
    found = load(LIST).to_arrow()["registry_identifiers"].to_pylist()

    assert [("uscc", "911100000000000000", "RU")] == [
        (row["identifier_kind"], row["value"], row["country"]) for row in found
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Plain Co.", ["Plain Co."]),
        ("Baikal aka Works", ["Baikal aka Works"]),
        ("X (a.k.a.", ["X"]),
        ("X (a.k.a. “MEC”)", ["X", "MEC"]),
        ("X, a.k.a., Y a.k.a. Z", ["X", "Y", "Z"]),
        ("HX; and", ["HX"]),
        ("Center 'Star;'", ["Center 'Star;'"]),
        ("", []),
    ],
)
def test_split_names(text: str, found: list[str]) -> None:
    """Only a dotted a.k.a. or f.k.a. splits, and only a trailing separator is dropped."""
    assert found == split_names(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1 Quay, Port Streslau, Ruritania; 2 Mole, Kronburg, Zembla", ["RU", "ZE"]),
        ("1 Quay, Port Streslau Ruritania 194044.", ["RU"]),
        ("Granada, CA, 91344", [None]),
        ("", []),
    ],
)
def test_the_end_of_an_address_names_its_country(text: str, found: list[str | None]) -> None:
    """A country is read from the end of an address; a short code only when it is the listed country."""
    builder = Builder("restricted", {**CODES, "CA": "CA"}.get)

    assert found == [code for _, code in split_addresses(builder, text, "RU")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"entities": [', "line 1"),
        ('{"entities": [], "entities": []}', "stands twice"),
        ('{"entities": [1.5]}', "not an integer"),
        ('{"entities": [NaN]}', "not an integer"),
        ('{"entities": ["\\ud800"]}', "surrogate"),
        ('{"list": []}', "'entities'"),
        ("[]", "'entities'"),
        ('{"count": 2, "entities": [{"name": "A"}]}', "says it has 2"),
        ("[" * 100_000, "nested"),
    ],
)
def test_a_damaged_document_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """Truncated, ambiguous, miscounted or non-integer documents are typed errors."""
    path = tmp_path / "list.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(RegistryDamagedError, match=says):
        load(path)


def test_an_empty_list_and_foreign_bytes_are_errors(tmp_path: Path) -> None:
    """No entity is an error of its own; bytes that are not UTF-8 name their line."""
    with pytest.raises(EmptyRegistryError):
        load(write(tmp_path, {"list_id": "x", "count": 0, "entities": []}))
    path = tmp_path / "list.json"
    path.write_bytes(b'{"entities":\n ["\xff"]}')
    with pytest.raises(RegistryEncodingError, match="line 2"):
        load(path)


def test_a_folder_must_hold_one_list(tmp_path: Path) -> None:
    """No file and two files are both refused, and two are named."""
    with pytest.raises(RegistryFileError, match=r"no \.json"):
        BisReader().parts(tmp_path)
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(RegistryFileError, match=r"a\.json, b\.json"):
        BisReader().parts(tmp_path)
