"""Token alignment: which tokens of one name found a counterpart in the other, and how much they say.

Rules of this file: integers only; a token's weight is its information content in the registry, trade words and places
count at a fixed share of theirs; a counterpart is an equal token (or one of the same meaning, `lexicon`), a token
that is alike (`fuzzy`), an initial, or neighbouring tokens written as one. Pairs are worked in batches bounded by the
number of token pairs.

Method: the soft coverage of each side by the other, weighted by inverse document frequency (the idea of soft TF-IDF,
Cohen, Ravikumar, Fienberg 2003); the likeness of two words is looked up, since it was worked out once (`fuzzy`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from omphalos.screening.match.fuzzy import KINDS, PART, SOUND, Likeness, find_alike
from omphalos.screening.match.integers import FULL, Ints, cut_by_cost, information_milli, spans, starts, texts
from omphalos.screening.match.lexicon import load_lexicon
from omphalos.screening.match.params import Weights

TOKENS = 40  # tokens of a form that are aligned; the longest real list names stay below
TOKEN_PAIRS = 1 << 20  # compared at once
TOLD = 7  # letters from which a misspelt word of the lexicon is recognized
SHORT = 5  # letters of each of three neighbours that may be written as one word

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Side:
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
    party_mass: Ints  # information of the whole name, in thousandths of a bit
    name_mass: Ints
    typo: Flags
    sound: Flags
    joined: Flags
    extra: Flags
    numbers: Flags
    reworded: Flags  # the same meanings in other words


class Tokens:
    """The tokens of all party cores and all name cores, what each token says, and which tokens are alike."""

    def __init__(self, parties: list[str], names: list[str], weights: Weights) -> None:
        self.weights = weights
        lexicon = load_lexicon()
        lists = [_split(parties), _split(names)]
        pairs = [_neighbours(*side) for side in lists]
        meanings = pa.array(sorted(set(lexicon.meaning.values())), pa.string())
        words = pa.concat_arrays([*(side[0] for side in lists), *(pair[0] for pair in pairs), meanings])
        coded = words.dictionary_encode()
        numbers = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        self.words = texts(coded.dictionary)
        cuts = np.cumsum([len(lists[0][0]), len(lists[1][0]), len(pairs[0][0]), len(pairs[1][0])])
        token_p, token_n, pair_p, pair_n, meant = np.split(numbers, cuts)
        place = dict(zip(meanings.to_pylist(), meant.tolist(), strict=True))
        count = len(self.words)
        same = np.arange(count, dtype=np.int64)
        for number, word in enumerate(self.words.tolist()):
            if word in lexicon.meaning:
                same[number] = place[lexicon.meaning[word]]
        told = np.zeros(count, dtype=bool)  # words the lexicon gives a meaning
        told[same[same != np.arange(count)]] = told[same != np.arange(count)] = True
        self._wording = [
            _wording(token, same, told, lengths) for token, lengths in ((token_p, lists[0][1]), (token_n, lists[1][1]))
        ]
        self.lengths = pc.utf8_length(coded.dictionary).to_numpy(zero_copy_only=False).astype(np.int64)
        usable = self.lengths >= weights.join_from
        joins = [_Joins(pair_p, *pairs[0][1:]).only(usable), _Joins(pair_n, *pairs[1][1:]).only(usable)]
        spelled_p, spelled_n = np.unique(token_p), np.unique(token_n)
        joined_p = np.setdiff1d(np.unique(joins[0].words), spelled_p)
        joined_n = np.setdiff1d(np.unique(joins[1].words), spelled_n)
        token_p, token_n = same[token_p], same[token_n]
        self.party = _side(token_p, lists[0][1], joins[0].meaning(same))
        self.name = _side(token_n, lists[1][1], joins[1].meaning(same))
        # Document frequency counts each core of the registry once, however often it repeats the token.
        owner = np.repeat(np.arange(len(names), dtype=np.int64), np.diff(self.name.edges))
        held = np.unique(owner * max(1, count) + token_n) % max(1, count)
        frequency = np.bincount(held, minlength=count).astype(np.int64)
        self.information = information_milli(frequency, max(len(names), weights.names_floor))
        kinds = [lexicon.kind.get(word, 0) for word in self.words.tolist()]
        shares = np.array([100, weights.generic_percent, weights.place_percent], dtype=np.int64)
        # At least 1, so that a name of very frequent tokens still has a coverage.
        self.information = np.maximum(1, self.information * shares[np.array(kinds, dtype=np.int64)] // 100)
        digit = pc.match_substring_regex(coded.dictionary, r"\d")
        self.digit: Flags = digit.to_numpy(zero_copy_only=False).astype(bool)
        alike = find_alike(self.words, spelled_p, spelled_n, joined_p, joined_n, weights)
        self.alike = _by_meaning(alike, same, told, self.lengths)
        # A word the registry lacks (MHMD, TRADNIG) says no more than the word it most likely stands for.
        unheld = np.flatnonzero(frequency[self.alike.party] == 0)
        order = np.lexsort((self.alike.name[unheld], -self.alike.value[unheld], self.alike.party[unheld]))
        unknown: Ints = self.alike.party[unheld][order]
        nearest: Ints = self.alike.name[unheld][order]
        first = np.ones(len(unknown), dtype=bool)
        first[1:] = unknown[1:] != unknown[:-1]
        unknown, nearest = unknown[first], nearest[first]
        self.information[unknown] = np.minimum(self.information[unknown], self.information[nearest])
        self._keys = self.alike.party << 32 | self.alike.name
        self._fuzzy: Flags = np.zeros(count, dtype=bool)
        self._fuzzy[self.alike.party] = True
        self._first = np.array([ord(word[0]) for word in self.words.tolist()], dtype=np.int64)

    def align(self, party: Ints, name: Ints) -> Alignment:
        """Align pairs of cores, given as positions in the lists of the constructor."""
        cost = np.diff(self.party.entry_edges)[party] * np.diff(self.name.entry_edges)[name]
        parts = [
            self._align(party[begin:end], name[begin:end])
            for begin, end in cut_by_cost(cost, TOKEN_PAIRS, 1 << 18) or [(0, 0)]
        ]
        columns = [np.concatenate(column) for column in zip(*(_columns(part) for part in parts), strict=True)]
        return Alignment(*columns)

    def meetings(self, party: int, name: int) -> list[tuple[tuple[int, int], tuple[int, int], int]]:
        """Return which tokens of one pair of cores meet: positions (first, last) on either side, and their likeness.

        Two joins of neighbours never meet. This is what `align` sums up, for a person to read.
        """
        found = []
        for left in range(int(self.party.entry_edges[party]), int(self.party.entry_edges[party + 1])):
            for right in range(int(self.name.entry_edges[name]), int(self.name.entry_edges[name + 1])):
                at = (int(self.party.entry_first[left]), int(self.party.entry_last[left]))
                there = (int(self.name.entry_first[right]), int(self.name.entry_last[right]))
                if at[0] != at[1] and there[0] != there[1]:
                    continue
                plain = np.array([at[0] == at[1] and there[0] == there[1]])
                words = self.party.entry_token[[left]], self.name.entry_token[[right]]
                alike = int(self._likeness(*words, plain)[0])
                if alike:
                    found.append((at, there, alike))
        return found

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
        alike = self._likeness(self.party.entry_token[left], self.name.entry_token[right], plain)
        found = alike > 0
        pair, left, right, plain, alike = pair[found], left[found], right[found], plain[found], alike[found]

        cover: list[Ints] = []
        joined = np.zeros(count, dtype=bool)
        for side, core, entry in ((self.party, party, left), (self.name, name, right)):
            sizes = np.diff(side.edges)[core]
            base = starts(sizes)
            covered = np.zeros(int(base[-1]), dtype=np.int64)
            np.maximum.at(covered, base[pair[plain]] + side.entry_first[entry[plain]], alike[plain])
            for offset in range(3):
                position = side.entry_first[entry] + offset
                within = ~plain & (position <= side.entry_last[entry])
                place = base[pair[within]] + position[within]
                better = alike[within] > covered[place]
                joined[pair[within][better]] = True
                np.maximum.at(covered, place, alike[within])
            cover.append(covered)
        return self._sum_up(party, name, cover, joined)

    def _reworded(self, party: Ints, name: Ints) -> Flags:
        left, right = self._wording
        other: Flags = (left[0][party] != right[0][name]) & (left[1][party] == right[1][name])
        return other

    def _likeness(self, left: Ints, right: Ints, plain: Flags) -> Ints:
        """Return the likeness of words given by number: 10000 for equal ones, else what was worked out, or 0."""
        value = np.where(left == right, FULL, 0)
        asked = np.flatnonzero((left != right) & self._fuzzy[left])
        if len(self._keys):
            keys = left[asked] << 32 | right[asked]
            at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            value[asked] = np.where(self._keys[at] == keys, self.alike.value[at], 0)
        lone_l, lone_r = self.lengths[left] == 1, self.lengths[right] == 1
        initial = plain & (lone_l ^ lone_r) & (self._first[left] == self._first[right])
        value[initial] = self.weights.initial // KINDS * KINDS + PART
        return value

    def _sum_up(self, party: Ints, name: Ints, cover: list[Ints], joined: Flags) -> Alignment:
        count = len(party)
        shares, agreements, masses = [], [], []
        typo, sound, extra, numbers = (np.zeros(count, dtype=bool) for _ in range(4))
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
            inexact = (covered > 0) & (covered < FULL)
            typo[owner[inexact & (covered % KINDS != SOUND)]] = True
            sound[owner[inexact & (covered % KINDS == SOUND)]] = True
            extra[owner[covered == 0]] = True
            numbers[owner[(covered == 0) & self.digit[token]]] = True
        return Alignment(
            shares[0], shares[1], np.minimum(*agreements), masses[0], masses[1],
            typo, sound, joined, extra, numbers, self._reworded(party, name),
        )  # fmt: skip


def _by_meaning(alike: Likeness, same: Ints, told: Flags, lengths: Ints) -> Likeness:
    """Return likenesses of meanings: of the spellings of one, the nearest counts, and short ones not at all."""
    risky = told[alike.party] | told[alike.name]
    kept = ~risky | (np.minimum(lengths[alike.party], lengths[alike.name]) >= TOLD)
    party, name, value = same[alike.party[kept]], same[alike.name[kept]], alike.value[kept]
    order = np.lexsort((-value, name, party))
    party, name, value = party[order], name[order], value[order]
    first = np.ones(len(party), dtype=bool)
    first[1:] = (party[1:] != party[:-1]) | (name[1:] != name[:-1])
    first &= party != name
    return Likeness(party[first], name[first], value[first])


def _wording(tokens: Ints, same: Ints, told: Flags, lengths: Ints) -> tuple[Ints, Ints]:
    """Return per core the sum of its words that have a meaning in the lexicon, and the sum of those meanings."""
    owner = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
    known = told[tokens]
    words, meanings = np.zeros(len(lengths), dtype=np.int64), np.zeros(len(lengths), dtype=np.int64)
    np.add.at(words, owner[known], tokens[known] + 1)
    np.add.at(meanings, owner[known], same[tokens[known]] + 1)
    return words, meanings


def _columns(part: Alignment) -> tuple[npt.NDArray[Any], ...]:
    return (part.party_bp, part.name_bp, part.evidence_milli, part.party_mass, part.name_mass,
            part.typo, part.sound, part.joined, part.extra, part.numbers, part.reworded)  # fmt: skip


def _split(cores: list[str]) -> tuple[Any, Ints]:
    """Return all tokens, and how many each core has (at most TOKENS)."""
    lists = pc.split_pattern(pa.array(cores, pa.string()), " ")
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    tokens = lists.flatten()
    kept = (spans(lengths) < TOKENS) & (pc.utf8_length(tokens).to_numpy(zero_copy_only=False) > 0)
    owner = np.repeat(np.arange(len(cores), dtype=np.int64), lengths)[kept]
    return tokens.filter(pa.array(kept)), np.bincount(owner, minlength=len(cores)).astype(np.int64)


def _neighbours(tokens: Any, lengths: Ints) -> tuple[Any, Ints, Ints]:
    """Return neighbouring tokens of a core written as one (two, or three short ones), and where they begin and end.

    Positions are those among all tokens of the side.
    """
    place = spans(lengths)
    size = pc.utf8_length(tokens).to_numpy(zero_copy_only=False).astype(np.int64)
    room = np.repeat(lengths, lengths) - place
    first = np.flatnonzero(room > 1)
    three = np.flatnonzero(room > 2)
    small = size <= SHORT
    three = three[small[three] & small[three + 1] & small[three + 2]]
    words = [
        pc.binary_join_element_wise(*(tokens.take(pa.array(begin + k)) for k in range(many)), "")
        for begin, many in ((first, 2), (three, 3))
    ]
    return pa.concat_arrays(words), np.concatenate([first, three]), np.concatenate([first + 1, three + 2])


@dataclass(frozen=True, slots=True)
class _Joins:
    """Neighbouring tokens written as one: vocabulary number, first and last position among all tokens of the side."""

    words: Ints
    first: Ints
    last: Ints

    def only(self, usable: Flags) -> "_Joins":
        keep = usable[self.words]
        return _Joins(self.words[keep], self.first[keep], self.last[keep])

    def meaning(self, same: Ints) -> "_Joins":
        return _Joins(same[self.words], self.first, self.last)


def _side(tokens: Ints, lengths: Ints, joins: _Joins) -> Side:
    owner = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
    place = spans(lengths)
    entry_owner = np.concatenate([owner, owner[joins.first]])
    order = np.argsort(entry_owner, kind="stable")
    return Side(
        tokens,
        starts(lengths),
        np.concatenate([tokens, joins.words])[order],
        np.concatenate([place, place[joins.first]])[order],
        np.concatenate([place, place[joins.last]])[order],
        starts(np.bincount(entry_owner, minlength=len(lengths)).astype(np.int64)),
    )
