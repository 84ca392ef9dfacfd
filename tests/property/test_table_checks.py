"""The checks of tables say what the plain definitions of order and of doubles say, for all rows."""

import itertools
from typing import TypeAlias

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from omphalos.tables.check import duplicates, is_in_key_order
from omphalos.tables.contract import parse_contract

CONTRACT = parse_contract(
    """
table = "p"
version = 1
grain = "one row per (a, b)"
key = ["a", "b"]
column = [
  { name = "a", kind = "text", about = "x" },
  { name = "b", kind = "int", about = "x" },
]
""",
    where="p",
)
Row: TypeAlias = tuple[str, int]
KEYS = st.lists(
    st.tuples(st.sampled_from(["", "A", "a", "ab", "é", "\U0001f600", "z"]), st.integers(-2, 2)), max_size=8
)


def _table(rows: list[Row]) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"threads": 1})
    con.execute("create table p (n bigint, a varchar, b bigint)")
    if rows:
        con.executemany("insert into p values (?, ?, ?)", [(n, *row) for n, row in enumerate(rows)])
    return con


@settings(max_examples=60, deadline=None)
@given(KEYS, st.booleans())
def test_order_is_that_of_the_bytes_of_the_keys(rows: list[Row], arranged: bool) -> None:
    """Rows are in key order exactly where each key, as UTF-8 bytes and integers, is above the one before."""
    keys = [(text.encode(), number) for text, number in rows]
    if arranged:
        keys.sort()
    expected = all(before < after for before, after in itertools.pairwise(keys))

    with _table([(text.decode(), number) for text, number in keys]) as con:
        assert expected == is_in_key_order(con, "p", CONTRACT)


@settings(max_examples=60, deadline=None)
@given(KEYS)
def test_every_row_but_the_first_of_a_key_is_a_double(rows: list[Row]) -> None:
    """Of the rows with one key all but the one with the smallest number are reported, each once."""
    expected = [n for n, row in enumerate(rows) if row in rows[:n]]

    with _table(rows) as con:
        con.execute("create table found (source_row bigint, field varchar, reason varchar, value varchar)")
        assert len(expected) == duplicates(con, "p", CONTRACT, row="n", into="found")
        assert [(n, "a,b", "duplicateKey") for n in expected] == con.execute(
            "select source_row, field, reason from found order by source_row"
        ).fetchall()
