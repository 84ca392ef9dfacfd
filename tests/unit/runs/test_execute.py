"""A run is recorded whole or not at all, and the same plan gives the same tree."""

import csv
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from omphalos.format import strictjson
from omphalos.format.ids import to_hex
from omphalos.format.manifest import check_manifest, decode_manifest
from omphalos.runs.execute import Machine, NotReproduced, Outcome, RunDirectoryInTheWay, execute, existing_run
from omphalos.runs.lookup import resolve_run
from omphalos.screening.job import Job
from omphalos.screening.pipeline import TooManyRejects
from omphalos.store.store import Store

Recorded = tuple[Path, Outcome]


def _left(folder: Path) -> list[str]:
    """Return what lies in the folder of runs."""
    runs = folder / "artifacts" / "runs"
    return sorted(path.name for path in runs.iterdir()) if runs.is_dir() else []


def test_a_run_directory_holds_what_the_manifest_says_and_nothing_else(recorded: Recorded) -> None:
    """Payload, control files and manifest.json are there, and no scratch is left."""
    folder, outcome = recorded
    manifest = decode_manifest((outcome.directory / "manifest.json").read_bytes())

    listed = {file.path for file in (*manifest.artifacts, *manifest.control)} | {"manifest.json"}
    there = {p.relative_to(outcome.directory).as_posix() for p in outcome.directory.rglob("*") if p.is_file()}

    assert listed == there
    assert [] == check_manifest(manifest)
    assert [outcome.run_id] == _left(folder)


def test_no_payload_file_holds_what_may_vary(recorded: Recorded) -> None:
    """No payload file holds the run_id, the method, a path of the machine or the time of execution."""
    folder, outcome = recorded
    manifest = decode_manifest((outcome.directory / "manifest.json").read_bytes())
    forbidden = [outcome.run_id, manifest.plan.method, manifest.plan.id, str(folder), "2026-01-02T03:04:05"]

    for file in manifest.artifacts:
        data = (outcome.directory / file.path).read_bytes()
        for text in forbidden:
            assert text.encode() not in data, (file.path, text)


def test_every_feed_record_is_accounted_for(recorded: Recorded) -> None:
    """Records in are records accepted plus records quarantined, in the report and in the files."""
    _, outcome = recorded
    report = strictjson.parse((outcome.directory / "reports/validation.json").read_bytes(), max_bytes=1 << 20)
    with (outcome.directory / "quarantine/quarantine_feed.csv").open(newline="") as stream:
        quarantined = {row["source_row"] for row in csv.DictReader(stream)}
    assert isinstance(report, dict)
    feed = report["feed"]

    assert 500 == feed["records"]
    assert feed["records"] == feed["accepted"] + feed["quarantined"]
    assert feed["quarantined"] == len(quarantined) > 0


def test_the_same_plan_again_certifies_the_run(
    copy: Recorded, small_job: Callable[..., Job], make_machine: Callable[..., Machine]
) -> None:
    """Executing a recorded plan gives the same tree, says so, and leaves the recorded run alone."""
    folder, first = copy
    before = (first.directory / "manifest.json").read_bytes()

    again = execute(Store.open(folder), small_job(), make_machine(clock=datetime(2031, 5, 6, tzinfo=UTC)))

    assert again.again
    assert (first.run_id, first.run, first.tree) == (again.run_id, again.run, again.tree)
    assert before == (first.directory / "manifest.json").read_bytes()
    assert [first.run_id] == _left(folder)


def test_another_configuration_is_another_run(
    copy: Recorded, small_job: Callable[..., Job], make_machine: Callable[..., Machine]
) -> None:
    """A changed threshold gives another plan, and both runs stand side by side."""
    folder, first = copy

    other = execute(Store.open(folder), small_job(match={"max_candidates": 3}), make_machine())

    assert other.run_id != first.run_id
    assert sorted([first.run_id, other.run_id]) == _left(folder)


def test_skip_existing_finds_the_recorded_plan(
    copy: Recorded, small_job: Callable[..., Job], make_machine: Callable[..., Machine]
) -> None:
    """A recorded plan is recognised from its inputs alone, and one that is not recorded is not."""
    folder, first = copy

    assert first.run_id == existing_run(Store.open(folder), small_job())
    assert existing_run(Store.open(folder), small_job(name="another")) is None


def test_a_plan_that_gives_another_tree_is_refused(
    copy: Recorded,
    small_job: Callable[..., Job],
    make_machine: Callable[..., Machine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A computation that differs from the recorded run is an error that names the artifact, and the run stays."""
    folder, first = copy
    from omphalos.screening import reports

    true = reports.scoring

    def shifted(con: Any, currency: str) -> dict[str, Any]:
        return {**true(con, currency), "currency": "EUR"}

    monkeypatch.setattr(reports, "scoring", shifted)

    with pytest.raises(NotReproduced, match=r"modified: reports/scoring\.json"):
        execute(Store.open(folder), small_job(), make_machine())
    assert first.run == Store.open(folder).refs.get(f"runs/{first.run_id}")
    assert [first.run_id] == _left(folder)


def test_too_many_rejects_records_nothing(
    tmp_path: Path, make_machine: Callable[..., Machine], feed_job: Callable[..., Job]
) -> None:
    """Beyond the declared share of rejects there is no run, and the message counts the reasons."""
    job = feed_job("exporter,value\nA,1\nB,-2\nC,-3\n")

    with pytest.raises(TooManyRejects, match=r"2 of 3 feed records.*\n.*negativeNumber in value: 2"):
        execute(Store.init(tmp_path / "s"), job, make_machine())
    assert [] == _left(tmp_path / "s")
    assert [] == Store.open(tmp_path / "s").refs.list("runs/")


def test_a_stranger_in_the_way_is_not_overwritten(
    tmp_path: Path, recorded: Recorded, small_job: Callable[..., Job], make_machine: Callable[..., Machine]
) -> None:
    """A folder that stands where the run directory should be stops the run and stays as it is."""
    _, outcome = recorded
    stranger = tmp_path / "artifacts" / "runs" / outcome.run_id
    stranger.mkdir(parents=True)
    (stranger / "mine.txt").write_text("mine")

    with pytest.raises(RunDirectoryInTheWay):
        execute(Store.init(tmp_path), small_job(), make_machine())
    assert "mine" == (stranger / "mine.txt").read_text()
    assert [] == Store.open(tmp_path).refs.list("runs/")


@pytest.mark.parametrize(
    "stage", ["inputs", "ingest", "normalize", "match", "score", "review", "package", "warehouse", "record", "end"]
)
def test_a_failure_at_any_stage_leaves_nothing_visible(
    tmp_path: Path, stage: str, feed_job: Callable[..., Job], make_machine: Callable[..., Machine]
) -> None:
    """Whatever stage breaks, there is no ref, no run directory and no scratch."""

    def breaking(at: str) -> None:
        if at == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(Store.init(tmp_path), feed_job("exporter,value\nA,1\n"), make_machine(progress=breaking))
    assert [] == _left(tmp_path)
    assert [] == Store.open(tmp_path).refs.list("runs/")


def test_the_method_of_a_run_is_in_the_store(recorded: Recorded) -> None:
    """The code that made a run can be read out of the store under the id the plan names."""
    from omphalos.format.ids import from_hex
    from omphalos.runs.method import hash_method, method_files
    from omphalos.store.trees import walk

    folder, outcome = recorded
    store = Store.open(folder)
    method = resolve_run(store, outcome.run_id).manifest.plan.method
    stored = {path: store.objects.read("blob", oid) for path, _, oid in walk(store, from_hex(method))}

    assert {path: file.read_bytes() for path, file in method_files().items()} == stored
    assert to_hex(hash_method()) == method
    assert "omphalos/screening/pipeline.py" in stored
    assert not [path for path in stored if "cli" in path or path.endswith(".pyc")]


def test_where_inputs_lie_does_not_matter(
    tmp_path: Path, make_machine: Callable[..., Machine], feed_job: Callable[..., Job]
) -> None:
    """The same files in other folders give the same run_id and the same tree."""
    text = "exporter,value\nAlpha Trading Ltd,12.50\n"
    outcomes = [
        execute(Store.init(tmp_path / name), feed_job(text, folder=tmp_path / f"in-{name}"), make_machine())
        for name in ("a", "b")
    ]

    assert outcomes[0].run_id == outcomes[1].run_id
    assert outcomes[0].tree == outcomes[1].tree


def test_one_and_two_threads_give_one_tree(
    tmp_path: Path, recorded: Recorded, small_job: Callable[..., Job], make_machine: Callable[..., Machine]
) -> None:
    """The number of threads leaves no trace in the payload."""
    two = execute(Store.init(tmp_path), small_job(), make_machine(threads=2))

    assert recorded[1].tree == two.tree
    assert recorded[1].run_id == two.run_id


def test_the_same_input_twice_is_refused(
    tmp_path: Path, make_machine: Callable[..., Machine], feed_job: Callable[..., Job]
) -> None:
    """Two registries with one and the same file are a mistake that is named, not a run."""
    from omphalos.runs.inputs import InputTwice

    job = feed_job("exporter,value\nA,1\n")
    first = job.registries[0]
    job = replace(job, registries=(first, replace(first, source="other")))

    with pytest.raises(InputTwice, match="stands twice"):
        execute(Store.init(tmp_path / "s"), job, make_machine())
