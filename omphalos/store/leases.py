"""Leases: how a writer tells gc that it is at work, without a clock and without a process id.

A lease is an empty file in ``objects/leases/``, flocked by its writer as long as its ``Store`` lives. Rules of this
file: a lease is held before its writer looks at the index for the first time; a file whose lock is free is no lease,
and the next writer removes it.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import NamedTuple

from omphalos.store import durable
from omphalos.store.durable import Disk, Incoming


class Moment(NamedTuple):
    """The time of a file system, in nanoseconds, and the number of its device."""

    ns: int
    device: int


class Lease:
    """One writer's lease, given back when the object goes away or the process ends, however it ends."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        """Make a lease in ``folder``.

        Raises:
            OSError: the folder cannot be written.
        """
        durable.make_folders(disk, folder)
        durable.sweep_path(disk, folder)
        self._pid = os.getpid()
        incoming = Incoming(disk, folder)
        self._path = Path(incoming.path)
        self._fd = incoming.fd

    def now(self) -> Moment:
        """Return the time of the file system, by touching the lease."""
        os.utime(self._fd)
        seen = os.fstat(self._fd)
        return Moment(seen.st_mtime_ns, seen.st_dev)

    def release(self) -> None:
        """Give the lease back."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            if self._pid == os.getpid():  # a child that inherited it must not end its parent's
                with contextlib.suppress(OSError):
                    self._path.unlink()
            os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.release()


def held(folder: Path) -> list[str]:
    """Return the names of the leases held now, in order."""
    found: list[str] = []
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                found.append(name)
            finally:
                os.close(fd)
    return found
