"""The pipeline gives one result for one content, whatever file format it came in, and refuses what it must."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omphalos.format.errors import OmphalosError
from omphalos.screening.job import Job, job_of_table
from omphalos.screening.pipeline import Inputs, Resources, Screening, TooManyRejects, screen
from omphalos.screening.registries import reader_for

COLUMNS = ("id", "who", "to", "where", "hs", "when", "value")
ROWS = [
    ("A1", "Alpha Trading Ltd", "Ωμέγα ΑΕ", "Greece", "8542.31", "2025-03-04", "1234.50"),
    ("A2", 'Quote "Q" & Söhne, GmbH', "Someone Else", "Germany", "870322", "2025-03-05", "0"),
    ("A3", "Nobody\tListed", "Alpha Trading", "FR", "01012100", "2025-12-31", "99999999.99"),
    ("A4", "Beta", "Gamma", "Atlantis", "854231", "2025-01-01", "1"),
]
LIST = (
    "entity_id,entity_type,name,aliases,weak_aliases,country,addresses,identifiers,programs,listed_on,remarks\n"
    "1,organization,Alpha Trading Ltd,,,DE,,,T,,\n"
    '2,person,"ELSE, Someone",,,FR,,,T,,\n'
)


def _csv(path: Path, delimiter: str = ",") -> None:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    lines = [delimiter.join(COLUMNS), *(delimiter.join(cell(c) for c in row) for row in ROWS)]
    path.write_text("\r\n".join([*lines, ""]), "utf-8", newline="")


def _tsv(path: Path) -> None:
    _csv(path, "\t")


def _jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in ROWS), "utf-8")


def _parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([dict(zip(COLUMNS, row, strict=True)) for row in ROWS]), path)


def _gzip(path: Path) -> None:
    _csv(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def _zstd(path: Path) -> None:
    _jsonl(path)
    data = path.read_bytes()
    with pa.OSFile(str(path), "wb") as sink, pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)


FORMATS: dict[str, Callable[[Path], None]] = {
    "feed.csv": _csv,
    "feed.tsv": _tsv,
    "feed.jsonl": _jsonl,
    "feed.parquet": _parquet,
    "feed.csv.gz": _gzip,
    "feed.jsonl.zst": _zstd,
}


def _job(folder: Path, name: str, **feed: Any) -> Job:
    (folder / "list.csv").write_text(LIST, "utf-8")
    columns = {"shipment_id": "id", "exporter": "who", "importer": "to", "origin": "where", "hs_code": "hs"}
    columns |= {"date": "when", "value": "value"}
    table = {
        "name": "t",
        "feed": {"path": name, "currency": "EUR", "columns": columns, "max_rejected_share_bp": 3000, **feed},
        "registry": [{"source": "l", "format": "entities-csv", "path": "list.csv"}],
    }
    return job_of_table(table, base=folder)


def _screen(folder: Path, job: Job) -> Screening:
    run, work = folder / "run", folder / "work"
    run.mkdir()
    work.mkdir()
    assert job.feed is not None
    registries = tuple((spec, reader_for(spec.format).parts(spec.path)) for spec in job.registries)
    return screen(Inputs(job.feed, registries), job.match, run, work, Resources(1, "512MiB"))


def _fingerprints(done: Screening) -> dict[str, str]:
    return {file.path: file.table.fingerprint for file in done.files if file.table is not None}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the fingerprints of every table when the feed is plain CSV."""
    folder = tmp_path_factory.mktemp("csv")
    _csv(folder / "feed.csv")
    return _fingerprints(_screen(folder, _job(folder, "feed.csv")))


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_feed_format_gives_the_same_tables(tmp_path: Path, name: str, expected: dict[str, str]) -> None:
    """The same shipments as CSV, TSV, JSON Lines, Parquet, gzip or zstd end as the same tables."""
    FORMATS[name](tmp_path / name)

    assert expected == _fingerprints(_screen(tmp_path, _job(tmp_path, name)))


def test_the_planted_matches_are_found(tmp_path: Path) -> None:
    """A listed name is found as exporter and, spelled shorter, as importer; a person by the natural order of names."""
    _csv(tmp_path / "feed.csv")

    _screen(tmp_path, _job(tmp_path, "feed.csv"))

    rows = pq.read_table(tmp_path / "run" / "matches" / "entity_matches.parquet").to_pylist()
    assert {("A1", "exporter", "l:1"), ("A3", "importer", "l:1"), ("A2", "importer", "l:2")} == {
        (row["shipment_id"], row["role"], row["entity_id"]) for row in rows
    }


def test_a_broken_row_is_quarantined_with_its_number(tmp_path: Path) -> None:
    """The row with a country that does not exist stands in quarantine, by number, field, reason and value."""
    _csv(tmp_path / "feed.csv")

    done = _screen(tmp_path, _job(tmp_path, "feed.csv"))

    text = (tmp_path / "run" / "quarantine" / "quarantine_feed.csv").read_text()
    assert "source_row,field,reason,value\n4,origin,unknownCountry,Atlantis\n" == text
    assert (4, 3, 1) == tuple(done.summary[key] for key in ("records", "accepted", "quarantined"))


def test_the_first_of_two_shipments_with_one_id_stays(tmp_path: Path) -> None:
    """Of two records with one shipment_id the later one is quarantined."""
    _csv(tmp_path / "feed.csv")
    text = (tmp_path / "feed.csv").read_text("utf-8")
    (tmp_path / "feed.csv").write_text(text.replace('"A2"', '"A1"'), "utf-8")

    _screen(tmp_path, _job(tmp_path, "feed.csv", max_rejected_share_bp=6000))

    text = (tmp_path / "run" / "quarantine" / "quarantine_feed.csv").read_text()
    assert "2,shipment_id,duplicateKey,A1\n" in text
    assert "1,shipment_id" not in text


def test_a_duplicate_of_a_rejected_row_is_not_rejected_for_it(tmp_path: Path) -> None:
    """A row whose id stood before only on a record that was itself refused is accepted."""
    _csv(tmp_path / "feed.csv")
    text = (tmp_path / "feed.csv").read_text("utf-8")
    text = text.replace('"A2"', '"A1"').replace('"Greece"', '"Nowhere"')
    (tmp_path / "feed.csv").write_text(text, "utf-8")

    _screen(tmp_path, _job(tmp_path, "feed.csv", max_rejected_share_bp=6000))

    text = (tmp_path / "run" / "quarantine" / "quarantine_feed.csv").read_text()
    assert "duplicateKey" not in text
    assert 3 == text.count("\n")


@pytest.mark.parametrize(("allowed", "refused"), [(2499, True), (2500, False)])
def test_the_share_of_rejects_is_exact(tmp_path: Path, allowed: int, refused: bool) -> None:
    """One reject in four passes at 2,500 in 10,000 and stops the run at one less."""
    _csv(tmp_path / "feed.csv")
    job = _job(tmp_path, "feed.csv", max_rejected_share_bp=allowed)

    if refused:
        with pytest.raises(TooManyRejects, match="1 of 4 feed records"):
            _screen(tmp_path, job)
    else:
        assert 1 == _screen(tmp_path, job).summary["quarantined"]


def test_a_job_without_a_value_still_runs(tmp_path: Path) -> None:
    """A feed that carries no amounts is screened; exposure then has no sums."""
    _csv(tmp_path / "feed.csv")
    job = _job(tmp_path, "feed.csv")
    assert job.feed is not None
    columns = tuple(pair for pair in job.feed.columns if pair[0] != "value")
    job = replace(job, feed=replace(job.feed, columns=columns, currency=""))

    _screen(tmp_path, job)

    scores = pq.read_table(tmp_path / "run" / "scores" / "entity_scores.parquet").to_pylist()
    assert scores
    assert {None} == {row["value_minor"] for row in scores}


def test_an_unreadable_feed_is_a_typed_error(tmp_path: Path) -> None:
    """A feed cut in the middle of its compression stops the screening with a message, not a traceback."""
    _gzip(tmp_path / "feed.csv.gz")
    data = (tmp_path / "feed.csv.gz").read_bytes()
    (tmp_path / "feed.csv.gz").write_bytes(data[:-9])

    with pytest.raises(OmphalosError):
        _screen(tmp_path, _job(tmp_path, "feed.csv.gz"))
