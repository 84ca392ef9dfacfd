"""Differences of two texts by lines, in the unified form, in bounded time and memory.

Rules of this file: whatever is said is a true edit script, applied to the old lines it gives the new ones. It is as
short as Myers' algorithm makes it where that is cheap; a stretch that would cost more than ``STEPS`` is said to be
replaced whole, which is longer and still true. Lines end at ``\\n`` alone, and are compared as bytes. What is too large
or is no text is refused in words, never cut in silence.

Method: common beginning and end are set aside; lines that stand exactly once on both sides, in one order, are anchors
(patience diff, Bram Cohen); between anchors E. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986).
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import Final

MAX_TEXT: Final = 16 << 20  # bytes of one side that are compared by lines
STEPS: Final = 1_000_000  # of Myers' algorithm, in one stretch between anchors
CONTEXT: Final = 3

Block = tuple[int, int, int, int]  # old lines [a0, a1) became new lines [b0, b1)


@dataclass(frozen=True, slots=True)
class Hunk:
    """One stretch of a unified diff: where it begins (from 1) and how many lines it has on each side, and its lines.

    A line is its mark (``-``, ``+``, a space, or a backslash where a side does not end with a line end) and its text.
    """

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    lines: tuple[tuple[str, str], ...]


def as_text(data: bytes) -> str:
    """Return why ``data`` is not shown by lines; empty if it is text that can be."""
    if len(data) > MAX_TEXT:
        return f"larger than {MAX_TEXT >> 20} MiB, too large to be compared by lines"
    if b"\0" in data:
        return "no text"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "no text"
    return ""


def split(data: bytes) -> list[bytes]:
    """Return the lines of a text with their ends; only the last may have none."""
    *whole, rest = data.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def blocks(old: list[bytes], new: list[bytes], steps: int = STEPS) -> list[Block]:
    """Return the blocks of lines that differ, in order; what lies between them is equal."""
    numbers: dict[bytes, int] = {}
    a = [numbers.setdefault(line, len(numbers)) for line in old]
    b = [numbers.setdefault(line, len(numbers)) for line in new]
    found: list[Block] = []
    a0, a1, b0, b1 = _trimmed(a, b, 0, len(a), 0, len(b))
    at = (a0, b0)
    for x, y in [*_anchors(a, b, a0, a1, b0, b1), (a1, b1)]:
        found += _between(a, b, *_trimmed(a, b, at[0], x, at[1], y), steps)
        at = (x + 1, y + 1)
    merged: list[Block] = []
    for block in found:
        if merged and merged[-1][1] == block[0] and merged[-1][3] == block[2]:
            merged[-1] = (merged[-1][0], block[1], merged[-1][2], block[3])
        else:
            merged.append(block)
    return merged


def _trimmed(a: list[int], b: list[int], a0: int, a1: int, b0: int, b1: int) -> Block:
    while a0 < a1 and b0 < b1 and a[a0] == b[b0]:
        a0, b0 = a0 + 1, b0 + 1
    while a0 < a1 and b0 < b1 and a[a1 - 1] == b[b1 - 1]:
        a1, b1 = a1 - 1, b1 - 1
    return a0, a1, b0, b1


def _anchors(a: list[int], b: list[int], a0: int, a1: int, b0: int, b1: int) -> list[tuple[int, int]]:
    """Return the longest ascending chain of places of lines that stand exactly once on both sides."""
    once_a, once_b = Counter(a[a0:a1]), Counter(b[b0:b1])
    place = {line: at for at, line in enumerate(b[b0:b1], b0) if once_b[line] == 1}
    pairs = [(at, place[line]) for at, line in enumerate(a[a0:a1], a0) if once_a[line] == 1 and line in place]
    tails: list[int] = []
    last: list[int] = []
    before = [-1] * len(pairs)
    for number, (_, y) in enumerate(pairs):
        length = bisect_left(tails, y)
        if length == len(tails):
            tails.append(y)
            last.append(number)
        else:
            tails[length], last[length] = y, number
        before[number] = last[length - 1] if length else -1
    chain: list[tuple[int, int]] = []
    number = last[-1] if last else -1
    while number >= 0:
        chain.append(pairs[number])
        number = before[number]
    return chain[::-1]


def _between(a: list[int], b: list[int], a0: int, a1: int, b0: int, b1: int, steps: int) -> list[Block]:
    if a0 == a1 and b0 == b1:
        return []
    if a0 == a1 or b0 == b1:
        return [(a0, a1, b0, b1)]
    equal = _myers(a[a0:a1], b[b0:b1], steps)
    if equal is None:
        return [(a0, a1, b0, b1)]
    found, x, y = list[Block](), 0, 0
    for i, j in [*equal, (a1 - a0, b1 - b0)]:
        if i > x or j > y:
            found.append((a0 + x, a0 + i, b0 + y, b0 + j))
        x, y = i + 1, j + 1
    return found


def _myers(a: list[int], b: list[int], steps: int) -> list[tuple[int, int]] | None:
    """Return the pairs of equal lines of a shortest edit script; None if it takes more than ``steps``."""
    n, m = len(a), len(b)
    furthest = {1: 0}
    trace: list[dict[int, int]] = []
    for d in range(n + m + 1):
        trace.append(dict(furthest))
        steps -= 2 * d + 1
        for k in range(-d, d + 1, 2):
            down = k == -d or (k != d and furthest[k - 1] < furthest[k + 1])
            x = furthest[k + 1] if down else furthest[k - 1] + 1
            start = x
            while x < n and x - k < m and a[x] == b[x - k]:
                x += 1
            steps -= x - start
            furthest[k] = x
            if x >= n and x - k >= m:
                return _walk_back(trace, n, m)
        if steps < 0:
            return None
    raise AssertionError("an edit script has at most as many steps as both sides have lines")


def _walk_back(trace: list[dict[int, int]], x: int, y: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for d in range(len(trace) - 1, -1, -1):
        furthest, k = trace[d], x - y
        if d:
            down = k == -d or (k != d and furthest[k - 1] < furthest[k + 1])
            above = k + 1 if down else k - 1
            old_x = furthest[above]
            old_y = old_x - above
            stop = old_x if down else old_x + 1
        else:
            old_x = old_y = stop = 0
        while x > stop:
            x, y = x - 1, y - 1
            pairs.append((x, y))
        x, y = old_x, old_y
    return pairs[::-1]


def hunks(old: list[bytes], new: list[bytes], found: list[Block], limit: int | None = None) -> list[Hunk]:
    """Return the blocks with lines around them, as stretches of a unified diff; at most ``limit``."""
    groups: list[list[Block]] = []
    for block in found:
        if groups and block[0] - groups[-1][-1][1] <= 2 * CONTEXT:
            groups[-1].append(block)
        elif limit is not None and len(groups) == limit:
            break
        else:
            groups.append([block])
    return [_hunk(old, new, group) for group in groups]


def _hunk(old: list[bytes], new: list[bytes], group: list[Block]) -> Hunk:
    lead = min(CONTEXT, group[0][0], group[0][2])
    first, first_new = group[0][0] - lead, group[0][2] - lead
    lines: list[tuple[str, str]] = []
    at = first
    for a0, a1, b0, b1 in group:
        lines += _lines(" ", old[at:a0])
        lines += _lines("-", old[a0:a1])
        lines += _lines("+", new[b0:b1])
        at = a1
    tail = old[at : at + CONTEXT]
    lines += _lines(" ", tail)
    end, end_new = at + len(tail), group[-1][3] + len(tail)
    olds, news = end - first, end_new - first_new
    return Hunk(first + (olds > 0), olds, first_new + (news > 0), news, tuple(lines))


def _lines(mark: str, lines: list[bytes]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for line in lines:
        found.append((mark, line.removesuffix(b"\n").decode("utf-8", "backslashreplace")))
        if not line.endswith(b"\n"):
            found.append(("\\", "No newline at end of file"))
    return found
