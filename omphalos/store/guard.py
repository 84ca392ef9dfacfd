"""The file of the index: checked before it is mapped, so that no damaged byte of it can end the process.

LMDB maps its file and believes it: a flipped length leads behind the end of the file, and the kernel kills the process
that reads there. So the last process to close the file writes a check sum of all of it into ``objects/index/sum``, and
the first to open it compares. Where they differ (damage, or a last user that was killed) the index is deleted, and made
again from the segments: it is a cache.

The syscall contract: ``flock(LOCK_EX)`` of the folder while the files in it are opened, made or deleted, so that nobody
has the data file of one index and the lock file of another; ``open(O_CREAT)`` of ``data.mdb``, ``flock(LOCK_SH)``, and
``flock(LOCK_EX | LOCK_NB)``: who gets that is alone, and compares; then LMDB opens the file, and the lock is shared
until the file is closed. At the end ``flock(LOCK_EX | LOCK_NB)`` again: who gets that was the last, reads the whole
file and renames the new sum into place.

Rules of this file: it never maps; a file that is in use was compared by the first of its users, and is not compared
again; nothing is synced, since a sum that was lost or does not match costs time and nothing else. No lock is waited for
without end: who does not get one goes on with an index in memory.
"""

import contextlib
import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from omphalos.store.durable import temporary_name

DATA_NAME: Final = "data.mdb"
SUM_NAME: Final = "sum"
NAMES: Final = (DATA_NAME, "lock.mdb", SUM_NAME)
_READ_BYTES: Final = 1 << 17
_META_BYTES: Final = 8192  # both meta pages, for the smallest page size there is
_SUM: Final = struct.Struct("<QIII")  # size, CRC-32 of the file, CRC-32 of its first bytes, CRC-32 of these three
_ROUNDS: Final = 100
_LOCK_TRIES: Final = 1000
_LOCK_PAUSE_SECONDS: Final = 0.01


class Guard:
    """One process's share in the file of the index in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / DATA_NAME
        self._pid = os.getpid()
        self.fd = -1

    @classmethod
    def take(cls, folder: Path) -> Self:
        """Take a share in the file, made or made anew where there is none or a damaged one; the folder is locked.

        While this returns to a process that is alone the lock is exclusive, until ``share``.

        Raises:
            OSError: the file cannot be opened, made or locked.
        """
        guard = cls(folder)
        for _ in range(_ROUNDS):
            guard.fd = os.open(guard._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            try:
                _wait(guard.fd, fcntl.LOCK_SH)
                alone = guard._alone()
                if not guard.is_current():
                    guard.drop()  # deleted by another process between open and flock
                    continue
                if not alone or guard._is_whole():
                    return guard
                delete(folder)
            except BaseException:
                guard.drop()
                raise
            guard.drop()
        raise OSError(f"the index in {folder} is made and deleted all the time")

    def _alone(self) -> bool:
        """Say whether nobody else has a share; if so the lock is exclusive now, else shared."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _wait(self.fd, fcntl.LOCK_SH)  # a conversion that failed has lost the lock
            return False
        return True

    def share(self) -> None:
        """Let others in; the file is mapped by now."""
        fcntl.flock(self.fd, fcntl.LOCK_SH)

    def is_current(self) -> bool:
        """Say whether the file this guard has open is the one that lies in the folder."""
        return _is_at(self._path, self.fd)

    def _is_whole(self) -> bool:
        size = os.fstat(self.fd).st_size
        if not size:
            return True  # made this moment, or by a process that came no further
        try:
            recorded = (self._folder / SUM_NAME).read_bytes()
        except FileNotFoundError:
            return False
        return recorded[: _SUM.size] == self._sum() and len(recorded) == _SUM.size

    def _sum(self) -> bytes:
        state = size = 0
        buffer = memoryview(bytearray(_READ_BYTES))
        while got := os.preadv(self.fd, [buffer], size):
            state = zlib.crc32(buffer[:got], state)
            size += got
        return _encode(size, state, self._head())

    def _head(self) -> int:
        """Return a sum of the meta pages, one of which every change of the file writes."""
        return zlib.crc32(os.pread(self.fd, _META_BYTES, 0))

    def _is_recorded(self) -> bool:
        """Say whether the sum on disk is of the file as it is now, as far as the meta pages show."""
        try:
            recorded = (self._folder / SUM_NAME).read_bytes()
        except OSError:
            return False
        if len(recorded) != _SUM.size:
            return False
        size, state, head, _ = _SUM.unpack(recorded)
        return recorded == _encode(size, state, head) and head == self._head()

    def leave(self) -> None:
        """Give the share back, after LMDB has closed the file; the last one to leave writes the sum."""
        with contextlib.suppress(OSError):
            last = self.fd >= 0 and self._pid == os.getpid() and self._alone() and self.is_current()
            if last and not self._is_recorded():
                self._record()
        self.drop()

    def _record(self) -> None:
        partial = self._folder / f"{SUM_NAME}-{temporary_name()}"
        partial.write_bytes(self._sum())
        partial.replace(self._folder / SUM_NAME)

    def drop(self) -> None:
        """Give the share back and record nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def _encode(size: int, state: int, head: int) -> bytes:
    first = _SUM.pack(size, state, head, 0)[: -struct.calcsize("<I")]
    return first + struct.pack("<I", zlib.crc32(first))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder of the index if it is missing, and keep others from opening or deleting what is in it.

    Raises:
        OSError: the folder cannot be made, opened or locked.
    """
    for _ in range(_ROUNDS):
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _wait(fd, fcntl.LOCK_EX)
            if _is_at(folder, fd):
                yield
                return
        finally:
            os.close(fd)
    raise OSError(f"{folder} is made and deleted all the time")


def _wait(fd: int, how: int) -> None:
    """Lock an open file or folder; ``OSError`` where another process, stopped perhaps, keeps it for ten seconds."""
    for left in reversed(range(_LOCK_TRIES)):
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if not left:
                raise
            time.sleep(_LOCK_PAUSE_SECONDS)
        else:
            return


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except OSError:
        return False


def delete(folder: Path) -> None:
    """Take the files of the index away; whoever does has the folder locked."""
    for name in NAMES:
        try:
            (folder / name).unlink(missing_ok=True)
        except IsADirectoryError:
            import shutil

            shutil.rmtree(folder / name)
