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
from typing import Any, Final
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
    """Write tables, in the given order, into one SQLite file; return what each table holds.

    A table whose contract has a ``view`` is not written: the view is, and it is not among what is returned.

    Args:
        tables: the Parquet file of each table, in key order, and its contract.
        path: the file to make; it must not exist.
        scratch: a folder for the intermediate files.
        workers: how many tables may be written at a time; it changes no byte.

    Raises:
        FingerprintError: a Parquet file is not in the order of its key, or has a NULL where none may stand.
    """
    stored = [(file, contract) for file, contract in tables if not contract.view]
    parts = [scratch / f"part-{number}.sqlite" for number in range(1, len(stored))]
    building = scratch / "building.sqlite"
    written: dict[str, TableFile] = {}
    pool = ThreadPoolExecutor(max_workers=max(1, workers - 1))
    try:
        jobs: list[Future[TableFile]] = []

        def rest() -> None:
            for part, (file, contract) in zip(parts, stored[1:], strict=True):
                jobs.append(pool.submit(_write_table, part, file, contract))

        if workers > 1:
            rest()
        for file, contract in stored[:1]:
            written[contract.table] = _write_table(building, file, contract)
        if workers <= 1:
            rest()
        with _connect(building) as lite, lite.cursor() as cursor:
            for part, job, (_, contract) in zip(parts, jobs, stored[1:], strict=True):
                written[contract.table] = job.result()
                _take_over(cursor, part, contract)
                part.unlink()
            cursor.execute("BEGIN")
            for _, contract in tables:
                if contract.view:
                    cursor.execute(view_ddl(contract))
            cursor.execute("COMMIT")
        building.rename(path)
    finally:
        pool.shutdown(cancel_futures=True)
        for made in (building, *parts):
            made.unlink(missing_ok=True)
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


def _write_table(path: Path, file: Path, contract: Contract) -> TableFile:
    """Make a SQLite file that holds one table, in one transaction."""
    path.unlink(missing_ok=True)
    with _connect(path) as lite, lite.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(sqlite_ddl(contract))
        state = Fingerprint(contract)
        refused: list[OmphalosError] = []
        # Without the schema's claim that nothing is NULL: the fingerprint is what refuses a NULL.
        schema = pa.schema([(field.name, field.type) for field in contract.arrow_schema()])
        with pq.ParquetFile(file) as source:
            batches = _remembered(tee(_batches(source, contract, schema), state), refused)
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


def _batches(source: Any, contract: Contract, schema: Any) -> Iterator[Any]:
    for batch in source.iter_batches(batch_size=BATCH, columns=list(contract.names)):
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
