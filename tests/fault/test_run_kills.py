"""A run that is killed at any moment leaves the whole run or none; ``OMPHALOS_FAULTS_ALL=1`` tries more moments."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omphalos.runs.building import PREFIX
from omphalos.runs.verify import verify_directory
from omphalos.runs.verify_recorded import verify_recorded
from omphalos.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
STAGES = (
    "inputs",
    "ingest",
    "normalize",
    "match",
    "score",
    "review",
    "package",
    "warehouse",
    "briefing",
    "record",
    "end",
)
ALL = os.environ.get("OMPHALOS_FAULTS_ALL") == "1"

CHILD = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from omphalos.runs.environment import describe
from omphalos.runs.execute import Machine, execute
from omphalos.screening.job import parse_job
from omphalos.screening.pipeline import Resources
from omphalos.store.store import Store

folder, stage, after = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
armed = after < 0
count = 0

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def progress(name):
    global armed
    if name == stage:
        if after == 0:
            die()
        armed = True

def counted(call):
    def wrapper(*args, **kwargs):
        global count
        if armed:
            count += 1
            if count == abs(after):
                die()
        return call(*args, **kwargs)
    return wrapper

for name in ("fsync", "fdatasync", "rename", "replace", "link"):
    setattr(os, name, counted(getattr(os, name)))
machine = Machine(
    clock=lambda: datetime(2026, 1, 2, tzinfo=UTC), stopwatch=lambda: 0,
    environment=describe(cpu_count=1, locale="C", timezone="UTC"),
    resources=Resources(threads=1, memory_limit="512MiB"), progress=progress)
job = parse_job((folder / "job.toml").read_bytes(), base=folder)
execute(Store.init(folder / "store"), job, machine)
"""
JOB = """
name = "killed"
[feed]
path = "feed.csv"
[feed.columns]
exporter = "exporter"
[[registry]]
source = "list"
format = "entities-csv"
path = "list.csv"
"""
LIST = (
    "entity_id,entity_type,name,aliases,weak_aliases,country,addresses,identifiers,programs,listed_on,remarks\n"
    "1,organization,Alpha Trading Ltd,,,DE,,,T,,\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a job of one shipment and one entity, and no store yet."""
    (tmp_path / "job.toml").write_text(JOB)
    (tmp_path / "feed.csv").write_text("exporter\nAlpha Trading Ltd\n")
    (tmp_path / "list.csv").write_text(LIST)
    return tmp_path


def _run(folder: Path, stage: str, after: int) -> int:
    """Execute the job in a process that kills itself; return its exit status."""
    command = [sys.executable, "-c", CHILD, str(folder), stage, str(after)]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=240, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


def _judge(folder: Path) -> int:
    """Check that every run there is is whole; return how many there are."""
    store = Store.open(folder / "store")
    refs = store.refs.list("runs/")
    for ref in refs:
        oid = store.refs.get(ref)
        assert oid is not None
        assert "verified" == verify_recorded(store, ref, oid).word
    runs = folder / "store" / "artifacts" / "runs"
    visible = [path for path in runs.iterdir() if not path.name.startswith(PREFIX)] if runs.is_dir() else []
    for path in visible:
        assert f"runs/{path.name}" in refs
        assert "verified" == verify_directory(path).word
    return len(refs)


def _recover(folder: Path) -> None:
    """Execute the job again without a kill, and check that nothing of the dead process is left."""
    assert 0 == _run(folder, "none", 0)
    assert 1 == _judge(folder)
    runs = folder / "store" / "artifacts" / "runs"
    assert not [path for path in runs.iterdir() if path.name.startswith(PREFIX)]


@pytest.mark.parametrize("stage", STAGES if ALL else ("ingest", "match", "record", "end"))
def test_killed_when_a_stage_begins(folder: Path, stage: str) -> None:
    """Killed at the start of any stage there is no run, and the next execution makes one and cleans up."""
    assert -signal.SIGKILL == _run(folder, stage, 0)
    assert 0 == _judge(folder)
    _recover(folder)


@pytest.mark.slow
def test_killed_among_the_calls_that_publish(folder: Path) -> None:
    """Killed before every so-manieth durable call from the end of recording on, there is the whole run or none."""
    seen = []
    for number in range(1, 400, 5 if ALL else 15):
        if _run(folder, "end", number) == 0:
            break
        seen.append(_judge(folder))
        ref = Store.open(folder / "store").refs
        for name in ref.list("runs/"):
            oid = ref.get(name)
            assert oid is not None
            ref.delete(name, old=oid)
        shutil.rmtree(folder / "store" / "artifacts" / "runs", ignore_errors=True)
    else:
        pytest.fail("the execution never came to its end")
    assert seen == sorted(seen)
    assert {0, 1} == set(seen)
