"""Whatever the seed and the sizes, the files can be parsed and agree with one another."""

import csv
import io
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from omphalos.screening.synthetic import SyntheticParams, defects, generate


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a strict CSV file."""
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8"), newline=""), strict=True))


@settings(max_examples=60)
@given(seed=st.integers(0, (1 << 64) - 1), shipments=st.integers(0, 260), entities=st.integers(0, 40))
def test_files_agree(seed: int, shipments: int, entities: int) -> None:
    """The feed has as many rows as asked for, entity ids are unique, and the truth points at sound rows."""
    params = SyntheticParams(seed, shipments, entities)
    with tempfile.TemporaryDirectory() as folder:
        files = generate(params, Path(folder))
        feed, registry, truth = rows(files.feed), rows(files.registry), rows(files.truth)

    bad = {defect.source_row for defect in defects(params)}
    sound = [row["declaration_id"] for number, row in enumerate(feed, 1) if number not in bad]
    ids = {row["entity_id"] for row in registry}
    assert len(feed) == shipments
    assert all(None not in row and None not in row.values() for row in feed + registry + truth)
    assert len(ids) == len(registry) == entities
    assert len(sound) == len(set(sound))
    assert {row["declaration_id"] for row in truth} <= set(sound)
    assert {row["entity_id"] for row in truth} <= ids
    assert len(truth) <= shipments // 50 + 1
    assert shipments // 100 <= len(bad) <= shipments // 100 + 1


@settings(max_examples=30)
@given(seed=st.integers(0, (1 << 64) - 1), cut=st.integers(0, 200), chunk=st.integers(1, 250))
def test_a_feed_begins_with_every_smaller_one(seed: int, cut: int, chunk: int) -> None:
    """Neither the number of shipments nor the chunking changes a row."""
    with tempfile.TemporaryDirectory() as folder:
        whole = generate(SyntheticParams(seed, 200, 20), Path(folder) / "whole")
        part = generate(SyntheticParams(seed, cut, 20), Path(folder) / "part", chunk=chunk)

        assert whole.feed.read_bytes().startswith(part.feed.read_bytes())
        assert whole.truth.read_bytes().startswith(part.truth.read_bytes())
