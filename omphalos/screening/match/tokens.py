"""Token alignment: which tokens of one name found a counterpart in the other, and how much they say.

Rules of this file: integers only; a token's weight is its information content in the registry, generic trade words
count at a fixed share of theirs; a counterpart is an equal token, a token within a small edit distance, or two
neighbouring tokens whose joint spelling is equal. Tokens that hold a digit have equal counterparts only. Pairs are
worked in batches bounded by the number of token pairs.

Method: the soft coverage of each side by the other, weighted by inverse document frequency (the idea of soft TF-IDF,
Cohen, Ravikumar, Fienberg 2003), with optimal string alignment distance between tokens.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import process
from rapidfuzz.distance import OSA

from omphalos.screening.match.integers import FULL, Ints, cut_by_cost, information_milli, spans, starts, texts
from omphalos.screening.match.params import Weights

TOKENS = 40  # tokens of a form that are aligned; the longest real list names stay below
TOKEN_PAIRS = 1 << 20  # compared at once

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Side:
    """Entries (tokens, then joined neighbours) of every core, grouped by core."""

    tokens: Ints  # vocabulary number of each token
    edges: Ints  # core → its tokens
    entry_token: Ints
    entry_first: Ints  # positions the entry covers, within the core
    entry_last: Ints
    entry_edges: Ints  # core → its entries


@dataclass(frozen=True, slots=True)
class Alignment:
    """Per pair of cores; coverage in basis points, evidence in thousandths of a bit."""

    party_bp: Ints
    name_bp: Ints
    evidence_milli: Ints  # information of what agrees, on the side where it is less
    mass_milli: Ints  # information of the whole name, on the side where it is less
    typo: Flags
    joined: Flags
    extra: Flags
    numbers: Flags


class Tokens:
    """The tokens of all party cores and all name cores, and what each token says."""

    def __init__(self, parties: list[str], names: list[str], weights: Weights) -> None:
        self.weights = weights
        lists = [_split(parties), _split(names)]
        pairs = [_neighbours(*side) for side in lists]
        words = pa.concat_arrays([side[0] for side in lists] + [pair[0] for pair in pairs])
        coded = words.dictionary_encode()
        numbers = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        self.words = texts(coded.dictionary)
        cuts = np.cumsum([len(lists[0][0]), len(lists[1][0]), len(pairs[0][0])])
        token_p, token_n, pair_p, pair_n = np.split(numbers, cuts)
        self.lengths = pc.utf8_length(coded.dictionary).to_numpy(zero_copy_only=False).astype(np.int64)
        usable = self.lengths >= weights.join_from
        self.party = _side(token_p, lists[0][1], _Joins(pair_p, pairs[0][1]).only(usable))
        self.name = _side(token_n, lists[1][1], _Joins(pair_n, pairs[1][1]).only(usable))
        # Document frequency counts each core of the registry once, however often it repeats the token.
        owner = np.repeat(np.arange(len(names), dtype=np.int64), np.diff(self.name.edges))
        held = np.unique(owner * max(1, len(self.words)) + token_n) % max(1, len(self.words))
        frequency = np.bincount(held, minlength=len(self.words)).astype(np.int64)
        self.information = information_milli(frequency, max(len(names), weights.names_floor))
        generic = pc.is_in(coded.dictionary, value_set=pa.array(sorted(weights.generic), pa.string()))
        factor = np.where(generic.to_numpy(zero_copy_only=False), weights.generic_percent, 100)
        # At least 1, so that a name of very frequent tokens still has a coverage.
        self.information = np.maximum(1, self.information * factor // 100)
        digit = pc.match_substring_regex(coded.dictionary, r"\d")
        self.digit: Flags = digit.to_numpy(zero_copy_only=False).astype(bool)
        self.letters = _letter_masks(self.words.tolist(), self.lengths)

    def align(self, party: Ints, name: Ints) -> Alignment:
        """Align pairs of cores, given as positions in the lists of the constructor."""
        cost = np.diff(self.party.entry_edges)[party] * np.diff(self.name.entry_edges)[name]
        parts = [
            self._align(party[begin:end], name[begin:end])
            for begin, end in cut_by_cost(cost, TOKEN_PAIRS, 1 << 18) or [(0, 0)]
        ]
        columns = [np.concatenate(column) for column in zip(*(_columns(part) for part in parts), strict=True)]
        return Alignment(*columns)

    def _align(self, party: Ints, name: Ints) -> Alignment:
        count = len(party)
        wide, tall = np.diff(self.party.entry_edges)[party], np.diff(self.name.entry_edges)[name]
        pair = np.repeat(np.arange(count, dtype=np.int64), wide * tall)
        inner = spans(wide * tall)
        left = self.party.entry_edges[party][pair] + inner // tall[pair]
        right = self.name.entry_edges[name][pair] + inner % tall[pair]
        left_single = self.party.entry_first[left] == self.party.entry_last[left]
        right_single = self.name.entry_first[right] == self.name.entry_last[right]
        likely = left_single | right_single  # two joins would say nothing that the tokens do not say
        pair, left, right = pair[likely], left[likely], right[likely]
        plain = (left_single & right_single)[likely]
        alike = self._similarity(self.party.entry_token[left], self.name.entry_token[right], plain)
        found = alike > 0
        pair, left, right, plain, alike = pair[found], left[found], right[found], plain[found], alike[found]

        cover: list[Ints] = []
        joined = np.zeros(count, dtype=bool)
        for side, core, entry in ((self.party, party, left), (self.name, name, right)):
            sizes = np.diff(side.edges)[core]
            base = starts(sizes)
            covered = np.zeros(int(base[-1]), dtype=np.int64)
            np.maximum.at(covered, base[pair[plain]] + side.entry_first[entry[plain]], alike[plain])
            for position in (side.entry_first, side.entry_last):
                place = base[pair[~plain]] + position[entry[~plain]]
                better = alike[~plain] > covered[place]
                joined[pair[~plain][better]] = True
                np.maximum.at(covered, place, alike[~plain])
            cover.append(covered)
        return self._sum_up(party, name, cover, joined)

    def _sum_up(self, party: Ints, name: Ints, cover: list[Ints], joined: Flags) -> Alignment:
        count = len(party)
        shares, agreements, masses = [], [], []
        typo, extra, numbers = (np.zeros(count, dtype=bool) for _ in range(3))
        for side, core, covered in ((self.party, party, cover[0]), (self.name, name, cover[1])):
            sizes = np.diff(side.edges)[core]
            owner = np.repeat(np.arange(count, dtype=np.int64), sizes)
            token = side.tokens[np.repeat(side.edges[core], sizes) + spans(sizes)]
            weight = self.information[token]
            agreeing, mass = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
            np.add.at(agreeing, owner, weight * covered)
            np.add.at(mass, owner, weight)
            shares.append(agreeing // np.maximum(mass, 1))
            agreements.append(agreeing // FULL)
            masses.append(mass)
            typo[owner[(covered > 0) & (covered < FULL)]] = True
            extra[owner[covered == 0]] = True
            numbers[owner[(covered < FULL) & self.digit[token]]] = True
        return Alignment(
            shares[0], shares[1], np.minimum(*agreements), np.minimum(*masses), typo, joined, extra, numbers
        )

    def _similarity(self, left: Ints, right: Ints, fuzzy: Flags) -> Ints:
        """Return the similarity of token pairs in basis points: equal, within the allowed edits if ``fuzzy``, or 0."""
        weights = self.weights
        alike = np.where(left == right, FULL, 0).astype(np.int64)
        longer = np.maximum(self.lengths[left], self.lengths[right])
        edits = np.where((longer >= weights.typo_from) & fuzzy, longer // weights.letters_per_edit, 0)
        differing = np.bitwise_count(self.letters[left] ^ self.letters[right])
        # Exact prune: one edit changes the length by at most one and the set of letters by at most two.
        maybe = np.flatnonzero(
            (left != right)
            & (np.abs(self.lengths[left] - self.lengths[right]) <= edits)
            & (differing <= 2 * edits)
            & ~self.digit[left]
            & ~self.digit[right]
        )
        if len(maybe):
            keys, place = np.unique(left[maybe] * len(self.words) + right[maybe], return_inverse=True)
            first, second = keys // len(self.words), keys % len(self.words)
            distance = process.cpdist(
                self.words[first].tolist(), self.words[second].tolist(), scorer=OSA.distance, dtype=np.int32
            ).astype(np.int64)[place]
            near = distance <= edits[maybe]
            alike[maybe[near]] = FULL * (longer[maybe][near] - distance[near]) // longer[maybe][near]
        return alike


def _columns(part: Alignment) -> tuple[Any, ...]:
    return tuple(getattr(part, name) for name in Alignment.__slots__)


def _split(cores: list[str]) -> tuple[Any, Ints]:
    """Return all tokens, and how many each core has (at most TOKENS)."""
    lists = pc.split_pattern(pa.array(cores, pa.string()), " ")
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    tokens = lists.flatten()
    kept = (spans(lengths) < TOKENS) & (pc.utf8_length(tokens).to_numpy(zero_copy_only=False) > 0)
    owner = np.repeat(np.arange(len(cores), dtype=np.int64), lengths)[kept]
    return tokens.filter(pa.array(kept)), np.bincount(owner, minlength=len(cores)).astype(np.int64)


def _neighbours(tokens: Any, lengths: Ints) -> tuple[Any, Ints]:
    """Return each token of a core joined with the next one, and the position of the first among all tokens."""
    place = spans(lengths)
    first = np.flatnonzero(place < np.repeat(lengths, lengths) - 1)
    joined = pc.binary_join_element_wise(tokens.take(pa.array(first)), tokens.take(pa.array(first + 1)), "")
    return joined, first


@dataclass(frozen=True, slots=True)
class _Joins:
    """Neighbouring tokens written as one: vocabulary number, and position of the first among all tokens of the side."""

    words: Ints
    first: Ints

    def only(self, usable: Flags) -> "_Joins":
        keep = usable[self.words]
        return _Joins(self.words[keep], self.first[keep])


def _side(tokens: Ints, lengths: Ints, joins: _Joins) -> _Side:
    first = joins.first
    owner = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
    place = spans(lengths)
    entry_owner = np.concatenate([owner, owner[first]])
    order = np.argsort(entry_owner, kind="stable")
    return _Side(
        tokens,
        starts(lengths),
        np.concatenate([tokens, joins.words])[order],
        np.concatenate([place, place[first]])[order],
        np.concatenate([place, place[first] + 1])[order],
        starts(np.bincount(entry_owner, minlength=len(lengths)).astype(np.int64)),
    )


def _letter_masks(words: list[str], lengths: Ints) -> npt.NDArray[np.uint64]:
    """Return for each word the set of its letters as a bit mask (code point modulo 64)."""
    points = np.frombuffer("".join(words).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    masks = np.zeros(len(words), dtype=np.uint64)
    np.bitwise_or.at(masks, np.repeat(np.arange(len(words)), lengths), np.uint64(1) << (points % np.uint64(64)))
    return masks
