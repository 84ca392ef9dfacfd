"""A store with one small reference run, made once; tests that change something work on a copy."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from omphalos.runs.environment import describe
from omphalos.runs.execute import Machine, Outcome, execute
from omphalos.screening.job import Job, job_of_table
from omphalos.screening.pipeline import Resources
from omphalos.screening.reference import reference_table
from omphalos.store.store import Store

CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _machine(threads: int = 1, clock: datetime = CREATED, progress: Callable[[str], None] = lambda _: None) -> Machine:
    """Return a machine whose clock stands still."""
    return Machine(
        clock=lambda: clock,
        stopwatch=lambda: 0,
        environment=describe(cpu_count=1, locale="C", timezone="UTC"),
        resources=Resources(threads=threads, memory_limit="1GiB"),
        progress=progress,
    )


def _small_job(**members: Any) -> Job:
    """Return the small reference job, with members of its table replaced."""
    return job_of_table({**reference_table("small"), **members}, base=Path())


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """Return a folder with a store that records the small reference run, and what came of executing it."""
    folder = tmp_path_factory.mktemp("recorded")
    outcome = execute(Store.init(folder), _small_job(), _machine())
    return folder, outcome


@pytest.fixture
def copy(recorded: tuple[Path, Outcome], tmp_path: Path) -> tuple[Path, Outcome]:
    """Return a copy of the recorded store whose files may be changed."""
    folder = tmp_path / "copy"
    shutil.copytree(recorded[0], folder)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder, recorded[1]


@pytest.fixture
def run_directory(copy: tuple[Path, Outcome]) -> Path:
    """Return a run directory on its own, whose files may be changed."""
    return copy[0] / "artifacts" / "runs" / copy[1].run_id


@pytest.fixture(scope="session")
def make_machine() -> Callable[..., Machine]:
    """Return the function that makes a machine whose clock stands still."""
    return _machine


@pytest.fixture(scope="session")
def small_job() -> Callable[..., Job]:
    """Return the function that makes the small reference job."""
    return _small_job


@pytest.fixture
def feed_job(tmp_path: Path) -> Callable[..., Job]:
    """Return a function that makes a job of a feed's text and a registry of two invented entities."""

    def make(text: str, folder: Path | None = None) -> Job:
        place = folder or tmp_path / "in"
        place.mkdir()
        (place / "feed.csv").write_text(text, "utf-8")
        header = (
            "entity_id,entity_type,name,aliases,weak_aliases,country,addresses,identifiers,programs,listed_on,remarks"
        )
        rows = ["1,organization,Alpha Trading Ltd,,,DE,,,T,,", "2,person,Someone Else,,,FR,,,T,,"]
        (place / "list.csv").write_text("\n".join([header, *rows, ""]), "utf-8")
        table = {
            "name": "test",
            "feed": {"path": "feed.csv", "currency": "USD", "columns": {"exporter": "exporter", "value": "value"}},
            "registry": [{"source": "list", "format": "entities-csv", "path": "list.csv"}],
        }
        return job_of_table(table, base=place)

    return make
