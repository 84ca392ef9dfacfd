"""The OFAC flat files: joins, nulls, end mark, remarks, weak aliases, mixed vintages."""

import shutil
from pathlib import Path

import pytest

from omphalos.screening.registries.base import RegistryRecords
from omphalos.screening.registries.builder import DuplicateEntityError, EmptyRegistryError
from omphalos.screening.registries.ofac import OfacReader
from omphalos.screening.registries.remarks import read_remarks
from omphalos.screening.registries.sources import RegistryDamagedError, RegistryFileError

FIXTURES = Path(__file__).parent / "fixtures"
CODES = {"Ruritania": "RU", "Zembla": "ZE"}


def load(folder: Path) -> RegistryRecords:
    reader = OfacReader()
    return reader.read("ofac_sdn", reader.parts(folder), CODES.get)


def rows(records: RegistryRecords, table: str) -> list[dict[str, object]]:
    return records.to_arrow()[table].to_pylist()


def entity(records: RegistryRecords, native_id: str) -> dict[str, object]:
    return next(row for row in rows(records, "registry") if row["native_id"] == native_id)


def names(records: RegistryRecords, native_id: str, kind: str) -> list[object]:
    return [
        row["name"]
        for row in rows(records, "registry_names")
        if row["entity_id"] == f"ofac_sdn:{native_id}" and row["name_kind"] == kind
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / "ofac", tmp_path / "ofac"))


def test_every_record_of_every_file_is_used_or_rejected() -> None:
    """Each file's records are all accounted for, and each reject says why."""
    counts = load(FIXTURES / "ofac").counts

    assert {
        "add.csv": {"records": 5, "used": 3, "rejected": 2},
        "alt.csv": {"records": 7, "used": 3, "rejected": 4},
        "sdn.csv": {"records": 7, "used": 7, "rejected": 0},
        "sdn_comments.csv": {"records": 1, "used": 1, "rejected": 0},
    } == counts.as_json()["files"]
    assert {
        "controlCharacter": 1,
        "duplicateName": 1,
        "duplicateRecord": 1,
        "emptyRecord": 1,
        "orphanRecord": 2,
    } == counts.rejected
    assert {"primary": 7, "alias": 3, "weak": 3} == counts.names


def test_a_person_keeps_the_filed_name_and_takes_country_from_nationality() -> None:
    """An individual is a person under the name as filed, with nationality before address."""
    person = entity(load(FIXTURES / "ofac"), "102")

    assert "ZEMBLAN, Ivo Petrov" == person["name"]
    assert ("person", "ZE", "RU;ZE") == (person["entity_type"], person["country"], person["countries"])
    assert str(person["remarks"]).startswith("Title: Director; DOB 12 Aug 1964; POB Port Zembla")


def test_an_organization_takes_its_country_from_its_first_address(folder: Path) -> None:
    """An organization's primary country is that of its first address; programs are split and sorted."""
    sdn = folder / "sdn.csv"
    sdn.write_bytes(sdn.read_bytes().replace(b"Organization Established Date 02", b"nationality Zembla; Since 02", 1))
    company = entity(load(folder), "101")

    assert ("organization", "RU", "RU;ZE", "IFSR;NPWMD") == tuple(
        company[name] for name in ("entity_type", "country", "countries", "programs")
    )


def test_a_vessel_takes_its_country_from_its_flag() -> None:
    """A vessel's flag is its country, its call sign and IMO number are identifiers."""
    records = load(FIXTURES / "ofac")
    vessel = entity(records, "103")
    found = [
        (row["identifier_kind"], row["value"])
        for row in rows(records, "registry_identifiers")
        if row["entity_id"] == "ofac_sdn:103"
    ]

    assert ("vessel", "ZE") == (vessel["entity_type"], vessel["country"])
    assert [("call-sign", "9ZZZ9"), ("imo", "9999993"), ("mmsi", "999000111")] == found


def test_identifiers_carry_kind_value_and_country() -> None:
    """A labelled number in the remarks becomes an identifier without its dates."""
    records = load(FIXTURES / "ofac")
    found = [
        (row["identifier_kind"], row["value"], row["country"])
        for row in rows(records, "registry_identifiers")
        if row["entity_id"] in {"ofac_sdn:101", "ofac_sdn:102"}
    ]

    assert [
        ("tax-id", "7712345678", "RU"),
        ("registration-number", "RU-99", "RU"),
        ("passport", "Z1234567", "ZE"),
    ] == found


def test_quoted_aliases_in_remarks_are_weak() -> None:
    """A quoted alias in the remarks is a weak alias, an apostrophe inside it included."""
    records = load(FIXTURES / "ofac")

    assert ["BMT"] == names(records, "101", "weak")
    assert ["THE O'HARE"] == names(records, "102", "weak")
    assert ["BOREALIS SHIPPING", "NORTHWIND TRADING"] == names(records, "101", "alias")


def test_comments_continue_a_remark_in_the_middle_of_a_word() -> None:
    """A remark of 1,000 characters goes on in the comments file without a gap."""
    assert ["quicksilver"] == names(load(FIXTURES / "ofac"), "105", "weak")


def test_a_cut_remark_gives_no_identifier_from_its_last_item() -> None:
    """A number at the cut end of an uncontinued remark may be half a number and is not taken."""
    records = load(FIXTURES / "ofac")

    assert [] == [row for row in rows(records, "registry_identifiers") if row["entity_id"] == "ofac_sdn:106"]


def test_without_the_comments_file_the_cut_alias_is_not_taken(folder: Path) -> None:
    """The comments file may be missing; the cut alias is then left in the remarks."""
    (folder / "sdn_comments.csv").unlink()

    assert [] == names(load(folder), "105", "weak")


def test_western_bytes_are_read_where_the_file_is_not_utf8() -> None:
    """A cp1252 byte outside ASCII is read as its letter."""
    assert "GREYWATER CAFÉ S.A." == entity(load(FIXTURES / "ofac"), "107")["name"]


def test_utf8_bytes_give_the_same_registry(folder: Path) -> None:
    """The same text in UTF-8 gives the same tables."""
    before = load(folder).to_arrow()
    sdn = folder / "sdn.csv"
    sdn.write_bytes(sdn.read_bytes().decode("cp1252").encode())

    assert before == load(folder).to_arrow()


def test_row_order_of_the_joined_files_does_not_change_the_hash(folder: Path) -> None:
    """The record hash covers aliases and addresses and does not depend on their order in the file."""
    before = entity(load(folder), "101")["record_hash"]
    alt = folder / "alt.csv"
    lines = alt.read_bytes().removesuffix(b"\x1a").splitlines(keepends=True)
    alt.write_bytes(b"".join(reversed(lines)))
    turned = entity(load(folder), "101")["record_hash"]
    alt.write_bytes(b"".join(lines).replace(b"NORTHWIND", b"SOUTHWIND"))
    changed = entity(load(folder), "101")["record_hash"]

    assert before == turned
    assert before != changed


def test_mixed_vintages_show_as_orphans() -> None:
    """With a header before the entities and later joined files, what has no entity is counted as orphans."""
    counts = load(FIXTURES / "ofac_mixed").counts

    assert 2 == counts.entities
    assert {"orphanRecord": 3} == counts.rejected
    assert {"primary": 2, "alias": 1, "weak": 0} == counts.names


def test_one_id_with_two_contents_is_refused(folder: Path) -> None:
    """An entity number that stands for two different rows refuses the whole list and names the number."""
    sdn = folder / "sdn.csv"
    more = b'104,"OTHER NAME",-0- ' + b",-0- " * 9 + b"\r\n\x1a"
    sdn.write_bytes(sdn.read_bytes().removesuffix(b"\x1a") + more)

    with pytest.raises(DuplicateEntityError, match="104"):
        load(folder)


def test_an_exact_repeat_of_an_entity_is_rejected_once(folder: Path) -> None:
    """The same row twice leaves one entity and one reject."""
    sdn = folder / "sdn.csv"
    lines = sdn.read_bytes().splitlines(keepends=True)
    sdn.write_bytes(lines[3] + b"".join(lines))
    counts = load(folder).counts

    assert 7 == counts.entities
    assert (8, 7, 1) == (
        counts.files["sdn.csv"].records,
        counts.files["sdn.csv"].used,
        counts.files["sdn.csv"].rejected,
    )


def test_an_entity_without_a_usable_name_takes_its_rows_with_it(folder: Path) -> None:
    """A control character in a primary name rejects the entity, and its aliases and addresses say so."""
    sdn = folder / "sdn.csv"
    sdn.write_bytes(sdn.read_bytes().replace(b"BOREALIS MARITIME TRADING CO., LTD.", b"BOREALIS\x00LTD.", 1))
    counts = load(folder).counts

    assert 6 == counts.entities
    # Four aliases and two addresses of entity 101.
    assert 6 == counts.rejected["entityRejected"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b'108,"TOO SHORT"\r\n', "wrongWidth"), (b'x8,"NAME",-0- ' + b",-0- " * 9 + b"\r\n", "idInvalid")],
)
def test_a_malformed_row_is_rejected_with_its_record_number(folder: Path, line: bytes, reason: str) -> None:
    """A row of the wrong width or without a number is a reject that names file and record."""
    sdn = folder / "sdn.csv"
    sdn.write_bytes(sdn.read_bytes().removesuffix(b"\x1a") + line)
    rejects = [row for row in rows(load(folder), "registry_rejects") if row["file"] == "sdn.csv"]

    assert [(8, None, reason)] == [(row["row"], row["field"], row["reason"]) for row in rejects]


def test_a_file_cut_inside_quotes_is_an_error(folder: Path) -> None:
    """A file that ends inside a quoted field is refused, with its name and line."""
    sdn = folder / "sdn.csv"
    sdn.write_bytes(sdn.read_bytes()[:40])

    with pytest.raises(RegistryDamagedError, match=r"sdn\.csv line"):
        load(folder)


def test_a_list_of_no_entity_is_an_error(folder: Path) -> None:
    """A list that holds only its end mark is refused as empty."""
    (folder / "sdn.csv").write_bytes(b"\x1a")

    with pytest.raises(EmptyRegistryError, match="holds no entity"):
        load(folder)


def test_a_missing_file_is_named_with_what_is_needed(folder: Path) -> None:
    """Without the address file the error names the part and the hint the published files."""
    (folder / "add.csv").unlink()

    with pytest.raises(RegistryFileError, match="'add'") as caught:
        OfacReader().parts(folder)
    assert "add.csv" in caught.value.hint


def test_two_candidates_for_a_part_are_refused(folder: Path) -> None:
    """Two alias files in one folder are ambiguous."""
    shutil.copy(folder / "alt.csv", folder / "alt_2031-01.csv")

    with pytest.raises(RegistryFileError, match="2 files for one part"):
        OfacReader().parts(folder)


def test_the_entity_file_stands_for_its_folder(folder: Path) -> None:
    """Giving the entity file finds its siblings."""
    assert OfacReader().parts(folder) == OfacReader().parts(folder / "sdn.csv")


def test_a_header_that_moves_the_name_is_refused(folder: Path) -> None:
    """A header whose second column is not the name stops the reader before it mixes columns up."""
    sdn = folder / "sdn.csv"
    sdn.write_bytes(b"ID,Program,Name,a,b,c,d,e,f,g,h,i\r\n" + sdn.read_bytes())

    with pytest.raises(RegistryDamagedError, match="second column"):
        load(folder)


def test_labels_are_matched_longest_first() -> None:
    """A label that begins with another label keeps its own kind."""
    found = read_remarks("Company Number IMO 5055293; Company Number 12 (Zembla); Passporter X1.", cut=False)

    assert [("imo-company", "5055293"), ("company-number", "12")] == [
        (one.kind, one.value) for one in found.identifiers
    ]


def test_nationality_of_registration_is_a_country() -> None:
    """The longer wording gives the country alone."""
    assert ["Zembla"] == read_remarks("Nationality of Registration Zembla.", cut=False).countries
