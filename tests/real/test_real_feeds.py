"""Real trade files load completely, whatever they were compressed or encoded with."""

import gzip
from pathlib import Path

import duckdb
import pytest

from omphalos.screening.feeds import FeedCounts, decode_feed, load_raw
from omphalos.screening.job import FeedSpec

SHIPMENTS = (
    ("date", "period"),
    ("destination", "destination"),
    ("exporter", "exporter"),
    ("importer", "importer"),
    ("value", "value_usd"),
)
DECLARATIONS = (("importer", "Importer ID"), ("exporter", "Seller ID"), ("value", "Item Price"))


def _load(path: Path, feed: FeedSpec, scratch: Path, query: str, threads: int = 2) -> tuple[FeedCounts, list[object]]:
    with duckdb.connect(config={"threads": threads}) as con:
        counts = load_raw(con, decode_feed(path, feed, scratch), feed)
        return counts, con.execute(query).fetchall()


def test_the_shipments_of_26_reporters_load_without_a_loss(shared_data: Path, tmp_path: Path) -> None:
    """All 22,664 records arrive in order, equal for one and two threads, and for a gzip UTF-16 copy."""
    path = shared_data / "trade" / "shipments_26_reporters.csv"
    feed = FeedSpec(path, "csv", columns=SHIPMENTS)
    query = "select * from raw_feed"
    counts, rows = _load(path, feed, tmp_path, query)
    assert counts == FeedCounts(22664, 22664, 0)
    assert rows == _load(path, feed, tmp_path, query, threads=1)[1]
    copy = tmp_path / "copy.csv.gz"
    copy.write_bytes(gzip.compress(path.read_text(encoding="utf-8").encode("utf-16")))
    packed = FeedSpec(copy, "csv", compression="gzip", encoding="utf-16", columns=SHIPMENTS)
    assert rows == _load(copy, packed, tmp_path, query)[1]


@pytest.mark.parametrize(("part", "records"), [("train", 37385), ("valid", 8134), ("test", 8481)])
def test_the_korean_declarations_load_without_a_loss(
    shared_data: Path, tmp_path: Path, part: str, records: int
) -> None:
    """Every declaration arrives, numbered from 1 to the last."""
    path = shared_data / "trade" / f"kcs_synthetic_declarations_{part}.csv"
    feed = FeedSpec(path, "csv", columns=DECLARATIONS)
    counts, rows = _load(path, feed, tmp_path, "select min(source_row), max(source_row), count(*) from raw_feed")
    assert counts == FeedCounts(records, records, 0)
    assert rows == [(1, records, records)]
