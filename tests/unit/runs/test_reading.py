"""A run opened in Python: lazy, checked, from a directory or a store."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import omphalos
from omphalos.format.errors import OmphalosError
from omphalos.runs.execute import Outcome
from omphalos.runs.reading import BytesChanged, NotInRun

Recorded = tuple[Path, Outcome]


def test_directory_and_store_give_the_same(copy: Recorded) -> None:
    """Every table is the same from the run directory, from the store, and as the file has it."""
    folder, outcome = copy
    directory = folder / "artifacts" / "runs" / outcome.run_id
    there, here = omphalos.open("latest", store=folder), omphalos.open(directory)
    assert outcome.run_id == there.run_id == here.run_id
    assert dict(there.tables) == dict(here.tables)
    for name, rows in there.tables.items():
        assert rows == there.arrow(name).num_rows
        assert there.arrow(name).equals(here.arrow(name))
    assert here.arrow("review").equals(pq.read_table(directory / "review" / "review.parquet"))
    assert set(there) >= {"trade_feed", "review", "entity_exposure"}
    assert (directory / "reports" / "briefing.html").read_bytes() == there.bytes("reports/briefing.html")


def test_a_run_is_read_from_the_store_alone(copy: Recorded) -> None:
    """Without a run directory the bytes come out of the objects of the store."""
    import shutil

    shutil.rmtree(copy[0] / "artifacts")
    assert 495 == omphalos.open(copy[1].run_id, store=copy[0]).arrow("trade_feed").num_rows


def test_numbers_stay_whole_in_pandas(run_directory: Path) -> None:
    """A number beside a gap is no float, and text is text."""
    run = omphalos.open(run_directory)
    frame = run.pandas("trade_feed")
    assert pd.Int64Dtype() == frame["value_minor"].dtype
    assert frame["value_minor"].isna().sum() == run.arrow("trade_feed")["value_minor"].null_count
    assert not [name for name, kind in frame.dtypes.items() if str(kind).startswith("float")]


def test_relations_share_a_connection_that_sees_no_file(run_directory: Path) -> None:
    """Two relations can be joined; a file of the machine cannot be read."""
    import duckdb

    run = omphalos.open(run_directory)
    joined = run.relation("review").join(run.relation("registry"), "entity_id")
    assert run.tables["review"] == len(joined.fetchall())
    with pytest.raises(duckdb.Error):
        run._connection.execute("select * from read_csv('/etc/passwd')")


@pytest.mark.parametrize("damage", ["changed", "longer", "gone", "link"])
def test_changed_bytes_are_refused_when_they_are_used(run_directory: Path, damage: str) -> None:
    """Opening reads no table; the first use of a changed one is an error that names the file."""
    path = run_directory / "review" / "review.parquet"
    data = path.read_bytes()
    path.unlink()
    if damage == "changed":
        path.write_bytes(data[:-5] + b"x" + data[-4:])
    elif damage == "longer":
        path.write_bytes(data + b"x")
    elif damage == "link":
        (run_directory.parent / "elsewhere").write_bytes(data)
        path.symlink_to(run_directory.parent / "elsewhere")
    run = omphalos.open(run_directory)
    assert run.arrow("registry").num_rows
    for read in (run.arrow, run.pandas, run.relation):
        with pytest.raises(BytesChanged, match=r"review/review\.parquet"):
            read("review")


def test_a_changed_manifest_is_refused(run_directory: Path) -> None:
    """A manifest that does not hold together opens no run."""
    path = run_directory / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"rows": 495', b'"rows": 494').replace(b'"size": 1', b'"size": 2', 1))
    with pytest.raises(OmphalosError):
        omphalos.open(run_directory)


def test_names_that_are_not_there_are_suggested(run_directory: Path) -> None:
    """A misspelled table or file gets a suggestion."""
    run = omphalos.open(run_directory)
    with pytest.raises(NotInRun) as error:
        run.arrow("reviews")
    assert "review" in error.value.hint
    with pytest.raises(NotInRun, match="no file"):
        run.bytes("review/../manifest.json")
    with pytest.raises(OmphalosError):
        omphalos.open("nothing-of-the-kind", store=run_directory)


def test_nothing_heavy_is_loaded_before_it_is_asked_for(run_directory: Path) -> None:
    """Opening a run loads neither DuckDB nor Arrow nor pandas; Arrow alone does not load pandas."""
    code = (
        "import sys, omphalos\n"
        f"run = omphalos.open({str(run_directory)!r})\n"
        "run.bytes('reports/validation.json')\n"
        "assert not {'pandas', 'pyarrow', 'duckdb', 'numpy'} & set(sys.modules)\n"
        "run.arrow('review')\n"
        "assert not {'pandas', 'duckdb'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
