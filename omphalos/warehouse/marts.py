"""Build the marts of a run: as files of it, or as a database of their own on any of the three engines.

Rules of this file: the plan that ships is executed where it belongs to the project as it is; otherwise dbt is started
once to compile it. ``with_dbt`` lets dbt itself build and test instead, and must give the same record. What is built
for a run is written below its folder; what is built as a database appears at its place only when it is whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omphalos.tables.contract import load_contract
from omphalos.tables.write import TableFile, write_batches
from omphalos.warehouse.build import Built, build, examine, load_sources
from omphalos.warehouse.dbt import build_with_dbt, compile_plan
from omphalos.warehouse.duckdb_engine import SLICE_ROWS, DuckDb
from omphalos.warehouse.engine import Engine
from omphalos.warehouse.postgres_engine import Postgres, driver
from omphalos.warehouse.project import SOURCES, Plan, ProjectError, Target, project_folder, shipped_plan
from omphalos.warehouse.sqlite_engine import Sqlite

MARTS_FOLDER: Final = "marts"
EXPORTS_FOLDER: Final = "exports"
RECORD_PATH: Final = "reports/warehouse.json"
DEFAULT_SCHEMA: Final = "omphalos"


@dataclass(frozen=True)
class MartFile:
    """One file that ``write_marts`` wrote: where in the run, what for, and the table it holds, if any."""

    path: str
    role: str
    media_type: str
    table: TableFile | None


@dataclass(frozen=True)
class Limits:
    """What an engine may spend; nothing here changes a byte of the result.

    ``slice_rows``: how many shipments DuckDB joins at a time, where a model is made in slices.
    """

    threads: int = 2
    memory_limit: str = "2GiB"
    slice_rows: int = SLICE_ROWS


def tables_of(run: Path) -> dict[str, Path]:
    """Return the Parquet files of a run directory that are the warehouse's sources, by table.

    Raises:
        ProjectError: one is missing.
    """
    folders = ("normalized", "registry", "matches", "scores", "review", "flags")
    found = {
        name: path for name in SOURCES for folder in folders if (path := run / folder / f"{name}.parquet").is_file()
    }
    missing = [name for name in SOURCES if name not in found]
    if missing:
        raise ProjectError(f"{run.name} holds no table {', '.join(missing)}", hint="is it a whole run directory?")
    return found


def plan_for(target: Target, work: Path, project: Path | None = None) -> Plan:
    """Return the plan of the project as it is now: the shipped one, or else dbt compiles it (some seconds).

    Raises:
        DbtFailed: the project was changed and dbt refuses it.
        ProjectError: the shipped plan is damaged.
    """
    folder = project or project_folder()
    return shipped_plan(folder, target) or compile_plan(folder, target, work / "dbt")


def write_marts(
    run: Path, work: Path, limits: Limits = Limits(), *, with_dbt: bool = False, project: Path | None = None
) -> tuple[Built, list[MartFile]]:
    """Build the marts of a run on DuckDB and write them, and the record, below its folder.

    Args:
        run: the folder of a run that holds its Parquet tables; ``marts/``, ``exports/`` and ``reports/`` are written.
        work: an empty scratch folder.
        limits: threads and memory.
        with_dbt: let dbt build and test, instead of executing what it compiled.
        project: the dbt project; the shipped one by default.

    Raises:
        ModelFailed, TestFailed, EngineError, ProjectError, DbtFailed: as ``build`` and ``plan_for``.
    """
    files: list[MartFile] = []
    for folder in (MARTS_FOLDER, EXPORTS_FOLDER, "reports"):
        (run / folder).mkdir(exist_ok=True)

    def keep(engine: Engine, name: str) -> TableFile:
        contract = load_contract(name)
        if not isinstance(engine, DuckDb):
            raise TypeError("a run is built on DuckDB")
        parquet, export = f"{MARTS_FOLDER}/{name}.parquet", f"{EXPORTS_FOLDER}/{name}.csv"
        table = write_batches(engine.batches(name, contract), contract, run / parquet)
        files.append(MartFile(parquet, "mart", "application/vnd.apache.parquet", table))
        # From here on the mart is its file, in key order already: nothing sorts it again, and no model is run twice.
        engine.hold(name, run / parquet)
        engine.write_csv(name, run / export)
        files.append(MartFile(export, "export", "text/csv; charset=utf-8", table))
        return table

    made = work / "made"
    made.mkdir()
    place = _Place("duckdb", work, limits, writable=(run / MARTS_FOLDER, run / EXPORTS_FOLDER), scratch=made)
    built = _build(place, tables_of(run), project or project_folder(), with_dbt=with_dbt, keep=keep)
    (run / RECORD_PATH).write_bytes(built.record)
    files.append(MartFile(RECORD_PATH, "report", "application/json", None))
    return built, sorted(files, key=lambda file: file.path)


def build_target(
    target: Target,
    tables: Mapping[str, Path],
    work: Path,
    limits: Limits = Limits(),
    *,
    destination: Path | None = None,
    server: str = "",
    schema: str = DEFAULT_SCHEMA,
    with_dbt: bool = False,
    project: Path | None = None,
) -> Built:
    """Build the marts of a run as a database on one engine, and return what was built.

    Args:
        target: the engine.
        tables: the Parquet file of each source table (``tables_of``).
        work: an empty scratch folder, on the file system of ``destination``.
        limits: threads and memory, for DuckDB.
        destination: where the database file is to stand (DuckDB, SQLite); without it the database is thrown away.
            A file that is there is replaced when the build is whole.
        server: how to reach PostgreSQL, as libpq reads it.
        schema: the schema to make or replace on PostgreSQL.
        with_dbt: let dbt build and test, instead of executing what it compiled.
        project: the dbt project; the shipped one by default.

    Raises:
        ModelFailed, TestFailed, EngineError, ProjectError, DbtFailed: as ``build`` and ``plan_for``; what stood at
            the destination stays.
    """
    place = _Place(target, work, limits, server=server, schema=schema)
    built = _build(place, tables, project or project_folder(), with_dbt=with_dbt, keep=None)
    if destination is not None and target != "postgres":
        place.file.replace(destination)
    return built


@dataclass
class _Place:
    """Where one build happens, and how an engine on it is opened."""

    target: Target
    work: Path
    limits: Limits
    writable: tuple[Path, ...] = ()
    scratch: Path | None = None
    server: str = ""
    schema: str = DEFAULT_SCHEMA

    @property
    def file(self) -> Path:
        # The name is part of what dbt compiles for DuckDB: it is the name of the database.
        return self.work / f"warehouse.{self.target}"

    def engine(self, tables: Mapping[str, Path], *, fresh: bool = True) -> Engine:
        if self.target == "duckdb":
            return DuckDb(
                self.file,
                self.work / "spill",
                tables,
                self.writable,
                scratch=self.scratch,
                slice_rows=self.limits.slice_rows,
                threads=self.limits.threads,
                memory_limit=self.limits.memory_limit,
            )
        if self.target == "sqlite":
            return Sqlite(self.file)
        return Postgres(self.server, self.schema, self.work, fresh=fresh)

    def settings(self) -> dict[str, str]:
        """Return the environment in which dbt finds this place."""
        if self.target != "postgres":
            return {"OMPHALOS_DBT_FILE": str(self.file), "OMPHALOS_DBT_FOLDER": str(self.work)}
        given = driver().conninfo.conninfo_to_dict(self.server)
        names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
        return {names[key]: str(value) for key, value in given.items() if key in names} | {
            "OMPHALOS_DBT_SCHEMA": self.schema
        }


def _build(
    place: _Place,
    tables: Mapping[str, Path],
    project: Path,
    *,
    with_dbt: bool,
    keep: Callable[[Engine, str], TableFile] | None,
) -> Built:
    if with_dbt:
        engine = place.engine(tables)
        whole = False
        try:
            load_sources(engine, tables)
            whole = True
        finally:
            engine.close(keep=whole)
        plan, failures = build_with_dbt(project, place.target, place.work / "dbt", place.settings())
    else:
        plan, failures = plan_for(place.target, place.work, project), None
    engine = place.engine(tables, fresh=failures is None)
    whole = False
    try:
        if failures is None:
            built = build(engine, plan, project, tables, keep)
        else:
            built = examine(engine, plan, failures, keep)
        whole = True
    finally:
        engine.close(keep=whole)
    return built
