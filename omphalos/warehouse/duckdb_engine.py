"""DuckDB as the warehouse's engine: the default, and the one a run uses.

Rules of this file: tables of the run are read in place from their Parquet files; once they are named, the engine can
reach no file but those, no network and no extension, and its settings are locked. One connection, one file in scratch.
For a run, what a model makes is a Parquet file in scratch too: DuckDB takes several times as long to compress a table
into its own file, which nobody would read. A model that says so (``slice_by``) is made slice after slice of that
column: each of its rows follows from rows with one value of the column, so the parts are the whole, and a large feed
is joined in memory, in order, and not through files of the engine.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb

from omphalos.tables.check import quote
from omphalos.tables.contract import Contract
from omphalos.tables.write import copy_csv, read_batches
from omphalos.warehouse.engine import EngineError, first_line, values_select

SLICE_ROWS: Final = 1_000_000


class DuckDb:
    """A DuckDB file in scratch; see ``engine.Engine``.

    Args:
        file: the database to make; it must not exist.
        spill: a folder for what does not fit into memory.
        files: the Parquet files that may be read.
        writable: folders in which files may be written.
        scratch: a folder for what models make; without it they make tables of the database.
        slice_rows: how many rows of the table whose key is that column make a slice; they change no result.
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
        scratch: Path | None = None,
        slice_rows: int = SLICE_ROWS,
        threads: int = 2,
        memory_limit: str = "2GiB",
    ) -> None:
        self._scratch = scratch
        self._slice_rows = slice_rows
        self._files: dict[str, tuple[str, tuple[str, ...]]] = {}  # a view on files: its text and columns
        self._keys: dict[tuple[str, ...], str] = {}  # the source that has this key
        self._sliced: dict[str, str] = {}  # a view to be read in slices, and the column
        self._bounds: dict[str, list[str]] = {}
        config = {"threads": threads, "memory_limit": memory_limit, "temp_directory": str(spill)}
        try:
            self.con: Any = duckdb.connect(str(file), config=config)
            self.con.execute("set TimeZone = 'UTC'; set preserve_insertion_order = true")
            self.con.execute("set autoinstall_known_extensions = false; set autoload_known_extensions = false")
            paths = ", ".join(quote(str(path)) for path in files.values())
            folders = ", ".join(quote(str(path)) for path in (*writable, *filter(None, (scratch,))))
            self.con.execute(f"set allowed_paths = [{paths}]")
            self.con.execute(f"set allowed_directories = [{folders}]")
            self.con.execute("set enable_external_access = false; set lock_configuration = true")
        except duckdb.Error as error:
            raise EngineError(f"DuckDB cannot be started: {first_line(error)}") from error

    def load(self, name: str, contract: Contract, parquet: Path) -> None:
        """Name a Parquet file; nothing is copied."""
        text = f"select {', '.join(contract.names)} from read_parquet({quote(str(parquet))})"
        self._execute(f'create view "{name}" as {text}')
        self._files[name] = text, contract.names
        self._keys[contract.key] = name

    def seed(self, name: str, columns: list[str], rows: list[list[str]]) -> None:
        """Make a small table of text."""
        self.make(name, values_select(columns, rows), table=True)

    def make(self, name: str, sql: str, *, table: bool, slice_by: str = "") -> None:
        """Make a view or table."""
        if table and self._scratch is not None and self._fits_parquet(sql):
            files = []
            for number, _ in enumerate(self._in_slices(slice_by)):
                files.append(self._scratch / f"{name}-{number:05}.parquet")
                self._execute(f"copy ({sql}\n) to {quote(str(files[-1]))} (format parquet, compression lz4_raw)")
            self.hold(name, *files)
            return
        self._execute(f'create {"table" if table else "view"} "{name}" as {sql}')
        if slice_by and not table:
            self._sliced[name] = slice_by

    def hold(self, name: str, *parquet: Path) -> None:
        """Let ``name`` be what Parquet files hold, in place of the view that it was, if it was one."""
        text = f"select * from read_parquet([{', '.join(quote(str(file)) for file in parquet)}])"
        self._execute(f'create or replace view "{name}" as {text}')
        columns = tuple(row[0] for row in self._fetch(f'describe "{name}"'))
        self._files[name] = text, columns
        self._sliced.pop(name, None)

    def _in_slices(self, column: str) -> Iterator[None]:
        """Show the parts of everything that has ``column``, one after the other in its order; then the whole again."""
        bounds = self._bounds_of(column) if column and self._scratch is not None else []
        if not bounds:
            yield
            return
        try:
            for low, high in zip([None, *bounds], [*bounds, None], strict=True):
                above = [] if low is None else [f"{column} >= {quote(low)}"]
                below = [] if high is None else [f"{column} < {quote(high)}"]
                self._show(column, f" where {' and '.join(above + below)}")
                yield
        finally:
            self._show(column, "")

    def _show(self, column: str, where: str) -> None:
        for name, (text, columns) in self._files.items():
            if column in columns:
                self._execute(f'create or replace view "{name}" as {text}{where}')

    def _bounds_of(self, column: str) -> list[str]:
        """Return the values of a text column at which slices begin, ascending; few rows are one slice."""
        if column not in self._bounds:
            source = self._keys[(column,)]
            rows = self._fetch(
                f'select distinct {column} from (select {column}, row_number() over () as place from "{source}") '
                f"where place % {self._slice_rows} = 0 order by {column}"
            )
            self._bounds[column] = [str(row[0]) for row in rows]
        return self._bounds[column]

    def _fits_parquet(self, sql: str) -> bool:
        """Say whether Parquet gives back every value: DuckDB writes an integer beyond 64 bits as a float."""
        return {row[1] for row in self._fetch(f"describe {sql}")} <= {"VARCHAR", "BIGINT", "INTEGER"}

    def count(self, sql: str) -> int:
        """Return the number of rows of a select."""
        return int(self._fetch(f"select count(*) from ({sql}\n) as counted")[0][0])

    def batches(self, name: str, contract: Contract) -> Iterator[Any]:
        """Yield the rows in key order."""
        with _translated():
            for _ in self._in_slices(self._sliced.get(name, "")):
                yield from read_batches(self.con, f'"{name}"', contract, stored=name in self._files)

    def write_csv(self, name: str, path: Path) -> None:
        """Write a relation that is held by one Parquet file in key order as CSV, in the order of that file."""
        with _translated():
            copy_csv(self.con, name, path)

    def close(self, *, keep: bool) -> None:
        """Close the database; its file stays where the caller put it, whatever ``keep`` says."""
        self.con.close()

    def _execute(self, sql: str) -> None:
        with _translated():
            self.con.execute(sql)

    def _fetch(self, sql: str) -> list[tuple[Any, ...]]:
        with _translated():
            return list(self.con.execute(sql).fetchall())


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise EngineError(first_line(error)) from error
