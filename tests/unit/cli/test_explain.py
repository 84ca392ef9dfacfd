"""The verb explain: for a person, for a program, and its exit codes."""

import csv
from pathlib import Path
from typing import Any

import pytest

from omphalos.cli.explain import told
from omphalos.runs import explain as explain_module

from .conftest import Call


@pytest.fixture
def head(store: Path) -> dict[str, str]:
    """The first item of the review queue of the latest run."""
    (path,) = (store / "artifacts" / "runs").glob("second-*/exports/review_queue.csv")
    with path.open(newline="", encoding="utf-8") as stream:
        return next(csv.DictReader(stream))


def test_for_a_person(call: Call, head: dict[str, str]) -> None:
    """The verdict comes first, then forms, reasons, tokens, the sum, and what was not checked."""
    said = call("explain", "latest", head["party_id"], head["entity_id"])
    assert said.code == 0
    assert said.out.startswith(f"{head['band'].upper()} {head['score_bp']}: {head['party_name']} may be ")
    for part in (
        "full form",
        "reasons",
        "tokens",
        "score (weights version",
        "rivals",
        "NOT CHECKED",
        "computed again: equal",
    ):
        assert part in said.out


def test_for_a_program(call: Call, head: dict[str, str]) -> None:
    """The document carries the schema, the recorded score and the arithmetic that gives it."""
    document = call("explain", "latest", head["party_id"], head["entity_id"], "--json").document
    assert document["schema"] == "omphalos.explain/1"
    assert document["recorded"]["score_bp"] == int(head["score_bp"])
    assert sum(step["bp"] for step in document["arithmetic"]["steps"]) == int(head["score_bp"])
    assert document["entity"]["record_hash"] == head["record_hash"]
    assert document["recomputed"]["equal"] is True


def test_not_found(call: Call, head: dict[str, str]) -> None:
    """A party that is not in the run ends with 10 and a hint; a misspelt name is offered as it is spelled."""
    said = call("explain", "latest", head["party_name"] + "x", head["entity_id"], "--json")
    assert said.code == 10
    assert said.failure["hint"] == f"did you mean '{head['party_name']}'?"
    assert call("explain", "latest", head["party_id"], "nobody:0").code == 10
    assert call("explain", "nothing", head["party_id"], head["entity_id"]).code == 10


def test_a_changed_table(call: Call, store: Path, head: dict[str, str]) -> None:
    """A table that was changed since the run is not read: exit 1."""
    (path,) = (store / "artifacts" / "runs").glob("second-*/matches/party_matches.parquet")
    path.write_bytes(path.read_bytes() + b"x")
    assert call("explain", "latest", head["party_id"], head["entity_id"]).code == 1


def test_a_different_outcome(call: Call, head: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A match that comes out otherwise under the run's own method is a negative verdict."""
    true = explain_module.explain

    def other(*arguments: Any) -> dict[str, Any]:
        return {**true(*arguments), "recomputed": {"equal": False, "differing": ["score_bp"]}}

    monkeypatch.setattr(explain_module, "explain", other)
    said = call("explain", "latest", head["party_id"], head["entity_id"])
    assert said.code == 1
    assert "COMPUTED AGAIN, DIFFERENT: score_bp" in said.out


def test_control_characters_are_escaped(call: Call, head: dict[str, str]) -> None:
    """Names from outside can neither move the cursor nor turn the line round."""
    document = call("explain", "latest", head["party_id"], head["entity_id"], "--json").document
    hostile = "A\x1b[2J\u202eB\n"
    for part in ("party", "entity", "name"):
        document[part] |= {"name": hostile, "full_form": hostile, "core_form": hostile}
    document["review"] |= {"sample_shipments": hostile, "flags": hostile}
    document["rivals"] = [{"match_rank": 2, "score_bp": 1, "band": "low", "entity_id": hostile, "name": hostile}]
    document["tokens"]["met"] = [{"party": hostile, "name": hostile, "likeness_bp": 1, "how": "edit"}]
    lines = told(document)
    assert all(line.isprintable() for line in lines)
    assert any("A\\x1b[2J\\u202eB\\x0a" in line for line in lines)


@pytest.mark.parametrize(
    ("band", "kind", "said"),
    [("medium", "weak", "a weak alias"), ("low", "primary", "one word"), ("high", "primary", "")],
)
def test_a_band_below_that_of_the_score_is_explained(
    call: Call, head: dict[str, str], band: str, kind: str, said: str
) -> None:
    """Where a kind of name keeps a pair out of the band of its score, a line says which; elsewhere none does."""
    found = call("explain", "latest", head["party_id"], head["entity_id"], "--json").document
    found["recorded"] |= {"score_bp": 9500, "band": band}
    found["name"]["name_kind"] = kind
    line = told(found)[1]
    assert line == "" if not said else said in line
