"""SQLite as the warehouse's engine, through the ADBC driver, whose wheel carries its own SQLite.

Rules of this file: one file, built without journal because it is thrown away or kept as a whole; base tables have the
exact DDL of their contract. The driver infers a column's type from the first rows, so a column that may be NULL is read
as two that may not: the value with a stand-in, and whether it is NULL.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import adbc_driver_manager
import adbc_driver_sqlite.dbapi as adbc
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from omphalos.tables.contract import Column, Contract
from omphalos.tables.sqlite_file import sqlite_ddl
from omphalos.tables.write import BATCH
from omphalos.warehouse.engine import EngineError, first_line, values_select

_PRAGMAS: Final = (
    "page_size=4096",
    "journal_mode=OFF",
    "synchronous=OFF",
    "temp_store=FILE",
    "cache_size=-262144",
    "encoding='UTF-8'",
)


class Sqlite:
    """A SQLite file in scratch; see ``engine.Engine``.

    Args:
        file: the database to make; it must not exist.
    """

    def __init__(self, file: Path) -> None:
        try:
            self.con: Any = adbc.connect(f"file:{file}", autocommit=True)
        except adbc_driver_manager.Error as error:
            raise EngineError(f"SQLite cannot make {file.name}: {first_line(error)}") from error
        for pragma in _PRAGMAS:
            self._execute(f"pragma {pragma}")

    def load(self, name: str, contract: Contract, parquet: Path) -> None:
        """Copy a Parquet file into a STRICT table with the declared key."""
        self._execute(sqlite_ddl(contract))
        schema = pa.schema([(field.name, field.type) for field in contract.arrow_schema()])
        try:
            with pq.ParquetFile(parquet) as source, self.con.cursor() as cursor:
                batches = (
                    batch.select(contract.names).cast(schema)
                    for batch in source.iter_batches(batch_size=BATCH, columns=list(contract.names))
                )
                cursor.adbc_ingest(name, pa.RecordBatchReader.from_batches(schema, batches), mode="append")
        except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
            raise EngineError(f"table {name} cannot be loaded: {first_line(error)}") from error

    def seed(self, name: str, columns: list[str], rows: list[list[str]]) -> None:
        """Make a small table of text."""
        self.make(name, values_select(columns, rows), table=True)

    def make(self, name: str, sql: str, *, table: bool, slice_by: str = "") -> None:
        """Make a view or table; a view is also run once for no row, because SQLite checks one only when it is read."""
        self._execute(f'create {"table" if table else "view"} "{name}" as {sql}')
        if not table:
            self._execute(f'select * from "{name}" limit 0')

    def count(self, sql: str) -> int:
        """Return the number of rows of a select."""
        return int(self._execute(f"select count(*) from ({sql}\n) as counted")[0][0])

    def batches(self, name: str, contract: Contract) -> Iterator[Any]:
        """Yield the rows in key order."""
        if self.count(f'select 1 from "{name}"') == 0:
            return
        columns = ", ".join(part for column in contract.column for part in _parts(column))
        with self.con.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(BATCH)})
            try:
                cursor.execute(f'select {columns} from "{name}" order by {contract.order}')
                for batch in cursor.fetch_record_batch():
                    yield pa.RecordBatch.from_arrays(
                        [_column(batch, column) for column in contract.column], names=list(contract.names)
                    )
            except (adbc_driver_manager.Error, pa.ArrowException) as error:
                raise EngineError(f"table {name}: {first_line(error)}") from error

    def close(self, *, keep: bool) -> None:
        """Close the file; it stays where the caller put it, whatever ``keep`` says."""
        self.con.close()

    def _execute(self, sql: str) -> list[tuple[Any, ...]]:
        with self.con.cursor() as cursor:
            try:
                cursor.execute(sql)
                return list(cursor.fetchall())
            except adbc_driver_manager.Error as error:
                raise EngineError(first_line(error)) from error


def _parts(column: Column) -> tuple[str, ...]:
    if not column.nullable:
        return (column.name,)
    stand_in = "''" if column.kind == "text" else "0"
    return f"coalesce({column.name}, {stand_in}) as {column.name}", f"{column.name} is null as null_{column.name}"


def _column(batch: Any, column: Column) -> Any:
    kind = pa.large_string() if column.kind == "text" else pa.int64()
    array = batch.column(column.name)
    if array.type != kind and not (pa.types.is_string(array.type) and column.kind == "text"):
        raise EngineError(f"column {column.name} came back as {array.type}, its contract says {column.kind}")
    array = array.cast(kind)
    if column.nullable:
        array = pc.if_else(pc.equal(batch.column(f"null_{column.name}"), 1), pa.scalar(None, kind), array)
    return array
