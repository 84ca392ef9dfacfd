"""Where the records of a CSV text begin and end, and which of them are malformed, found without a loop over rows.

Rules of this file: a record ends with LF or CRLF outside quotes. A quote opens a cell only at its start and closes it
only at its end, and ``""`` inside quotes is one quote (RFC 4180); a quote anywhere else, and a carriage return outside
quotes that no LF follows, make the record malformed. A record that opens a quote and does not close it properly within
4 MiB is malformed, and **only its first line** is it: reading starts again on the next line, so that one lost quote
costs one record and not the rest of the file. An empty line is no record. The result does not depend on how the text
is cut into chunks.

Method: quotes outside and inside a cell alternate, so whether a byte is quoted is the parity of the quotes before it
in its record. Every physical line is judged twice with array operations, as if it started outside quotes and as if it
started inside; only lines that are odd or wrong (usually few) are then walked one by one.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MAX_RECORD_BYTES: Final = 4 << 20
STRAY_QUOTE: Final = 1
STRAY_CARRIAGE_RETURN: Final = 2
UNTERMINATED_QUOTE: Final = 3
REASONS: Final = {1: "strayQuote", 2: "strayCarriageReturn", 3: "unterminatedQuote"}
_LF, _CR, _QUOTE = 10, 13, 34

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one chunk, in order: first byte, byte after the line end, cells, and a code (0 = well formed).

    ``consumed`` bytes of the chunk are dealt with; the rest belongs before the next chunk.
    """

    start: Ints
    end: Ints
    cells: Ints
    code: Ints
    consumed: int


@dataclass(frozen=True, slots=True)
class _Lines:
    """What is known of every physical line, as if it started outside quotes (out) and as if inside (inn)."""

    start: Ints
    end: Ints
    odd: Bools
    quoted: Bools
    cells_out: Ints  # delimiters outside quotes
    cells_inn: Ints
    code_out: Ints
    bad_inn: Bools


def find_records(data: bytes, delimiter: bytes, *, at_end: bool, limit: int = MAX_RECORD_BYTES) -> Records:
    """Return the records of ``data``, which starts where a record starts; ``at_end`` tells that no more text follows.

    ``delimiter`` is one byte. Without ``at_end``, text after the last line end, and a record whose quote is still open
    there, are left for the next call.
    """
    lines = _judge(data, delimiter[0], at_end=at_end)
    count = len(lines.start)
    irregular = np.flatnonzero(lines.odd | (lines.code_out != 0)).tolist()
    # For every line: the line that ends the record it begins, -1 for a line that continues a record.
    last = np.arange(count, dtype=np.int64)
    code = lines.code_out.copy()
    stop = count
    if irregular:
        stop = _walk(lines, irregular, last, code, size=len(data), at_end=at_end, limit=limit)
    first = np.flatnonzero(last[:stop] >= 0)
    final = last[first]
    length = lines.end[final] - lines.start[first]
    buffer = np.frombuffer(data, dtype=np.uint8)
    empty = (length == 1) & (buffer[lines.start[first]] == _LF) if len(first) else np.zeros(0, dtype=bool)
    empty |= (length == 2) & (buffer[lines.start[first]] == _CR) & (code[first] == 0) if len(first) else empty
    keep = first[~empty]
    final = last[keep]
    inner = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lines.cells_inn)])
    cells = 1 + lines.cells_out[keep] + inner[final + 1] - inner[keep + 1]
    consumed = int(lines.end[stop - 1]) if stop else 0
    return Records(lines.start[keep], lines.end[final], cells, code[keep], consumed)


def _judge(data: bytes, delimiter: int, *, at_end: bool) -> _Lines:
    buffer = np.frombuffer(data, dtype=np.uint8)
    end = np.flatnonzero(buffer == _LF) + 1
    if at_end and len(data) and buffer[-1] != _LF:
        end = np.append(end, len(data))
    buffer = buffer[: end[-1] if len(end) else 0]
    bounds = np.concatenate([np.zeros(1, dtype=np.int64), end])
    start = bounds[:-1]
    quotes = np.flatnonzero(buffer == _QUOTE)
    delimiters = np.flatnonzero(buffer == delimiter)
    returns = np.flatnonzero(buffer == _CR)
    returns = returns[_after(buffer, returns) != _LF]
    zero = np.zeros(len(start), dtype=np.int64)
    if not len(quotes):
        stray = np.where(_per_line(returns, bounds) > 0, STRAY_CARRIAGE_RETURN, 0)
        none = np.zeros(len(start), dtype=bool)
        return _Lines(start, end, none, none, _per_line(delimiters, bounds), zero, stray, none)
    # Parity of the quotes in the whole chunk up to and with each byte; a wrap of the counter keeps it.
    parity = np.cumsum(buffer == _QUOTE, dtype=np.uint8) & 1
    before = np.concatenate([np.zeros(1, dtype=np.uint8), parity])[start] == 1
    odd = (parity[end - 1] == 1) != before
    comma = _by_parity(delimiters, parity[delimiters] == 1, bounds)
    lone = _by_parity(returns, parity[returns] == 1, bounds)
    quote = _by_role(buffer, quotes, parity[quotes] == 1, delimiter, bounds)
    # Seen from a line's own start, the chunk's parity is turned round where an odd number of quotes precede the line.
    code = np.where(np.where(before, lone[1], lone[0]) > 0, STRAY_CARRIAGE_RETURN, 0)
    code = np.where(np.where(before, quote[1], quote[0]) > 0, STRAY_QUOTE, code)
    bad_inn = np.where(before, lone[0] + quote[0], lone[1] + quote[1]) > 0
    return _Lines(
        start=start,
        end=end,
        odd=odd,
        quoted=_per_line(quotes, bounds) > 0,
        cells_out=np.where(before, comma[1], comma[0]),
        cells_inn=np.where(before, comma[0], comma[1]),
        code_out=code,
        bad_inn=bad_inn,
    )


def _after(buffer: Bytes, at: Ints) -> Any:
    """Return the byte after each position; after the last byte, 0."""
    padded = np.minimum(at + 1, max(len(buffer) - 1, 0))
    return np.where(at + 1 < len(buffer), buffer[padded], 0) if len(at) else np.zeros(0, dtype=np.uint8)


def _per_line(positions: Ints, bounds: Ints) -> Ints:
    return np.diff(np.searchsorted(positions, bounds))


def _by_parity(positions: Ints, odd: Bools, bounds: Ints) -> tuple[Ints, Ints]:
    return _per_line(positions[~odd], bounds), _per_line(positions[odd], bounds)


def _by_role(buffer: Bytes, quotes: Ints, opens: Bools, delimiter: int, bounds: Ints) -> tuple[Ints, Ints]:
    """Return the misplaced quotes of each line, if the chunk's odd quotes open cells and if they close them."""
    previous = np.where(quotes > 0, buffer[np.maximum(quotes - 1, 0)], _LF)
    following = np.where(quotes + 1 < len(buffer), buffer[np.minimum(quotes + 1, len(buffer) - 1)], _LF)
    second = np.where(quotes + 2 < len(buffer), buffer[np.minimum(quotes + 2, len(buffer) - 1)], 0)
    may_open = (previous == delimiter) | (previous == _LF) | (previous == _QUOTE)
    may_close = (following == delimiter) | (following == _LF) | (following == _QUOTE)
    may_close |= (following == _CR) & (second == _LF)
    as_is = ~np.where(opens, may_open, may_close)
    turned = ~np.where(opens, may_close, may_open)
    return _per_line(quotes[as_is], bounds), _per_line(quotes[turned], bounds)


def _walk(lines: _Lines, irregular: list[int], last: Ints, code: Ints, *, size: int, at_end: bool, limit: int) -> int:
    """Decide the lines that are odd or wrong, in order; return the number of lines that are dealt with.

    A line that opens a quote is followed over the lines that hold quotes, to the one that closes it. Each line is
    looked at twice at most: a second search can only begin at an odd line, where the first one ended.
    """
    quoted: list[int] = np.flatnonzero(lines.quoted).tolist()
    start, end = lines.start, lines.end
    at = 0
    while at < len(irregular):
        line = irregular[at]
        at += 1
        if code[line]:
            continue
        closing = -1
        undecided = True
        for index in range(bisect_right(quoted, line), len(quoted)):
            candidate = quoted[index]
            if end[candidate] - start[line] > limit or lines.bad_inn[candidate]:
                undecided = False
                break
            if lines.odd[candidate]:
                closing = candidate
                break
        if closing >= 0:
            last[line] = closing
            last[line + 1 : closing + 1] = -1
            code[line + 1 : closing + 1] = 0
            at = bisect_left(irregular, closing + 1)
        elif undecided and not at_end and size - start[line] <= limit:
            return line
        else:
            code[line] = UNTERMINATED_QUOTE
    return len(start)
