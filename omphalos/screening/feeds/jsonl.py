"""JSON Lines feeds: one object a line, numbers kept as they were written.

Rules of this file: a line is one strict JSON object (RFC 8259) with every key once, or it is a reject. DuckDB parses
the line, but reads ``1.10`` as 1.1 and takes trailing commas, NaN and Infinity for JSON: so numbers are put in quotes
before it extracts them, and the three are refused here, both by array operations over the bytes outside strings.
A mapped value that is an object or a list makes the record a reject; ``null`` and an absent key are NULL.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from omphalos.screening.feeds.decode import DecodedFeed, FeedShapeError
from omphalos.screening.feeds.sink import FeedCounts, Sink, check_columns, mapped_columns
from omphalos.screening.job import FeedSpec

CHUNK_BYTES: Final = 2 << 20
_QUOTE, _BACKSLASH, _LF = 34, 92, 10

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


def _among(characters: bytes) -> Bools:
    table = np.zeros(256, dtype=bool)
    table[list(characters)] = True
    return table


_NUMBER: Final = _among(b"0123456789+-.eE")
_NUMBER_START: Final = _among(b"0123456789-")
_BLANK: Final = _among(b" \t\r\n")
_OUTSIDE: Final = _among(b'0123456789+-.eE{}[]:," \t\r\ntruefalsn')


def load_jsonl(con: Any, decoded: DecodedFeed, feed: FeedSpec) -> FeedCounts:
    """Load a JSON Lines feed (see ``load.load_raw``); empty lines are no records.

    Raises FeedShapeError where there is no record, or a mapped key occurs in no record.
    """
    columns = mapped_columns(feed)
    name = feed.path.name
    seen = np.zeros(len(columns), dtype=bool)
    names: set[str] = set()
    number = 0
    with Sink(con, feed) as sink:
        for data in _chunks(decoded):
            number += _load_lines(con, sink, data, number, (columns, seen, names))
        if not number:
            raise FeedShapeError(f"no records: the feed {name} holds only empty lines", hint="is it cut short?")
        if sink.loaded and not seen.all():
            known = names | {column for column, found in zip(columns, seen, strict=True) if found}
            check_columns(sorted(known), feed, name)
    return sink.counts(number)


def _chunks(decoded: DecodedFeed) -> Iterator[bytes]:
    """Yield the text in pieces that end in a line end."""
    carry = b""
    with Path(decoded.path).open("rb") as file:
        file.seek(decoded.skip)
        while piece := file.read(CHUNK_BYTES):
            data = carry + piece
            cut = data.rfind(b"\n") + 1
            carry = data[cut:]
            if cut:
                yield data[:cut]
    if carry:
        yield carry + b"\n"


def _load_lines(con: Any, sink: Sink, data: bytes, number: int, shape: tuple[list[str], Bools, set[str]]) -> int:
    """Load the lines of one chunk, which ends in a line end; return how many records there were."""
    columns, seen, names = shape
    buffer = np.frombuffer(data, dtype=np.uint8)
    end = np.flatnonzero(buffer == _LF) + 1
    start = np.concatenate([np.zeros(1, dtype=np.int64), end[:-1]])
    outside = _outside_strings(buffer, start, end)
    wrong = _not_strict(buffer, outside, end)
    text, text_end = _numbers_quoted(buffer, outside, end)
    length = end - start
    record = (length > 2) | ((length == 2) & (buffer[start] != 13))
    rows = np.zeros(len(end), dtype=np.int64)
    rows[record] = number + 1 + np.arange(int(record.sum()))
    lines = pa.table(
        {"source_row": rows, "line": _strings(data, end), "quoted": _strings(text, text_end), "wrong": wrong}
    ).filter(pa.array(record))
    count: int = lines.num_rows
    checked = _query(con, lines, "*, json_valid(line) AND NOT wrong AS valid", [])
    bad = checked.filter(pc.invert(checked["valid"]))
    sink.reject(bad["source_row"], ["invalidJson"] * bad.num_rows, _trimmed(bad["line"]))
    # Lists of pointers: a line is parsed once for all its values, not once for each.
    pointers = ["/" + column.replace("~", "~0").replace("/", "~1") for column in columns]
    found = _query(
        con,
        checked.filter(checked["valid"]),
        """source_row, line, json_type(quoted, ?) AS kinds, json_extract_string(quoted, ?) AS cells,
        CASE WHEN json_type(line) <> 'OBJECT' THEN 'notAnObject'
        WHEN len(json_keys(line)) <> list_unique(json_keys(line)) THEN 'duplicateKey' END AS reason""",
        [pointers, pointers],
    )
    numbers = range(len(columns))
    nested = " OR ".join(f"kinds[{n + 1}] IN ('OBJECT', 'ARRAY')" for n in numbers)
    nul = " OR ".join(f"contains(cells[{n + 1}], chr(0))" for n in numbers)
    spread = ", ".join(f"kinds[{n + 1}] AS k{n}, cells[{n + 1}] AS c{n}" for n in numbers)
    final = f"""source_row, line, {spread}, CASE WHEN reason IS NOT NULL THEN reason
        WHEN {nested} THEN 'nestedValue' WHEN {nul} THEN 'nulCharacter' END AS reason"""
    found = _query(con, found, final, [])
    good = found.filter(found["reason"].is_null())
    bad = found.filter(found["reason"].is_valid())
    sink.reject(bad["source_row"], bad["reason"].to_pylist(), _trimmed(bad["line"]))
    sink.add(good["source_row"].combine_chunks(), [good[f"c{position}"] for position in range(len(columns))])
    seen |= [good[f"k{position}"].null_count < good.num_rows for position in range(len(columns))]
    if not names and good.num_rows:
        names.update(_keys(con, good.slice(0, 1)))
    return count


def _query(con: Any, batch: Any, select: str, values: list[list[str]]) -> Any:
    con.register("feed_lines", batch)
    try:
        return con.execute(f"SELECT {select} FROM feed_lines ORDER BY source_row", values).to_arrow_table()
    finally:
        con.unregister("feed_lines")


def _keys(con: Any, batch: Any) -> list[str]:
    keys: list[str] = _query(con, batch, "source_row, json_keys(line) AS keys", [])["keys"][0].as_py()
    return keys


def _trimmed(lines: Any) -> list[str]:
    return [line.rstrip("\r\n") for line in lines.to_pylist()]


def _strings(data: bytes | Bytes, end: Ints) -> Any:
    """Return an Arrow string array over ``data``, cut at ``end``; nothing is copied."""
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), end]).astype(np.int32)
    return pa.StringArray.from_buffers(len(end), pa.py_buffer(offsets), pa.py_buffer(data))


def _outside_strings(buffer: Bytes, start: Ints, end: Ints) -> Bools:
    """Return which bytes stand outside JSON strings; the quotes themselves stand inside. Each line starts outside."""
    quotes = np.flatnonzero(buffer == _QUOTE)
    escaped = np.flatnonzero((quotes > 0) & (buffer[np.maximum(quotes - 1, 0)] == _BACKSLASH))
    if len(escaped):
        # A quote is escaped by an odd run of backslashes.
        slashes = np.flatnonzero(buffer == _BACKSLASH)
        heads = slashes[np.concatenate([[True], np.diff(slashes) != 1])]
        head = heads[np.searchsorted(heads, quotes[escaped] - 1, side="right") - 1]
        quotes = np.delete(quotes, escaped[(quotes[escaped] - head) % 2 == 1])
    marks = np.zeros(len(buffer), dtype=np.uint8)
    marks[quotes] = 1
    parity = np.cumsum(marks, dtype=np.uint8) & 1
    before = np.concatenate([np.zeros(1, dtype=np.uint8), parity])[start]
    inside = parity ^ np.repeat(before, end - start)
    outside: Bools = (inside == 0) & (marks == 0)
    return outside


def _not_strict(buffer: Bytes, outside: Bools, end: Ints) -> Bools:
    """Return the lines with NaN, Infinity or a trailing comma; other errors are left to the parser."""
    wrong = outside & ~_OUTSIDE[buffer]
    wrong[:-1] |= outside[:-1] & (buffer[:-1] == ord("n")) & (buffer[1:] == ord("a")) & outside[1:]
    # The first byte after a comma that is no blank may not close the object or list.
    solid = np.flatnonzero(~(outside & _BLANK[buffer]))
    kind = buffer[solid]
    closes = (kind == ord("}")) | (kind == ord("]"))
    trailing = (kind[:-1] == ord(",")) & closes[1:] & outside[solid[:-1]] & outside[solid[1:]]
    positions = np.concatenate([np.flatnonzero(wrong), solid[1:][trailing]])
    flags = np.zeros(len(end), dtype=bool)
    flags[np.searchsorted(end, positions, side="right")] = True
    return flags


def _numbers_quoted(buffer: Bytes, outside: Bools, end: Ints) -> tuple[Bytes, Ints]:
    """Return the text with every number outside strings in quotes, and where its lines end."""
    number = np.concatenate([[False], outside & _NUMBER[buffer], [False]])
    first = np.flatnonzero(number[1:] & ~number[:-1])
    after = np.flatnonzero(number[:-1] & ~number[1:])
    real = _NUMBER_START[buffer[first]]  # not the e of true and false
    places = np.sort(np.concatenate([first[real], after[real]]))
    # A number never reaches over a line end, so what is put in before it belongs to its own line.
    return np.insert(buffer, places, _QUOTE), end + np.searchsorted(places, end, side="left")
