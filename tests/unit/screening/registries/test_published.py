"""The readers of further published formats: every value has its column, every record its account."""

import json
from pathlib import Path
from typing import Any

import pytest

from omphalos.screening.job import REGISTRY_FORMATS
from omphalos.screening.registries import reader_for, readers
from omphalos.screening.registries.base import RegistryRecords
from omphalos.screening.registries.sources import RegistryDamagedError, RegistryFileError

FIXTURES = Path(__file__).parent / "fixtures"
GUIDES = Path(__file__).parents[4] / "docs" / "howto"
CODES = {"Ruritania": "RU", "RURITANIA": "RU", "RU": "RU", "ru": "RU"} | {
    "Zembla": "ZE",
    "ZEMBLA": "ZE",
    "ZE": "ZE",
    "ze": "ZE",
}
FILES = {
    "ofac-sdn-xml": "ofac_xml/SDN.XML",
    "eu-fsf-xml": "eu/list.xml",
    "eu-fsf-csv": "eu/list.csv",
    "uk-conlist-csv": "uk/ConList.csv",
    "csl-csv": "csl/consolidated.csv",
    "csl-json": "csl/consolidated.json",
    "opensanctions-simple-csv": "opensanctions/targets.simple.csv",
    "ftm-json": "opensanctions/entities.ftm.json",
}


def load(format: str, path: Path | None = None) -> RegistryRecords:
    reader = reader_for(format)
    return reader.read("src", reader.parts(path or FIXTURES / FILES[format]), CODES.get)


def told(records: RegistryRecords, native_id: str) -> dict[str, Any]:
    """Return what the tables say of one entity, in short."""
    entity_id = f"src:{native_id}"
    tables = {name: table.to_pylist() for name, table in records.to_arrow().items()}
    (entity,) = [row for row in tables["registry"] if row["entity_id"] == entity_id]
    mine = {
        name: [row for row in rows if row.get("entity_id") == entity_id]
        for name, rows in tables.items()
        if name != "registry"
    }
    return {
        "type": entity["entity_type"],
        "country": entity["country"],
        "programs": entity["programs"],
        "listed": entity["listed_on"],
        "names": [(row["name_kind"], row["name"]) for row in mine["registry_names"]],
        "addresses": [(row["address"], row["city"], row["country"]) for row in mine["registry_addresses"]],
        "identifiers": [(row["identifier_kind"], row["value"], row["country"]) for row in mine["registry_identifiers"]],
        "remarks": entity["remarks"],
    }


def rejects(records: RegistryRecords) -> list[tuple[int, str | None, str]]:
    return [(row["row"], row["field"], row["reason"]) for row in records.to_arrow()["registry_rejects"].to_pylist()]


def test_every_format_has_a_reader_and_a_line_in_the_guides() -> None:
    """The formats of a job file are those that have a reader, and the guides name each of them."""
    assert set(readers()) == set(REGISTRY_FORMATS)
    for guide in ("add-a-list.md", "job-file.md"):
        text = (GUIDES / guide).read_text("utf-8")
        assert [] == [format for format in REGISTRY_FORMATS if f"`{format}`" not in text]


def test_ofac_xml() -> None:
    """An OFAC entry gives the names, kinds and ids of the flat files, and what is no identifier goes to the remarks."""
    records = load("ofac-sdn-xml")

    assert {
        "type": "organization",
        "country": "RU",
        "programs": "NPWMD;RURITANIA",
        "listed": None,
        "names": [
            ("primary", "BOREALIS MARITIME TRADING CO."),
            ("alias", "BOREALIS SHIPPING"),
            ("weak", "NORTHWIND"),
            ("weak", "BMT"),
        ],
        "addresses": [("12 Harbour Road, Floor 3, 1010", "Streslau", "RU")],
        "identifiers": [("tax-id", "7712345678", "RU")],
        "remarks": "Organization Established Date 01 Jan 1999; a.k.a. 'BMT'; Linked To: SOMEBODY, Else.",
    } == told(records, "36")
    person = told(records, "40")
    assert ("person", "ZE", [("primary", "SOMEBODY, Else")]) == (person["type"], person["country"], person["names"])
    assert [("passport", "Z1234567", "ZE")] == person["identifiers"]
    assert "Title: Director; Born: 05 May 1970; Place of birth: Onhava, Zembla; Gender Female" == person["remarks"]
    vessel = told(records, "50")
    assert [("call-sign", "RUR7", None), ("imo", "9187629", None)] == vessel["identifiers"]
    assert ("vessel", "RU") == (vessel["type"], vessel["country"])
    assert [(4, None, "nameMissing")] == rejects(records)


@pytest.mark.parametrize("format", ["eu-fsf-xml", "eu-fsf-csv"])
def test_eu_in_both_files(format: str) -> None:
    """One EU party has one id, the same names, address, document and country whichever file is read."""
    records = load(format)
    person = told(records, "13")

    assert ("person", "ZE", "RUR", "2030-07-09") == tuple(
        person[name] for name in ("type", "country", "programs", "listed")
    )
    assert [("primary", "Else Somebody"), ("alias", "Эльза Сомбоди")] == person["names"][:2]
    assert [("1 Castle Street, 22", "Onhava", "ZE")] == person["addresses"]
    assert [("passport", "Z1234567", "ZE")] == person["identifiers"]
    assert {"Born: 1970-05-05, Onhava, ZEMBLA", "Function: Director", "(UN listed)"} == set(
        person["remarks"].split("; ")
    )
    company = told(records, "14")
    assert ("organization", "RU", "2030-08-01") == (company["type"], company["country"], company["listed"])
    assert [("tax-id", "7712345678", "RU")] == company["identifiers"]
    found = [reason for _, _, reason in rejects(records)]
    assert "knownFalse" in found
    assert "nameMissing" in found


def test_an_eu_name_that_is_not_strong_is_weak() -> None:
    """The XML says which names are strong; one that is not is a weak alias."""
    assert ("weak", "The Fox") in told(load("eu-fsf-xml"), "13")["names"]


def test_the_day_of_an_export_changes_no_record(tmp_path: Path) -> None:
    """The EU CSV of another day holds the same records: their hashes do not follow the date of the file."""
    data = (FIXTURES / FILES["eu-fsf-csv"]).read_bytes()
    (tmp_path / "list.csv").write_bytes(data.replace(b"02/01/2031", b"03/01/2031"))

    assert data != (tmp_path / "list.csv").read_bytes()
    assert load("eu-fsf-csv").entities == load("eu-fsf-csv", tmp_path).entities


def test_uk() -> None:
    """Rows of one group are one party: the primary name is the one so called, low quality is weak, addresses add up."""
    records = load("uk-conlist-csv")

    assert {
        "type": "person",
        "country": "ZE",
        "programs": "Ruritania",
        "listed": "2030-02-01",
        "names": [("primary", "ELSE MARIA SOMEBODY"), ("alias", "Эльза Сомбоди"), ("weak", "THE FOX")],
        "addresses": [("1 Castle Street, Onhava, 22", None, "ZE"), ("9 Quay, Streslau", None, "RU")],
        "identifiers": [("passport", "Z1234567", None), ("national-id", "A-77", None)],
        "remarks": "Title: Ms; Born: 05/05/1970; Town of birth: Onhava; Country of birth: Zembla; Position: Director; "
        "Passport: Issued in Onhava; (UK Sanctions List Ref):RUR0001",
    } == told(records, "7001")
    assert ("vessel", [("imo", "9187629", None)]) == tuple(
        told(records, "7002")[name] for name in ("type", "identifiers")
    )
    assert [("primary", "BOREALIS MARITIME, TRADING CO.")] == told(records, "7003")["names"]
    assert [(4, "listed_on", "dateUnreadable"), (6, None, "idMissing"), (7, None, "wrongWidth")] == rejects(records)


@pytest.mark.parametrize("format", ["csl-csv", "csl-json"])
def test_csl_in_both_files(format: str) -> None:
    """A record of the Consolidated Screening List says the same in CSV and JSON."""
    records = load(format)
    company = told(records, "a1")

    assert ("unknown", "RU", "2030-02-01") == (company["type"], company["country"], company["listed"])
    assert ["Borealis Maritime Trading Co.", "Borealis Shipping", "Northwind"] == [name for _, name in company["names"]]
    assert "License requirement: For all items; License policy: Presumption of denial" == company["remarks"]
    assert "RU" == company["addresses"][0][2]
    person = told(records, "a2")
    assert ("person", "ZE", "NPWMD;RURITANIA") == (person["type"], person["country"], person["programs"])
    assert [("passport", "Z1234567", "ZE")] == person["identifiers"]
    assert person["remarks"].endswith("Gender Female; a remark")
    assert [("call-sign", "RUR7", None), ("imo", "9187629", None)] == told(records, "a3")["identifiers"]
    assert (4, None, "nameMissing") in rejects(records)
    assert (5, None, "wrongWidth" if format == "csl-csv" else "wrongType") in rejects(records)


def test_a_page_of_a_search_is_refused(tmp_path: Path) -> None:
    """A document that says it has more results than it holds is half a list."""
    document = json.loads((FIXTURES / FILES["csl-json"]).read_bytes())
    document["total"] = 99
    (tmp_path / "page.json").write_text(json.dumps(document), "utf-8")

    with pytest.raises(RegistryDamagedError, match="99 results and holds 5"):
        load("csl-json", tmp_path / "page.json")


def test_opensanctions_table() -> None:
    """Cells with several values are split as CSV, so that a semicolon inside a value stays."""
    records = load("opensanctions-simple-csv")

    assert {
        "type": "organization",
        "country": "RU",
        "programs": "Ruritanian List",
        "listed": "2030-02-01",
        "names": [
            ("primary", "Borealis Maritime Trading Co."),
            ("alias", "Borealis Shipping"),
            ("alias", "Northwind; Trading"),
        ],
        "addresses": [("12 Harbour Road; Streslau", None, None), ("9 Quay, Onhava", None, None)],
        "identifiers": [("identifier", "7712345678", None)],
        "remarks": "RUR sanctions - 2030-02-01",
    } == told(records, "NK-1")
    assert [(4, None, "nameMissing"), (5, None, "wrongWidth")] == rejects(records)


def test_ftm_lines() -> None:
    """Addresses, documents and sanctions are joined to the entity they belong to; every other line is accounted for."""
    records = load("ftm-json")

    assert {
        "type": "organization",
        "country": "RU",
        "programs": "Ministry;RUR",
        "listed": "2030-02-01",
        "names": [
            ("primary", "Borealis Maritime Trading Co."),
            ("alias", "Бореалис"),
            ("alias", "Borealis Shipping"),
            ("weak", "BMT"),
        ],
        "addresses": [("12 Harbour Road, Streslau", None, None), ("9 Quay, Onhava", None, "ZE")],
        "identifiers": [("tax-id", "7712345678", None)],
        "remarks": "Shipping of things",
    } == told(records, "NK-1")
    assert [("passport", "Z1234567", "ZE")] == told(records, "NK-2")["identifiers"]
    assert [
        (7, None, "orphanRecord"),
        (8, None, "schemaNotScreened"),
        (10, None, "wrongType"),
        (11, None, "notAnObject"),
        (12, None, "duplicateRecord"),
    ] == rejects(records)
    (counts,) = records.counts.files.values()
    assert (12, 7, 5) == (counts.records, counts.used, counts.rejected)


def test_links_are_relations() -> None:
    """Who owns an entity stands beside it with name and id, and OFAC's links are read out of the remarks."""
    owned = load("ftm-json").to_arrow()["registry_relations"].to_pylist()
    assert [("src:NK-1", "owned-by", "Else Somebody", "NK-2")] == [
        (row["entity_id"], row["relation"], row["other_name"], row["other_id"]) for row in owned
    ]
    linked = load("ofac-sdn-xml").to_arrow()["registry_relations"].to_pylist()
    assert [("src:36", "linked-to", "SOMEBODY, Else")] == [
        (row["entity_id"], row["relation"], row["other_name"]) for row in linked
    ]


def test_a_line_that_is_cut_off_refuses_the_file(tmp_path: Path) -> None:
    """A last line that is no JSON means that the file was cut, and no shorter list is read."""
    data = (FIXTURES / FILES["ftm-json"]).read_bytes()
    (tmp_path / "cut.json").write_bytes(data[: len(data) - 40])

    with pytest.raises(RegistryDamagedError, match="line 13"):
        load("ftm-json", tmp_path / "cut.json")


def test_a_wrong_count_refuses_the_xml(tmp_path: Path) -> None:
    """An OFAC document whose record count is not what it holds was cut or edited."""
    text = (FIXTURES / FILES["ofac-sdn-xml"]).read_text("utf-8")
    (tmp_path / "SDN.XML").write_text(text.replace("<Record_Count>4", "<Record_Count>5"), "utf-8")

    with pytest.raises(RegistryDamagedError, match="says it has 5 entries and holds 4"):
        load("ofac-sdn-xml", tmp_path)


@pytest.mark.parametrize("format", list(FILES))
def test_another_document_is_refused(format: str, tmp_path: Path) -> None:
    """A file of another kind, and a folder without the file, are refused with a hint that names what is wanted."""
    suffix = Path(FILES[format]).suffix.lower()
    text = {".xml": "<other/>", ".csv": "a,b\n1,2\n", ".json": "{}"}[suffix]
    if format == "ftm-json":
        text = "{"
    (tmp_path / f"other{suffix}").write_text(text, "utf-8")
    with pytest.raises(RegistryDamagedError) as caught:
        load(format, tmp_path)
    assert caught.value.hint
    (tmp_path / "empty").mkdir()
    with pytest.raises(RegistryFileError):
        load(format, tmp_path / "empty")


@pytest.mark.parametrize("format", ["ofac-sdn-xml", "eu-fsf-xml"])
def test_no_document_type(format: str, tmp_path: Path) -> None:
    """A DOCTYPE, and with it every entity that could be expanded or fetched, is refused."""
    text = (FIXTURES / FILES[format]).read_text("utf-8")
    head, rest = text.split("?>", 1)
    (tmp_path / "list.xml").write_text(f'{head}?><!DOCTYPE x [<!ENTITY a "b">]>{rest}', "utf-8")

    with pytest.raises(RegistryDamagedError, match="DOCTYPE"):
        load(format, tmp_path)


def test_an_attribute_counts_towards_the_size_of_a_record(tmp_path: Path) -> None:
    """A record whose attributes are endless is refused like one whose text is."""
    text = (FIXTURES / FILES["eu-fsf-xml"]).read_text("utf-8")
    (tmp_path / "list.xml").write_text(text.replace("Else Somebody", "A" * 2_000_001), "utf-8")

    with pytest.raises(RegistryDamagedError, match="longer than"):
        load("eu-fsf-xml", tmp_path)
