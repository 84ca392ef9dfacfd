"""Write tables into one SQLite file so that the same content gives the same bytes.

Rules of this file: rows come from Parquet files that are in key order already, which the fingerprint proves on the way.
SQLite has one writer for each file and is bound by the processor, so the first table, which should be the largest, is
written into the file itself while other workers write the rest into files of their own in scratch; those follow in the
order of the caller, rows and indexes in their order, then the views, all as the contracts declare. Nothing in it is
ever deleted or changed, so no page of it was used before, and there is nothing to vacuum. It is written by the SQLite
in the ADBC wheel, not by the host's.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any, Final, Self
from urllib.parse import quote as quote_uri

import adbc_driver_manager
import adbc_driver_sqlite.dbapi as adbc
import pyarrow as pa
import pyarrow.parquet as pq

from omphalos.format.errors import OmphalosError
from omphalos.tables.check import quote
from omphalos.tables.contract import Contract
from omphalos.tables.fingerprint import Fingerprint, tee
from omphalos.tables.write import BATCH, TableFile

# A fresh file that is thrown away when anything fails needs neither journal nor sync.
PRAGMAS: Final = ("page_size=8192", "journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "encoding='UTF-8'")


def sqlite_ddl(contract: Contract) -> str:
    """Return the exact DDL of a table: STRICT types, declared key, no rowid."""
    kinds = {"text": "TEXT", "int": "INTEGER"}
    columns = [f"  {c.name} {kinds[c.kind]}{'' if c.nullable else ' NOT NULL'}" for c in contract.column]
    columns.append(f"  PRIMARY KEY ({', '.join(contract.key)})")
    return f"CREATE TABLE {contract.table} (\n" + ",\n".join(columns) + "\n) STRICT, WITHOUT ROWID"


def index_ddl(contract: Contract) -> list[str]:
    """Return the DDL of every index that the contract declares; the name of an index says what it is on."""
    return [
        f"CREATE INDEX {contract.table}_by_{'_'.join(columns)} ON {contract.table} ({', '.join(columns)})"
        for columns in contract.index
    ]


def view_ddl(contract: Contract) -> str:
    """Return the DDL of a table that the file holds as a view over others."""
    return f"CREATE VIEW {contract.table} AS\n{contract.view.strip()}"


def write_sqlite(
    tables: Sequence[tuple[Path, Contract]], path: Path, scratch: Path, *, workers: int = 2
) -> dict[str, TableFile]:
    """Write tables, in the given order, into one SQLite file; return what each table holds. See `SqliteFile`."""
    with SqliteFile(scratch, workers=workers) as lite:
        lite.add(tables)
        return lite.finish(path)


class SqliteFile:
    """One SQLite file in the making: tables are written from the moment they are added, while other work goes on.

    What is not finished leaves nothing behind.

    Args:
        scratch: a folder for the intermediate files.
        workers: how many tables may be written at a time; it changes no byte.
    """

    def __init__(self, scratch: Path, *, workers: int = 2) -> None:
        self._scratch = scratch
        self._building = scratch / "building.sqlite"
        self._tables: list[Contract] = []
        self._parts: list[tuple[Path, Contract, Future[TableFile]]] = []
        self._pool = ThreadPoolExecutor(max_workers=max(1, workers))
        self._stop = Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)
        for part, _, _ in self._parts:
            part.unlink(missing_ok=True)
        self._building.unlink(missing_ok=True)

    def add(self, tables: Iterable[tuple[Path, Contract]]) -> None:
        """Begin to write tables: the Parquet file of each, in key order, and its contract; the largest should be first.

        A table whose contract has a ``view`` is not written: the view is.
        """
        for file, contract in tables:
            self._tables.append(contract)
            if not contract.view:
                part = self._scratch / f"part-{len(self._parts)}.sqlite" if self._parts else self._building
                job = self._pool.submit(_write_table, part, file, contract, self._stop)
                self._parts.append((part, contract, job))

    def finish(self, path: Path) -> dict[str, TableFile]:
        """Put everything into the file ``path``, which must not exist; return what each table holds, views left out.

        Raises:
            FingerprintError: a Parquet file is not in the order of its key, or has a NULL where none may stand.
        """
        written: dict[str, TableFile] = {}
        if self._parts:
            self._parts[0][2].result()  # until then the file is another's
        with _connect(self._building) as lite, lite.cursor() as cursor:
            for part, contract, job in self._parts:
                written[contract.table] = job.result()
                if part != self._building:
                    _take_over(cursor, part, contract)
                    part.unlink()
            cursor.execute("BEGIN")
            for contract in self._tables:
                if contract.view:
                    cursor.execute(view_ddl(contract))
            cursor.execute("COMMIT")
        self._building.rename(path)
        return written


def _take_over(cursor: Any, part: Path, contract: Contract) -> None:
    """Copy a table and its indexes out of a file of its own."""
    name = contract.table
    cursor.execute(f"ATTACH {quote(str(part))} AS part")
    cursor.execute("BEGIN")
    for statement in (sqlite_ddl(contract), *index_ddl(contract)):
        cursor.execute(statement)
    # Two tables of one shape with the same indexes: SQLite copies the records of both as they are, in order, without
    # taking them apart or sorting anything.
    cursor.execute(f"INSERT INTO main.{name} SELECT * FROM part.{name}")
    cursor.execute("COMMIT")
    cursor.execute("DETACH part")


def _write_table(path: Path, file: Path, contract: Contract, stop: Event) -> TableFile:
    """Make a SQLite file that holds one table, in one transaction; give up when ``stop`` is set."""
    path.unlink(missing_ok=True)
    with _connect(path) as lite, lite.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(sqlite_ddl(contract))
        state = Fingerprint(contract)
        refused: list[OmphalosError] = []
        # Without the schema's claim that nothing is NULL: the fingerprint is what refuses a NULL.
        schema = pa.schema([(field.name, field.type) for field in contract.arrow_schema()])
        with pq.ParquetFile(file) as source:
            batches = _remembered(tee(_batches(source, contract, schema, stop), state), refused)
            try:
                reader = pa.RecordBatchReader.from_batches(schema, batches)
                cursor.adbc_ingest(contract.table, reader, mode="append")
            except adbc_driver_manager.Error:
                if refused:
                    raise refused[0] from None
                raise
        for statement in index_ddl(contract):
            cursor.execute(statement)
        cursor.execute("COMMIT")
    return TableFile(state.rows, contract.key, state.digest())


def _remembered(batches: Iterable[Any], refused: list[OmphalosError]) -> Iterator[Any]:
    """Pass batches on; the driver turns an error in between into text of its own, so the error itself is kept."""
    try:
        yield from batches
    except OmphalosError as error:
        refused.append(error)
        raise


def _batches(source: Any, contract: Contract, schema: Any, stop: Event) -> Iterator[Any]:
    for batch in source.iter_batches(batch_size=BATCH, columns=list(contract.names)):
        if stop.is_set():
            raise InterruptedError("the file is not wanted any more")
        yield batch.select(contract.names).cast(schema)


def _connect(file: Path) -> Any:
    lite = adbc.connect(f"file:{quote_uri(str(file))}", autocommit=True)
    with lite.cursor() as cursor:
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
            cursor.fetchall()
    return lite


def sqlite_version() -> str:
    """Return the version of the SQLite library that writes the files."""
    with adbc.connect(":memory:", autocommit=True) as lite, lite.cursor() as cursor:
        cursor.execute("select sqlite_version()")
        return str(cursor.fetchone()[0])
