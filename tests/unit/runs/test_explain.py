"""Explanations: every match of a whole run is computed again from its tables, and its score is redone by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omphalos.runs import explain as explain_module
from omphalos.runs.execute import Outcome
from omphalos.runs.explain import explain_match
from omphalos.runs.lookup import resolve_run
from omphalos.screening.match.integers import FULL
from omphalos.screening.match.params import MatchParams, load_weights
from omphalos.screening.review.arithmetic import redo
from omphalos.screening.review.explain import (
    Effort,
    NoSuchMatch,
    NotExplicable,
    SeveralMean,
    explain,
    find_entity,
    find_party,
)
from omphalos.store.store import Store

Recorded = tuple[Path, Outcome]
ONE = Effort(threads=1)


@pytest.fixture(scope="session")
def folder(recorded: Recorded) -> Path:
    """Return the directory of the small reference run."""
    return recorded[1].directory


@pytest.fixture(scope="session")
def matches(folder: Path) -> list[dict[str, Any]]:
    """Return the recorded matches of the run."""
    found: list[dict[str, Any]] = pq.read_table(folder / "matches/party_matches.parquet").to_pylist()
    return found


def test_every_match_of_a_run_is_explained(folder: Path, matches: list[dict[str, Any]]) -> None:
    """Each match, computed again from the run's own tables with one party at a time, equals the recorded row."""
    assert len(matches) >= 10
    for match in matches:
        found = explain(folder, match["party_id"], match["entity_id"], MatchParams(), ONE)
        assert found["recomputed"] == {"equal": True, "differing": []}, match
        assert found["recorded"]["score_bp"] == match["score_bp"]
        assert [reason["code"] for reason in found["reasons"]] == [code for code in match["reasons"].split(";") if code]


def test_every_score_adds_up(folder: Path, matches: list[dict[str, Any]]) -> None:
    """The arithmetic that is shown gives the recorded base and score, step by step."""
    types = dict(
        zip(*(pq.read_table(folder / "registry/registry.parquet")[c].to_pylist() for c in ("entity_id", "entity_type")),
            strict=True)
    )  # fmt: skip
    for match in matches:
        sums = redo(match, types[match["entity_id"]], load_weights(), MatchParams().threshold_bp)
        stretched = FULL - (FULL - sums.mean_bp) * load_weights().stretch_percent // 100
        assert match["base_bp"] == sums.base_bp
        assert sums.base_bp in ((FULL,) if "EXACT" in match["reasons"] else (FULL, max(0, stretched)))
        assert sum(amount for _, amount in sums.steps) == sums.score_bp == match["score_bp"]


def test_a_match_that_was_changed_is_told(folder: Path, matches: list[dict[str, Any]], tmp_path: Path) -> None:
    """A recorded row that the tables do not give is said to differ, by column."""
    for part in ("normalized", "registry", "review", "matches"):
        (tmp_path / part).mkdir()
        for path in (folder / part).glob("*.parquet"):
            (tmp_path / part / path.name).symlink_to(path)
    changed = [{**match, "score_bp": match["score_bp"] - 1} for match in matches]
    table = tmp_path / "matches/party_matches.parquet"
    schema = pq.read_schema(table)
    table.unlink()
    pq.write_table(pa.Table.from_pylist(changed, schema=schema), table)
    first = matches[0]
    found = explain(tmp_path, first["party_id"], first["entity_id"], MatchParams(), ONE)
    assert found["recomputed"] == {"equal": False, "differing": ["score_bp"]}


def test_tokens_that_met_are_those_of_the_names(folder: Path, matches: list[dict[str, Any]]) -> None:
    """What met are words of the two core forms, and a token of full likeness is equal or of one meaning."""
    match = max(matches, key=lambda row: row["score_bp"])
    found = explain(folder, match["party_id"], match["entity_id"], MatchParams(), ONE)
    assert found["tokens"]["met"]
    for one in found["tokens"]["met"]:
        assert one["party"] in found["party"]["core_form"]
        assert one["name"] in found["name"]["core_form"]
        assert 0 < one["likeness_bp"] <= FULL
        assert one["how"] in ("equal", "edit", "sound", "part")


def test_rivals_are_the_other_entities_of_the_party(folder: Path, matches: list[dict[str, Any]]) -> None:
    """Every other match of the party is a rival, by rank."""
    parties = [match["party_id"] for match in matches]
    several = next(party for party in parties if parties.count(party) > 1)
    own = sorted((match for match in matches if match["party_id"] == several), key=lambda row: row["match_rank"])
    found = explain(folder, several, own[0]["entity_id"], MatchParams(), ONE)
    assert [one["entity_id"] for one in found["rivals"]] == [match["entity_id"] for match in own[1:]]


@pytest.fixture
def con() -> Iterator[Any]:
    """Return a connection with four parties and three names, some of them alike."""
    with duckdb.connect() as con:
        con.execute("CREATE TABLE recorded_parties (party_id TEXT, name TEXT)")
        rows = [("Paa1", "Acme"), ("Paa2", "Acme"), ("Pab3", "Bolt GmbH"), ("Pc", "Paa1")]
        con.executemany("INSERT INTO recorded_parties VALUES (?, ?)", rows)
        con.execute("CREATE TABLE recorded_registry_names (entity_id TEXT, name TEXT)")
        names = [("l:1", "Acme"), ("l:12", "Acme"), ("m:7", "Zeta"), ("m:7", "Zeta Holding")]
        con.executemany("INSERT INTO recorded_registry_names VALUES (?, ?)", names)
        con.execute("CREATE TABLE recorded_party_matches AS SELECT 'Paa2' AS party_id, 'l:12' AS entity_id")
        yield con


def test_a_party_is_found(con: Any) -> None:
    """An id comes before a name, a name before a beginning; of equal names, that which matched something is meant."""
    assert find_party(con, "Paa1") == "Paa1"
    assert find_party(con, "Acme") == "Paa2"
    assert find_party(con, "bolt gmbh") == "Pab3"
    assert find_party(con, "Pab") == "Pab3"


def test_an_entity_is_found(con: Any) -> None:
    """An entity is meant by id, by the publisher's id, by any of its names; of several, by what the party matched."""
    assert find_entity(con, "l:1", "Paa2") == "l:1"
    assert find_entity(con, "7", "Paa2") == "m:7"
    assert find_entity(con, "zeta holding", "Paa2") == "m:7"
    assert find_entity(con, "Acme", "Paa2") == "l:12"


@pytest.mark.parametrize("text", ["", "Pz", "\x1b[2J", "' OR 1=1 --", "x" * 100_000])
def test_nothing_is_found(con: Any, text: str) -> None:
    """What names nothing is refused, whatever it holds."""
    with pytest.raises(NoSuchMatch):
        find_party(con, text)


def test_a_guess_and_a_doubt(con: Any) -> None:
    """A misspelt name gets the nearest one as a hint; a text that may mean several things is refused with them."""
    with pytest.raises(NoSuchMatch) as caught:
        find_party(con, "Bolt GnbH")
    assert caught.value.hint == "did you mean 'Bolt GmbH'?"
    with pytest.raises(SeveralMean, match=r"'l' may mean l:1, l:12"):
        find_entity(con, "l", "Pab3")


def test_what_did_not_match(folder: Path, matches: list[dict[str, Any]]) -> None:
    """A party and an entity that did not match are not explained; the hint names what the party did match."""
    first = matches[0]
    other = next(
        match["entity_id"]
        for match in matches
        if (first["party_id"], match["entity_id"]) not in {(m["party_id"], m["entity_id"]) for m in matches}
    )
    with pytest.raises(NoSuchMatch) as caught:
        explain(folder, first["party_id"], other, MatchParams(), ONE)
    assert "that party matched" in caught.value.hint


def test_a_run_without_the_tables(tmp_path: Path) -> None:
    """A run of a version that recorded no features is said to be incomplete, not broken."""
    with pytest.raises(NotExplicable):
        explain(tmp_path, "P", "e", MatchParams(), ONE)


def test_another_method_is_said(copy: Recorded, matches: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The document says whether the installed method is the run's."""
    store = Store.open(copy[0])
    run = resolve_run(store, "latest")
    pair = (matches[0]["party_id"], matches[0]["entity_id"])
    assert explain_match(store, run, *pair, ONE)["method"]["same"] is True
    monkeypatch.setattr(explain_module, "hash_method", lambda: b"\1" * 32)
    found = explain_match(store, run, *pair, ONE)
    assert found["method"] == {"recorded": run.manifest.plan.method, "installed": "01" * 32, "same": False}
