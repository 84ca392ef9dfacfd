"""One plan gives one tree, whatever surrounds the execution.

Each case executes the small reference job in a process of its own with one thing changed; all are compared with one
execution under plain surroundings. The last case changes everything at once.
"""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Surroundings:
    """What a process finds around it."""

    environment: dict[str, str] = field(default_factory=dict)
    umask: int = 0o022
    threads: int = 1
    folder: str = "place"


PLAIN = Surroundings({"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"})
CASES = {
    "twice in a row": PLAIN,
    "another hash seed": Surroundings({"PYTHONHASHSEED": "4242", "TZ": "UTC", "LC_ALL": "C.UTF-8"}),
    "another time zone": Surroundings({"PYTHONHASHSEED": "0", "TZ": "America/St_Johns", "LC_ALL": "C.UTF-8"}),
    "another locale": Surroundings({"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C", "LANG": "de_DE.UTF-8"}),
    "two threads": Surroundings(PLAIN.environment, threads=2),
    "another umask": Surroundings(PLAIN.environment, umask=0o077),
    "another folder": Surroundings(PLAIN.environment, folder="an other/plàce"),
    "another home": Surroundings(
        {**PLAIN.environment, "HOME": "/nonexistent", "USER": "someone", "LOGNAME": "someone"}
    ),
    "everything": Surroundings(
        {"PYTHONHASHSEED": "99", "TZ": "Asia/Tokyo", "LC_ALL": "POSIX", "HOME": "/nonexistent", "USER": "x"},
        umask=0o027,
        threads=2,
        folder="z/y",
    ),
}


def _execute(base: Path, around: Surroundings) -> tuple[str, str]:
    """Execute the small reference job and return (run_id, tree)."""
    folder = base / around.folder
    folder.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "omphalos", "run", "--scale", "small", "--threads", str(around.threads), "--json"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **around.environment},
        umask=around.umask,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert 0 == done.returncode, done.stderr.decode()
    document = msgspec.json.decode(done.stdout)
    return document["run_id"], document["tree"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return what the job gives under plain surroundings."""
    return _execute(tmp_path_factory.mktemp("plain"), PLAIN)


@pytest.mark.parametrize("name", list(CASES))
def test_one_plan_gives_one_tree(name: str, tmp_path: Path, plain: tuple[str, str]) -> None:
    """The small reference job has the same run_id and tree id under these surroundings as under plain ones."""
    assert plain == _execute(tmp_path, CASES[name])
