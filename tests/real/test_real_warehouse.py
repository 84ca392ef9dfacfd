"""Marts and catalog over a run on real lists and customs records: engines agree, and sums lead back to the run."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from omphalos.catalog.answer import render
from omphalos.catalog.execute import Where, execute, run_tables
from omphalos.catalog.query import load_catalog
from omphalos.cli.main import run as omphalos
from omphalos.tables.contract import load_contract
from omphalos.tables.sqlite_file import write_sqlite
from omphalos.warehouse.build import Built
from omphalos.warehouse.marts import build_target, tables_of, write_marts

BESIDE = Path(__file__).with_name("test_real_run.py")


def _job(shared_data: Path) -> str:
    """Return the job of the real run, as the test beside this one has it."""
    spec = importlib.util.spec_from_file_location("real_run", BESIDE)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.JOB.format(data=shared_data))


@pytest.fixture(scope="module")
def built(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Built]:
    """Return a copy of the real run's directory with its marts and all its tables in SQLite, and what was built."""
    place = tmp_path_factory.mktemp("real-warehouse")
    (place / "job.toml").write_text(_job(shared_data))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert 0 == omphalos(["run", "job.toml"])
    (recorded,) = (place / "artifacts" / "runs").iterdir()
    run = place / "copy"
    shutil.copytree(recorded, run)
    for path in (run, *run.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for folder in ("marts", "warehouse"):
        shutil.rmtree(run / folder, ignore_errors=True)
        (run / folder).mkdir()
    (place / "work").mkdir()
    done, _ = write_marts(run, place / "work")
    pairs = [(path, load_contract(name)) for name, path in sorted(run_tables(run).items())]
    write_sqlite(pairs, run / "warehouse/warehouse.sqlite", place / "work")
    return run, done


def test_two_engines_give_equal_tables(built: tuple[Path, Built], tmp_path: Path) -> None:
    """Every mart of the real run has one fingerprint on DuckDB and SQLite."""
    run, done = built
    assert done.marts == build_target("sqlite", tables_of(run), tmp_path).marts


def test_sums_lead_back_to_the_run(built: tuple[Path, Built]) -> None:
    """Shipments and value of the corridors are those of the accepted feed; list coverage is the size of the lists."""
    run, _ = built
    with duckdb.connect() as con:
        feed = con.execute(f"select count(*), sum(value_minor) from '{run}/normalized/trade_feed.parquet'").fetchone()
        flows = con.execute(
            f"select sum(shipments), sum(value_minor) from '{run}/marts/corridor_flows.parquet'"
        ).fetchone()
        lists = con.execute(
            f"select source, count(*) from '{run}/registry/registry.parquet' group by 1 order by 1"
        ).fetchall()
        covered = con.execute(f"select source, entities from '{run}/marts/list_coverage.parquet' order by 1").fetchall()
    assert feed == flows
    assert lists == covered
    assert len(lists) == 3


def test_every_query_answers_alike(built: tuple[Path, Built]) -> None:
    """Each query of the catalog gives the same bytes from Parquet by DuckDB and from the warehouse file by SQLite."""
    run, _ = built
    first = pq.read_table(run / "review/review.parquet").slice(0, 1).to_pylist()[0]
    some = {
        "entity": first["entity_id"],
        "party": first["party_id"],
        "shipment": first["sample_shipments"].split(";")[0],
        "begins": "a",
        "since": "2000-01",
        "origin": "CN",
        "destination": "RU",
        "chapter": "85",
    }
    for name, query in load_catalog().items():
        values = query.bind({p: some[p] for p, declared in query.parameters.items() if declared.default is None})
        before = run if query.compares else None
        one, two = (execute(query, values, Where(engine, run, before=before)) for engine in ("duckdb", "sqlite"))
        assert render(one, "csv") == render(two, "csv"), name
        assert one.fingerprint == two.fingerprint, name
