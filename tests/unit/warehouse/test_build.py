"""Marts of the small run: right rows, same bytes, the same on DuckDB and SQLite, and failures that name their model."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest

from omphalos.tables.contract import load_contract
from omphalos.tables.fingerprint import fingerprint
from omphalos.warehouse.build import ModelFailed, TestFailed, build
from omphalos.warehouse.duckdb_engine import DuckDb
from omphalos.warehouse.engine import EngineError
from omphalos.warehouse.marts import Limits, build_target, plan_for, tables_of, write_marts
from omphalos.warehouse.project import Node, Plan, ProjectError, project_folder
from omphalos.warehouse.sqlite_engine import Sqlite


@pytest.fixture
def marts(small_run: Path, work: Path) -> Callable[[str], list[dict[str, Any]]]:
    """Return a function that gives the rows of a mart of the small run, in key order."""
    write_marts(small_run, work)
    return lambda name: pq.read_table(small_run / "marts" / f"{name}.parquet").to_pylist()


def test_prices_far_from_the_median_are_outliers(marts: Any) -> None:
    """Of 24 prices around 100 with a spread of 5, those of 900 and 1 lie more than six spreads away, and no other."""
    found = [
        (r["shipment_id"], r["direction"], r["price_per_kg_minor"], r["median_minor"], r["spread_minor"])
        for r in marts("price_outliers")
    ]
    assert [("S105", "above", 900, 100, 5), ("S117", "below", 1, 100, 5)] == found


def test_first_time_importers_come_three_months_after_the_feed_begins(marts: Any) -> None:
    """The feed begins in November 2023: importers first seen in February 2024 or later are new."""
    found = [(r["importer_id"], r["first_month"], r["months_after_feed_start"]) for r in marts("first_time_importers")]
    assert [("P06", "2024-03", 4), ("P08", "2024-02", 3), ("P10", "2024-04", 5)] == found


def test_counterparties_stand_on_the_other_side(marts: Any) -> None:
    """An exporter faces the others, the others face the exporter; low matches open no side."""
    found = [(r["entity_id"], r["counterparty_id"], r["shipments"]) for r in marts("counterparties_of_listed")]
    assert [
        ("alpha:1", "P01", 2),
        ("alpha:1", "P09", 1),
        ("alpha:2", "P03", 1),
        ("alpha:2", "P07", 1),
        ("alpha:2", "P08", 1),
    ] == found


def test_flags_are_counted_and_never_doubled(marts: Any) -> None:
    """The shipment in which nothing is given is flagged for what it lacks, once each."""
    flags = [(r["shipment_id"], r["flag"]) for r in marts("flagged_shipments")]
    assert len(flags) == len(set(flags))
    assert ["commodityNotGiven"] == [flag for shipment, flag in flags if shipment == "S009"]
    found = [flag for shipment, flag in flags if shipment == "S010"]
    assert ["highPriorityGoods", "highPriorityToTransshipmentPoint", "importerNotGiven"] == found
    counted = sum(r["shipments"] for r in marts("red_flag_counts"))
    assert len(flags) == counted


def test_corridors_hold_what_is_not_known(marts: Any) -> None:
    """A shipment without places, chapter, month and currency stands under ZZ, 00 and XXX; it is not lost."""
    unknown = [r for r in marts("corridor_flows") if r["origin_country"] == "ZZ"]
    assert [("ZZ", "ZZ", "00", "2024-03", "XXX", 1, 0, None)] == [
        (
            r["origin_country"],
            r["destination_country"],
            r["hs_chapter"],
            r["ship_month"],
            r["currency"],
            r["shipments"],
            r["valued_shipments"],
            r["value_minor"],
        )
        for r in unknown
    ]


def test_lists_are_covered_and_grow(marts: Any) -> None:
    """Coverage counts each list once, whatever joins to it; growth adds up to it."""
    coverage = {r["source"]: r for r in marts("list_coverage")}
    assert (3, 2, 2, 1) == tuple(
        coverage["alpha"][name] for name in ("entities", "aliases", "addresses", "without_country")
    )
    assert (2, 1, 1, 1) == tuple(
        coverage["beta"][name] for name in ("entities", "weak_aliases", "identifiers", "without_listing_month")
    )
    last = {r["source"]: r["listed_so_far"] for r in marts("list_growth")}
    assert {"alpha": 3, "beta": 2} == last


@pytest.mark.parametrize("name", sorted(path.stem for path in (project_folder() / "models/marts").glob("*.sql")))
def test_a_mart_obeys_its_contract(small_run: Path, work: Path, name: str) -> None:
    """Every rule of the contract holds for every row: NULLs, ranges, codes, key."""
    import duckdb

    from omphalos.tables.check import duplicates, violations

    write_marts(small_run, work)
    with duckdb.connect() as con:
        con.execute(f"create table t as select *, row_number() over () as n from '{small_run}/marts/{name}.parquet'")
        con.execute("create table broken(source_row bigint, field varchar, reason varchar, value varchar)")
        contract = load_contract(name)
        violations(con, "t", contract, row="n", into="broken")
        duplicates(con, "t", contract, row="n", into="broken")
        assert [] == con.execute("from broken").fetchall()


def test_the_same_run_gives_the_same_bytes(tmp_path: Path, small_run: Path) -> None:
    """Threads, memory, where scratch lies, and how many shipments are joined at a time leave no trace in any file."""
    seen = []
    for number, limits in enumerate([Limits(1, "512MiB"), Limits(4, "2GiB"), Limits(slice_rows=7)]):
        work = tmp_path / f"elsewhere-{number}"
        work.mkdir()
        built, files = write_marts(small_run, work, limits)
        seen.append({file.path: (small_run / file.path).read_bytes() for file in files})
        assert built.record == (small_run / "reports/warehouse.json").read_bytes()
        assert str(tmp_path).encode() not in built.record
        made = {path.name for path in (work / "made").iterdir()}
        assert ("int_shipments-00001.parquet" in made) == (number == 2)
    assert seen[0] == seen[1] == seen[2]
    assert 25 == len(seen[0])


def test_sqlite_gives_the_same_tables_as_duckdb(small_run: Path, work: Path) -> None:
    """Rows and fingerprint of every mart are equal on the two engines that need no server."""
    tables = tables_of(small_run)
    (work / "a").mkdir()
    (work / "b").mkdir()
    one = build_target("duckdb", tables, work / "a")
    two = build_target("sqlite", tables, work / "b")
    assert one.marts == two.marts
    assert 12 == len(one.marts)
    assert one.tests == two.tests


@pytest.mark.parametrize("target", ["duckdb", "sqlite"])
def test_a_run_without_any_match_has_marts(empty_run: Any, work: Path, target: Any) -> None:
    """Tables without rows are tables: every mart is built, some are empty."""
    run = empty_run(("entity_matches", "entity_scores", "review", "trade_feed", "shipment_parties"))
    built = build_target(target, tables_of(run), work)
    assert 0 == built.marts["corridor_flows"].rows
    assert 2 == built.marts["list_coverage"].rows


def test_one_table_has_one_fingerprint_in_every_form(small_run: Path, work: Path) -> None:
    """Parquet, CSV and SQLite of a mart give the fingerprint that the build recorded."""
    built, _ = write_marts(small_run, work)
    build_target("sqlite", tables_of(small_run), work, destination=work / "kept.sqlite")
    engine = Sqlite(work / "kept.sqlite")
    for name, mart in built.marts.items():
        contract = load_contract(name)
        parquet = pq.read_table(small_run / f"marts/{name}.parquet").to_batches(max_chunksize=3)
        convert = pv.ConvertOptions(
            column_types={field.name: field.type for field in contract.arrow_schema()},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        text = pv.read_csv(small_run / f"exports/{name}.csv", convert_options=convert).to_batches()
        for batches in (parquet, text, engine.batches(name, contract)):
            assert (mart.rows, mart.fingerprint) == fingerprint(batches, contract)
    engine.close(keep=True)


def test_the_record_names_no_time_place_or_person(small_run: Path, work: Path) -> None:
    """The record holds models, digests, rows, fingerprints and test results, and nothing of the machine."""
    built, _ = write_marts(small_run, work)
    record = json.loads(built.record)
    assert {"schema", "project", "target", "models", "tests", "warnings"} == set(record)
    models = {model["name"]: model for model in record["models"]}
    assert built.marts["list_growth"].fingerprint == models["list_growth"]["fingerprint"]
    assert all(test["status"] == "pass" for test in record["tests"])
    assert os.uname().nodename not in built.record.decode()


def changed(plan: Plan, name: str, sql: str, **members: Any) -> Plan:
    """Return the plan with another text for one node."""
    nodes = []
    for node in plan.nodes:
        fields = {field: getattr(node, field) for field in Node.__struct_fields__}
        nodes.append(Node(**(fields | {"sql": sql} | members)) if node.name == name else node)
    return Plan(plan.schema, plan.project, plan.target, tuple(nodes))


@pytest.mark.parametrize(
    ("name", "sql", "says"),
    [
        ("list_growth", "select frm nowhere", "model list_growth cannot be built on duckdb"),
        ("list_growth", "select * from read_csv('/etc/passwd')", "model list_growth cannot be built on duckdb"),
        ("list_growth", "select 'a' as source, '2024-01' as listed_month, 1 as listed, 1 as listed_so_far "
                        "union all select 'a', '2024-01', 2, 3", "mart list_growth breaks its contract"),
        ("list_growth", "select 'a' as source, cast(null as text) as listed_month, 1 as listed, 1 as listed_so_far",
         "mart list_growth breaks its contract"),
    ],
)  # fmt: skip
def test_a_broken_model_is_named(small_run: Path, work: Path, name: str, sql: str, says: str) -> None:
    """A syntax error, a reach for another file, a key that stands twice, a NULL in the key: the model is named."""
    plan = changed(plan_for("duckdb", work), name, sql)
    plan = Plan(plan.schema, plan.project, plan.target, tuple(n for n in plan.nodes if n.kind != "test"))
    engine = DuckDb(work / "w.duckdb", work / "spill", tables_of(small_run))
    with pytest.raises(ModelFailed, match=says):
        build(engine, plan, project_folder(), tables_of(small_run))
    engine.close(keep=False)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select 'a' as source, '2024-01' as listed_month, 1 as listed, 1 as listed_so_far "
         "union all select 'a', '2024-01', 2, 3", "unique_combination_list_growth_source__listed_month"),
        ("select 'a' as source, cast(null as text) as listed_month, 1 as listed, 1 as listed_so_far",
         "not_null_list_growth_listed_month"),
    ],
)  # fmt: skip
def test_a_mart_whose_key_does_not_hold_fails_by_its_test(
    small_run: Path, work: Path, sql: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a run, too, a key that stands twice, or a NULL in it, is reported as the dbt test that found it."""
    plan = changed(plan_for("duckdb", work), "list_growth", sql)
    monkeypatch.setattr("omphalos.warehouse.marts.plan_for", lambda *_: plan)
    with pytest.raises(TestFailed, match=says):
        write_marts(small_run, work)


@pytest.mark.parametrize(
    ("rows", "repeated"),
    [
        (["('a', 'x')", "('a', 'y')", "('b', 'x')"], 0),
        (["('b', 'x')", "('a', 'x')", "('a', 'y')"], 0),
        (["('a', 'y')", "('a', 'x')", "('b', 'x')"], 0),
        (["('a', 'x')", "('a', 'x')", "('b', 'x')"], 1),
        (["('a', 'x')", "('b', 'x')", "('a', 'x')"], 1),
        (["('a', 'x')", "('a', null)", "('a', 'x')"], 1),
        (["('a', null)", "('a', null)", "('b', 'x')"], 1),
    ],
)
def test_a_repeated_key_is_found_in_any_order(work: Path, rows: list[str], repeated: int) -> None:
    """Ascending, descending, apart from each other or with a NULL between: a key that stands twice is found."""
    (node,) = (n for n in plan_for("duckdb", work).nodes if n.name == "unique_combination_stg_flags_shipment_id__flag")
    assert "lag(" in node.sql
    engine = DuckDb(work / "w.duckdb", work / "spill", {})
    engine.make("stg_flags", f"select * from (values {', '.join(rows)}) t(shipment_id, flag)", table=True)
    assert repeated == engine.count(node.sql)
    engine.close(keep=False)


@pytest.mark.parametrize(("severity", "ends"), [("warn", False), ("error", True)])
def test_a_failed_test_is_a_finding_or_the_end(small_run: Path, work: Path, severity: str, ends: bool) -> None:
    """A test that finds rows is a warning in the record, or ends the build and is named, as its severity says."""
    name = "flows_account_for_every_shipment"
    plan = changed(plan_for("duckdb", work), name, 'select * from "list_growth"', severity=severity)
    engine = DuckDb(work / "w.duckdb", work / "spill", tables_of(small_run))
    if ends:
        with pytest.raises(TestFailed, match=name):
            build(engine, plan, project_folder(), tables_of(small_run))
    else:
        built = build(engine, plan, project_folder(), tables_of(small_run))
        assert [(name, 4)] == [(test.name, test.failures) for test in built.warnings]
        assert 1 == json.loads(built.record)["warnings"]
    engine.close(keep=False)


def test_a_sum_beyond_64_bits_is_an_error(small_run: Path, work: Path) -> None:
    """Values that do not add up within 64 bits end the build on both engines; no wrong number is written."""
    path = small_run / "normalized/trade_feed.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("value_minor")
    huge = [2**63 - 1 if value is not None else None for value in table.column(at).to_pylist()]
    import pyarrow as pa

    pq.write_table(table.set_column(at, "value_minor", pa.array(huge, pa.int64())), path)
    for target in ("duckdb", "sqlite"):
        (work / target).mkdir()
        with pytest.raises(ModelFailed, match="corridor_flows"):
            build_target(target, tables_of(small_run), work / target)


def test_a_failed_build_leaves_the_database_that_was_there(small_run: Path, work: Path) -> None:
    """A database is replaced only by a whole one."""
    place = work / "kept.sqlite"
    place.write_bytes(b"what was there")
    (small_run / "normalized/parties.parquet").write_bytes(b"PAR1 damaged")
    with pytest.raises(EngineError, match="parties"):
        build_target("sqlite", tables_of(small_run), work, destination=place)
    assert b"what was there" == place.read_bytes()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """Missing tables are named."""
    with pytest.raises(ProjectError, match="trade_feed"):
        tables_of(tmp_path)


def test_duckdb_reaches_nothing_but_the_run(small_run: Path, work: Path) -> None:
    """No other file, no extension and no change of settings from within a model."""
    tables = tables_of(small_run)
    engine = DuckDb(work / "w.duckdb", work / "spill", tables)
    for sql in ("select * from '/etc/hostname'", "select * from glob('/*')"):
        with pytest.raises(EngineError):
            engine.count(sql)
    for statement in ("install httpfs", "load httpfs", "set threads = 1", "attach '/tmp/x.db'"):
        with pytest.raises(EngineError):
            engine._execute(statement)
    engine.close(keep=False)
