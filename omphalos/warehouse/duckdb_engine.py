"""DuckDB as the warehouse's engine: the default, and the one a run uses.

Rules of this file: tables of the run are read in place from their Parquet files; once they are named, the engine can
reach no file but those, no network and no extension, and its settings are locked. One connection, one file in scratch.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from omphalos.tables.check import quote
from omphalos.tables.contract import Contract
from omphalos.tables.write import read_batches
from omphalos.warehouse.engine import EngineError, first_line, values_select


class DuckDb:
    """A DuckDB file in scratch; see ``engine.Engine``.

    Args:
        file: the database to make; it must not exist.
        spill: a folder for what does not fit into memory.
        files: the Parquet files that may be read.
        writable: folders in which files may be written.
        threads: how many threads to use; they change no result.
        memory_limit: DuckDB's text form, such as ``2GiB``.
    """

    def __init__(
        self,
        file: Path,
        spill: Path,
        files: Mapping[str, Path],
        writable: tuple[Path, ...] = (),
        *,
        threads: int = 2,
        memory_limit: str = "2GiB",
    ) -> None:
        config = {"threads": threads, "memory_limit": memory_limit, "temp_directory": str(spill)}
        try:
            self.con: Any = duckdb.connect(str(file), config=config)
            self.con.execute("set TimeZone = 'UTC'; set preserve_insertion_order = true")
            self.con.execute("set autoinstall_known_extensions = false; set autoload_known_extensions = false")
            paths = ", ".join(quote(str(path)) for path in files.values())
            folders = ", ".join(quote(str(path)) for path in writable)
            self.con.execute(f"set allowed_paths = [{paths}]")
            self.con.execute(f"set allowed_directories = [{folders}]")
            self.con.execute("set enable_external_access = false; set lock_configuration = true")
        except duckdb.Error as error:
            raise EngineError(f"DuckDB cannot be started: {first_line(error)}") from error

    def load(self, name: str, contract: Contract, parquet: Path) -> None:
        """Name a Parquet file; nothing is copied."""
        names = ", ".join(contract.names)
        self._execute(f'create view "{name}" as select {names} from read_parquet({quote(str(parquet))})')

    def seed(self, name: str, columns: list[str], rows: list[list[str]]) -> None:
        """Make a small table of text."""
        self.make(name, values_select(columns, rows), table=True)

    def make(self, name: str, sql: str, *, table: bool) -> None:
        """Make a view or table."""
        self._execute(f'create {"table" if table else "view"} "{name}" as {sql}')

    def count(self, sql: str) -> int:
        """Return the number of rows of a select."""
        try:
            return int(self.con.execute(f"select count(*) from ({sql}\n) as counted").fetchone()[0])
        except duckdb.Error as error:
            raise EngineError(first_line(error)) from error

    def batches(self, name: str, contract: Contract) -> Iterator[Any]:
        """Yield the rows in key order."""
        try:
            yield from read_batches(self.con, f'"{name}"', contract)
        except duckdb.Error as error:
            raise EngineError(first_line(error)) from error

    def close(self, *, keep: bool) -> None:
        """Close the database; its file stays where the caller put it, whatever ``keep`` says."""
        self.con.close()

    def _execute(self, sql: str) -> None:
        try:
            self.con.execute(sql)
        except duckdb.Error as error:
            raise EngineError(first_line(error)) from error
