"""Parameters, weights, candidates and the table of reasons."""

from importlib.resources import files
from typing import Any

import duckdb
import pytest

from omphalos.screening.match import REASONS, MatchParams, MatchParamsError
from omphalos.screening.match.candidates import _build_index, gram_sets
from omphalos.screening.match.integers import log2_milli
from omphalos.screening.match.params import load_weights, parse_weights
from omphalos.screening.match.reasons import codes_sql

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
    assert all(getattr(weights, name) < 0 for name in (*negative, "thin_evidence"))
    assert "TRADING" in weights.generic


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version = 1", "version = 1.5"),
        ("version = 1", "version = true"),
        ("version = 1", ""),
        ("version = 1", "version = 1\nextra = 2"),
        ("version = 1", "version = "),
        ("[generic]", "[other]"),
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
    columns += ["reordered", "scripts_differ", "craft", "typo"]
    with duckdb.connect() as con:
        kinds = [f"{column} {'TEXT' if i < 2 else 'BOOL'}" for i, column in enumerate(columns)]
        con.execute(f"CREATE TABLE t ({', '.join(kinds)})")
        con.execute("INSERT INTO t VALUES ('conflict', 'weak', " + ", ".join(["true"] * 10) + ")")
        con.execute("INSERT INTO t VALUES ('unknown', 'alias', " + ", ".join(["false"] * 10) + ")")
        every, none = con.execute(f"SELECT {codes_sql()}, {codes_sql(against_only=True)} FROM t").fetchall()
    assert every[0].split(";") == [reason.code for reason in REASONS if reason.code != "COUNTRY_SUPPORT"]
    assert every[1].split(";") == [reason.code for reason in REASONS if reason.against]
    assert none == ("", "")


def test_the_documentation_names_every_reason(request: Any):
    """docs/matching.md holds each code with its meaning, word for word."""
    text = (request.config.rootpath / "docs" / "matching.md").read_text(encoding="utf-8")
    for reason in REASONS:
        assert f"| `{reason.code}` | {'against' if reason.against else ''} | {reason.meaning} |" in text


def test_candidates_are_cut_by_weight_then_entity_then_name(match, world):
    """Of equally near names the first by (entity_id, name_no) stay; nearer ones come before all of them."""
    entities = [world(f"t:{i}", [("primary", "Zarvand Kolmerov"), ("alias", "Zarvand Kolmerow")]) for i in range(5)]
    entities.append(world("t:9", [("primary", "Zarvand Kolmerix")]))
    outcome = match(["Zarvand Kolmeri"], entities, MatchParams(1, 2, 3, max_candidates=4))
    assert outcome.report.candidates.candidates_gram == 4
    assert {row["entity_id"] for row in outcome.rows} == {"t:0", "t:1", "t:9"}


def test_equally_near_names_are_cut_in_order_of_entity(match, world):
    """Of two different names that are equally near, the one of the first entity stays."""
    entities = [world("t:0", [("primary", "Zarvand Kolmerx")]), world("t:1", [("primary", "Zarvand Kolmery")])]
    for order in (entities, entities[::-1]):
        assert match(["Zarvand Kolmer"], order, MatchParams(1, 2, 3, max_candidates=1)).one()["entity_id"] == "t:0"


def test_equal_names_are_never_cut(match, world):
    """The limit on candidates does not touch equal names."""
    entities = [world(f"t:{i}", [("primary", "Zarvand Petrokimya")]) for i in range(9)]
    assert len(match(["Zarvand Petrokimya"], entities, MatchParams(max_candidates=1)).rows) == 9


def test_too_frequent_grams_are_dropped_and_counted(match, world, monkeypatch):
    """A gram in more names than the cap selects nobody; the report says how many went."""
    names = [chr(65 + i % 26) * 3 + chr(65 + i // 26) * 3 for i in range(600)]
    entities = [world(f"t:{i:03}", [("primary", f"Zarvand {name}")]) for i, name in enumerate(names)]
    outcome = match(["Zarvand Qwrtpl"], entities, MatchParams(1, 2, 3))
    assert outcome.report.candidates.grams_dropped == 7
    assert outcome.report.candidates.candidates_gram == 0
    # The dropped grams do not weigh on the names either: what is left of this one are seven grams of its second word.
    index = _build_index([f"ZARVAND {name}" for name in names], load_weights())
    sizes = gram_sets(names).sizes
    assert 0 < index.mass[0] <= sizes[0] * log2_milli(16384, 1)
