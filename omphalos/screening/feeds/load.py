"""Load a decoded feed into ``raw_feed`` and ``raw_rejects``: every record in exactly one of them, under its own number.

Rules of this file: nothing is sniffed; delimiter, header and columns are what the job says. Record boundaries come from
`records`, which is exact for quoted line ends and lost quotes; only well-formed records reach the CSV parser, chunk by
chunk, and the number it returns must be the number that went in. All cells stay text, untrimmed.
"""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from omphalos.screening.feeds.decode import DecodedFeed, FeedShapeError
from omphalos.screening.feeds.jsonl import load_jsonl
from omphalos.screening.feeds.parquet import load_parquet
from omphalos.screening.feeds.records import REASONS, Records, find_records
from omphalos.screening.feeds.sink import EXCERPT_CHARACTERS, FeedCounts, Sink, check_columns, mapped_columns
from omphalos.screening.job import DELIMITERS, FeedSpec

CHUNK_BYTES: Final = 8 << 20
MAX_COLUMNS: Final = 2000
_FEW, _MANY = 101, 102
_ALL_REASONS: Final = {**REASONS, _FEW: "tooFewCells", _MANY: "tooManyCells"}

__all__ = ["FeedCounts", "load_raw"]


def load_raw(con: Any, decoded: DecodedFeed, feed: FeedSpec) -> FeedCounts:
    """Create and fill ``raw_feed`` and ``raw_rejects`` on the DuckDB connection ``con``; return the counts.

    ``raw_feed``: source_row (1-based number of the record, header and empty lines not counted) and every feed field as
    VARCHAR, NULL where unmapped or a null value. ``raw_rejects``: source_row, field (NULL, the whole record), reason,
    value (its first 200 characters). Raises FeedShapeError where the header does not carry the mapped columns or no
    record follows it; after an error neither table exists.
    """
    if decoded.format == "jsonl":
        return load_jsonl(con, decoded, feed)
    if decoded.format == "parquet":
        return load_parquet(con, decoded, feed)
    return _load_csv(con, decoded, feed)


def _load_csv(con: Any, decoded: DecodedFeed, feed: FeedSpec) -> FeedCounts:
    name = feed.path.name
    number = 0
    parts = chunks(decoded, feed.delimiter, CHUNK_BYTES)
    head = next(parts, None)
    if head is None:
        raise _no_records(name)
    columns = _header(*head, feed, name)
    check_columns(columns, feed, name)
    with Sink(con, feed) as sink:
        first = 1
        for data, records in itertools.chain([head], parts):
            number += _load_chunk(sink, data, records, first, number, (columns, feed))
            first = 0
        if not number:
            raise _no_records(name)
    return sink.counts(number)


def _no_records(name: str) -> FeedShapeError:
    return FeedShapeError(f"no records: the feed {name} has nothing after its header", hint="is it the right file?")


def chunks(decoded: DecodedFeed, delimiter: str, size: int) -> Iterator[tuple[bytes, Records]]:
    """Yield the text of a decoded CSV feed in chunks of about ``size`` bytes with the records found in each."""
    carry = b""
    mark = delimiter.encode("ascii")
    with Path(decoded.path).open("rb") as file:
        file.seek(decoded.skip)
        while True:
            piece = file.read(size)
            data = carry + piece
            records = find_records(data, mark, at_end=not piece)
            if len(records.start):
                yield data, records
            carry = data[records.consumed :]
            if not piece:
                return


def _header(data: bytes, records: Records, feed: FeedSpec, name: str) -> list[str]:
    """Return the column names in the first record, which must be well formed."""
    text = data[records.start[0] : records.end[0]].decode("utf-8")
    if records.code[0]:
        reason = REASONS[int(records.code[0])]
        hint = "convert its line ends to LF or CRLF" if "\r" in text.rstrip("\r\n") else "quote cells as RFC 4180 does"
        raise FeedShapeError(f"the header of the feed {name} is malformed: {reason}", hint=hint)
    if int(records.cells[0]) > MAX_COLUMNS:
        raise FeedShapeError(f"the feed {name} has more than {MAX_COLUMNS} columns")
    header = _cells(text, feed.delimiter)
    if len(header) == 1 and len(mapped_columns(feed)) > 1:
        found = max(DELIMITERS, key=text.count)
        hint = f"{found!r} occurs {text.count(found)} times in the header: set feed.delimiter" if found in text else ""
        raise FeedShapeError(
            f"the header of the feed {name} has one column with delimiter {feed.delimiter!r}", hint=hint
        )
    return header


def _cells(text: str, delimiter: str) -> list[str]:
    """Return the cells of one well-formed record."""
    return next(csv.reader([text], delimiter=delimiter, strict=True))


def _load_chunk(
    sink: Sink, data: bytes, records: Records, first: int, number: int, shape: tuple[list[str], FeedSpec]
) -> int:
    """Load the records of one chunk from position ``first`` on; return how many there were."""
    columns, feed = shape
    start, end = records.start[first:], records.end[first:]
    code = records.code[first:]
    cells = records.cells[first:]
    code = np.where((code == 0) & (cells < len(columns)), _FEW, code)
    code = np.where((code == 0) & (cells > len(columns)), _MANY, code)
    rows = np.arange(number + 1, number + 1 + len(start), dtype=np.int64)
    good = code == 0
    bad = np.flatnonzero(~good)
    if len(bad):
        # Four bytes per character at most; what the cut leaves of a last character is dropped.
        spans = zip(start[bad].tolist(), end[bad].tolist(), strict=True)
        texts = [data[a : min(b, a + 4 * EXCERPT_CHARACTERS)].decode("utf-8", "ignore") for a, b in spans]
        reasons = [_ALL_REASONS[c] for c in code[bad].tolist()]
        sink.reject(rows[bad], reasons, [_without_line_end(text) for text in texts])
    if good.any():
        table = _parsed(_joined(data, start[good], end[good]), len(columns), feed)
        wanted = [columns.index(column) for column in mapped_columns(feed)]
        if table.num_rows != int(good.sum()):
            raise AssertionError(f"the CSV parser found {table.num_rows} records where {int(good.sum())} are")
        sink.add(rows[good], [table.column(f"c{position}") for position in wanted])
    return len(start)


def _without_line_end(text: str) -> str:
    return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")


def _joined(data: bytes, start: Any, end: Any) -> bytes:
    """Return the given spans of ``data`` in one piece; spans that touch are copied together."""
    breaks = np.flatnonzero(start[1:] != end[:-1])
    firsts = start[np.concatenate([[0], breaks + 1])].tolist()
    lasts = end[np.concatenate([breaks, [len(end) - 1]])].tolist()
    view = memoryview(data)
    return b"".join(view[a:b] for a, b in zip(firsts, lasts, strict=True))


def _parsed(text: bytes, width: int, feed: FeedSpec) -> Any:
    """Return an Arrow table of well-formed records with the string columns c0, c1 … that the job maps."""
    names = [f"c{position}" for position in range(width)]
    return pacsv.read_csv(
        pa.BufferReader(text),
        # One block: a record is never split, and rows come in order.
        read_options=pacsv.ReadOptions(column_names=names, block_size=len(text) + 1),
        parse_options=pacsv.ParseOptions(
            delimiter=feed.delimiter, quote_char='"', double_quote=True, escape_char=False, newlines_in_values=True
        ),
        convert_options=pacsv.ConvertOptions(
            column_types={name: pa.string() for name in names}, strings_can_be_null=False, check_utf8=True
        ),
    )
