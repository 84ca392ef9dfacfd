"""Where a huge file is cut into chunks, so that an edit changes the chunks around it and no others.

A cut is made behind 64 bytes whose hash is small, at least ``MIN_CHUNK`` and at most ``MAX_CHUNK`` bytes behind the
last one (content-defined chunking: Muthitacharoen, Chen, Mazières, "A low-bandwidth network file system", SOSP 2001;
the minimum is skipped unhashed as in FastCDC, Xia et al., USENIX ATC 2016). A hash that rolls takes a loop over the
bytes; here every position is judged at once: one multiplication of the last 8 bytes throws out all but one in 4,096,
and of those the last 64 bytes decide, so that a pattern that recurs in every row does not cut every row.

Rules of this file: the only one of the store that imports numpy, and imported only when something is cut. The cuts
are no part of the format: whoever cuts elsewhere stores the same blob under the same id.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

MIN_CHUNK: Final = 64 * 1024
MAX_CHUNK: Final = 1024 * 1024
WINDOW: Final = 64
_WORD: Final = 8
_BLOCK: Final = 32 * 1024  # positions judged at a time; two arrays of them stay in the processor's cache
_SLICE: Final = 2 * 1024 * 1024
_FEW: Final = 4096  # candidates whose 64 bytes are looked at together
# Odd multipliers without further meaning: the fractions of the golden ratio and of square roots.
_FIRST: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FROM: Final = np.uint64((1 << 64) - (1 << 52))  # one in 4,096; a word of zeros, or of any one byte, is none
_SECOND: Final = tuple(
    np.uint64(value)
    for value in (
        0x6A09E667F3BCC909,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
        0x1F83D9ABFB41BD6B,
        0x5BE0CD19137E2179,
    )
)
_SECOND_BELOW: Final = np.uint64((1 << 64) // 48)  # one in 48: on average 192 KiB behind the minimum


class Cutter:
    """Takes a stream in pieces of any size and gives its chunks; at most ``MAX_CHUNK`` bytes wait in between."""

    def __init__(self) -> None:
        self._rest = b""
        self._products = np.empty(_BLOCK, dtype=np.uint64)
        self._kept = np.empty(_BLOCK, dtype=bool)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the chunks that end within what was given so far."""
        view = memoryview(data)
        for start in range(0, len(view), _SLICE):
            yield from self._cut(view[start : start + _SLICE], last=False)

    def finish(self) -> Iterator[bytes]:
        """Yield what is left at the end of the stream."""
        yield from self._cut(memoryview(b""), last=True)

    def _cut(self, data: memoryview, *, last: bool) -> Iterator[bytes]:
        held = b"".join((self._rest, data))
        start = 0
        while len(held) - start > MIN_CHUNK:
            end = self._end(held, start)
            if end == 0:
                if not last and len(held) - start < MAX_CHUNK:
                    break
                end = min(start + MAX_CHUNK, len(held))
            yield held[start:end]
            start = end
        self._rest = held[start:]
        if last and self._rest:
            yield self._rest
            self._rest = b""

    def _end(self, held: bytes, start: int) -> int:
        """Return where the chunk that begins at ``start`` ends by its content; 0 where nothing here says so."""
        # words[i] is the 8 bytes from i on; a chunk may end at p where those at p - 8 say so, which p - 64 ... p decide
        words = np.ndarray((len(held) - _WORD + 1,), dtype="<u8", buffer=held, strides=(1,))
        stop = min(start + MAX_CHUNK, len(held)) - _WORD + 1
        for at in range(start + MIN_CHUNK - _WORD, stop, _BLOCK):
            block = words[at : min(at + _BLOCK, stop)]
            products, kept = self._products[: len(block)], self._kept[: len(block)]
            np.multiply(block, _FIRST, out=products)
            np.greater_equal(products, _FIRST_FROM, out=kept)
            candidates = np.flatnonzero(kept)
            for some in range(0, len(candidates), _FEW):
                ends = candidates[some : some + _FEW] + (at + _WORD)
                good = np.flatnonzero(_decide(words, ends))
                if len(good):
                    return int(ends[good[0]])
        return 0


def _decide(words: Any, ends: Any) -> Any:
    """Say for each end whether the 64 bytes before it make a cut (a multilinear hash of eight words, then mixed)."""
    total = np.zeros(len(ends), dtype=np.uint64)
    for number, factor in enumerate(_SECOND):
        word = words[ends - (WINDOW - _WORD * number)]
        total += (word ^ (word >> np.uint64(29))) * factor
    total ^= total >> np.uint64(32)
    return total * _FIRST < _SECOND_BELOW
