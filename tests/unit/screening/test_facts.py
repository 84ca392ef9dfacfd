"""Matching beyond names: identifiers, addresses and links, from a feed to the tables of a run."""

import csv
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from omphalos.screening.job import job_of_table
from omphalos.screening.match.facts import FACT_REASONS
from omphalos.screening.pipeline import Inputs, Resources, screen
from omphalos.screening.registries import reader_for

FEED = (
    # id, exporter, country, tax number, other number, address, ship, IMO
    ("S1", "Harmless Trading", "DE", "DE 811.907.980", "", "", "", ""),
    ("S2", "Nobody Ltd", "CO", "", "890-900.608", "Room 7, 12/F Fair Building, 44 Alder Street, Kowloon", "", ""),
    ("S3", "Zarvand Petrokimya", "IR", "10100777888", "", "", "EVER SOMETHING", "IMO 9187629"),
    ("S4", "Quiet Partner", "HK", "", "", "12 Floor, Fair Bldg., Rm 7, No. 44 Alder St, Kowloon", "", "9187620"),
    ("S5", "Far Away", "FR", "", "8909006", "Main Street 1", "", ""),
    ("S6", "Young Shop", "FR", "", "", "Unit 9, 12/F Fair Building, 44 Alder Street, Kowloon", "", ""),
)
LIST = (
    # id, type, name, country, addresses, identifiers
    ("1", "organization", "Alder Holding", "DE", "", "tax-id:811907980"),
    ("2", "organization", "Cartel Bogota", "CO", "", "nit:890900608"),
    ("3", "organization", "Zarvand Petrokimya", "IR", "", "tax-id:10100999111"),
    ("4", "vessel", "BRIGHT STAR", "", "", "imo:IMO 9187629"),
    ("5", "organization", "Address 01", "HK", "Room 7, 12/F, Fair Building, 44 Alder St., Kowloon", ""),
    ("6", "organization", "Birch Unknown", "HK", "Kowloon", ""),
)


def run_of(folder: Path, feed: Any = FEED, entities: Any = LIST, head: tuple[str, ...] = ()) -> Path:
    """Screen the feed against the list and return the folder of the run."""
    names = ("id", "who", "land", "tax", "other", "place", "ship", "imo")
    with (folder / "feed.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *feed])
    with (folder / "list.csv").open("w", encoding="utf-8", newline="") as file:
        heads = ("entity_id", "entity_type", "name", "country", "addresses", "identifiers", *head)
        csv.writer(file).writerows([heads, *entities])
    columns = {"shipment_id": "id", "exporter": "who", "exporter_country": "land", "exporter_tax_id": "tax"}
    columns |= {"exporter_id": "other", "exporter_address": "place", "vessel": "ship", "vessel_imo": "imo"}
    job = job_of_table(
        {
            "name": "t",
            "feed": {"path": "feed.csv", "columns": columns},
            "registry": [{"source": "l", "format": "entities-csv", "path": "list.csv"}],
        },
        base=folder,
    )
    run, work = folder / "run", folder / "work"
    run.mkdir()
    work.mkdir()
    assert job.feed is not None
    registries = tuple((spec, reader_for(spec.format).parts(spec.path)) for spec in job.registries)
    screen(Inputs(job.feed, registries), job.match, run, work, Resources(1, "512MiB"))
    return run


def rows(run: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query over the Parquet files of a run, by their names in braces."""
    places = {path.stem: f"read_parquet('{path}')" for path in run.rglob("*.parquet") if "marts" not in path.parts}
    with duckdb.connect() as con:
        return con.execute(sql.format(**places)).fetchall()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of the feed and list above."""
    return run_of(tmp_path_factory.mktemp("facts"))


def test_an_identifier_makes_a_match_without_any_name(run: Path) -> None:
    """A tax number and a number of no stated kind match what the list has, spelled otherwise, in the band high."""
    found = rows(run, "SELECT party_name, entity_id, band, score_bp, reasons FROM {entity_matches} "
                 "WHERE contains(reasons, 'IDENTIFIER') AND role = 'exporter' ORDER BY ALL")  # fmt: skip

    assert [
        ("Harmless Trading", "l:1", "high", 9900, "COUNTRY_SUPPORT;IDENTIFIER"),
        ("Nobody Ltd", "l:2", "high", 9900, "COUNTRY_SUPPORT;IDENTIFIER"),
    ] == [row for row in found if "CONFLICT" not in row[4]]


def test_both_spellings_are_shown(run: Path) -> None:
    """The fact quotes the identifier as filed and as listed."""
    found = rows(run, "SELECT entity_id, kind, party_value, listed_value FROM {match_facts} "
                 "WHERE fact = 'IDENTIFIER' ORDER BY ALL")  # fmt: skip

    assert [
        ("l:1", "tax-id", "DE 811.907.980", "811907980"),
        ("l:2", "nit", "890-900.608", "890900608"),
        ("l:4", "imo", "IMO 9187629", "IMO 9187629"),
    ] == found


def test_a_ship_is_found_by_its_number(run: Path) -> None:
    """A vessel's IMO number matches the listed vessel although the ship now has another name."""
    found = rows(run, "SELECT shipment_id, party_name, entity_id, band FROM {entity_matches} "
                 "WHERE role = 'vessel'")  # fmt: skip

    assert [("S3", "EVER SOMETHING (vessel, IMO 9187629)", "l:4", "high")] == found
    assert [("imo", "9187620", "badCheckDigit")] == rows(
        run, "SELECT identifier_kind, value, problem FROM {party_identifiers} WHERE problem <> ''"
    )


def test_a_different_identifier_speaks_against_the_match(run: Path) -> None:
    """A party of the listed name with another number of the same family and country stays, lower, with the reason."""
    found = rows(run, "SELECT entity_id, score_bp, reasons, against FROM {review} "
                 "WHERE party_name = 'Zarvand Petrokimya'")  # fmt: skip
    assert [("l:3", 9500, "COUNTRY_SUPPORT;EXACT;IDENTIFIER_CONFLICT", "IDENTIFIER_CONFLICT")] == found


def test_an_address_that_is_listed_alone_is_a_match_in_the_band_high(run: Path) -> None:
    """The listed address meets the same place in another spelling; another room of the house is alike and lower."""
    found = rows(run, "SELECT party_name, entity_id, band, score_bp, reasons FROM {review} "
                 "WHERE contains(reasons, 'ADDRESS_MATCH') ORDER BY ALL")  # fmt: skip

    assert [
        ("Nobody Ltd", "l:5", "high", 9500, "ADDRESS_MATCH;COUNTRY_CONFLICT"),
        ("Quiet Partner", "l:5", "high", 9500, "ADDRESS_MATCH;COUNTRY_SUPPORT"),
    ] == found


def test_an_address_that_says_too_little_matches_nothing(run: Path) -> None:
    """A town alone is listed, counted as uninformative, and never compared."""
    report = json.loads((run / "reports" / "facts.json").read_bytes())

    assert {"listed": 2, "listed_uninformative": 1, "exact": 1} == {
        key: report["addresses"][key] for key in ("listed", "listed_uninformative", "exact")
    }


def test_another_room_of_the_house_does_not_agree_in_its_numbers(run: Path) -> None:
    """Numbers decide: unit 9 is not room 7, however alike the rest of the address is."""
    assert [] == rows(run, "SELECT * FROM {review} WHERE party_name = 'Young Shop'")


def test_the_queue_stays_in_order(run: Path) -> None:
    """Ranks of a party's entities and of the queue are 1, 2, 3 … by score after facts changed the scores."""
    queue = rows(run, "SELECT review_rank, band, score_bp FROM {review} ORDER BY review_rank")

    assert [row[0] for row in queue] == list(range(1, len(queue) + 1))
    assert queue == sorted(queue, key=lambda row: (["high", "medium", "low"].index(row[1]), -row[2], row[0]))
    ranks = rows(run, "SELECT party_id, list(match_rank ORDER BY match_rank), list(score_bp ORDER BY match_rank) "
                 "FROM {review} GROUP BY party_id")  # fmt: skip
    assert all(row[1] == list(range(1, len(row[1]) + 1)) and row[2] == sorted(row[2])[::-1] for row in ranks)


def test_the_page_lists_the_codes_of_facts() -> None:
    """docs/matching.md has every code with its meaning and whether it speaks against the match."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "matching.md").read_text(encoding="utf-8")

    for reason in FACT_REASONS:
        assert f"| `{reason.code}` | {'against' if reason.against else ''} | {reason.meaning} |" in page


def test_the_exposure_of_an_entity_counts_its_facts(run: Path) -> None:
    """Per entity: parties by identifier, by address, in conflict."""
    found = rows(run, "SELECT entity_id, identifier_parties, address_parties, conflict_parties FROM {entity_facts}")

    assert [("l:1", 1, 0, 0), ("l:2", 1, 0, 0), ("l:3", 0, 0, 1), ("l:4", 1, 0, 0), ("l:5", 0, 2, 0)] == found
