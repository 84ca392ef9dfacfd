"""Every broken rule of every row is found, named and counted."""

import duckdb
import pytest

from omphalos.tables.check import duplicates, is_in_key_order, violations
from omphalos.tables.contract import load_contract, parse_contract

CONTRACT = parse_contract(
    """
table = "t"
version = 1
grain = "one row per id"
key = ["id"]
column = [
  { name = "id", kind = "text", about = "x", max_bytes = 4 },
  { name = "flow", kind = "text", about = "x", nullable = true, one_of = ["import", "export"] },
  { name = "month", kind = "text", about = "x", nullable = true, code = "month" },
  { name = "score", kind = "int", about = "x", nullable = true, min = 0, max = 10 },
]
""",
    where="t",
)


def _check(rows: str) -> list[tuple[object, ...]]:
    con = duckdb.connect()
    con.execute("create table t (source_row bigint, id varchar, flow varchar, month varchar, score bigint)")
    con.execute(f"insert into t values {rows}")
    con.execute("create table rejects(source_row bigint, field varchar, reason varchar, value varchar)")
    violations(con, "t", CONTRACT, row="source_row", into="rejects")
    return con.execute("select * from rejects order by all").fetchall()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("(1, 'a', 'import', '2025-12', 10)", []),
        ("(1, 'a', null, null, null)", []),
        ("(1, null, 'import', '2025-12', 1)", [(1, "id", "missingValue", None)]),
        ("(1, 'ääää', null, null, 1)", [(1, "id", "tooLong", "ääää")]),
        ("(1, 'a', 'IMPORT', null, 1)", [(1, "flow", "notAllowed", "IMPORT")]),
        ("(1, 'a', null, '2025-13', 1)", [(1, "month", "badCode", "2025-13")]),
        ("(1, 'a', null, '2025-12x', 1)", [(1, "month", "badCode", "2025-12x")]),
        ("(1, 'a', null, null, -1)", [(1, "score", "belowMinimum", "-1")]),
        ("(1, 'a', null, null, 11)", [(1, "score", "aboveMaximum", "11")]),
        ("(1, 'e\u0301', null, null, 1)", [(1, "id", "notNfc", "e\u0301")]),
    ],
)
def test_each_rule_names_its_row_field_and_reason(row: str, expected: list[tuple[object, ...]]) -> None:
    """A row that breaks a rule is reported with its number, field, reason and value, and a sound row is not."""
    assert expected == _check(row)


def test_one_row_may_break_several_rules() -> None:
    """All reasons of a row are reported, not only the first."""
    assert [(7, "month", "badCode", "x"), (7, "score", "aboveMaximum", "99")] == _check("(7, 'a', null, 'x', 99)")


def test_the_first_of_equal_keys_stays() -> None:
    """Of rows with one key the smallest row number stays and each other one is reported."""
    con = duckdb.connect()
    con.execute("create table t as select * from (values (3, 'a'), (1, 'a'), (2, 'b'), (9, 'a')) v(source_row, id)")
    con.execute("create table rejects(source_row bigint, field varchar, reason varchar, value varchar)")

    found = duplicates(con, "t", CONTRACT, row="source_row", into="rejects")

    assert 2 == found
    assert [(3, "id", "duplicateKey", "a"), (9, "id", "duplicateKey", "a")] == con.execute(
        "select * from rejects order by all"
    ).fetchall()


PAIRS = parse_contract(
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


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], True),
        ([("a", 1)], True),
        ([("a", 1), ("a", 2), ("b", 1)], True),
        ([("a", 9), ("b", 1), ("b", 1)], False),
        ([("a", 1), ("b", 2), ("a", 3)], False),
        ([("a", 2), ("a", 1)], False),
        ([("B", 1), ("a", 1), ("ä", 1)], True),
        ([("a", 1), (None, 2), ("b", 1)], False),
        ([("a", 1), ("a", None)], False),
    ],
)
def test_whether_rows_ascend_by_their_key(rows: list[tuple[str | None, int | None]], expected: bool) -> None:
    """Rows that stand strictly ascending by the whole key are told from rows of which one is out of place or twice."""
    con = duckdb.connect()
    con.execute("create table p (a varchar, b bigint)")
    for row in rows:
        con.execute("insert into p values (?, ?)", row)

    assert expected == is_in_key_order(con, "p", PAIRS)


def test_the_order_of_many_rows_is_seen_across_threads() -> None:
    """One row out of place among more than a thread takes at once is found, and none where there is none."""
    con = duckdb.connect(config={"threads": 4})
    con.execute("create table p as select lpad(i::varchar, 8, '0') as a, i::bigint as b from range(600000) r(i)")
    assert is_in_key_order(con, "p", PAIRS)

    con.execute("update p set a = '00000000' where b = 599000")
    assert not is_in_key_order(con, "p", PAIRS)


def test_the_shipped_feed_contract_can_be_checked() -> None:
    """The SQL made from the largest shipped contract runs on the engine."""
    contract = load_contract("trade_feed")
    con = duckdb.connect()
    columns = ", ".join(f"{c.name} {'varchar' if c.kind == 'text' else 'bigint'}" for c in contract.column)
    con.execute(f"create table feed ({columns})")
    con.execute("create table rejects(source_row bigint, field varchar, reason varchar, value varchar)")

    assert 0 == violations(con, "feed", contract, row="source_row", into="rejects")
