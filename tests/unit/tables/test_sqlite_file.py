"""The one SQLite file: made in one pass, the same bytes for the same rows, with what the contracts declare."""

import sqlite3
from pathlib import Path

import duckdb
import pytest

from omphalos.tables.contract import ContractError, parse_contract
from omphalos.tables.fingerprint import FingerprintError, fingerprint
from omphalos.tables.sqlite_file import SqliteFile, sqlite_ddl, write_sqlite
from omphalos.tables.write import read_batches, write_parquet

PEOPLE = """
table = "people"
version = 1
grain = "one row per person"
key = ["id"]
index = [["town"], ["town", "age"]]
column = [
  {name = "id", kind = "text", about = "id"},
  {name = "town", kind = "text", about = "town", nullable = true},
  {name = "age", kind = "int", about = "years"},
]
"""
TOWNS = """
table = "towns"
version = 1
grain = "one row per town"
key = ["town"]
column = [{name = "town", kind = "text", about = "town"}, {name = "land", kind = "text", about = "land"}]
"""
LANDS = """
table = "lands"
version = 1
grain = "one row per person"
key = ["id"]
view = "SELECT people.id, towns.land FROM people JOIN towns ON towns.town = people.town"
column = [{name = "id", kind = "text", about = "id"}, {name = "land", kind = "text", about = "land"}]
"""
CONTRACTS = {name: parse_contract(text, where=name) for name, text in
             (("people", PEOPLE), ("towns", TOWNS), ("lands", LANDS))}  # fmt: skip


def files(folder: Path, rows: int = 200_000) -> list[tuple[Path, object]]:
    """Return the Parquet files of the three tables, in key order, with their contracts."""
    con = duckdb.connect()
    con.execute(
        "create table people as select 'p' || lpad(i::varchar, 7, '0') as id, 't' || (i * 7919 % 50) as town, "
        f"i % 90 as age from range({rows}) r(i)"
    )
    con.execute("create table towns as select 't' || i as town, 'l' || (i % 7) as land from range(50) r(i)")
    con.execute("create table lands as select id, land from people join towns using (town)")
    folder.mkdir(exist_ok=True)
    for name, contract in CONTRACTS.items():
        write_parquet(con, name, contract, folder / f"{name}.parquet")
    return [(folder / f"{name}.parquet", contract) for name, contract in CONTRACTS.items()]


def test_workers_change_no_byte_and_no_page_was_used_twice(tmp_path: Path) -> None:
    """One, two or five workers write one and the same file, which is sound and has nothing to vacuum."""
    tables = files(tmp_path / "in")
    made = [tmp_path / f"{workers}.sqlite" for workers in (1, 2, 5)]
    for path, workers in zip(made, (1, 2, 5), strict=True):
        write_sqlite(tables, path, tmp_path, workers=workers)  # type: ignore[arg-type]  # pairs of path and contract

    assert 1 == len({path.read_bytes() for path in made})
    with sqlite3.connect(f"file:{made[0]}?mode=ro", uri=True) as db:
        assert [("ok",)] == db.execute("pragma integrity_check").fetchall()
        assert (0,) == db.execute("pragma freelist_count").fetchone()
        pages = db.execute("pragma page_count").fetchone()[0]
        db.execute(f"vacuum into '{tmp_path / 'vacuumed.sqlite'}'")
    with sqlite3.connect(tmp_path / "vacuumed.sqlite") as db:
        # A vacuumed copy packs the pages of the first table a little better, and saves no more than that.
        assert abs(pages - db.execute("pragma page_count").fetchone()[0]) <= pages // 20
    assert ["1.sqlite", "2.sqlite", "5.sqlite", "in", "vacuumed.sqlite"] == sorted(p.name for p in tmp_path.iterdir())


def test_indexes_and_views_are_those_of_the_contracts(tmp_path: Path) -> None:
    """Every declared index is there and used, and a view gives the rows of the table it stands for."""
    tables = files(tmp_path / "in", 5_000)
    written = write_sqlite(tables, tmp_path / "t.sqlite", tmp_path)  # type: ignore[arg-type]  # as above

    assert ["people", "towns"] == sorted(written)
    with sqlite3.connect(tmp_path / "t.sqlite") as db:
        named = dict(db.execute("select name, type from sqlite_master where type <> 'table'"))
        assert {"people_by_town": "index", "people_by_town_age": "index", "lands": "view"} == {
            name: kind for name, kind in named.items() if not name.startswith("sqlite_")
        }
        plan = db.execute("explain query plan select id from people where town = 't1' and age = 3").fetchone()
        assert "people_by_town" in plan[3]
        rows = db.execute("select id, land from lands order by id").fetchall()
    con = duckdb.connect()
    there = f"read_parquet('{tmp_path / 'in' / 'lands.parquet'}')"
    assert con.execute(f"select id, land from {there} order by id").fetchall() == rows


def test_rows_out_of_order_leave_no_file(tmp_path: Path) -> None:
    """A Parquet file that is not in key order is refused, and nothing of the SQLite file stays."""
    tables = files(tmp_path / "in", 100)
    duckdb.connect().execute(
        f"copy (select * from read_parquet('{tables[1][0]}') order by town desc) to '{tmp_path / 'in' / 'x.parquet'}'"
    )
    (tmp_path / "in" / "x.parquet").replace(tables[1][0])

    with pytest.raises(FingerprintError, match="key order"):
        write_sqlite(tables, tmp_path / "t.sqlite", tmp_path)  # type: ignore[arg-type]  # as above
    assert ["in"] == [path.name for path in tmp_path.iterdir()]


def test_a_folder_may_be_called_anything(tmp_path: Path) -> None:
    """A folder whose name has marks of a URI or of SQL in it is a folder like any other."""
    place = tmp_path / "it's 100%41? #1"
    place.mkdir()
    write_sqlite(files(tmp_path / "in", 10), place / "t.sqlite", place)  # type: ignore[arg-type]  # as above

    assert ["t.sqlite"] == [path.name for path in place.iterdir()]


def test_an_empty_table_is_there(tmp_path: Path) -> None:
    """A table without rows stands in the file, with its indexes."""
    con = duckdb.connect()
    con.execute("create table people (id varchar, town varchar, age bigint)")
    written = write_parquet(con, "people", CONTRACTS["people"], tmp_path / "p.parquet")
    lite = write_sqlite([(tmp_path / "p.parquet", CONTRACTS["people"])], tmp_path / "t.sqlite", tmp_path)

    assert {"people": written} == lite
    assert written.fingerprint == fingerprint(read_batches(con, "people", CONTRACTS["people"]), CONTRACTS["people"])[1]
    with sqlite3.connect(tmp_path / "t.sqlite") as db:
        assert (0,) == db.execute("select count(*) from people").fetchone()
    assert "STRICT, WITHOUT ROWID" in sqlite_ddl(CONTRACTS["people"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('index = [["town"], ["town", "age"]]', 'index = [["village"]]', "village"),
        ('index = [["town"], ["town", "age"]]', 'index = [["town"]]\nview = "select 1"', "view has no index"),
    ],
)
def test_a_contract_with_a_wrong_index_is_refused(old: str, new: str, says: str) -> None:
    """An index on what is no column, or on a view, is a contradiction in the contract."""
    assert old in PEOPLE
    with pytest.raises(ContractError, match=says):
        parse_contract(PEOPLE.replace(old, new), where="people")


def test_a_file_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    """A file that is not finished ends the writing of the tables that were begun, and nothing of it stays."""
    place = tmp_path / "place"
    place.mkdir()
    tables = files(tmp_path / "in")
    with SqliteFile(place, workers=1) as lite:
        lite.add(tables)  # type: ignore[arg-type]  # pairs of path and contract
    assert list(place.iterdir()) == []
    assert all(job.cancelled() or job.exception() is not None for _, _, job in lite._parts)
