"""A small run, readable as CSV in ``small_run/``, as the Parquet files of a run directory."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest

from omphalos.tables.contract import load_contract
from omphalos.warehouse.project import project_folder

HERE = Path(__file__).resolve().parent / "small_run"
FOLDERS = {
    "trade_feed": "normalized",
    "parties": "normalized",
    "shipment_parties": "normalized",
    "registry": "registry",
    "registry_names": "registry",
    "registry_addresses": "registry",
    "registry_identifiers": "registry",
    "entity_matches": "matches",
    "entity_scores": "scores",
    "review": "review",
    "shipment_flags": "flags",
}


def write_run(folder: Path, leave_out: tuple[str, ...] = (), *, earlier: bool = False) -> Path:
    """Write the small run below ``folder``; tables in ``leave_out`` have no rows; ``earlier``: its older list."""
    for name, part in FOLDERS.items():
        schema = load_contract(name).arrow_schema()
        convert = pv.ConvertOptions(
            column_types={field.name: field.type for field in schema},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        there = f"before_{name}" if earlier and name == "registry" else name
        table = pv.read_csv(HERE / f"{there}.csv", convert_options=convert)
        (folder / part).mkdir(parents=True, exist_ok=True)
        pq.write_table(table.slice(0, 0) if name in leave_out else table, folder / part / f"{name}.parquet")
    return folder


@pytest.fixture
def small_run(tmp_path: Path) -> Path:
    """Return the folder of the small run."""
    return write_run(tmp_path / "run")


@pytest.fixture
def empty_run(tmp_path: Path) -> Callable[[tuple[str, ...]], Path]:
    """Return a function that writes the small run with some tables empty."""
    return lambda names: write_run(tmp_path / "empty", names)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return an empty scratch folder."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the dbt project that a test may change."""
    return shutil.copytree(project_folder(), tmp_path / "project")


@pytest.fixture
def earlier_registry(tmp_path: Path) -> Path:
    """Return the Parquet file of the registry of an earlier run."""
    return write_run(tmp_path / "earlier", earlier=True) / "registry" / "registry.parquet"
