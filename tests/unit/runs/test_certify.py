"""A certification computes again from what was recorded, in changed surroundings, and says honestly what came of it."""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from omphalos.format.ids import blob_id, to_hex
from omphalos.runs import certify as certify_module
from omphalos.runs import differing
from omphalos.runs.certify import Certification, Certifier, certify
from omphalos.runs.differing import Difference, normalizer_digest
from omphalos.runs.environment import describe
from omphalos.runs.execute import Machine, Outcome, execute
from omphalos.runs.lookup import Run, resolve_run
from omphalos.runs.rerun import RerunFailed, rerun
from omphalos.runs.statement import certification_statement
from omphalos.runs.variation import NAMES, Surroundings, UnknownVariation, chosen, scene
from omphalos.screening import pipeline, reports
from omphalos.screening.job import Job
from omphalos.store.store import Store
from omphalos.tables import write

Recorded = tuple[Path, Outcome]
HERE = describe(cpu_count=1, locale="C", timezone="UTC")


def _run(folder: Path) -> tuple[Store, Run]:
    store = Store.open(folder)
    return store, resolve_run(store, "latest")


def _certifier(scratch: Path, *, variations: frozenset[str] = frozenset(), **members: Any) -> Certifier:
    return Certifier(Surroundings(), variations, HERE, "1GiB", scratch, **members)


def _altered(folder: Path, machine: Machine, job: Job) -> tuple[Store, Run]:
    """Record a run under whatever the test has changed in this process, which the second execution does not share."""
    store = Store.init(folder)
    execute(store, job, machine)
    return store, resolve_run(store, "latest")


def test_an_honest_run_is_identical_in_other_surroundings(recorded: Recorded, tmp_path: Path) -> None:
    """A recorded run computed again with everything varied is identical, says what was varied, and leaves nothing."""
    store, run = _run(recorded[0])
    stages: list[str] = []

    result = certify(store, run, _certifier(tmp_path / "scratch", variations=frozenset(NAMES), progress=stages.append))

    assert ("identical", ()) == (result.outcome, result.differences)
    named = {one.name for one in result.varied} | {name for name, _ in result.not_varied}
    assert set(NAMES) == named
    assert {"path", "home", "user", "time-zone", "hash-seed", "threads", "umask", "file-order"} <= {
        one.name for one in result.varied
    }
    assert ["ingest", "end"] == [stages[0], stages[-1]]
    assert [] == list((tmp_path / "scratch").iterdir())


def test_a_report_that_was_made_otherwise_is_different(
    make_machine: Callable[..., Machine], small_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run whose report the plan does not give is different, and the first differing line is shown."""
    true = reports.scoring

    def shifted(con: Any, currency: str) -> dict[str, Any]:
        return {**true(con, currency), "currency": "ZZZ"}

    with monkeypatch.context() as patch:
        patch.setattr(reports, "scoring", shifted)
        store, run = _altered(tmp_path / "store", make_machine(), small_job())

    result = certify(store, run, _certifier(tmp_path / "scratch"))

    assert ("different", ["reports/scoring.json"]) == (result.outcome, [one.path for one in result.differences])
    assert '"currency": "ZZZ"' in result.differences[0].detail
    assert "is" in result.differences[0].detail


def test_a_row_that_was_made_otherwise_is_shown_by_its_key(
    make_machine: Callable[..., Machine], small_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A table with one changed cell is different, and the row's key, the column and both values are shown."""
    true = pipeline.build_review

    def changed(con: Any, *arguments: Any) -> None:
        true(con, *arguments)
        con.execute("update review set programs = 'CHANGED' where review_rank = 1")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "build_review", changed)
        store, run = _altered(tmp_path / "store", make_machine(), small_job())

    result = certify(store, run, _certifier(tmp_path / "scratch"))

    assert "different" == result.outcome
    details = {one.path: one.detail for one in result.differences}
    assert details["review/review.parquet"].startswith("first differing row: party_id=")
    assert "programs was CHANGED, is " in details["review/review.parquet"]
    assert "table review: a row is not there any more" in details["warehouse/warehouse.sqlite"]


def test_other_bytes_of_an_equal_table_are_equal_after_fingerprint(
    make_machine: Callable[..., Machine], small_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run whose Parquet files were compressed otherwise is equal after fingerprint, never identical."""
    with monkeypatch.context() as patch:
        patch.setitem(write.PARQUET_SETTINGS, "compression_level", 9)
        store, run = _altered(tmp_path / "store", make_machine(), small_job())

    result = certify(store, run, _certifier(tmp_path / "scratch"))

    assert "equal-after" == result.outcome
    assert {("equal-after", "fingerprint")} == {(one.state, one.normalizer) for one in result.differences}
    assert "review/review.parquet" in [one.path for one in result.differences]
    code = Path(write.__file__).with_name("fingerprint.py").read_bytes()
    assert (("fingerprint", to_hex(blob_id(code))),) == result.normalizers


def test_sqlite_files_are_compared_by_content(tmp_path: Path) -> None:
    """Two SQLite files of other pages and equal rows are equal after their content; one other row is named."""
    paths = [tmp_path / name for name in ("a.sqlite", "b.sqlite", "c.sqlite", "d.sqlite")]
    for number, path in enumerate(paths):
        with closing(sqlite3.connect(path)) as con:
            con.execute(f"pragma page_size = {1024 << (number % 2)}")
            con.execute("create table t (k integer primary key, v text)")
            con.executemany("insert into t values (?, ?)", [(1, "one"), (2, "two" if number < 2 else "zwei")])
            if number == 3:
                con.execute("create index i on t (v)")
            con.commit()
    assert paths[0].read_bytes() != paths[1].read_bytes()
    look = differing.sqlite_difference
    assert "" == look(paths[0], paths[1])
    assert "table t: a row is not there any more: (2, 'two')" == look(paths[0], paths[2])
    assert "other tables or indexes" == look(paths[0], paths[3])


def test_missing_and_extra_artifacts_are_named(recorded: Recorded, tmp_path: Path) -> None:
    """An artifact that was not made again, and a file nobody recorded, are both differences."""
    store, run = _run(recorded[0])
    made = tmp_path / "made"
    made.mkdir()
    (made / "extra.txt").write_text("x", "utf-8")

    found = differing.differences(store, run.manifest, made, tmp_path / "scratch")

    assert Difference("extra.txt", "extra") in found
    assert {one.path for one in found if one.state == "missing"} == {file.path for file in run.manifest.artifacts}


def test_another_method_cannot_certify(recorded: Recorded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run made by another method is not called different: it cannot be run again here, and the reason is said."""
    store, run = _run(recorded[0])
    monkeypatch.setattr(certify_module, "hash_method", lambda: b"\1" * 32)

    result = certify(store, run, _certifier(tmp_path))

    assert "not-rerunnable" == result.outcome
    assert "010101010101" in result.reason


def test_a_method_that_changes_under_way_is_refused(tmp_path: Path) -> None:
    """The second process computes nothing if its method is not the one it was ordered to use."""
    (tmp_path / "run").mkdir()
    (tmp_path / "work").mkdir()
    around = scene(frozenset(), HERE, Surroundings(), tmp_path)

    with pytest.raises(RerunFailed, match="the method changed"):
        rerun(tmp_path / "run", tmp_path / "work", "00" * 32, around, "1GiB", lambda _: None)


def test_what_a_library_prints_is_not_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines on standard output that are none of ours are passed over, wherever they stand."""
    program = tmp_path / "python"
    noise = ("hello", "[1]", "9" * 5_000, "[" * 5_000, "\\377")
    lines = [*noise, '{"stage": "match"}', *noise, '{"done": true, "locale": "C"}', *noise]
    program.write_text("#!/bin/sh\n" + "".join(f"printf '%b\\n' '{line}'\n" for line in lines))
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    for folder in ("run", "work"):
        (tmp_path / folder).mkdir()
    around = scene(frozenset(), HERE, Surroundings(), tmp_path)
    stages: list[str] = []
    assert rerun(tmp_path / "run", tmp_path / "work", "00" * 32, around, "1GiB", stages.append) == "C"
    assert stages == ["match"]


def test_an_execution_that_fails_says_nothing_about_the_run(recorded: Recorded, tmp_path: Path) -> None:
    """With too little memory there is no verdict, the hint says what to give, and nothing is left behind."""
    store, run = _run(recorded[0])
    starved = Certifier(Surroundings(), frozenset(), HERE, "1MiB", tmp_path / "scratch")

    with pytest.raises(RerunFailed) as caught:
        certify(store, run, starved)

    assert "--memory" in caught.value.hint
    assert [] == list((tmp_path / "scratch").iterdir())


def test_other_libraries_are_reported(recorded: Recorded, tmp_path: Path) -> None:
    """A library that is not the recorded one is listed with both versions, and does not change the outcome."""
    store, run = _run(recorded[0])
    other = Certifier(
        Surroundings(), frozenset(), describe(cpu_count=1, locale="C", timezone="UTC"), "1GiB", tmp_path / "s"
    )
    other.environment.packages["duckdb"] = "0.0.1"

    result = certify(store, run, other)

    assert ("identical", (("duckdb", run.manifest.environment.packages["duckdb"], "0.0.1"),)) == (
        result.outcome,
        result.environment_changes,
    )


def test_every_variation_differs_from_what_was_recorded(tmp_path: Path) -> None:
    """Whatever the run and the present surroundings have, a varied thing is another; what is not asked for stays."""
    around = Surroundings({"TZ": "UTC", "USER": "somebody", "PYTHONHASHSEED": "4242"}, 0o077, 2, Path("/lib/faketime"))
    recorded = describe(cpu_count=2, locale="de_DE.UTF-8", timezone="<+0545>-5:45")

    varied = scene(frozenset(NAMES), recorded, around, tmp_path)
    plain = scene(frozenset(), recorded, around, tmp_path)

    assert ("<-0330>3:30", "else", "2442") == tuple(
        varied.environment[name] for name in ("TZ", "LOGNAME", "PYTHONHASHSEED")
    )
    assert (0o022, 3, True) == (varied.umask, varied.threads, varied.reverse_listings)
    assert "de_DE.UTF-8" not in varied.locales
    assert "/lib/faketime" == varied.environment["LD_PRELOAD"]
    assert ("UTC", "somebody", "0") == tuple(plain.environment[name] for name in ("TZ", "USER", "PYTHONHASHSEED"))
    assert (0o077, 2, False, ()) == (plain.umask, plain.threads, plain.reverse_listings, plain.locales)
    assert "LD_PRELOAD" not in plain.environment
    assert () == plain.varied


def test_a_clock_that_cannot_be_shifted_is_not_claimed(tmp_path: Path) -> None:
    """Without the library that shifts a clock, the clock is listed as not varied, with the reason."""
    varied = scene(frozenset(NAMES), HERE, Surroundings(), tmp_path)
    assert "clock" not in [one.name for one in varied.varied]
    assert "libfaketime" in dict(varied.not_varied)["clock"]


def test_variations_are_chosen_by_name() -> None:
    """Names may be joined by commas; all is the default; a word that is none, or none beside another, is refused."""
    assert frozenset(NAMES) == chosen([]) == chosen(["all"])
    assert frozenset() == chosen(["none"])
    assert frozenset({"umask", "locale"}) == chosen(["umask,locale"]) == chosen(["umask", "locale"])
    for wrong in (["moon"], ["none", "umask"]):
        with pytest.raises(UnknownVariation):
            chosen(wrong)


def test_the_statement_binds_the_manifest(recorded: Recorded) -> None:
    """The statement is in-toto v1, its subject is the manifest by both digests, and all that came out stands in it."""
    store, run = _run(recorded[0])
    manifest = store.objects.read("run", run.id)
    result = Certification("different", run.manifest.plan.method, "1 artifacts differ", (Difference("a", "missing"),))

    said = json.loads(certification_statement(manifest, run.run_id, result, "2026-01-02T03:04:05Z"))

    assert ("https://in-toto.io/Statement/v1", "manifest.json") == (said["_type"], said["subject"][0]["name"])
    assert hashlib.sha256(manifest).hexdigest() == said["subject"][0]["digest"]["sha256"]
    assert to_hex(blob_id(manifest)) == said["subject"][0]["digest"]["blake3"]
    assert ("different", "2026-01-02T03:04:05Z") == (said["predicate"]["outcome"], said["predicate"]["repeatedAt"])
    assert [{"path": "a", "state": "missing", "normalizer": "", "detail": ""}] == said["predicate"]["artifacts"]
    assert ("urn:omphalos:recomputation:v1", ["a"]) == (said["predicateType"], said["predicate"]["paths"])


def test_normalizers_exist() -> None:
    """Every normalizer is bound to the digest of code that is there."""
    for name in differing.NORMALIZERS:
        assert 64 == len(normalizer_digest(name))
