"""The same content gives the same bytes and the same fingerprint, whatever wrote or cut it."""

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omphalos.tables.contract import parse_contract
from omphalos.tables.fingerprint import FingerprintError, fingerprint
from omphalos.tables.sqlite_file import sqlite_ddl, write_sqlite
from omphalos.tables.write import ROW_GROUP, read_batches, write_csv, write_parquet

CONTRACT = parse_contract(
    """
table = "t"
version = 1
grain = "one row per id"
key = ["k", "n"]
column = [
  { name = "k", kind = "text", about = "x" },
  { name = "n", kind = "int", about = "x" },
  { name = "word", kind = "text", about = "x", nullable = true },
  { name = "amount", kind = "int", about = "x", nullable = true },
]
""",
    where="t",
)
ROWS = "('b', 2, 'Ελλάς', 5), ('a', 1, null, null), ('a', 2, '', -7), ('ä', 1, 'quote \" comma , line\nbreak', 0)"


def _connect(rows: str = ROWS, threads: int = 1) -> Any:
    con = duckdb.connect(config={"threads": threads})
    con.execute(f"create table t as select * from (values {rows}) v(k, n, word, amount)")
    return con


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_one_content_has_one_fingerprint_in_every_format(tmp_path: Path) -> None:
    """Parquet, CSV and SQLite of one table carry the same fingerprint, and it can be had back from the files."""
    con = _connect()
    parquet = write_parquet(con, "t", CONTRACT, tmp_path / "t.parquet")
    csv = write_csv(con, "t", CONTRACT, tmp_path / "t.csv")
    lite = write_sqlite([(tmp_path / "t.parquet", CONTRACT)], tmp_path / "t.sqlite", tmp_path)["t"]

    back = fingerprint(pq.read_table(tmp_path / "t.parquet").to_batches(max_chunksize=1), CONTRACT)
    with sqlite3.connect(tmp_path / "t.sqlite") as db:
        rows = db.execute("select k, n, word, amount from t order by k, n").fetchall()
    again = fingerprint(
        pa.Table.from_pylist([dict(zip(CONTRACT.names, r, strict=True)) for r in rows]).to_batches(), CONTRACT
    )

    assert parquet == csv == lite
    assert (4, parquet.fingerprint) == back == again


def test_null_and_the_empty_text_stay_apart(tmp_path: Path) -> None:
    """A CSV says NULL by nothing and the empty text by two quotes, and both survive reading."""
    write_csv(_connect(), "t", CONTRACT, tmp_path / "t.csv")

    text = (tmp_path / "t.csv").read_text("utf-8")

    assert text.startswith('k,n,word,amount\na,1,,\na,2,"",-7\n')
    assert '"quote "" comma , line\nbreak"' in text


@pytest.mark.parametrize("threads", [1, 2])
def test_bytes_do_not_follow_threads_or_row_order(tmp_path: Path, threads: int) -> None:
    """Rows that arrive in another order, on another number of threads, give the very same files."""
    total = ROW_GROUP + 5_000
    digests = set()
    for name, order in (("one", "i"), ("two", f"(i * 7919) % {total}")):
        con = duckdb.connect(config={"threads": threads if name == "two" else 1})
        con.execute(
            "create table t as select 'k' || lpad(cast(i as varchar), 8, '0') as k, i as n, "
            "case when i % 3 = 0 then null else 'w' || (i % 11) end as word, i % 1000 as amount "
            f"from range({total}) r(i) order by {order}"
        )
        files = [tmp_path / f"{name}{threads}{suffix}" for suffix in (".parquet", ".csv", ".sqlite")]
        write_parquet(con, "t", CONTRACT, files[0])
        write_csv(con, "t", CONTRACT, files[1])
        write_sqlite([(files[0], CONTRACT)], files[2], tmp_path, workers=threads)
        digests.add(tuple(_digest(path) for path in files))

    assert 1 == len(digests)


def test_an_empty_table_is_still_a_file(tmp_path: Path) -> None:
    """A table of no rows has a schema, a header and a fingerprint."""
    con = duckdb.connect()
    con.execute("create table t (k varchar, n bigint, word varchar, amount bigint)")

    parquet = write_parquet(con, "t", CONTRACT, tmp_path / "t.parquet")
    csv = write_csv(con, "t", CONTRACT, tmp_path / "t.csv")

    assert parquet == csv
    assert 0 == pq.read_table(tmp_path / "t.parquet").num_rows
    assert "k,n,word,amount\n" == (tmp_path / "t.csv").read_text()


def test_the_sqlite_file_is_strict_and_sound(tmp_path: Path) -> None:
    """The warehouse file passes SQLite's own check and refuses a value of another type."""
    write_parquet(_connect(), "t", CONTRACT, tmp_path / "t.parquet")
    write_sqlite([(tmp_path / "t.parquet", CONTRACT)], tmp_path / "t.sqlite", tmp_path)

    with sqlite3.connect(tmp_path / "t.sqlite") as db:
        assert [("ok",)] == db.execute("pragma integrity_check").fetchall()
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("insert into t values ('z', 'not a number', null, null)")
    assert "STRICT, WITHOUT ROWID" in sqlite_ddl(CONTRACT)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("('a', 1, null, null), ('a', 1, 'x', 2)", "key order"),
        ("('a', cast(null as bigint), null, null)", "NULL"),
    ],
)
def test_a_broken_key_is_refused(tmp_path: Path, rows: str, says: str) -> None:
    """A key that stands twice or is NULL makes writing fail instead of recording a wrong table."""
    with pytest.raises(FingerprintError, match=says):
        write_parquet(_connect(rows), "t", CONTRACT, tmp_path / "t.parquet")


def test_rows_out_of_order_are_refused_across_batches() -> None:
    """The order is checked between batches as well as within one."""
    table = pa.Table.from_batches(list(read_batches(_connect(), "t", CONTRACT)))
    batches = [table.slice(2).to_batches()[0], table.slice(0, 2).to_batches()[0]]

    with pytest.raises(FingerprintError, match="key order"):
        fingerprint(batches, CONTRACT)
    assert 4 == fingerprint(table.to_batches(max_chunksize=1), CONTRACT)[0]


def test_a_change_of_any_cell_changes_the_fingerprint() -> None:
    """Moving a letter from one cell to the next, or NULL to empty, gives another fingerprint."""
    variants = [
        "('a', 1, 'xy', 1), ('b', 1, 'z', 1)",
        "('a', 1, 'x', 1), ('b', 1, 'yz', 1)",
        "('a', 1, null, 1), ('b', 1, 'xyz', 1)",
        "('a', 1, '', 1), ('b', 1, 'xyz', 1)",
        "('a', 1, 'xy', null), ('b', 1, 'z', 1)",
        "('a', 1, 'xy', 0), ('b', 1, 'z', 1)",
    ]
    prints = {fingerprint(read_batches(_connect(rows), "t", CONTRACT), CONTRACT)[1] for rows in variants}

    assert len(variants) == len(prints)


@pytest.mark.parametrize(
    ("rows", "ordered"),
    [
        ([("a", 1), ("a", 2), ("b", 1)], True),
        ([("b", 1), ("a", 2)], False),
        ([("a", 2), ("a", 1)], False),
        ([("a", 1), ("b", 1), ("a", 2)], False),
        ([("a", 1), ("a", 1)], False),
    ],
)
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_the_whole_key_orders_the_rows(rows: list[tuple[str, int]], ordered: bool, cut: int) -> None:
    """Rows that ascend by the last column of the key alone are not in order, within a batch or across batches."""
    table = pa.table(
        {"k": [k for k, _ in rows], "n": [n for _, n in rows], "word": ["x"] * len(rows), "amount": [0] * len(rows)}
    )
    batches = table.cast(CONTRACT.arrow_schema()).to_batches(max_chunksize=cut)
    if ordered:
        assert fingerprint(batches, CONTRACT)[0] == len(rows)
    else:
        with pytest.raises(FingerprintError, match="key order"):
            fingerprint(batches, CONTRACT)
