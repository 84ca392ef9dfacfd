"""Known facts on real lists: an address that is listed alone, a ship by its number, a company by its tax number."""

import csv
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from omphalos.screening.job import job_of_table
from omphalos.screening.pipeline import Inputs, Resources, screen
from omphalos.screening.registries import reader_for

FIELDS = ("id", "name", "country", "address", "tax", "imo")
HEADS = {"shipment_id": "id", "importer": "name", "importer_country": "country", "importer_address": "address"}


def _listed_alone(shared_data: Path) -> dict[str, Any]:
    """Return the first record of the Entity List that is an address and no party."""
    path = shared_data / "lists" / "us_restricted_2026-07" / "bis_entity_list.json"
    entities: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["entities"]
    return next(entity for entity in entities if entity["name"] == "Address 10")


def _remarks(shared_data: Path, label: str) -> tuple[str, str]:
    """Return (ent_num, value) of the first entity whose remarks hold an item with the label."""
    path = shared_data / "lists" / "ofac_sdn_2021-07" / "sdn.csv"
    with path.open(encoding="latin-1", newline="") as file:
        for cells in csv.reader(file):
            for item in cells[11].split(";") if len(cells) > 11 else []:
                if item.strip().startswith(label):
                    return cells[0].strip(), item.strip().removeprefix(label).strip(" .")
    raise AssertionError(label)


@pytest.fixture(scope="module")
def run(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of a few shipments with known facts against two real lists."""
    folder = tmp_path_factory.mktemp("matching")
    _, imo = _remarks(shared_data, "Vessel Registration Identification IMO ")
    _, tax = _remarks(shared_data, "RUC # ")
    value, _, country = tax.partition(" (")
    # The same place as another would write it: the floor in words, no town quarter in front, the country left out.
    address = _listed_alone(shared_data)["address"].replace("7/F", "Floor 7,").replace(", Hong Kong.", "")
    feed = [
        ("S1", "Perfectly Innocent Stationery", "Hong Kong", address, "", ""),
        ("S2", "Perfectly Innocent Shipping", "Greece", "", "", f"IMO{imo}"),
        ("S3", "Perfectly Innocent Imports", country.strip(") "), "", f"RUC {value}".removeprefix("RUC "), ""),
        ("S4", "Perfectly Innocent Neighbour", "Hong Kong", "9/F, 112 Bonham Strand, Sheung Wan", "", ""),
        ("S5", "MAHAN AIR", "Iran", "", "", ""),
    ]
    with (folder / "feed.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([FIELDS, *feed])
    lists = shared_data / "lists"
    job = job_of_table(
        {
            "name": "t",
            "feed": {"path": "feed.csv", "columns": {**HEADS, "importer_tax_id": "tax", "vessel_imo": "imo"}},
            "registry": [
                {"source": "bis", "format": "bis-entity-json",
                 "path": str(lists / "us_restricted_2026-07" / "bis_entity_list.json")},
                {"source": "ofac", "format": "ofac-sdn-csv", "path": str(lists / "ofac_sdn_2021-07")},
            ],
        },
        base=folder,
    )  # fmt: skip
    (folder / "run").mkdir()
    (folder / "work").mkdir()
    assert job.feed is not None
    registries = tuple((spec, reader_for(spec.format).parts(spec.path)) for spec in job.registries)
    screen(Inputs(job.feed, registries), job.match, folder / "run", folder / "work", Resources(2, "1GiB"))
    return folder / "run"


def _rows(run: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as con:
        return con.execute(sql.format(run=run)).fetchall()


_MATCHES = "SELECT entity_id, entity_name, band, reasons FROM '{run}/matches/entity_matches.parquet' WHERE "


def test_an_address_that_is_listed_alone_is_found(run: Path) -> None:
    """A party of an unlisted name meets the listed address, written otherwise, and the company there; others do not."""
    found = _rows(run, _MATCHES + "shipment_id = 'S1' AND contains(reasons, 'ADDRESS_MATCH') ORDER BY 2")

    assert [("Address 10", "medium"), ("Piraclinos Limited", "low")] == [(row[1], row[2]) for row in found]
    assert [] == _rows(run, _MATCHES + "shipment_id = 'S4' AND contains(reasons, 'ADDRESS_MATCH')")


def test_a_listed_ship_is_found_by_its_number(run: Path, shared_data: Path) -> None:
    """The first vessel of the list with an IMO number is found by it, whatever the importer is called."""
    ent_num, _ = _remarks(shared_data, "Vessel Registration Identification IMO ")

    found = _rows(run, _MATCHES + "shipment_id = 'S2' AND role = 'vessel'")

    assert f"ofac:{ent_num}" in [row[0] for row in found]
    assert all(row[2] == "high" and row[3].split(";").count("IDENTIFIER") == 1 for row in found)


def test_a_listed_company_is_found_by_its_tax_number(run: Path, shared_data: Path) -> None:
    """The first entity with a Peruvian or Panamanian tax number is found by it under another name."""
    ent_num, _ = _remarks(shared_data, "RUC # ")

    assert (f"ofac:{ent_num}", "high") in [(row[0], row[2]) for row in _rows(run, _MATCHES + "shipment_id = 'S3'")]


def test_most_links_of_the_list_are_resolved(run: Path) -> None:
    """Of thousands of links that OFAC states, four in five name exactly one entity; a match by name shows its path."""
    links = json.loads((run / "reports" / "facts.json").read_bytes())["links"]

    assert links["stated"] > 2_000
    assert links["resolved"] * 10 >= links["stated"] * 8
    found = _rows(run, "SELECT fact, detail FROM '{run}/matches/match_facts.parquet' WHERE fact = 'OWNERSHIP_LINK'")
    assert any("linked-to" in row[1] for row in found)
