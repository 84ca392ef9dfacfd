"""A run that takes decisions of earlier reviews: what it records, what changes, and what does not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from omphalos.runs.certify import Certifier, certify
from omphalos.runs.environment import describe
from omphalos.runs.execute import Machine, Outcome, execute
from omphalos.runs.lookup import resolve_run
from omphalos.runs.variation import NAMES, Surroundings
from omphalos.screening.job import Job
from omphalos.screening.review.decisions import DecisionsError
from omphalos.store.store import Store

Recorded = tuple[Path, Outcome]


def table(directory: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table of a run."""
    rows: list[dict[str, Any]] = pq.read_table(directory / f"{name}.parquet").to_pylist()
    return rows


@pytest.fixture(scope="module")
def reviewed(
    recorded: Recorded, tmp_path_factory: pytest.TempPathFactory, make_machine: Callable[..., Machine],
    small_job: Callable[..., Job],
) -> tuple[Path, Outcome]:  # fmt: skip
    """Record the small run again with the first item of its queue dismissed, and one decision that names nothing."""
    folder = tmp_path_factory.mktemp("reviewed")
    head = min(table(recorded[1].directory, "review/review"), key=lambda row: row["review_rank"])
    line = {
        "party_id": head["party_id"], "entity_id": head["entity_id"], "record_hash": head["record_hash"],
        "verdict": "dismissed", "reviewer": "R. Viewer", "reason": "another firm of that name",
        "decided": "2024-07-01", "expires": "2025-07-01",
    }  # fmt: skip
    lines = [line, {**line, "entity_id": "synthetic:gone"}]
    path = folder / "decisions.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), "utf-8")
    job = small_job(review={"decisions": str(path)})
    return folder, execute(Store.init(folder / "store"), job, make_machine())


def test_a_dismissed_pair_leaves_the_queue_and_keeps_its_row(recorded: Recorded, reviewed: Recorded) -> None:
    """The pair is suppressed with its decision beside it, last in rank; every other row keeps all but its rank."""
    before = {(r["party_id"], r["entity_id"]): r for r in table(recorded[1].directory, "review/review")}
    after = {(r["party_id"], r["entity_id"]): r for r in table(reviewed[1].directory, "review/review")}
    assert before.keys() == after.keys()
    changed = {
        key
        for key in before
        if {**before[key], "review_rank": 0} != {**after[key], "review_rank": 0}
    }  # fmt: skip
    head = next(key for key, row in before.items() if row["review_rank"] == 1)
    assert changed == {head}
    assert after[head]["review_rank"] == len(after)
    assert [after[head][key] for key in ("state", "verdict", "decided", "expires", "reviewer", "decision_reason")] == [
        "suppressed", "dismissed", "2024-07-01", "2025-07-01", "R. Viewer", "another firm of that name",
    ]  # fmt: skip
    queue = (reviewed[1].directory / "exports/review_queue.csv").read_text("utf-8")
    assert queue.count("\n") == len(after)  # a head line, and all rows but one
    assert not any(line.startswith("1,") and head[0] in line for line in queue.splitlines())


def test_matching_knows_nothing_of_decisions(recorded: Recorded, reviewed: Recorded) -> None:
    """A dismissed pair frees no slot and hides nothing: all matches and their features are the same bytes."""
    for name in ("matches/party_matches.parquet", "matches/entity_matches.parquet", "reports/matching.json"):
        assert (recorded[1].directory / name).read_bytes() == (reviewed[1].directory / name).read_bytes()


def test_open_exposure_leaves_it_out(recorded: Recorded, reviewed: Recorded) -> None:
    """The totals of an entity stay; its open part is smaller by the dismissed pair."""
    before = {row["entity_id"]: row for row in table(recorded[1].directory, "scores/entity_scores")}
    after = {row["entity_id"]: row for row in table(reviewed[1].directory, "scores/entity_scores")}
    assert all(row["open_shipments"] == row["shipments"] for row in before.values())
    (entity,) = [key for key in before if before[key] != after[key]]
    assert after[entity]["parties"] == before[entity]["parties"]
    assert after[entity]["open_parties"] == before[entity]["open_parties"] - 1
    assert after[entity]["suppressed_parties"] == 1


def test_decisions_are_an_input_and_reported(reviewed: Recorded) -> None:
    """The exact bytes stand in the run under their role in the plan; the report lists what names nothing."""
    run = resolve_run(Store.open(reviewed[0] / "store"), "latest")
    (given,) = [one for one in run.manifest.plan.inputs if one.role == "decisions"]
    assert (given.source, given.records) == ("decisions.jsonl", 2)
    assert (reviewed[1].directory / given.path).read_bytes() == (reviewed[0] / "decisions.jsonl").read_bytes()
    report = json.loads((reviewed[1].directory / "reports/decisions.json").read_bytes())
    assert [one["line"] for one in report["entity_gone"]["listed"]] == [2]
    assert report["as_of_from"] == "feed"


def test_certify_applies_the_recorded_decisions(reviewed: Recorded, tmp_path: Path) -> None:
    """A run with decisions is computed again, in other surroundings, from the decisions it holds: same bytes."""
    store = Store.open(reviewed[0] / "store")
    here = describe(cpu_count=1, locale="C", timezone="UTC")
    certifier = Certifier(Surroundings(), frozenset(NAMES), here, "1GiB", tmp_path / "scratch")
    result = certify(store, resolve_run(store, "latest"), certifier)
    assert (result.outcome, result.differences) == ("identical", ())


def test_a_bad_line_records_nothing(
    tmp_path: Path, make_machine: Callable[..., Machine], small_job: Callable[..., Job]
) -> None:
    """One bad line refuses the job, with its number; no run and no folder is left."""
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(b'{"party_id":1}\n')
    store = Store.init(tmp_path / "store")
    with pytest.raises(DecisionsError, match=r"^line 1 "):
        execute(store, small_job(review={"decisions": str(path)}), make_machine())
    assert list(store.refs.list("runs/")) == []
    shutil.rmtree(tmp_path / "store" / "artifacts" / "runs")
    assert not list((tmp_path / "store" / "artifacts").iterdir())
