"""Properties of matching that hold for any names."""

import math
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from omphalos.screening.match import MatchParams, match_parties
from omphalos.screening.match.integers import cut_by_cost, log2_milli
from omphalos.screening.match.lexicon import load_lexicon
from omphalos.screening.match.params import load_weights
from omphalos.screening.match.sounds import sound_keys
from omphalos.screening.match.tokens import Tokens

LOOSE = MatchParams(1, 2, 3, max_candidates=1000)
WORDS = st.text("ABCDE1Ж", min_size=1, max_size=9)
# Words that are typos, joins and digit variants of each other, so that every rule of the alignment is met.
NEAR = (
    st.sampled_from(
        [
            "AB",
            "CDE",
            "ABCDE",
            "CDEAB",
            "ABCDF",
            "ABCD1",
            "CDEF",
            "ABCDEF",
            "ABCDECDE",
            "CDECDE",
            "CDD",
            "A1",
            "ABA1",
            "FABCDE",
        ]
    )
    | WORDS
)
NAMES = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)
FORM_SQL = (
    "name AS full_form, name AS core_form, '' AS legal_forms, 'Latn' AS script, 0 AS low_information, '' AS tail_form"
)


def scores(parties: list[str], names: list[str], **more: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the match rows by (party name, matched name); each name is an entity of its own."""
    with duckdb.connect(config={"threads": 1}) as con:
        con.register("p", pa.table({"name": pa.array(list(dict.fromkeys(parties)), pa.string())}))
        con.register("n", pa.table({"name": pa.array(list(dict.fromkeys(names)), pa.string())}))
        con.execute(f"CREATE TABLE parties AS SELECT 'P' || name AS party_id, name, 'DE' AS country, {FORM_SQL} FROM p")
        con.execute(
            "CREATE TABLE registry_forms AS "
            f"SELECT name AS entity_id, 0 AS name_no, 'primary' AS name_kind, name, {FORM_SQL} FROM n"
        )
        con.execute(
            "CREATE TABLE registry AS SELECT name AS entity_id, 'unknown' AS entity_type, "
            "'DE' AS country, NULL::TEXT AS countries FROM n"
        )
        match_parties(con, LOOSE)
        rows = con.execute("SELECT * FROM party_matches").to_arrow_table().to_pylist()
    return {(row["party_id"][1:], row["entity_id"]): row for row in rows}


@settings(max_examples=25)
@given(st.lists(NAMES, min_size=1, max_size=6), st.lists(NAMES, min_size=1, max_size=6))
def test_every_figure_stays_within_its_range(parties, names):
    """Scores and features are basis points, and only an equal name reaches 10000."""
    for (party, name), row in scores(parties, names).items():
        assert all(0 <= value <= 10000 for key, value in row.items() if key.endswith("_bp"))
        assert (row["score_bp"] == 10000) == (party == name)
        assert set(filter(None, row["against"].split(";"))) <= set(row["reasons"].split(";"))


@settings(max_examples=25)
@given(
    st.lists(WORDS, min_size=2, max_size=5, unique=True).flatmap(lambda w: st.tuples(st.just(w), st.permutations(w)))
)
def test_the_order_of_the_words_hardly_matters(words):
    """Any other order of the same words scores the same, just below the equal name."""
    name, other = (" ".join(order) for order in words)
    third = " ".join(sorted(words[0]))
    found = scores([other, third], [name])
    assert all(
        found[party, name]["core_bp"] == found[party, name]["name_token_bp"] == 10000 for party in (other, third)
    )
    changed = [found[party, name] for party in (other, third) if party != name]
    assert len({row["score_bp"] for row in changed}) <= 1
    assert all(row["score_bp"] < 10000 for row in changed)
    assert all({"TOKEN_REORDER", "JOINED_TOKENS"} & set(row["reasons"].split(";")) for row in changed)


@settings(max_examples=25)
@given(NAMES, NAMES)
def test_an_unrelated_entity_changes_nothing_but_what_it_says_of_frequency(party, name):
    """Adding an entity that shares no letter with the others leaves every other row as it was."""
    alone = scores([party], [name])
    beside = scores([party], [name, "ZZZ QQQQ ZQZQ"])
    assert {key: row for key, row in beside.items() if key[1] == name} == alone


@settings(max_examples=200)
@given(st.lists(NEAR, min_size=1, max_size=6), st.lists(NEAR, min_size=1, max_size=6))
def test_alignment_equals_the_plain_definition(left, right):
    """The batch alignment gives the coverage of a slow, obvious computation over the same likenesses of words."""
    tokens = Tokens([" ".join(left)], [" ".join(right)], load_weights())
    zero = np.zeros(1, dtype=np.int64)
    aligned = tokens.align(zero, zero)
    words = tokens.words.tolist()
    known = zip(tokens.alike.party.tolist(), tokens.alike.name.tolist(), tokens.alike.value.tolist(), strict=True)
    table = {(words[a], words[b]): value for a, b, value in known}

    def alike(a: str, b: str, single: bool = True) -> int:
        if a == b:
            return 10000
        if single and (len(a) == 1) != (len(b) == 1) and a[0] == b[0]:
            return load_weights().initial + 3 - load_weights().initial % 4
        return table.get((a, b), 0)

    def joins(own: list[str]) -> list[tuple[str, range]]:
        made = [(a + b, range(i, i + 2)) for i, (a, b) in enumerate(pairwise(own))]
        for i in range(len(own) - 2):
            if max(map(len, own[i : i + 3])) <= 5:
                made.append(("".join(own[i : i + 3]), range(i, i + 3)))
        return [(word, covered) for word, covered in made if len(word) >= load_weights().join_from]

    best = {True: [0] * len(left), False: [0] * len(right)}
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            best[True][i] = max(best[True][i], alike(a, b))
            best[False][j] = max(best[False][j], alike(a, b))
    for own, other, is_left in ((left, right, True), (right, left, False)):
        for word, covered in joins(own):
            for j, there in enumerate(other):
                value = alike(word, there, False) if is_left else alike(there, word, False)
                best[not is_left][j] = max(best[not is_left][j], value)
                for i in covered:
                    best[is_left][i] = max(best[is_left][i], value)
    for own, share, is_left in ((left, aligned.party_bp, True), (right, aligned.name_bp, False)):
        said = [int(tokens.information[words.index(word)]) for word in own]
        assert int(share[0]) == sum(w * c for w, c in zip(said, best[is_left], strict=True)) // sum(said)
    assert bool(aligned.extra[0]) == (0 in best[True] + best[False])


@given(st.text("ABCDEHKSTUYZ", min_size=1, max_size=12))
def test_how_a_word_sounds_does_not_depend_on_doubled_letters(word):
    """A doubled consonant changes neither key, and the consonants are the sound without its vowels."""
    sound, bones = sound_keys(word)
    doubled = "".join(letter * 2 if letter in "BKDS" else letter for letter in word)
    assert sound_keys(doubled) == (sound, bones)
    assert len(bones) <= len(sound)


@settings(max_examples=200)
@given(st.text("ABDEKLMNORSTUXYZ", min_size=4, max_size=11), st.data())
def test_one_wrong_letter_is_always_found(word, data):
    """A word of four letters or more meets itself with one letter lost, added or changed."""
    place = data.draw(st.integers(0, len(word) - 1))
    how = data.draw(st.sampled_from([word[place + 1 :], "B" + word[place:], "B" + word[place + 1 :]]))
    changed = word[:place] + how
    if changed == word or len(changed) < 4 or word in load_lexicon().meaning or changed in load_lexicon().meaning:
        return
    found = Tokens([changed], [word], load_weights()).alike
    assert found.value.tolist()
    assert found.value[0] >= load_weights().least_alike


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_information_is_the_exact_floor(total, part):
    """log2_milli is floor(1000*log2(total/part)), checked with exact integers."""
    value = log2_milli(total, part)
    if part >= total:
        assert value == 0
    else:
        assert part**1000 * 2**value <= total**1000 < part**1000 * 2 ** (value + 1)
        assert abs(value - 1000 * math.log2(total / part)) < 1.001


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 60), st.integers(1, 10))
def test_batches_cover_everything_once_and_keep_their_bounds(costs, limit, most):
    """Ranges are consecutive, complete, never too long, and over the limit only for one item."""
    ranges = cut_by_cost(np.array(costs, dtype=np.int64), limit, most)
    assert [i for begin, end in ranges for i in range(begin, end)] == list(range(len(costs)))
    for begin, end in ranges:
        assert 1 <= end - begin <= most
        assert end - begin == 1 or sum(costs[begin:end]) <= limit
