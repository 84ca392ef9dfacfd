"""A certification computes again from what was recorded, and says honestly what came of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omphalos.runs import certify as certify_module
from omphalos.runs.certify import certify
from omphalos.runs.execute import Machine, Outcome
from omphalos.runs.lookup import Run, resolve_run
from omphalos.store.store import Store

Recorded = tuple[Path, Outcome]


def _run(folder: Path) -> tuple[Store, Run]:
    store = Store.open(folder)
    return store, resolve_run(store, "latest")


def test_an_honest_run_is_identical(recorded: Recorded, make_machine: Callable[..., Machine], tmp_path: Path) -> None:
    """A recorded run computed again on other threads, in another folder, is identical, and nothing is left behind."""
    store, run = _run(recorded[0])

    result = certify(store, run, make_machine(threads=2), tmp_path / "scratch")

    assert ("identical", ()) == (result.outcome, result.paths)
    assert [] == list((tmp_path / "scratch").iterdir())


def test_another_result_is_different(
    copy: Recorded, make_machine: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A computation that gives other bytes is reported with the artifacts that differ."""
    from omphalos.screening import reports

    store, run = _run(copy[0])
    true = reports.scoring

    def shifted(con: Any, currency: str) -> dict[str, Any]:
        return {**true(con, currency), "currency": "EUR"}

    monkeypatch.setattr(reports, "scoring", shifted)

    result = certify(store, run, make_machine())

    assert ("different", ("reports/scoring.json",)) == (result.outcome, result.paths)


def test_another_method_cannot_certify(
    copy: Recorded, make_machine: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run made by another method is not called different: it cannot be run again here, and the reason is said."""
    store, run = _run(copy[0])
    monkeypatch.setattr(certify_module, "hash_method", lambda: b"\1" * 32)

    result = certify(store, run, make_machine())

    assert "not-rerunnable" == result.outcome
    assert "010101010101" in result.reason
