"""Write tables so that the same content gives the same bytes: Parquet, CSV and one SQLite file.

Rules of this file: a table is read from DuckDB in key order and its order is proved by the fingerprint on the way;
row groups have a fixed size whatever batches come; writer settings are pinned here and nowhere else; no file
carries a time, a path or a host. SQLite is written through the ADBC driver, whose wheel carries its own SQLite, so
the bytes do not follow the host's library; the file is built in scratch and copied by ``VACUUM INTO``, which
removes what the order of writing left behind. Floats never reach these writers: a contract has none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import adbc_driver_sqlite.dbapi as adbc
import pyarrow as pa
import pyarrow.parquet as pq

from omphalos.tables.check import quote
from omphalos.tables.contract import Contract
from omphalos.tables.fingerprint import Fingerprint, tee

ROW_GROUP: Final = 122_880
BATCH: Final = 61_440
PARQUET_SETTINGS: Final[dict[str, Any]] = {
    "version": "2.6",
    "data_page_version": "1.0",
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": True,
    "write_statistics": True,
    "store_schema": False,
}


@dataclass(frozen=True)
class TableFile:
    """What the manifest says of a file that holds a table."""

    rows: int
    key: tuple[str, ...]
    fingerprint: str


def read_batches(con: Any, relation: str, contract: Contract) -> Iterator[Any]:
    """Yield record batches of ``relation`` in key order with the contract's exact types."""
    reader = con.execute(contract.select(relation)).to_arrow_reader(BATCH)
    schema = contract.arrow_schema()
    for batch in reader:
        columns = []
        for i, field in enumerate(schema):
            column = batch.column(i)
            columns.append(column if column.type == field.type else column.cast(field.type))
        # Built without the schema's nullability claim: the fingerprint is what refuses a NULL.
        yield pa.RecordBatch.from_arrays(columns, names=schema.names)


def write_parquet(con: Any, relation: str, contract: Contract, path: Path) -> TableFile:
    """Write ``relation`` as Parquet and return its rows, key and fingerprint.

    Raises:
        FingerprintError: the rows break the key or the nullability of the contract.
    """
    state = Fingerprint(contract)
    pending: list[Any] = []
    held = 0
    with pq.ParquetWriter(path, contract.arrow_schema(), **PARQUET_SETTINGS) as writer:
        for batch in tee(read_batches(con, relation, contract), state):
            pending.append(batch)
            held += batch.num_rows
            while held >= ROW_GROUP:
                table = pa.Table.from_batches(pending)
                _write_group(writer, table.slice(0, ROW_GROUP), contract)
                rest = table.slice(ROW_GROUP)
                pending = rest.to_batches()
                held = rest.num_rows
        if held or state.rows == 0:
            empty = contract.arrow_schema().empty_table()
            _write_group(writer, pa.Table.from_batches(pending) if held else empty, contract)
    return TableFile(state.rows, contract.key, state.digest())


def _write_group(writer: Any, table: Any, contract: Contract) -> None:
    """Write one row group from contiguous memory, so that the cut of the batches leaves no trace."""
    writer.write_table(table.combine_chunks().cast(contract.arrow_schema()), row_group_size=ROW_GROUP)


def write_csv(con: Any, relation: str, contract: Contract, path: Path) -> TableFile:
    """Write ``relation`` as CSV (RFC 4180, UTF-8, ``\\n``, NULL as nothing, the empty text as ``""``).

    Raises:
        FingerprintError: as ``write_parquet``.
    """
    state = Fingerprint(contract)
    for batch in read_batches(con, relation, contract):
        state.update(batch)
    con.execute(
        f"copy ({contract.select(relation)}) to {quote(str(path))} "
        "(format csv, header true, delimiter ',', quote '\"', escape '\"', nullstr '', compression none)"
    )
    return TableFile(state.rows, contract.key, state.digest())


def sqlite_ddl(contract: Contract) -> str:
    """Return the exact DDL of a table: STRICT types, declared key, no rowid."""
    kinds = {"text": "TEXT", "int": "INTEGER"}
    columns = [f"  {c.name} {kinds[c.kind]}{'' if c.nullable else ' NOT NULL'}" for c in contract.column]
    columns.append(f"  PRIMARY KEY ({', '.join(contract.key)})")
    return f"CREATE TABLE {contract.table} (\n" + ",\n".join(columns) + "\n) STRICT, WITHOUT ROWID"


def write_sqlite(con: Any, tables: Sequence[tuple[str, Contract]], path: Path, scratch: Path) -> dict[str, TableFile]:
    """Write (relation, contract) pairs, in the given order, into one SQLite file; return what each table holds.

    Args:
        con: a DuckDB connection that has the relations.
        tables: pairs of relation name and contract.
        path: the file to make; it must not exist.
        scratch: a folder on which the intermediate file may be built.
    """
    building = scratch / "building.sqlite"
    building.unlink(missing_ok=True)
    written: dict[str, TableFile] = {}
    with adbc.connect(f"file:{building}", autocommit=True) as lite, lite.cursor() as cursor:
        for pragma in ("page_size=4096", "journal_mode=OFF", "synchronous=OFF", "encoding='UTF-8'"):
            cursor.execute(f"PRAGMA {pragma}")
            cursor.fetchall()
        for relation, contract in tables:
            cursor.execute(sqlite_ddl(contract))
            state = Fingerprint(contract)
            batches = tee(read_batches(con, relation, contract), state)
            unconstrained = pa.schema([(field.name, field.type) for field in contract.arrow_schema()])
            reader = pa.RecordBatchReader.from_batches(unconstrained, batches)
            cursor.adbc_ingest(contract.table, reader, mode="append")
            written[contract.table] = TableFile(state.rows, contract.key, state.digest())
        cursor.execute(f"VACUUM INTO {quote(str(path))}")
    building.unlink()
    return written


def sqlite_version() -> str:
    """Return the version of the SQLite library that writes the files."""
    with adbc.connect(":memory:", autocommit=True) as lite, lite.cursor() as cursor:
        cursor.execute("select sqlite_version()")
        return str(cursor.fetchone()[0])
