"""Parameters, weights, candidates and the table of reasons."""

from dataclasses import replace
from importlib.resources import files
from typing import Any

import duckdb
import pytest

from omphalos.screening.match import REASONS, MatchParams, MatchParamsError
from omphalos.screening.match.lexicon import LexiconError, load_lexicon, parse_lexicon
from omphalos.screening.match.params import load_weights, parse_weights
from omphalos.screening.match.reasons import codes_sql
from omphalos.screening.normalize.text import fold

WEIGHTS = files("omphalos.screening.match").joinpath("weights.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "values",
    [
        {"threshold_bp": 0},
        {"high_bp": 10001},
        {"threshold_bp": 9000, "medium_bp": 8000},
        {"medium_bp": 9500, "high_bp": 9400},
        {"max_candidates": 0},
        {"max_candidates": 1001},
        {"threshold_bp": True},
        {"threshold_bp": 6500.0},
        {"threshold_bp": "6500"},
    ],
)
def test_parameters_out_of_range_are_refused(values):
    """Thresholds ascend between 1 and 10000, and every value is a true integer."""
    with pytest.raises(MatchParamsError):
        MatchParams(**values)


def test_the_shipped_weights_are_whole():
    """An equal name with its country is exactly 10000, and deductions are negative."""
    weights = load_weights()
    assert weights.scale_bp + weights.country_support == 10000
    negative = ("country_conflict", "unequal", "number_mismatch", "type_mismatch", "low_information", "weak_alias")
    assert all(getattr(weights, name) < 0 for name in (*negative, "person_mismatch"))


def test_the_shipped_lexicon_is_sound():
    """Every word of the lexicon is a folded word with one meaning, and a meaning stands for itself."""
    lexicon = load_lexicon()
    words = {*lexicon.meaning, *lexicon.meaning.values(), *lexicon.kind}
    assert all(word == fold(word) and " " not in word for word in words)
    assert not set(lexicon.meaning) & set(lexicon.meaning.values())
    assert lexicon.meaning["ZAVOD"] == "FACTORY"


@pytest.mark.parametrize(
    "text",
    [
        "version = ",
        "version = 3",
        """version = 3
        trade = {A = "B", C = "B"}
        names = {}
        places = {}
        trade_words = {words = ""}
        place_words = {words = ""}""",
        """version = 3
        trade = {A = 5}
        names = {}
        places = {}
        trade_words = {words = ""}
        place_words = {words = ""}""",
    ],
)
def test_damaged_lexicons_are_refused(text):
    """A lexicon of another shape, or with a word of two meanings, is an error."""
    with pytest.raises(LexiconError):
        parse_lexicon(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version = 3", "version = 3.5"),
        ("version = 3", "version = true"),
        ("version = 3", ""),
        ("version = 3", "version = 3\nextra = 2"),
        ("version = 3", "version = "),
        ("postings =", "other ="),
    ],
)
def test_damaged_weights_are_refused(old, new):
    """A missing, unknown or non-integer weight is an error, not a default."""
    assert old in WEIGHTS
    with pytest.raises(MatchParamsError):
        parse_weights(WEIGHTS.replace(old, new, 1))


def test_every_reason_has_a_meaning_and_one_place():
    """Codes are unique, sorted, and explained in one sentence."""
    codes = [reason.code for reason in REASONS]
    assert codes == sorted(set(codes))
    assert all(reason.meaning.endswith(".") and reason.meaning.count(". ") == 0 for reason in REASONS)
    assert {reason.code for reason in REASONS if reason.against} == {
        "COUNTRY_CONFLICT",
        "EXTRA_TOKENS",
        "LOW_INFORMATION_NAME",
        "NUMBER_MISMATCH",
        "TYPE_MISMATCH",
        "WEAK_ALIAS",
    }


def test_codes_are_listed_in_order_and_empty_where_none_holds():
    """The SQL gives sorted codes joined by a semicolon, and empty text for none."""
    columns = ["country_relation", "name_kind", "equal_full", "extra", "joined", "legal_differs", "low", "numbers"]
    columns += ["reordered", "scripts_differ", "craft", "typo", "reworded", "sound", "person", "party_has_form"]
    columns += ["tail_differs", "behind"]
    with duckdb.connect() as con:
        kinds = [f"{column} {'TEXT' if i < 2 else 'BOOL'}" for i, column in enumerate(columns)]
        con.execute(f"CREATE TABLE t ({', '.join(kinds)})")
        con.execute("INSERT INTO t VALUES ('conflict', 'weak', " + ", ".join(["true"] * 16) + ")")
        con.execute("INSERT INTO t VALUES ('unknown', 'alias', " + ", ".join(["false"] * 16) + ")")
        every, none = con.execute(f"SELECT {codes_sql()}, {codes_sql(against_only=True)} FROM t").fetchall()
    assert every[0].split(";") == [reason.code for reason in REASONS if reason.code != "COUNTRY_SUPPORT"]
    assert every[1].split(";") == [reason.code for reason in REASONS if reason.against]
    assert none == ("", "")


def test_the_documentation_names_every_reason(request: Any):
    """docs/matching.md holds each code with its meaning, word for word."""
    text = (request.config.rootpath / "docs" / "matching.md").read_text(encoding="utf-8")
    for reason in REASONS:
        assert f"| `{reason.code}` | {'against' if reason.against else ''} | {reason.meaning} |" in text


def test_candidates_are_cut_by_weight_then_order(match, world):
    """Of the names the nearest stay, of equally near ones the first; equal names of several entities count once."""
    entities = [world(f"t:{i}", [("primary", "Zarvand Kolmerov"), ("alias", "Zarvand Kolmerow")]) for i in range(5)]
    entities.append(world("t:9", [("primary", "Zarvand Kolmerix")]))
    outcome = match(["Zarvand Kolmeri"], entities, MatchParams(1, 2, 3, max_candidates=2))
    assert outcome.report.candidates.candidates_words == 2
    assert {row["entity_id"] for row in outcome.rows} == {"t:0", "t:1", "t:2", "t:3", "t:4", "t:9"}


def test_equally_near_names_are_cut_in_order_of_entity(match, world):
    """Of two different names that are equally near, the one of the first entity stays."""
    entities = [world("t:0", [("primary", "Zarvand Kolmert")]), world("t:1", [("primary", "Zarvand Kolmerd")])]
    for order in (entities, entities[::-1]):
        assert match(["Zarvand Kolmer"], order, MatchParams(1, 2, 3, max_candidates=1)).one()["entity_id"] == "t:0"


def test_equal_names_are_never_cut(match, world):
    """The limit on candidates does not touch equal names."""
    entities = [world(f"t:{i}", [("primary", "Zarvand Petrokimya")]) for i in range(9)]
    assert len(match(["Zarvand Petrokimya"], entities, MatchParams(max_candidates=1)).rows) == 9


def test_rare_words_are_looked_up_first(match, world, monkeypatch):
    """Where a party's words have more names than may be looked at, its rarest words decide, and the rest is counted."""
    small = replace(load_weights(), postings=50)
    monkeypatch.setattr("omphalos.screening.match.candidates.load_weights", lambda: small)
    entities = [
        world(f"t:{i:03}", [("primary", f"Zarvand {'BCDFGHKL'[i // 8]}olmer{'AEIOUXYZ'[i % 8]}x")]) for i in range(60)
    ]
    entities.append(world("t:x", [("primary", "Pramtos Quindel")]))
    outcome = match(["Zarvand Quindel"], entities, MatchParams(1, 2, 3))
    assert {row["entity_id"] for row in outcome.rows} == {"t:x"}
    assert outcome.report.candidates.entries_left_out == 1
