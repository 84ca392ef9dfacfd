"""The folder in which a run is built, out of sight until it is whole.

Rules of this file: a run is built in ``artifacts/runs/.building-*`` on the file system where it will stand, under an
exclusive lock that the kernel drops when the process dies; leftovers of dead processes are removed by the next run;
nothing outside the folder is touched before the run is complete.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PREFIX: Final = ".building-"
LOCK: Final = "lock"


@dataclass(frozen=True)
class Building:
    """The parts of a building folder: the run to be, and scratch space."""

    root: Path

    @property
    def run(self) -> Path:
        """The folder that becomes the run directory."""
        return self.root / "run"

    @property
    def work(self) -> Path:
        """Scratch space of the pipeline."""
        return self.root / "work"


@contextmanager
def building(runs: Path) -> Iterator[Building]:
    """Make a building folder below ``runs``, and remove it at the end, whatever happened."""
    runs.mkdir(parents=True, exist_ok=True)
    sweep(runs)
    place, lock = _claim(runs)
    try:
        place.run.mkdir()
        place.work.mkdir()
        yield place
    finally:
        shutil.rmtree(place.root, ignore_errors=True)
        os.close(lock)


def _claim(runs: Path) -> tuple[Building, int]:
    """Make a folder and lock it; try again in the rare case that a sweep saw it before it was locked."""
    while True:
        place = Building(Path(tempfile.mkdtemp(prefix=PREFIX, dir=runs)))
        lock = os.open(place.root / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (place.root / LOCK).exists():
            return place, lock
        os.close(lock)


def sweep(runs: Path) -> None:
    """Remove the building folders whose process has died; one that is in use is left alone."""
    for leftover in sorted(runs.glob(f"{PREFIX}*")):
        try:
            lock = os.open(leftover / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # made this very moment, or not ours: it is not for us to judge
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(leftover, ignore_errors=True)
        except OSError:
            pass
        finally:
            os.close(lock)


def publish(run: Path, directory: Path) -> None:
    """Make the finished run durable and let it appear as ``directory`` by one rename.

    Files become read-only: a run is written once. Every file and folder is fsynced before the rename, and the folder
    above after it, so that what appears is whole.
    """
    for folder, _, names in os.walk(run, topdown=False):
        for name in names:
            path = Path(folder, name)
            path.chmod(0o444)
            _sync(path)
        Path(folder).chmod(0o755)
        _sync(Path(folder))
    run.rename(directory)
    _sync(directory.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
