"""Random draws that are the same on every machine, for as long as this file stands.

Rules of this file:

- integers only; no float takes part, so no rounding mode or library version can change a draw;
- counter mode: draw ``n`` of a label is a pure function of (seed, label, n), so rows can be made in any order, in
  any chunking, and a longer sequence begins with the shorter one;
- the mixing function is splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014;
  constants as in Vigna's reference code), keyed per label by BLAKE3. It is for test data, never for secrets.
"""

import blake3
import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_DOMAIN = b"omphalos synthetic data v1\x00"
_HALF = np.uint64(32)


class Draws:
    """Keyed streams of draws for one seed.

    Args:
        seed: 0 to 2^64 - 1.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed.to_bytes(8, "little")
        self._keys: dict[str, int] = {}

    def bits(self, label: str, counters: U64) -> U64:
        """Return one 64-bit draw of the stream ``label`` per counter; equal counters give equal draws."""
        key = self._keys.get(label)
        if key is None:
            digest: bytes = blake3.blake3(_DOMAIN + self._seed + label.encode("ascii")).digest(8)
            key = self._keys[label] = int.from_bytes(digest, "little")
        mixed = counters * np.uint64(_GAMMA)
        mixed += np.uint64((key + _GAMMA) & _MASK)
        mixed ^= mixed >> np.uint64(30)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(27)
        mixed *= np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
        return mixed

    def below(self, label: str, counters: U64, bound: int | U64) -> U64:
        """Return draws in 0 … bound - 1; ``bound`` is 1 to 2^32, one for all or one per counter."""
        limit = np.uint64(bound) if isinstance(bound, int) else bound
        return ((self.bits(label, counters) >> _HALF) * limit) >> _HALF

    def chance(self, label: str, counters: U64, per_mille: int | U64) -> Bools:
        """Return for each counter whether an event of so many in a thousand happens."""
        happens: Bools = self.below(label, counters, 1000) < per_mille
        return happens

    def skewed_below(self, label: str, counters: U64, bound: U64) -> U64:
        """Return draws in 0 … bound - 1 where small values are far more frequent.

        Three draws in five are even over the whole range, the others are even over the *doublings* below the bound,
        which is what a Zipf distribution of exponent one looks like on a logarithmic scale, without a logarithm.
        """
        even = self.below(label, counters, bound)
        octaves = np.searchsorted(_POWERS, bound, side="right").astype(np.uint64)
        floor = np.uint64(1) << self.below(label + ".octave", counters, octaves)
        steep = floor - np.uint64(1) + self.below(label + ".within", counters, floor)
        chosen: U64 = np.where(self.chance(label + ".steep", counters, 400), steep % bound, even)
        return chosen


_POWERS: U64 = np.array([1 << n for n in range(32)], dtype=np.uint64)
