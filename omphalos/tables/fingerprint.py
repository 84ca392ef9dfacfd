"""The logical fingerprint of a table: one digest for the same content on any engine and in any file format.

Rules of this file (docs/format/fingerprint.md has the bytes): rows arrive in strictly ascending order of the declared
key, which is checked here; kinds come from the contract and are never inferred; two BLAKE3 streams for each column
(*shape* and *data*) make the encoding injective and independent of how the rows are cut into batches. Columns are
read as Arrow buffers; there is no Python loop over rows.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from omphalos.format import strictjson
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.tables.contract import Contract

FINGERPRINT_VERSION = 1


class FingerprintError(OmphalosError):
    """A table cannot be fingerprinted: rows out of key order, a key twice, or a NULL where none may stand."""

    kind = ErrorKind.NEGATIVE
    id = "fingerprintRefused"


class _ColumnState:
    """The two running hashes of one column and its count of NULLs."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.shape = blake3()
        self.data = blake3()
        self.nulls = 0

    def update(self, array: Any) -> None:
        """Take in one Arrow array of the column's kind."""
        self.nulls += array.null_count
        if self.kind == "text":
            lengths = pc.fill_null(pc.cast(pc.binary_length(array), pa.int32()), -1)
            self.shape.update(_int_bytes(lengths, 4))
            self.data.update(_text_bytes(pc.fill_null(array, "") if array.null_count else array))
        else:
            valid = pc.cast(pc.is_valid(array), pa.uint8())
            self.shape.update(_int_bytes(valid, 1))
            self.data.update(_int_bytes(pc.fill_null(array, 0) if array.null_count else array, 8))

    def close(self) -> dict[str, object]:
        """Return the column's member of the canonical JSON."""
        return {
            "data": self.data.hexdigest(),
            "kind": self.kind,
            "name": self.name,
            "nulls": self.nulls,
            "shape": self.shape.hexdigest(),
        }


def _int_bytes(array: Any, width: int) -> memoryview:
    """Return the values of a null-free fixed-width array as little-endian bytes (every supported machine is LE)."""
    values = array.buffers()[1]
    if values is None:
        return memoryview(b"")
    start = array.offset * width
    return memoryview(values)[start : start + len(array) * width]


def _text_bytes(array: Any) -> memoryview:
    """Return the concatenated UTF-8 bytes of a null-free ``large_string`` array."""
    _, offsets, data = array.buffers()
    if data is None or len(array) == 0:
        return memoryview(b"")
    ends = memoryview(offsets).cast("q")
    return memoryview(data)[ends[array.offset] : ends[array.offset + len(array)]]


class Fingerprint:
    """An incremental fingerprint; feed it record batches in key order.

    Args:
        contract: the table's contract.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._schema = contract.arrow_schema()
        self._columns = [_ColumnState(column.name, column.kind) for column in contract.column]
        self._last: list[Any] | None = None
        self.rows = 0

    def update(self, batch: Any) -> None:
        """Take in a record batch that has the contract's columns.

        Raises:
            FingerprintError: a column is missing or of another kind, a NULL stands where none may, or a row does
            not come
                strictly after the one before it.
        """
        if batch.num_rows == 0:
            return
        arrays = {}
        for column, field in zip(self._contract.column, self._schema, strict=True):
            array = batch.column(column.name)
            if array.type != field.type:
                array = _cast(array, field.type, column.name)
            if array.null_count and not column.nullable:
                raise FingerprintError(f"table {self._contract.table}: NULL in column {column.name}, which allows none")
            arrays[column.name] = array
        self._check_order([arrays[name] for name in self._contract.key])
        for state in self._columns:
            state.update(arrays[state.name])
        self.rows += batch.num_rows

    def _check_order(self, keys: list[Any]) -> None:
        """Check that the rows of a batch ascend strictly by key, among themselves and after the batch before."""
        if self._last is not None:
            keys_all = [pa.concat_arrays([last, key]) for last, key in zip(self._last, keys, strict=True)]
        else:
            keys_all = keys
        count = len(keys_all[0])
        if count > 1:
            ascending = None
            for key in reversed(keys_all):
                before, after = key.slice(0, count - 1), key.slice(1)
                greater = pc.greater(after, before)
                if ascending is None:
                    ascending = greater
                else:
                    ascending = pc.or_(greater, pc.and_(pc.equal(after, before), ascending))
            if not pc.all(ascending).as_py():
                at = pc.index(ascending, pa.scalar(False)).as_py()
                shown = ", ".join(repr(key[at + 1].as_py()) for key in keys_all)
                raise FingerprintError(
                    f"table {self._contract.table}: rows are not in strictly ascending key order at key ({shown})",
                    hint="the declared key must be unique, and text keys sort by their UTF-8 bytes",
                )
        # Copied, so that the batch's buffers can be freed.
        self._last = [pa.array([key[-1].as_py()], key.type) for key in keys]

    def digest(self) -> str:
        """Return the fingerprint of what was fed so far, as 64 hex digits."""
        document = {
            "columns": [state.close() for state in self._columns],
            "key": list(self._contract.key),
            "rows": self.rows,
            "v": FINGERPRINT_VERSION,
        }
        return str(blake3(strictjson.compact(document)).hexdigest())


def _cast(array: Any, kind: Any, name: str) -> Any:
    try:
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        return array.cast(kind, safe=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise FingerprintError(f"column {name} is {array.type}, its contract says {kind}") from error


def fingerprint(batches: Iterable[Any], contract: Contract) -> tuple[int, str]:
    """Return (rows, fingerprint) of the record batches of one table, read once.

    Raises:
        FingerprintError: as ``Fingerprint.update``.
    """
    state = Fingerprint(contract)
    for batch in batches:
        state.update(batch)
    return state.rows, state.digest()


def tee(batches: Iterable[Any], state: Fingerprint) -> Iterator[Any]:
    """Pass record batches on while the fingerprint takes them in."""
    for batch in batches:
        state.update(batch)
        yield batch
