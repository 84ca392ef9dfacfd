"""Which words of the registry a word of a party may stand for, and how sure that is: worked out once per pair of words.

Rules of this file: every distinct word is looked at once, however many names hold it; pairs of words come from keys
that both must share (how the word sounds, its consonants with one or two left out, a beginning), never from comparing
all with all; the likeness of a pair is made of integer edit distances. Words with more than one digit stand only for
themselves.

Sources: deletion neighbourhoods (Mor and Fraenkel 1982; Bocek, Hunt and Stiller 2007) over the consonants of `sounds`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import OSA, Indel

from omphalos.screening.match.integers import FULL, Ints, cut_by_cost, distinct, spans, starts
from omphalos.screening.match.params import Weights
from omphalos.screening.match.sounds import sound_keys

EDIT, SOUND, PART = 1, 2, 3  # why two words are alike; kept in the two low bits of the likeness
KINDS: Final = 4
WORD_CHARS: Final = 24  # longer words stand only for themselves
PAIRS: Final = 1 << 20  # word pairs compared at once
CHUNK: Final = 1 << 14  # words whose keys are held as text at once
EXPANSIONS: Final = 96  # words that one word may stand for

Words = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Likeness:
    """Pairs (party word, registry word) of unequal words, sorted, with their likeness below 10000."""

    party: Ints
    name: Ints
    value: Ints


def find_alike(
    words: Words, party: Ints, name: Ints, party_joined: Ints, name_joined: Ints, weights: Weights
) -> Likeness:
    """Return what the words ``party`` may stand for among ``name``, all given by number.

    ``party_joined`` and ``name_joined`` are neighbouring words written as one: they meet single words of the other side
    that sound the same, and nothing else.
    """
    used = distinct(np.concatenate([party, name, party_joined, name_joined]))
    keys = {int(i): sound_keys(words[i]) if len(words[i]) <= WORD_CHARS else ("", "") for i in used}
    pairs = [
        _meet(_whole(keys, party), _whole(keys, name)),
        _meet(_whole(keys, party_joined, 4), _whole(keys, name, 4)),
        _meet(_whole(keys, party, 4), _whole(keys, name_joined, 4)),
        _meet(_gaps(keys, words, party), _gaps(keys, words, name)),
        _meet(_plain(words, party), _beginnings(words, name)),
        _meet(_beginnings(words, party), _plain(words, name)),
    ]
    both = distinct(np.concatenate(pairs))
    left, right = both >> 32, both & 0xFFFFFFFF
    left, right = left[left != right], right[left != right]
    sound = np.array([keys[int(i)][0] for i in used], dtype=object)
    bones = np.array([keys[int(i)][1] for i in used], dtype=object)
    at_left, at_right = np.searchsorted(used, left), np.searchsorted(used, right)
    values = [
        _compare(words[left[b:e]], words[right[b:e]], sound[at_left[b:e]], sound[at_right[b:e]],
                 bones[at_left[b:e]], bones[at_right[b:e]], weights)
        for b, e in cut_by_cost(np.ones(len(left), np.int64), PAIRS, PAIRS)
    ]  # fmt: skip
    value = np.concatenate([np.zeros(0, np.int64), *values])
    kept = value > 0
    left, right, value = left[kept], right[kept], value[kept]
    order = np.lexsort((right, -value, left))
    left, right, value = left[order], right[order], value[order]
    rank = spans(np.bincount(left, minlength=1)[np.unique(left)].astype(np.int64)) if len(left) else left
    near = rank < EXPANSIONS
    left, right, value = left[near], right[near], value[near]
    order = np.lexsort((right, left))
    return Likeness(left[order], right[order], value[order])


_Keyed = tuple[Ints, Ints]  # keys as numbers, and the word each belongs to
_POWERS: Final = np.cumprod(np.full(64, 0x9E3779B97F4A7C15, dtype=np.uint64))


def _keyed(chosen: Ints, make: Callable[[int], Iterable[str]]) -> _Keyed:
    """Return the keys that ``make`` gives for each word, as numbers: 64 bits of a polynomial over their letters.

    Two keys that share a number only bring a pair of words up for comparison, which decides.
    """
    codes, owners = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for begin in range(0, len(chosen), CHUNK):
        made = [(key, word) for word in chosen[begin : begin + CHUNK].tolist() for key in make(word)]
        if not made:
            continue
        texts = [key.encode() for key, _ in made]
        sizes = np.array([len(text) for text in texts], dtype=np.int64)
        letters = (
            np.frombuffer(b"".join(texts), dtype=np.uint8).astype(np.uint64) * _POWERS[spans(sizes) % len(_POWERS)]
        )
        codes.append(np.add.reduceat(letters, starts(sizes)[:-1]).view(np.int64))
        owners.append(np.array([word for _, word in made], dtype=np.int64))
    return np.concatenate(codes), np.concatenate(owners)


def _whole(keys: dict[int, tuple[str, str]], chosen: Ints, least: int = 2) -> _Keyed:
    """Return the consonants of words, as keys of at least ``least`` letters."""
    return _keyed(chosen, lambda i: [keys[i][1]] if len(keys[i][1]) >= least else [])


def _gaps(keys: dict[int, tuple[str, str]], words: Words, chosen: Ints) -> _Keyed:
    """Return keys with letters left out: of the consonants where there are enough of them, and of the word."""

    def make(i: int) -> Iterable[str]:
        bones, word = keys[i][1], words[i]
        if not bones or len(word) < 3:
            return ()
        made = {word}
        if len(word) == 3:
            return made
        if len(bones) >= 4:
            made |= {bones, *_without(bones, 1)}
        if len(bones) >= 7:
            made.update(_without(bones, 2))
        if len(word) <= 12:
            made.update(_without(word, 1))
        if 5 <= len(word) <= 8:
            made.update(_without(word, 2))
        return made

    return _keyed(chosen, make)


def _without(text: str, count: int) -> Iterable[str]:
    for places in combinations(range(len(text)), count):
        kept, last = [], 0
        for place in places:
            kept.append(text[last:place])
            last = place + 1
        yield "".join(kept) + text[last:]


def _plain(words: Words, chosen: Ints) -> _Keyed:
    return _keyed(chosen, lambda i: [words[i]] if 4 <= len(words[i]) <= WORD_CHARS and words[i].isalpha() else [])


def _beginnings(words: Words, chosen: Ints) -> _Keyed:
    """Return the proper beginnings that are at least half of a word and four letters."""

    def make(i: int) -> list[str]:
        word = words[i]
        if len(word) > WORD_CHARS or not word.isalpha():
            return []
        return [word[:cut] for cut in range(max(4, (len(word) + 1) // 2), len(word))]

    return _keyed(chosen, make)


def _meet(left: _Keyed, right: _Keyed) -> Ints:
    """Return the distinct (left, right) owners that share a key, each pair packed into one number."""
    first, owner = left
    second, other = right
    if not len(first) or not len(second):
        return np.zeros(0, dtype=np.int64)
    order = np.argsort(second, kind="stable")
    second, other = second[order], other[order]
    begin, end = np.searchsorted(second, first, "left"), np.searchsorted(second, first, "right")
    found = []
    for low, high in cut_by_cost((end - begin).astype(np.int64), PAIRS, len(first)):
        sizes = (end - begin)[low:high]
        rows = [
            np.repeat(owner[low:high], sizes),
            other[np.repeat(begin[low:high], sizes) + spans(sizes.astype(np.int64))],
        ]
        packed = distinct(rows[0] << 32 | rows[1])
        found.append(packed)
    return distinct(np.concatenate(found))


def _compare(
    left: Words, right: Words, sound_l: Words, sound_r: Words, bones_l: Words, bones_r: Words, weights: Weights
) -> Ints:
    """Return the likeness of aligned words with its kind in the low bits; 0 where they are not alike."""
    first, second = left.tolist(), right.tolist()
    edits = process.cpdist(first, second, scorer=OSA.distance, dtype=np.int32).astype(np.int64)
    indel = process.cpdist(first, second, scorer=Indel.distance, dtype=np.int32).astype(np.int64)
    size_l = np.array([len(word) for word in first], dtype=np.int64)
    size_r = np.array([len(word) for word in second], dtype=np.int64)
    longer, shorter = np.maximum(size_l, size_r), np.minimum(size_l, size_r)
    alike = FULL * (size_l + size_r - indel) // np.maximum(size_l + size_r, 1)
    allowed = np.where(longer >= weights.typo_from, longer // weights.letters_per_edit, 0)
    by_edit = np.where(edits <= allowed, FULL * (longer - edits) // longer, 0)
    bones = np.array([len(key) for key in bones_l.tolist()], dtype=np.int64)
    same_bones = (bones_l == bones_r).astype(bool) & (bones >= 2)
    same_sound = same_bones & (sound_l == sound_r).astype(bool) & (shorter >= 3)
    base = np.where(bones >= 3, weights.skeleton_long, weights.skeleton_short)
    by_sound = np.where(same_bones, base + weights.skeleton_spelling * alike // FULL, 0)
    by_sound = np.where(same_sound, np.maximum(by_sound, weights.same_sound), by_sound)
    near = np.where((alike >= weights.near_from) & ~same_bones & (bones >= 4), alike * weights.near_percent // 100, 0)
    begins = np.array([a.startswith(b) or b.startswith(a) for a, b in zip(first, second, strict=True)], dtype=bool)
    by_part = np.where(
        begins & (shorter >= 4) & (2 * shorter >= longer), FULL * shorter // longer * weights.part_percent // 100, 0
    )
    best = np.maximum(np.maximum(by_edit, np.maximum(by_sound, near)), by_part)
    kind = np.where(by_edit > 0, EDIT, np.where(best == by_part, PART, SOUND))
    value = np.minimum(best, FULL - KINDS) // KINDS * KINDS + kind
    return np.where(best >= weights.least_alike, value, 0)
