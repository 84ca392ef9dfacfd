"""Whatever a table holds, each engine gives it back: one fingerprint in and out (a property, over hostile text)."""

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omphalos.tables.contract import INT_MAX, INT_MIN, Column, Contract
from omphalos.tables.fingerprint import fingerprint
from omphalos.warehouse.duckdb_engine import DuckDb
from omphalos.warehouse.engine import EngineError
from omphalos.warehouse.sqlite_engine import Sqlite

CONTRACT = Contract(
    table="things",
    version=1,
    grain="one row per thing",
    key=("a", "n"),
    column=(
        Column("a", "text", "key"),
        Column("n", "int", "key"),
        Column("t", "text", "any text", nullable=True),
        Column("i", "int", "any integer", nullable=True),
    ),
)
# SQLite and PostgreSQL end a text at NUL; the feed refuses it. Surrogates are no UTF-8.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)
HOSTILE = [
    "",
    " ",
    "'",
    '"',
    "\\",
    "\\.",
    "\n",
    "\r\n",
    "a,b",
    "NULL",
    "\\N",
    "é",
    "e\u0301",
    "\U0001f300",
    "\u202e",
    "%s",
    "$1",
]
ROWS = st.dictionaries(
    st.tuples(st.sampled_from(HOSTILE) | TEXT, st.integers(INT_MIN, INT_MAX)),
    st.tuples(st.none() | st.sampled_from(HOSTILE) | TEXT, st.none() | st.integers(INT_MIN, INT_MAX)),
    max_size=20,
)


def table_of(rows: dict[Any, Any]) -> pa.Table:
    """Return the rows in key order, text by its UTF-8 bytes."""
    ordered = sorted(rows.items(), key=lambda row: (row[0][0].encode(), row[0][1]))
    columns = [
        [k[0] for k, _ in ordered],
        [k[1] for k, _ in ordered],
        [v[0] for _, v in ordered],
        [v[1] for _, v in ordered],
    ]
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, CONTRACT.arrow_schema(), strict=True)], CONTRACT.arrow_schema()
    )


@settings(max_examples=40)
@given(ROWS)
def test_an_engine_gives_back_what_it_took(rows: dict[Any, Any]) -> None:
    """Hostile text, NULL beside the empty text, and integers at the edges keep their fingerprint on both engines."""
    table = table_of(rows)
    expected = fingerprint(table.to_batches(), CONTRACT)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "things.parquet")
        pq.write_table(table, path)
        for engine in (
            DuckDb(Path(folder, "d.duckdb"), Path(folder, "s"), {"things": path}),
            Sqlite(Path(folder, "l.sqlite")),
        ):
            engine.load("things", CONTRACT, path)
            assert expected == fingerprint(engine.batches("things", CONTRACT), CONTRACT)
            engine.make("copied", 'select a, n, t, i from "things"', table=True)
            assert expected == fingerprint(engine.batches("copied", CONTRACT), CONTRACT)
            engine.close(keep=False)


def test_columns_that_are_null_at_first_keep_their_kind(tmp_path: Path) -> None:
    """A column whose first thousands of values are NULL is read as what its contract says."""
    rows = {("k", n): (None, None) for n in range(70_000)} | {("z", 1): ("text", -5)}
    table = table_of(rows)
    pq.write_table(table, tmp_path / "things.parquet")
    engine = Sqlite(tmp_path / "l.sqlite")
    engine.load("things", CONTRACT, tmp_path / "things.parquet")
    assert fingerprint(table.to_batches(), CONTRACT) == fingerprint(engine.batches("things", CONTRACT), CONTRACT)
    engine.close(keep=False)


def test_an_overflow_is_an_error_on_both(tmp_path: Path) -> None:
    """A sum beyond 64 bits raises; it never becomes a float."""
    table = table_of({("a", 1): (None, INT_MAX), ("a", 2): (None, INT_MAX)})
    path = tmp_path / "things.parquet"
    pq.write_table(table, path)
    for engine in (DuckDb(tmp_path / "d.duckdb", tmp_path / "s", {"things": path}), Sqlite(tmp_path / "l.sqlite")):
        engine.load("things", CONTRACT, path)
        with pytest.raises(EngineError, match=r"(?i)overflow|range|cast"):
            engine.make("summed", 'select cast(sum(i) as bigint) as i from "things"', table=True)
        engine.close(keep=False)
