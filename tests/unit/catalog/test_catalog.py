"""The machinery of the catalog: front matter, parameters, sandboxes, limits, formats."""

import json
import re
import sqlite3
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omphalos.catalog.answer import FORMATS, ad_hoc_record, record, render
from omphalos.catalog.execute import Answer, QueryFailed, QueryLimits, QueryTimeout, Where, execute, execute_ad_hoc
from omphalos.catalog.query import (
    ParameterError,
    QueryError,
    UnknownQuery,
    ad_hoc,
    find_query,
    load_catalog,
    parse_query,
)
from omphalos.format.errors import OmphalosError
from omphalos.tables.fingerprint import FingerprintError

GOOD = """/*---
question = "Which parties?"
grain = "one row per party"
key = ["party_id"]
tables = ["parties"]
engines = ["duckdb", "sqlite"]
caveat = "none to speak of"

[columns]
party_id = "text"
n = "int"

[parameters.top]
kind = "int"
default = 2
min = 1
max = 5
about = "rows"

[parameters.who]
kind = "text"
default = ""
max_bytes = 10
about = "name"
---*/
select party_id, cast(count(*) as bigint) as n from parties where $who = '' or name = $who group by party_id
order by party_id
limit $top
"""


def test_a_query_file_is_read() -> None:
    """Front matter and text become a query."""
    query = parse_query(GOOD, "audit/x")
    assert ("Which parties?", ("party_id",), {"top", "who"}) == (query.question, query.key, set(query.parameters))
    assert query.sql.startswith("select ")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("/*---", "/*", "front matter"),
        ('caveat = "none to speak of"', "", "caveat"),
        ('caveat = "none to speak of"', 'caveat = ""', "caveat"),
        ("[columns]", "extra = 1\n[columns]", "extra"),
        ("Which parties?", "Parties", "question"),
        ('key = ["party_id"]', 'key = ["other"]', "key"),
        ('tables = ["parties"]', 'tables = ["review"]', "tables"),
        ("limit $top", "limit 3", "parameters"),
        ("limit $top", "limit $top + $other", "parameters"),
        ("order by party_id\n", "", "order by"),
        ("count(*)", "count(*) / 2", "division"),
        ("count(*)", "avg(1)", "avg"),
        ("limit $top", "limit $top; drop table parties", "more than one"),
        ("select party_id", "delete from parties; select party_id", "more than one|delete"),
        ("select party_id", "update parties set", "select"),
        ("where $who", "where name like 'A%' or $who", "like"),
        ("where $who", "where party_id = 'x or $who", "does not end|tables|parameters"),
        ("default = 2", 'default = "2"', "default"),
        ("default = 2", "default = 9", "must lie"),
        ("max_bytes = 10", 'code = "nothing"', "code"),
    ],
)
def test_a_query_that_breaks_a_rule_is_refused(old: str, new: str, says: str) -> None:
    """Each rule of the catalog has a message."""
    assert old in GOOD
    with pytest.raises(OmphalosError, match=says):
        parse_query(GOOD.replace(old, new, 1), "audit/x")


@pytest.mark.parametrize(
    "given_",
    [
        {"top": "0"}, {"top": "6"}, {"top": "1.5"}, {"top": "x"}, {"top": ""}, {"top": "1; drop table parties"},
        {"top": "٣"}, {"top": "9" * 30}, {"who": "x" * 11}, {"who": "a\0b"}, {"who": "\ud800"}, {"other": "1"},
    ],
)  # fmt: skip
def test_a_parameter_out_of_bounds_is_refused(given_: dict[str, str]) -> None:
    """Wrong type, out of range, unknown, too long, or no text at all: a typed error, and no engine is asked."""
    with pytest.raises(ParameterError):
        parse_query(GOOD, "audit/x").bind(given_)


def test_a_missing_parameter_is_named() -> None:
    """A parameter without default must be given, and the message says what it is."""
    with pytest.raises(ParameterError, match="party: the party"):
        find_query("review/items_of_party").bind({})


@given(st.text(max_size=40))
def test_no_text_breaks_out_of_a_parameter(text: str) -> None:
    """Whatever a person writes is either refused or comes back as the very value, on both local engines."""
    import duckdb

    query = parse_query(GOOD.replace("max_bytes = 10", "max_bytes = 400"), "audit/x")
    try:
        value = query.bind({"who": text})["who"]
    except ParameterError:
        return
    assert text == value
    with duckdb.connect() as con:
        assert (value,) == con.execute("select $who", {"who": value}).fetchone()
    assert (value,) == sqlite3.connect(":memory:").execute("select $who", {"who": value}).fetchone()


def test_injection_is_a_value(run: Path) -> None:
    """A parameter that looks like SQL finds nothing and harms nothing."""
    query = find_query("items_of_party")
    for engine in ("duckdb", "sqlite"):
        values = query.bind({"party": "' or 1=1 --"})
        assert 0 == execute(query, values, Where(engine, run)).table.num_rows  # type: ignore[arg-type]  # a literal


@pytest.mark.parametrize(
    "sql",
    [
        "drop table parties",
        "select 1; drop table parties",
        "insert into parties select 1",
        "with x as (select 1) delete from parties",
        "select * from read_csv('/etc/passwd')",
        "copy parties to '/tmp/x'",
        "attach '/tmp/x' as y",
        "pragma database_list",
        "install httpfs",
        "select getenv('HOME')",
        "select load_extension('x')",
        "select 'a",
        "",
        ";",
        "select $x",
        "/* select */ update parties set name = 'x'",
    ],
)
def test_an_ad_hoc_query_only_selects(sql: str) -> None:
    """What writes, reaches out, or is not one select is refused before an engine sees it."""
    with pytest.raises(QueryError):
        ad_hoc(sql)


@pytest.mark.parametrize("sql", ["select 1;", "select ';drop' as x", "with a as (select 1 as x) select x from a -- ;"])
def test_an_ad_hoc_query_may_hold_marks_in_text(sql: str) -> None:
    """A semicolon at the end, in a text or in a comment is no second statement."""
    assert ad_hoc(sql)


@pytest.mark.parametrize("engine", ["duckdb", "sqlite"])
def test_behind_the_check_stands_a_sandbox(run: Path, engine: str) -> None:
    """Even past the check, neither engine writes, nor reads another file."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for sql in (
        "select * from '/etc/passwd'",
        f"select * from read_blob('{__file__}')",
        "create table x as select 1 as one",
        "attach '/tmp/omphalos-test-x.db' as y",
        "delete from trade_feed",
        "pragma writable_schema = on",
    ):
        try:
            execute_ad_hoc(sql, Where(engine, run))  # type: ignore[arg-type]  # a parameter of the test
        except QueryFailed:
            continue
        assert engine == "duckdb", sql  # in DuckDB a table of the throw-away database may be made
        assert sql.startswith("create table"), sql
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize("engine", ["duckdb", "sqlite"])
def test_a_query_that_never_ends_is_ended(run: Path, engine: str) -> None:
    """A query without end stops at its time, with an error that says so."""
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    begun = time.monotonic()
    with pytest.raises(QueryTimeout, match="1 seconds"):
        execute_ad_hoc(endless, Where(engine, run), QueryLimits(seconds=1))  # type: ignore[arg-type]  # a parameter
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("engine", ["duckdb", "sqlite"])
def test_rows_beyond_the_limit_are_left_out_and_said(run: Path, engine: str) -> None:
    """The answer holds as many rows as allowed, and says that there were more."""
    where = Where(engine, run)  # type: ignore[arg-type]  # a parameter of the test
    sql = "select shipment_id from trade_feed order by shipment_id"
    cut = execute_ad_hoc(sql, where, QueryLimits(rows=3))
    assert (3, True) == (cut.table.num_rows, cut.truncated)
    assert not execute_ad_hoc(sql, where, QueryLimits(rows=36)).truncated


def test_a_grain_that_does_not_hold_is_found(run: Path) -> None:
    """An answer whose key stands twice is an error, not an answer."""
    text = GOOD.replace("group by party_id", "group by party_id, name").replace("from parties", "from shipment_parties")
    text = text.replace("name", "role").replace('"parties"', '"shipment_parties"')
    query = parse_query(text.replace("max = 5", "max = 50"), "audit/x")
    values = query.bind({"top": "50"})
    with pytest.raises(FingerprintError, match="key order"):
        execute(query, values, Where("duckdb", run))


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0" + b"\0" * 4000, b"no database"])
def test_a_damaged_warehouse_file_is_said(run: Path, tmp_path: Path, damage: bytes) -> None:
    """A SQLite file that is empty, damaged or none gives a clear error."""
    (tmp_path / "warehouse").mkdir()
    (tmp_path / "warehouse/warehouse.sqlite").write_bytes(damage)
    with pytest.raises(QueryFailed, match="cannot be run"):
        execute_ad_hoc("select count(*) from trade_feed", Where("sqlite", tmp_path))


def test_a_locked_warehouse_file_is_read(run: Path) -> None:
    """Another process that holds a lock on the file keeps nobody from reading it: a run does not change."""
    holder = sqlite3.connect(run / "warehouse/warehouse.sqlite", isolation_level=None)
    holder.execute("begin exclusive")
    answer = execute_ad_hoc("select count(*) as n from trade_feed", Where("sqlite", run))
    holder.execute("rollback")
    holder.close()
    assert [{"n": 36}] == answer.table.to_pylist()


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A run made before there were marts, or no run at all: the missing table is named."""
    query = find_query("lists_at_a_glance")
    for engine in ("duckdb", "sqlite"):
        with pytest.raises(QueryFailed, match=r"list_coverage|warehouse.sqlite"):
            execute(query, {}, Where(engine, tmp_path))  # type: ignore[arg-type]  # a literal


def test_names_are_found_and_suggested() -> None:
    """A question is found by its short name; a misspelled one gets a suggestion."""
    assert "briefing/flags_raised" == find_query("flags_raised").name
    with pytest.raises(UnknownQuery) as error:
        find_query("flag_raised")
    assert "flags_raised" in error.value.hint


def test_formats_say_the_same(run: Path) -> None:
    """CSV, JSON, Markdown, Parquet and the table hold the same rows; NULL is not the empty text where that can be."""
    table = pa.table({"a": pa.array(["x|y", "", None], pa.large_string()), "n": pa.array([1, -2, None], pa.int64())})
    answer = Answer(table, False, "")
    forms = {form: render(answer, form) for form in FORMATS}
    assert b'"a","n"\nx|y,1\n"",-2\n,\n' == forms["csv"].replace(b'"x|y"', b"x|y")
    assert table.to_pylist() == json.loads(forms["json"])
    assert b"| a | n |\n| --- | ---: |\n| x\\|y | 1 |\n|  | -2 |\n|  |  |\n" == forms["markdown"]
    assert forms["parquet"][:4] == b"PAR1"
    assert b"a     n\nx|y   1\n     -2\n" == forms["table"][: len(b"a     n\nx|y   1\n     -2\n")]
    assert forms == {form: render(answer, form) for form in FORMATS}


def test_control_characters_do_not_reach_a_terminal() -> None:
    """Escape sequences in a name are shown, not carried out."""
    answer = Answer(pa.table({"a": pa.array(["\x1b[2Jx\u202e"], pa.large_string())}), False, "")
    for form in ("table", "markdown"):
        assert not re.search(rb"[\x00-\x09\x0b-\x1f]|\xe2\x80\xae", render(answer, form))  # type: ignore[arg-type]  # literals


def test_a_record_says_how_an_answer_came_about(run: Path) -> None:
    """Text, parameters, engine, digests; nothing of the moment."""
    query = find_query("next_items")
    values = query.bind({"top": "2"})
    one = record(query, values, "duckdb", execute(query, values, Where("duckdb", run)))
    assert one == record(query, values, "duckdb", execute(query, values, Where("duckdb", run)))
    assert ({"after_rank": 0, "band": "", "top": 2}, 2, "duckdb") == (one["parameters"], one["rows"], one["engine"])
    loose = ad_hoc_record("select 1 as n", "duckdb", execute_ad_hoc("select 1 as n", Where("duckdb", run)))
    assert ({"n": "int"}, None) == (loose["columns"], loose["fingerprint"])


def test_the_catalog_loads_fast() -> None:
    """Listing the catalog needs no engine and well under a second."""
    begun = time.process_time()
    assert load_catalog()
    assert time.process_time() - begun < 1
