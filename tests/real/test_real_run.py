"""A whole run on real lists and real customs records: it verifies, accounts for every record, and finds hits."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omphalos.cli.main import run as omphalos

JOB = """
name = "real"
[feed]
path = "{data}/trade/shipments_26_reporters.csv"
currency = "USD"
null_values = ["", "NULL"]
date_formats = ["month-name", "iso"]
[feed.columns]
flow = "flow"
date = "period"
reporter = "reporter"
exporter = "exporter"
exporter_country = "origin"
importer = "importer"
importer_country = "destination"
hs_code = "hs_code"
description = "description"
origin = "origin"
destination = "destination"
value = "value_usd"
quantity = "quantity"
[[registry]]
source = "ofac-sdn"
format = "ofac-sdn-csv"
path = "{data}/lists/ofac_sdn_2021-07"
[[registry]]
source = "un"
format = "un-xml"
path = "{data}/lists/un/UN_consolidated.xml"
[[registry]]
source = "bis-entity-list"
format = "bis-entity-json"
path = "{data}/lists/us_restricted_2026-07/bis_entity_list.json"
"""


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose store records one run on the real data."""
    place = tmp_path_factory.mktemp("real")
    (place / "job.toml").write_text(JOB.format(data=shared_data))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert 0 == omphalos(["run", "job.toml"])
    return place


def _directory(folder: Path) -> Path:
    (found,) = (folder / "artifacts" / "runs").iterdir()
    return found


def _report(folder: Path, name: str) -> Any:
    return msgspec.json.decode((_directory(folder) / "reports" / f"{name}.json").read_bytes())


def test_the_run_verifies(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The recorded run and its directory verify, tables included."""
    monkeypatch.chdir(folder)

    assert 0 == omphalos(["verify", "latest", "--deep", "--json"])
    document = msgspec.json.decode(capsys.readouterr().out)
    assert ["verified", "verified"] == [check["verdict"] for check in document["checks"]]


def test_every_record_is_accounted_for(folder: Path) -> None:
    """Records in are records accepted plus quarantined, and every quarantined one has its reason in the file."""
    feed = _report(folder, "validation")["feed"]
    with (_directory(folder) / "quarantine" / "quarantine_feed.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))

    assert 22_664 == feed["records"] == feed["accepted"] + feed["quarantined"]
    assert feed["quarantined"] == len({row["source_row"] for row in rows})
    assert all(row["reason"] for row in rows)


def test_every_list_record_is_accounted_for(folder: Path) -> None:
    """Each file of each list says how many records it had and what became of them, and the sums agree."""
    registries = {item["source"]: item for item in _report(folder, "validation")["registries"]}

    assert (8_976, 1_003, 3_409) == tuple(registries[s]["entities"] for s in ("ofac-sdn", "un", "bis-entity-list"))
    for item in registries.values():
        for counts in item["files"].values():
            assert counts["records"] == counts["used"] + counts["rejected"]


def test_the_queue_begins_with_believable_hits(folder: Path) -> None:
    """A tile maker listed by name in Iran heads the queue, with its reasons and the shipments behind it."""
    with (_directory(folder) / "exports" / "review_queue.csv").open(newline="") as stream:
        queue = list(csv.DictReader(stream))
    head = [row for row in queue if row["band"] == "high"]
    hit = next(row for row in head if row["party_name"] == "PARS TILE CO")

    assert [str(n) for n in range(1, len(queue) + 1)] == [row["review_rank"] for row in queue]
    assert ("ofac-sdn:30392", "IR") == (hit["entity_id"], hit["entity_country"])
    assert {"EXACT", "COUNTRY_SUPPORT"} <= set(hit["reasons"].split(";"))
    assert int(hit["shipments"]) > 10
    assert all(row["reasons"] and row["record_hash"] for row in queue)
    # Five thousand parties against thirteen thousand entities: a queue a person can work through.
    assert 10 <= len(queue) <= 300


def test_the_run_certifies(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Computed again from what it recorded, on another number of threads, the run is identical."""
    monkeypatch.chdir(folder)

    assert 0 == omphalos(["certify", "latest", "--threads", "1"])
    assert "identical" in capsys.readouterr().out


def test_an_empty_list_makes_no_run(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_real: Callable[[str], int]
) -> None:
    """A list file that holds no entity stops the run instead of screening against nothing."""
    (tmp_path / "empty.xml").write_text("<CONSOLIDATED_LIST><INDIVIDUALS/><ENTITIES/></CONSOLIDATED_LIST>")
    job = JOB.format(data=shared_data).replace(f"{shared_data}/lists/un/UN_consolidated.xml", "empty.xml")

    assert 2 == run_real(job)
    assert not list((tmp_path / "refs").rglob("runs/*"))


@pytest.fixture
def run_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Return a function that runs a job's text in the test's own folder and returns the exit code."""

    def execute(job: str) -> int:
        (tmp_path / "job.toml").write_text(job)
        monkeypatch.chdir(tmp_path)
        return int(omphalos(["run", "job.toml"]))

    return execute
