"""What the matcher finds, how it scores it, and what it says about it."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omphalos.screening.match import MatchParams
from omphalos.screening.match.params import load_weights
from omphalos.screening.review.arithmetic import redo

LOOSE = MatchParams(1, 1, 1)
ROOT = Path(__file__).resolve().parents[4]


def test_equal_names_with_equal_country_reach_the_top(one_name):
    """An equal full form with the country of the entity is the only way to 10000."""
    top = one_name("Zarvand Petrokimya LLC", "ZARVAND PETROKIMYA, L.L.C.", party_country="IR", country="IR")
    assert top.one()["score_bp"] == 10000
    assert top.one()["reasons"] == "COUNTRY_SUPPORT;EXACT"
    assert top.one()["against"] == ""
    assert top.one()["band"] == "high"
    unknown = one_name("Zarvand Petrokimya LLC", "ZARVAND PETROKIMYA, L.L.C.")
    assert unknown.one()["score_bp"] == 9800
    assert unknown.one()["country_relation"] == "unknown"


def test_country_conflict_speaks_against_but_does_not_hide(one_name):
    """Another country lowers the score and is named, and the match stays."""
    outcome = one_name("Zarvand Petrokimya LLC", "Zarvand Petrokimya LLC", party_country="AE", country="IR")
    assert outcome.one()["score_bp"] == 9600
    assert outcome.one()["against"] == "COUNTRY_CONFLICT"
    assert outcome.one()["country_relation"] == "conflict"


def test_any_of_the_countries_of_an_entity_supports(one_name):
    """The party's country may be the second country of the entity."""
    outcome = one_name("Zarvand", "Zarvand", party_country="SY", country="IR", countries="IR;SY")
    assert outcome.one()["country_relation"] == "support"


@pytest.mark.parametrize(
    ("party", "listed", "codes"),
    [
        ("Trading Zarvand Petrokimya", "Zarvand Petrokimya Trading", {"TOKEN_REORDER"}),
        ("Zarvnad Petrokimya", "Zarvand Petrokimya", {"TYPO"}),
        ("Zarvand Petrokimia", "Zarvand Petrokimya", {"TYPO"}),
        ("ZarvandPetrokimya", "Zarvand Petrokimya", {"JOINED_TOKENS"}),
        ("Petro Kimya Zarvand Ilam", "Petrokimya Zarvand Ilam", {"JOINED_TOKENS"}),
        ("Zarvand Petrokimya GmbH", "Zarvand Petrokimya LLC", {"LEGAL_FORM_DIFF"}),
        ("Zarvand Petrokimya", "Zarvand Petrokimya LLC", {"LEGAL_FORM_DIFF"}),
        ("Завод Корунд-Циан", "Zavod Korund-Cian", {"TRANSLIT"}),
        ("Zarvand Petrokimya Dubai", "Zarvand Petrokimya", {"EXTRA_TOKENS"}),
        ("Zarvand Petrokimya Plant 7", "Zarvand Petrokimya Plant 9", {"NUMBER_MISMATCH"}),
    ],
)
def test_each_difference_is_found_and_named(one_name, party, listed, codes):
    """A name that differs in one way is a match and carries the code of that way."""
    outcome = one_name(party, listed)
    assert codes <= outcome.codes()
    assert outcome.one()["score_bp"] < 9800
    assert "EXACT" not in outcome.codes()


def test_names_equal_in_transliteration_say_so(one_name):
    """A Cyrillic name equal to a listed Latin one after transliteration is both EXACT and TRANSLIT."""
    assert one_name("Завод Корунд", "Zavod Korund").one()["reasons"] == "EXACT;TRANSLIT"


def test_an_address_behind_a_name_is_set_aside_and_said(one_name):
    """A name with an address behind it is the name, and says ADDRESS_TAIL beside EXACT, below an equal whole name."""
    tail = "P.O. Box 1203, Plot 4, Dubai"
    for party, listed in (
        (f"Zarvand Kolmer LLC {tail}", "Zarvand Kolmer LLC"),
        ("Zarvand Kolmer", f"Zarvand Kolmer {tail}"),
    ):
        row = one_name(party, listed).one()
        assert row["reasons"] == "ADDRESS_TAIL;EXACT"
        assert row["score_bp"] == 9750
    same = one_name(f"Zarvand Kolmer {tail}", f"Zarvand Kolmer {tail}").one()
    assert same["reasons"] == "EXACT"
    report = one_name(f"Zarvand Kolmer {tail}", "Zarvand Kolmer").report
    assert report.candidates.tails_set_aside == 1


def test_a_translated_name_meets_the_english_one(one_name):
    """A name in Chinese characters meets its English form, is TRANSLIT and never EXACT."""
    row = one_name("四川火箭科技有限公司", "Sichuan Rocket Technology Co., Ltd.").one()
    assert row["reasons"] == "TRANSLIT"
    assert row["score_bp"] >= 9000


def test_a_misspelt_common_word_says_no_more_than_the_word(match, world):
    """A word the registry lacks has the information of the word it stands for, not that of a unique one."""
    entities = [world(f"t:{i}", [("primary", f"Muhammad Kolmer{chr(65 + i)}")]) for i in range(26)]
    right = match(["Muhammad Zarvand"], entities, LOOSE).rows
    wrong = match(["Muhamad Zarvand"], entities, LOOSE).rows
    assert max(row["score_bp"] for row in wrong) <= max(row["score_bp"] for row in right)


def test_a_missing_space_and_an_order_leave_no_other_doubt(one_name):
    """Joined or reordered tokens alone are not called typos or extra words."""
    assert one_name("ZarvandPetrokimya", "Zarvand Petrokimya").one()["reasons"] == "JOINED_TOKENS"
    assert one_name("Petrokimya Zarvand", "Zarvand Petrokimya").one()["reasons"] == "TOKEN_REORDER"


def test_equal_joined_forms_are_candidates_by_themselves(one_name):
    """A name that differs in its spaces alone is found by its joined form, and nothing else is said of it."""
    outcome = one_name("Kol Merwerke", "Kolm Erwerke")
    assert outcome.report.candidates.candidates_equal == 1
    assert outcome.one()["reasons"] == "JOINED_TOKENS"


def test_a_joined_pair_beside_a_typo_leaves_no_extra_word(one_name):
    """Both halves of a joined pair have found their counterpart, on whichever side they stand."""
    for party, listed in (("Petro Kimya Zarvand", "Petrokimya Zarvend"), ("Petrokimya Zarvend", "Petro Kimya Zarvand")):
        assert one_name(party, listed).one()["reasons"] == "JOINED_TOKENS;TYPO"


def test_a_token_with_a_digit_is_never_a_typo(one_name):
    """One letter taken for a digit makes another token, on either side."""
    for party, listed in (("Zarvand Kolmer4", "Zarvand Kolmers"), ("Zarvand Kolmers", "Zarvand Kolmer4")):
        outcome = one_name(party, listed, LOOSE)
        assert outcome.codes() == {"EXTRA_TOKENS", "NUMBER_MISMATCH"}


def test_an_unrelated_name_is_no_match(one_name):
    """A name that shares only generic words with a listed name is not reported."""
    assert (
        one_name("Hollinger General Trading International LLC", "Zarvand General Trading International LLC").rows == []
    )


def test_what_matters_is_the_distinctive_word(match, world):
    """Sharing the rare word beats sharing the generic ones."""
    entities = [world("t:rare", [("primary", "Zarvand Shipping")]), world("t:common", [("primary", "Kolmer Trading")])]
    outcome = match(["Zarvand Trading"], entities, LOOSE)
    scores = {row["entity_id"]: row["score_bp"] for row in outcome.rows}
    assert scores["t:rare"] > scores.get("t:common", 0) + 1000


def test_a_weak_alias_costs_and_is_named(one_name):
    """The publisher's own doubt lowers the score."""
    strong = one_name("Zarvand Petrokimya", "Zarvand Petrokimya", kind="alias").one()
    weak = one_name("Zarvand Petrokimya", "Zarvand Petrokimya", kind="weak").one()
    assert strong["score_bp"] - weak["score_bp"] == 300
    assert weak["against"] == "WEAK_ALIAS"
    assert (strong["band"], weak["band"], weak["score_bp"]) == ("high", "medium", 9500)


def test_a_name_that_reaches_a_band_goes_before_one_that_may_not(match, world):
    """An equal weak alias does not hide a nearly equal name that is worth the band high by itself."""
    entity = world("t:1", [("primary", "Petrokimya Zarvand"), ("weak", "Zarvand Petrokimya")])
    row = match(["Zarvand Petrokimya"], [entity]).one()
    assert (row["band"], row["matched_name"]) == ("high", "Petrokimya Zarvand")


def test_a_vessel_is_not_a_party(one_name):
    """One-word names of vessels meet equal names only, and any vessel speaks against the match."""
    assert one_name("Felicita", "Felicity", LOOSE, entity_type="vessel").rows == []
    equal = one_name("Felicity", "Felicity", entity_type="vessel").one()
    assert equal["against"] == "TYPE_MISMATCH"
    assert (equal["score_bp"], equal["band"]) == (8300, "low")
    assert one_name("Felicity Star", "Felicity Star", entity_type="vessel").one()["band"] == "medium"
    assert one_name("Felicity Star", "Felicity Sta", LOOSE, entity_type="vessel").one()["against"] == "TYPE_MISMATCH"


def test_low_information_names_meet_equal_names_only(one_name):
    """A name of trade words alone matches its equal, never its neighbour."""
    assert one_name("Trading Company Limited", "Trade Company Limited", LOOSE).rows == []
    outcome = one_name("International Trading", "International Trading")
    assert outcome.one()["against"] == "LOW_INFORMATION_NAME"
    assert outcome.one()["score_bp"] == 8300


def test_the_best_name_of_an_entity_stands_for_it(match, world):
    """One row per party and entity, with the name that matched best."""
    entity = world(
        "t:1", [("primary", "Kolmer Holding"), ("alias", "Zarvand Petrokimya"), ("alias", "Zarvand Petrokimia")]
    )
    row = match(["Zarvand Petrokimya"], [entity]).one()
    assert (row["name_no"], row["matched_name"], row["name_kind"]) == (1, "Zarvand Petrokimya", "alias")


def test_ranks_are_total_and_ties_go_by_entity_id(match, world):
    """Entities of one party are ranked 1 to n; equal scores stand in order of entity_id."""
    entities = [world(f"t:{i}", [("primary", "Zarvand Petrokimya")]) for i in (3, 1, 2)]
    entities.append(world("t:0", [("primary", "Zarvand Petrokimia")]))
    rows = match(["Zarvand Petrokimya"], entities).rows
    assert [(r["entity_id"], r["match_rank"]) for r in rows] == [("t:0", 4), ("t:1", 1), ("t:2", 2), ("t:3", 3)]


def test_bands_follow_the_thresholds(match, world):
    """A score belongs to the highest band whose threshold it reaches."""
    entity = [world("t:1", [("primary", "Zarvand Petrokimya")])]
    for params, band in (((1, 1, 9800), "high"), ((1, 9800, 9801), "medium"), ((1, 9801, 9802), "low")):
        assert match(["Zarvand Petrokimya"], entity, MatchParams(*params)).one()["band"] == band
    assert match(["Zarvand Petrokimya"], entity, MatchParams(9801, 9802, 9803)).rows == []


def test_an_empty_side_gives_an_empty_table(match, world):
    """No registry, or no parties, is no error and no match."""
    assert match(["Zarvand"], []).rows == []
    assert match([], [world("t:1", [("primary", "Zarvand")])]).rows == []
    empty = match([], [])
    assert empty.rows == []
    assert empty.report.matches == 0


def test_names_without_letters_match_nothing(match, world):
    """Punctuation alone is counted and never equal to other punctuation."""
    outcome = match(["???", "!!", "Zarvand"], [world("t:1", [("primary", "***"), ("alias", "???")])], LOOSE)
    assert outcome.rows == []
    assert outcome.report.candidates.party_forms_empty == 1
    assert outcome.report.candidates.names_empty == 2


def test_a_very_long_alias_is_cut_and_counted(match, world):
    """A 40,000-character alias neither matches everything nor costs more than its share."""
    entity = world("t:1", [("primary", "Zarvand Petrokimya"), ("alias", "Zarvand " * 5000)])
    outcome = match(["Zarvand Petrokimya", "Kolmer Werke"], [entity])
    assert outcome.one()["name_no"] == 0
    assert outcome.report.candidates.forms_cut == 1


def test_long_names_that_differ_after_the_cut_are_not_called_exact(match, world):
    """EXACT is said of whole forms, not of their compared beginnings."""
    head = " ".join(f"Zarvand{chr(65 + i % 26)}{chr(65 + i // 26)}" for i in range(80))
    outcome = match([head + " Kolmer"], [world("t:1", [("primary", head + " Werke")])])
    assert "EXACT" not in outcome.codes()


def test_equal_parties_get_equal_matches(match, world):
    """Two parties of one name are scored once and both reported."""
    outcome = match([("Zarvand", "IR"), ("Zarvand", "AE")], [world("t:1", [("primary", "Zarvand")], country="IR")])
    assert [(r["party_id"], r["score_bp"]) for r in outcome.rows] == [("P0", 10000), ("P1", 9600)]
    assert outcome.report.candidates.party_forms == 1
    assert outcome.report.pairs_scored == 1


def test_missing_values_are_no_values(match, world):
    """NULL and empty countries are unknown, on either side."""
    outcome = match([("Zarvand", "")], [world("t:1", [("primary", "Zarvand")], country="IR")])
    assert outcome.one()["country_relation"] == "unknown"
    outcome = match([("Zarvand", "IR")], [world("t:1", [("primary", "Zarvand")], country="", countries="")])
    assert outcome.one()["country_relation"] == "unknown"


def test_the_report_counts_what_it_did(match, world):
    """Counts add up: bands to matches, and every limit shows."""
    entities = [
        world(f"t:{i:03}", [("primary", f"Zarvand {chr(65 + i % 26)}ETRO{chr(65 + i // 26)}")]) for i in range(60)
    ]
    report = match(["Zarvand"], entities, MatchParams(1, 2, 3, max_candidates=7)).report
    assert report.candidates.candidates_words == 7
    assert report.matches == report.high + report.medium + report.low <= 7
    assert report.candidates.names == 60


def _many(world, count=400):
    syllables = ["zar", "vand", "kol", "mer", "petro", "kim", "lug", "ash", "tor", "bel"]

    def name(seed):
        digest = hashlib.sha256(str(seed).encode()).digest()
        words = [
            "".join(syllables[digest[4 * w + k] % 10] for k in range(2 + digest[w] % 2))
            for w in range(1 + digest[31] % 3)
        ]
        return " ".join(words)

    entities = [world(f"t:{i:04}", [("primary", name(i)), ("alias", name(i * 7))]) for i in range(count)]
    return [name(i * 3) + (" ltd" if i % 2 else "") for i in range(count)], entities


def test_threads_change_nothing(match, world):
    """One thread and two give the same rows in the same order."""
    parties, entities = _many(world)
    one, two = (match(parties, entities, MatchParams(4000, 6000, 8000), threads=threads) for threads in (1, 2))
    assert len(one.rows) > 300
    assert one.rows == two.rows
    assert one.report == two.report


def test_batch_sizes_change_nothing(match, world, monkeypatch):
    """How the work is cut into batches shows nowhere in the result."""
    parties, entities = _many(world, 120)
    whole = match(parties, entities, MatchParams(4000, 6000, 8000))
    for module, name, size in (
        ("candidates", "POSTINGS", 300),
        ("candidates", "PARTIES", 7),
        ("score", "PAIRS", 2048),
        ("tokens", "TOKEN_PAIRS", 97),
        ("fuzzy", "PAIRS", 61),
    ):
        monkeypatch.setattr(f"omphalos.screening.match.{module}.{name}", size)
    assert match(parties, entities, MatchParams(4000, 6000, 8000)).rows == whole.rows


_SCRIPT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("world", sys.argv[1])
world = importlib.util.module_from_spec(spec); sys.modules["world"] = world; spec.loader.exec_module(world)
names = ["zarvand petrokimya", "kolmer werke", "zarvand kolmer ltd", "petro kimya lugash", "lugash werke gmbh"]
entities = [world.Entity(f"t:{i}", [("primary", n), ("alias", n.replace("a", "e"))]) for i, n in enumerate(names)]
parties = [a + " " + b for a in names for b in names] + names
print(world.run(parties, entities, world.MatchParams(3000, 6000, 8000)).rows)
"""


def test_the_hash_seed_changes_nothing():
    """Interpreters with different hash seeds print the same matches."""
    helper = str(Path(__file__).with_name("conftest.py"))
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _SCRIPT, helper],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "99")
    }
    assert len(outputs) == 1
    assert len(outputs.pop()) > 1000


def test_a_listed_person_is_not_a_company(one_name):
    """A listed person against a party with a legal form costs, and speaks against the match."""
    bare = one_name("Zarvand Kolmer", "Zarvand Kolmer", entity_type="person").one()
    firm = one_name("Zarvand Kolmer LLC", "Zarvand Kolmer", entity_type="person").one()
    body = one_name("Zarvand Kolmer LLC", "Zarvand Kolmer", entity_type="organization").one()
    assert bare["against"] == ""
    assert firm["against"] == "TYPE_MISMATCH"
    assert body["score_bp"] - firm["score_bp"] == 1000


@pytest.mark.parametrize(
    "cell",
    [
        "Falcon Freight LLC c/o Zarvand Kolmer LLC",
        "Falcon Freight LLC O/B OF Zarvand Kolmer LLC",
        "Falcon Freight LLC on behalf of: Zarvand Kolmer LLC",
        "Falcon Freight LLC c/o Orient Cargo c/o Zarvand Kolmer LLC",
        "General Trading c/o Zarvand Kolmer LLC",
        "c/o Zarvand Kolmer LLC",
    ],
)
def test_a_party_behind_care_of_is_compared_and_said(one_name, cell):
    """A listed party behind "c/o" or "o/b of" is found, CARE_OF says so, and it stays below a whole name."""
    row = one_name(cell, "Zarvand Kolmer LLC").one()
    assert row["reasons"] == "ADDRESS_TAIL;CARE_OF;EXACT"
    assert row["score_bp"] == 9750


def test_a_party_before_care_of_is_still_compared(match, world):
    """Both parties of one cell meet their entities, and only the second match carries CARE_OF."""
    entities = [
        world("L:1", [("primary", "Falcon Freight")]),
        world("L:2", [("primary", "Zarvand Kolmer")]),
    ]
    outcome = match(["Falcon Freight c/o Zarvand Kolmer"], entities)
    assert {row["entity_id"]: "CARE_OF" in row["reasons"] for row in outcome.rows} == {"L:1": False, "L:2": True}
    assert outcome.report.candidates.names_behind == 1
    assert outcome.report.parties == 1


def test_a_name_without_letters_behind_care_of_is_none(match, world):
    """What has no letter or digit behind the mark is no name, and nothing is compared twice."""
    outcome = match(["Falcon Freight c/o ---"], [world("L:1", [("primary", "Falcon Freight")])])
    assert outcome.report.candidates.names_behind == 0


@pytest.mark.parametrize(
    ("party", "entity_type", "name"),
    [
        ("Zarvand Kolmer LLC", "person", "Zarvand Kolmer"),
        ("Falcon Freight LLC c/o Zarvand Kolmer LLC", "person", "Zarvand Kolmer"),
        ("Zarvand Kolmer LLC", "vessel", "Zarvand Kolmer Star"),
        ("Zarvnad Kolmer 7", "organization", "Zarvand Kolmer 9"),
    ],
)
def test_the_arithmetic_redone_by_hand_gives_the_score(one_name, party, entity_type, name):
    """The steps of an explanation add up to the score, whatever qualifiers hold."""
    row = one_name(party, name, entity_type=entity_type).one()
    assert redo(row, entity_type, load_weights(), 1).score_bp == row["score_bp"]
