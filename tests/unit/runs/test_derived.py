"""A recorded answer is a run that points at the run it was asked of, and can be asked again."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omphalos.catalog.execute import QueryFailed, QueryLimits
from omphalos.catalog.query import Query, find_query
from omphalos.format.errors import OmphalosError
from omphalos.format.ids import object_id
from omphalos.runs.certify import Certifier, certify
from omphalos.runs.deep import deepen
from omphalos.runs.derived import EARLIER, PARENT, NotRecordable, asked_of, record_query
from omphalos.runs.environment import describe
from omphalos.runs.execute import Machine, NotReproduced, Outcome
from omphalos.runs.lookup import resolve_run
from omphalos.runs.variation import Surroundings
from omphalos.runs.verify import verify_directory
from omphalos.store.store import Store

Recorded = tuple[Path, Outcome]


def ask(
    copy: Recorded,
    make_machine: Callable[..., Machine],
    name: str = "flags_raised",
    engine: str = "duckdb",
    **more: Any,
) -> Outcome:
    """Record the answer to a query of the catalog over the copied run."""
    store = Store.open(copy[0])
    query = more.get("query") or find_query(name)
    run = resolve_run(store, copy[1].run_id)
    asked = {PARENT: run, **({EARLIER: run} if query.compares else {})}
    limits = more.get("limits", QueryLimits())
    return record_query(store, query, query.bind({}), engine, asked, limits, make_machine())  # type: ignore[arg-type]  # a literal


def certifier() -> Certifier:
    """Return a certifier that varies nothing."""
    return Certifier(Surroundings(), frozenset(), describe(cpu_count=1, locale="C", timezone="UTC"))


@pytest.mark.parametrize("engine", ["duckdb", "sqlite"])
def test_an_answer_is_a_run_that_verifies(copy: Recorded, make_machine: Callable[..., Machine], engine: str) -> None:
    """The derived run verifies in depth, holds query and rows, and its input is the manifest of its parent."""
    outcome = ask(copy, make_machine, engine=engine)
    store = Store.open(copy[0])
    run = resolve_run(store, outcome.run_id)
    (item,) = run.manifest.plan.inputs

    assert outcome.run_id.startswith("flags-raised-")
    assert {
        "config/query.json",
        item.path,
        "queries/briefing/flags_raised.csv",
        "queries/briefing/flags_raised.json",
    } == {file.path for file in run.manifest.artifacts}
    assert copy[1].run == object_id("run", (outcome.directory / item.path).read_bytes())
    assert copy[1].run_id == asked_of(store, run).run_id
    verdict = deepen(verify_directory(outcome.directory), outcome.directory)
    assert ("verified", ()) == (verdict.word, verdict.findings)
    record = json.loads((outcome.directory / "queries/briefing/flags_raised.json").read_bytes())
    assert (engine, record["fingerprint"]) == (
        record["engine"],
        next(file.fingerprint for file in run.manifest.artifacts if file.fingerprint),
    )


def test_engines_record_one_answer(copy: Recorded, make_machine: Callable[..., Machine]) -> None:
    """DuckDB and SQLite give two runs, whose rows are the same bytes."""
    one, two = (ask(copy, make_machine, "workload", engine).directory for engine in ("duckdb", "sqlite"))
    assert one != two
    assert (one / "queries/review/workload.csv").read_bytes() == (two / "queries/review/workload.csv").read_bytes()


def test_the_same_question_is_the_same_run(copy: Recorded, make_machine: Callable[..., Machine]) -> None:
    """Asked twice, it is recorded once and said to be the same; and certify asks it again."""
    one, two = ask(copy, make_machine), ask(copy, make_machine)
    assert (False, True, one.run_id) == (one.again, two.again, two.run_id)
    store = Store.open(copy[0])
    assert "identical" == certify(store, resolve_run(store, one.run_id), certifier()).outcome


def test_a_question_about_two_runs_has_two_parents(copy: Recorded, make_machine: Callable[..., Machine]) -> None:
    """A query that compares two runs is recorded with both, and is asked again of both."""
    outcome = ask(copy, make_machine, "list_churn")
    store = Store.open(copy[0])
    run = resolve_run(store, outcome.run_id)
    assert [PARENT, EARLIER] == [item.role for item in run.manifest.plan.inputs]
    assert "identical" == certify(store, run, certifier()).outcome


def test_without_its_parent_it_cannot_be_asked_again(
    copy: Recorded, make_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    """In a store without the parent a derived run still verifies, and certify says why it cannot run it again."""
    outcome = ask(copy, make_machine)
    store = Store.open(copy[0])
    run = resolve_run(store, outcome.run_id)
    elsewhere = Store.init(tmp_path / "elsewhere")
    with elsewhere.objects.batch():
        for file in (*run.manifest.artifacts, *run.manifest.control):
            elsewhere.objects.put_file(outcome.directory / file.path)
    result = certify(elsewhere, run, certifier())
    assert "not-rerunnable" == result.outcome
    assert copy[1].run_id in result.reason
    assert "verified" == verify_directory(outcome.directory).word


def test_half_an_answer_is_not_recorded(copy: Recorded, make_machine: Callable[..., Machine]) -> None:
    """More rows than allowed, a server, or a query that fails: an error, and no run."""
    before = sorted((copy[0] / "refs" / "runs").iterdir())
    broken = replace_query(find_query("flags_raised"), sql="select nothing from red_flag_counts order by flag")
    for more, error in (
        ({"limits": QueryLimits(rows=1)}, NotRecordable),
        ({"engine": "postgres"}, NotRecordable),
        ({"query": broken}, QueryFailed),
    ):
        with pytest.raises(error):
            ask(copy, make_machine, **more)  # type: ignore[arg-type]  # keywords of the helper
    assert before == sorted((copy[0] / "refs" / "runs").iterdir())
    assert not list((copy[0] / "artifacts" / "runs").glob(".building-*"))


def test_a_recorded_question_that_writes_is_not_asked(copy: Recorded, make_machine: Callable[..., Machine]) -> None:
    """A query that says what no query may is refused before an engine sees it, wherever it came from."""
    evil = replace_query(find_query("flags_raised"), sql="copy red_flag_counts to 'x'")
    with pytest.raises(OmphalosError, match="a query is one select"):
        ask(copy, make_machine, query=evil)
    nameless = replace_query(find_query("flags_raised"), name="../flags_raised")
    with pytest.raises(NotRecordable, match="no name"):
        ask(copy, make_machine, query=nameless)


def test_another_answer_to_a_recorded_question_is_said(
    copy: Recorded, make_machine: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the same question of the same run has another answer, that is an error and the recorded one stays."""
    from omphalos.runs import derived

    outcome = ask(copy, make_machine)
    real = derived.execute
    monkeypatch.setattr(derived, "execute", lambda *a: replace(real(*a), table=real(*a).table.slice(1)))
    with pytest.raises(NotReproduced, match="flags_raised"):
        ask(copy, make_machine)
    assert "verified" == verify_directory(outcome.directory).word


def replace_query(query: Query, **members: Any) -> Query:
    """Return a query with some members replaced."""
    import msgspec

    return msgspec.structs.replace(query, **members)
