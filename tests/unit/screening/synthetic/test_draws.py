"""The draws: known answers, independence of order, bounds, and the shape of the skew."""

import numpy as np
import pytest

from omphalos.screening.synthetic.draws import Draws


def numbers(*values: int) -> np.ndarray:
    """Return counters."""
    return np.array(values, dtype=np.uint64)


def splitmix64(state: int) -> int:
    """Return the first output of Vigna's reference generator for a state, written with Python's own integers."""
    mask = (1 << 64) - 1
    z = (state + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_reference_of_the_mixing_function() -> None:
    """The plain-integer twin gives the published first outputs of splitmix64 for seed 1234567."""
    gamma = 0x9E3779B97F4A7C15

    assert splitmix64(1234567) == 6457827717110365317
    assert splitmix64((1234567 + gamma) & ((1 << 64) - 1)) == 3203168211198807973


def test_bits_are_splitmix64_of_a_keyed_counter() -> None:
    """The vectorised draws equal the plain-integer twin, run from the label's key."""
    draws = Draws(7)
    gamma = 0x9E3779B97F4A7C15
    counters = [0, 1, 2, 1 << 32, (1 << 64) - 1]

    found = draws.bits("label", numbers(*counters)).tolist()
    key = draws._keys["label"]

    assert [splitmix64((key + n * gamma) & ((1 << 64) - 1)) for n in counters] == found


def test_draws_are_pinned() -> None:
    """The first draws of seed 1 never change: every synthetic file rests on them."""
    assert Draws(1).below("pinned", np.arange(8, dtype=np.uint64), 1000).tolist() == [
        234,
        241,
        561,
        490,
        703,
        195,
        639,
        145,
    ]


def test_a_draw_depends_on_its_counter_alone() -> None:
    """Asking for counters in another order, or fewer of them, gives the same draw for each."""
    whole = Draws(5).bits("x", np.arange(100, dtype=np.uint64))

    assert whole[[70, 3]].tolist() == Draws(5).bits("x", numbers(70, 3)).tolist()


@pytest.mark.parametrize("other", [Draws(6).bits("x", numbers(1)), Draws(5).bits("y", numbers(1))])
def test_seed_and_label_separate_streams(other: np.ndarray) -> None:
    """Another seed, or another label, is another stream."""
    assert Draws(5).bits("x", numbers(1)).tolist() != other.tolist()


@pytest.mark.parametrize("bound", [1, 2, 7, 1000, (1 << 32) - 1])
def test_below_stays_below(bound: int) -> None:
    """Draws lie in 0 … bound - 1 for small and for the largest bounds."""
    found = Draws(3).below("b", np.arange(5000, dtype=np.uint64), bound)

    assert found.max() < bound
    assert bound == 1 or found.max() >= bound // 2


def test_below_is_even() -> None:
    """Each of ten values comes about equally often."""
    counts = np.bincount(Draws(3).below("b", np.arange(100_000, dtype=np.uint64), 10).astype(np.int64))

    assert counts.min() > 9_600
    assert counts.max() < 10_400


def test_skewed_draws_prefer_small_values_and_reach_large_ones() -> None:
    """The smallest tenth of the range gets more than half of the draws, and the largest tenth some."""
    bound = np.full(50_000, 1000, dtype=np.uint64)

    found = Draws(3).skewed_below("s", np.arange(50_000, dtype=np.uint64), bound)

    assert found.max() < 1000
    assert (found < 100).mean() > 0.3
    assert (found == 0).sum() > 10 * (found == 900).sum()
    assert (found >= 900).sum() > 2000


@pytest.mark.parametrize("bound", [1, 2, 3, (1 << 31)])
def test_skewed_draws_keep_odd_bounds(bound: int) -> None:
    """Skewed draws stay below bounds that are small or at the edge of the powers table."""
    found = Draws(3).skewed_below("s", np.arange(2000, dtype=np.uint64), np.full(2000, bound, dtype=np.uint64))

    assert found.max() < bound
