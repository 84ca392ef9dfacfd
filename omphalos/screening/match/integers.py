"""Arithmetic and batches the matcher shares: exact logarithms, overlap of index ranges, ranks within groups.

Rule of this file: no float decides anything. Information content is computed with exact integers, so that two machines,
two C libraries and two numpy versions agree on every digit.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

Item = TypeVar("Item")
Result = TypeVar("Result")

FULL = 10_000  # basis points of a whole


def log2_milli(total: int, part: int) -> int:
    """Return floor(1000 * log2(total / part)), exactly; 0 where ``part`` is not below ``total``.

    Both are at least 1. floor(1000*log2(a/b)) is floor(log2(a**1000 / b**1000)), which bit lengths and one comparison
    decide without rounding.
    """
    if part >= total:
        return 0
    top, bottom = total**1000, part**1000
    exponent = top.bit_length() - bottom.bit_length()
    return exponent - 1 if top < bottom << exponent else exponent


def information_milli(counts: Ints, total: int) -> Ints:
    """Return the information content of being one of ``counts`` among ``total``, in thousandths of a bit.

    A count of 0 is taken as 1: what the registry does not hold is as rare as what it holds once.
    """
    distinct, place = np.unique(np.maximum(counts, 1), return_inverse=True)
    table = np.array([log2_milli(total, int(count)) for count in distinct], dtype=np.int64)
    return table[place] if len(table) else np.zeros(0, dtype=np.int64)


def distinct(values: Ints) -> Ints:
    """Return the values in ascending order, each once (numpy's own way hashes, which is slower for large arrays)."""
    ordered = np.sort(values)
    fresh = np.ones(len(ordered), dtype=bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    return ordered[fresh]


def spans(lengths: Ints) -> Ints:
    """Return 0, 1, … length-1 for each length, one after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total, dtype=np.int64) - np.repeat(ends - lengths, lengths)


def starts(lengths: Ints) -> Ints:
    """Return where each of consecutive groups of ``lengths`` begins, and at the end where the last one ends."""
    result = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=result[1:])
    return result


def cut_by_cost(costs: Ints, limit: int, most: int) -> list[tuple[int, int]]:
    """Return ranges over ``costs`` of at most ``most`` items and ``limit`` cost each (one item, whatever it costs)."""
    edges = starts(costs)
    ranges: list[tuple[int, int]] = []
    begin = 0
    while begin < len(costs):
        end = int(np.searchsorted(edges, edges[begin] + limit, side="right")) - 1
        end = max(begin + 1, min(end, begin + most, len(costs)))
        ranges.append((begin, end))
        begin = end
    return ranges


def texts(column: Any) -> npt.NDArray[np.object_]:
    """Return an Arrow text column as an array of str, so that it can be indexed without a loop."""
    values: npt.NDArray[np.object_] = column.to_numpy(zero_copy_only=False)
    return values.astype(object)


def whole(column: Any) -> Ints:
    """Return an Arrow integer column as int64."""
    values: Ints = column.to_numpy(zero_copy_only=False)
    return values.astype(np.int64)


def in_order(pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int) -> Iterator[Result]:
    """Yield ``work`` of each item in the order of the items, at most ``ahead`` of them before they are asked for.

    An executor's own ``map`` takes all items at once and keeps every outcome that is not yet fetched.
    """
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
