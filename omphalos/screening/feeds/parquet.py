"""Parquet feeds: every mapped column turned into text exactly, row by row as they stand in the file.

Rules of this file: integers, decimals and booleans as they read, floats in their shortest form that reads back the
same, dates and timestamps in ISO 8601 (UTC with a Z where the column has a time zone; no fraction where it is zero). A
mapped column of lists, structs or intervals is an error. A text that is not UTF-8, holds NUL or is longer than 4 MiB
makes its record a reject.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from omphalos.screening.feeds.decode import (
    MAX_LINE_BYTES,
    MAX_RATIO,
    MAX_UNPACKED_BYTES,
    DecodedFeed,
    FeedDamaged,
    FeedShapeError,
)
from omphalos.screening.feeds.sink import FeedCounts, Sink, check_columns, mapped_columns
from omphalos.screening.job import FeedSpec

BATCH_ROWS: Final = 32_768


def load_parquet(con: Any, decoded: DecodedFeed, feed: FeedSpec) -> FeedCounts:
    """Load a parquet feed (see ``load.load_raw``); raises FeedShapeError and FeedDamaged."""
    name = feed.path.name
    columns = mapped_columns(feed)
    limit = max(MAX_UNPACKED_BYTES, MAX_RATIO * decoded.size)
    number = size = 0
    try:
        with pq.ParquetFile(decoded.path) as file:
            schema = file.schema_arrow
            check_columns(schema.names, feed, name)
            for column in columns:
                _check_type(schema.field(column), name)
            with Sink(con, feed) as sink:
                for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                    cells, bad = _texts([batch.column(column) for column in columns])
                    size += sum(cell.nbytes for cell in cells)
                    if size > limit:
                        raise FeedDamaged(
                            f"the feed {name} unpacks to more than {limit} bytes",
                            hint=f"more than {MAX_RATIO} times its size; write it as CSV if it is meant to be so",
                        )
                    rows = np.arange(number + 1, number + 1 + batch.num_rows, dtype=np.int64)
                    _put(sink, rows, cells, bad)
                    number += batch.num_rows
                if not number:
                    raise FeedShapeError(f"no records: the feed {name} has no row", hint="is it the right file?")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise FeedDamaged(
            f"the parquet file {name} cannot be read: {str(error)[:200]}", hint="fetch it again"
        ) from error
    return sink.counts(number)


def _check_type(field: Any, name: str) -> None:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    types = pa.types
    if types.is_nested(kind) or types.is_interval(kind) or types.is_duration(kind):
        raise FeedShapeError(
            f"column {field.name!r} of the feed {name} is of type {str(kind)[:60]}, which is no single value",
            hint="write it as text, a number, a date or a timestamp",
        )


def _texts(columns: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return one string array per column, and per reason a mask of the rows that cannot be text."""
    rows = len(columns[0])
    bad: dict[str, Any] = {reason: np.zeros(rows, dtype=bool) for reason in ("notUtf8", "nulCharacter", "valueTooLong")}
    cells = []
    for column in columns:
        plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        text = _text(plain, bad["notUtf8"])
        long = pc.greater(pc.binary_length(text), MAX_LINE_BYTES)
        bad["valueTooLong"] |= pc.fill_null(long, fill_value=False).to_numpy(zero_copy_only=False)
        nul = pc.match_substring(text, "\0")
        bad["nulCharacter"] |= pc.fill_null(nul, fill_value=False).to_numpy(zero_copy_only=False)
        cells.append(text)
    return cells, bad


def _text(column: Any, not_utf8: Any) -> Any:
    kind = column.type
    if pa.types.is_timestamp(kind):
        if kind.tz is not None:
            column = pc.cast(column, pa.timestamp(kind.unit, "UTC"))
        text = pc.replace_substring(pc.cast(column, pa.string()), " ", "T", max_replacements=1)
        return pc.replace_substring_regex(text, r"\.0+(Z?)$", r"\1")
    types = pa.types
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if not (is_text or types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)):
        return pc.cast(column, pa.string())
    # Parquet readers do not check that text is UTF-8; the way over bytes does.
    raw = pc.cast(column, pa.binary())
    try:
        return pc.cast(raw, pa.string())
    except pa.ArrowInvalid:
        # Only a batch that holds such bytes is looked at value by value.
        values = raw.to_pylist()
        for row, value in enumerate(values):
            if value is not None and value.decode("utf-8", "ignore").encode("utf-8") != value:
                not_utf8[row] = True
                values[row] = value.decode("utf-8", "replace").encode("utf-8")
        return pc.cast(pa.array(values, pa.binary()), pa.string())


def _put(sink: Sink, rows: Any, cells: list[Any], bad: dict[str, Any]) -> None:
    reject = np.zeros(len(rows), dtype=bool)
    for reason, mask in bad.items():
        new = mask & ~reject
        reject |= mask
        # The excerpt shows the first mapped cells of the record, since a parquet row has no text of its own.
        at = pa.array(np.flatnonzero(new))
        texts = [
            ",".join("" if v is None else v[:200] for v in row)
            for row in zip(*(c.take(at).to_pylist() for c in cells), strict=True)
        ]
        sink.reject(rows[new], [reason] * len(texts), texts)
    good = pa.array(~reject)
    sink.add(rows[~reject], [cell.filter(good) for cell in cells])
