"""The small run of the warehouse's tests, with its marts and a warehouse file, as a run directory."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from omphalos.catalog.execute import run_tables
from omphalos.tables.contract import load_contract
from omphalos.tables.sqlite_file import write_sqlite
from omphalos.warehouse.marts import write_marts

SMALL_RUN = Path(__file__).resolve().parents[1] / "warehouse" / "conftest.py"


def small_run() -> Any:
    """Return the module that writes the small run."""
    spec = importlib.util.spec_from_file_location("small_run", SMALL_RUN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run directory with every table that queries read, as Parquet and in the warehouse file."""
    folder = small_run().write_run(tmp_path_factory.mktemp("catalog") / "run")
    work = tmp_path_factory.mktemp("work")
    write_marts(folder, work)
    return with_warehouse_file(folder, work)


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an earlier run of the same feed, with older lists and without marts."""
    folder = small_run().write_run(tmp_path_factory.mktemp("before") / "run", earlier=True)
    return with_warehouse_file(folder, tmp_path_factory.mktemp("work"))


def with_warehouse_file(folder: Path, work: Path) -> Path:
    """Put the tables of a run directory into its warehouse file, and return the directory."""
    (folder / "warehouse").mkdir()
    pairs = [(path, load_contract(name)) for name, path in sorted(run_tables(folder).items())]
    write_sqlite(pairs, folder / "warehouse" / "warehouse.sqlite", work)
    return folder
