"""The published lists, whole: counts agree with their sources and every record is accounted for."""

import csv
import unicodedata
from pathlib import Path

import pytest

from omphalos.screening.registries import RegistryRecords, reader_for


def load(shared_data: Path, source: str, format: str, path: str) -> RegistryRecords:
    names: dict[str, str] = {}
    with (shared_data / "reference" / "country-codes.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            for column in ("CLDR display name", "official_name_en", "UNTERM English Short"):
                if row.get(column):
                    names[row[column].casefold()] = row["ISO3166-1-Alpha-2"]
    reader = reader_for(format)
    parts = reader.parts(shared_data / "lists" / path)
    records = reader.read(source, parts, lambda words: names.get(words.casefold()))
    for counts in records.counts.files.values():
        assert counts.records == counts.used + counts.rejected
    assert sum(1 for one in records.rejects["field"] if one is None) == sum(
        counts.rejected for counts in records.counts.files.values()
    )
    for name in records.names["name"]:
        assert name == " ".join(unicodedata.normalize("NFC", name).split())
    assert len(set(records.entities["entity_id"])) == records.counts.entities
    records.to_arrow()
    return records


def test_ofac_2021(shared_data: Path) -> None:
    """The SDN list of 2021 holds 8,976 entities, 11,910 aliases, 13,837 addresses, and no orphan."""
    records = load(shared_data, "ofac_sdn", "ofac-sdn-csv", "ofac_sdn_2021-07")
    counts = records.counts

    assert {"add.csv": 13_837, "alt.csv": 11_910, "sdn.csv": 8_976, "sdn_comments.csv": 5} == {
        file: one.records for file, one in counts.files.items()
    }
    assert 8_976 == counts.entities
    assert {"duplicateName": 6, "emptyRecord": 2_397} == counts.rejected
    assert 11_904 == counts.names["alias"]
    assert 2_441 == counts.names["weak"]
    assert 11_440 == counts.addresses
    at = records.entities["native_id"].index("28263")
    # A weak alias that runs over the end of the remark into the comments file.
    assert "a.k.a. 'snowsjohn'" in records.entities["remarks"][at]
    assert "snowsjohn" in records.names["name"]


def test_ofac_2023_mixed_vintage(shared_data: Path) -> None:
    """The re-published list of 2023 reads behind its header; later aliases and addresses show as orphans."""
    counts = load(shared_data, "ofac_sdn", "ofac-sdn-csv", "ofac_sdn_2023-11").counts

    assert {"add_2026-06.csv": 24_776, "alt_2026-06.csv": 20_260, "sdn.csv": 11_443} == {
        file: one.records for file, one in counts.files.items()
    }
    assert 11_443 == counts.entities
    assert 16_193 == counts.rejected["orphanRecord"]


def test_ofac_consolidated(shared_data: Path) -> None:
    """The consolidated non-SDN list holds 442 entities."""
    counts = load(shared_data, "ofac_cons", "ofac-sdn-csv", "ofac_cons").counts

    assert 442 == counts.entities
    assert 1_073 == counts.files["cons_alt.csv"].records


def test_un(shared_data: Path) -> None:
    """The UN list holds 1,003 entities, original scripts among their names, and every listing date is read."""
    records = load(shared_data, "un", "un-xml", "un")

    assert 1_003 == records.counts.entities
    assert {"duplicateName": 13} == records.counts.rejected
    assert 730 == records.entities["entity_type"].count("person")
    assert sum(records.counts.names.values()) >= 4_116
    assert None not in records.entities["listed_on"]
    assert "القاعدة" in records.names["name"]


@pytest.mark.parametrize(
    ("file", "records_seen", "entities"),
    [
        ("bis_entity_list", 3_409, 3_409),
        ("bis_dpl", 564, 562),
        ("bis_meu", 70, 70),
        ("cbp_wro", 67, 67),
        ("dhs_uflpa", 148, 148),
        ("dow_1260h", 80, 80),
        ("dow_1286", 134, 134),
        ("fcc_covered", 15, 15),
        ("ofac_eo14032_annex", 59, 59),
        ("ofac_nscmic", 68, 68),
        ("state_debarred_admin", 8, 8),
        ("state_debarred_statutory", 779, 779),
        ("state_nonproliferation", 528, 528),
    ],
)
def test_restricted_lists(shared_data: Path, file: str, records_seen: int, entities: int) -> None:
    """Each restricted-party list gives the entities it says it has, exact repeats apart."""
    counts = load(shared_data, file, "bis-entity-json", f"us_restricted_2026-07/{file}.json").counts

    assert records_seen == counts.files[f"{file}.json"].records
    assert entities == counts.entities
    assert records_seen - entities == counts.rejected.get("duplicateRecord", 0)
