"""Explanations of matches that identifiers, addresses and vessels make or weigh: they add up like those of names."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from omphalos.screening.match.params import MatchParams
from omphalos.screening.review.explain import Effort, explain

from .test_facts import FEED, LIST, run_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run where names, identifiers, a conflict, addresses and a vessel make matches."""
    more = (
        ("S7", "Alder Holding", "DE", "811907980", "", "", "", ""),
        ("S8", "Zarvand Petrokimia", "IR", "10100999111", "", "", "Alder Holding", "9187629"),
        ("S10", "Orient Cargo c/o Alder Holding", "DE", "", "", "", "", ""),
        ("S9", "Address 01", "HK", "", "", "Room 7, 12/F Fair Building, 44 Alder Street, Kowloon", "", ""),
    )
    return run_of(tmp_path_factory.mktemp("explain"), (*FEED, *more), LIST)


def test_every_match_is_explained(run: Path) -> None:
    """Each match, by name or beyond, is computed again to the recorded row, and its steps add up to its score."""
    matches = pq.read_table(run / "matches/party_matches.parquet").to_pylist()
    facts, behind = set(), 0
    for match in matches:
        found = explain(run, match["party_id"], match["entity_id"], MatchParams(), Effort(1))
        assert found["recomputed"] == {"equal": True, "differing": []}, match
        assert sum(step["bp"] for step in found["arithmetic"]["steps"]) == match["score_bp"]
        assert {one["fact"] for one in found["facts"]} <= {reason["code"] for reason in found["reasons"]}
        if "CARE_OF" in match["reasons"]:
            behind += 1
            assert [word["token"] for word in found["tokens"]["party"]] == ["ALDER", "HOLDING"]
        facts |= {(one["fact"], match["base_bp"] > 0) for one in found["facts"]}
    assert behind == 1
    assert facts >= {
        ("IDENTIFIER", True),
        ("IDENTIFIER", False),
        ("ADDRESS_MATCH", True),
        ("ADDRESS_MATCH", False),
        ("IDENTIFIER_CONFLICT", True),
    }


def test_the_packet_of_such_a_match_shows_the_fact(run: Path) -> None:
    """A packet lists a fact with both sides as filed and as listed."""
    (page,) = (run / "evidence").glob("l-2-*.html")
    assert "890-900.608" in page.read_text("utf-8")
