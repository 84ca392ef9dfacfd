"""Write tables so that the same content gives the same bytes: Parquet and CSV (``sqlite_file`` writes SQLite).

Rules of this file: a table is read from DuckDB in key order and its order is proved by the fingerprint on the way;
row groups have a fixed size whatever batches come; writer settings are pinned here and nowhere else; no file
carries a time, a path or a host. Floats never reach these writers: a contract has none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from omphalos.tables.check import is_in_key_order, quote
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


def read_batches(con: Any, relation: str, contract: Contract, *, stored: bool = True) -> Iterator[Any]:
    """Yield record batches of ``relation`` in key order with the contract's exact types.

    ``stored`` is false for a view that computes: its rows may come in another order each time, so they are sorted.
    """
    # A table that stands in key order is streamed; sorting it again would take most of the time and memory.
    ordered = stored and is_in_key_order(con, relation, contract)
    reader = con.execute(contract.select(relation, ordered=ordered)).to_arrow_reader(BATCH)
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
    return write_batches(read_batches(con, relation, contract), contract, path)


def write_batches(batches: Iterable[Any], contract: Contract, path: Path) -> TableFile:
    """Write record batches in key order, of the contract's types, as Parquet; how they are cut leaves no trace.

    Raises:
        FingerprintError: as ``write_parquet``.
    """
    state = Fingerprint(contract)
    pending: list[Any] = []
    held = 0
    with pq.ParquetWriter(path, contract.arrow_schema(), **PARQUET_SETTINGS) as writer:
        for batch in tee(batches, state):
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
    _copy(con, contract.select(relation, ordered=is_in_key_order(con, relation, contract)), path)
    return TableFile(state.rows, contract.key, state.digest())


def copy_csv(con: Any, relation: str, path: Path) -> None:
    """Write a Parquet file that ``write_parquet`` made, and that ``con`` sees as ``relation``, as ``write_csv`` would.

    Its rows stand in key order, and its fingerprint is known: it is read once, and nothing is sorted.
    """
    _copy(con, f'select * from "{relation}"', path)


def _copy(con: Any, select: str, path: Path) -> None:
    con.execute(
        f"copy ({select}) to {quote(str(path))} "
        "(format csv, header true, delimiter ',', quote '\"', escape '\"', nullstr '', compression none)"
    )
