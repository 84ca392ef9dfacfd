"""Objects as files that a checkout may link to, and the sign by which one is known that nobody has written to since.

A small object has no file of its own, so its first checkout by hard link makes one, ``objects/links/<2 hex>/<62 hex>``:
a cache, deletable at any time, which no reader of objects looks into. A large object is linked itself.

Whoever makes such a file has hashed its bytes, and sets its mtime to ``VERIFIED_NS``. Rules of this file: a file is
linked without being read again only if size, mode and that mtime are as they were set: the kernel puts another time
there with the first byte that is written. What has another time is made anew, or (a large object) hashed. This does not
see what a disk does to bytes, nor who sets the time back on purpose: what must know hashes (``verify``, ``fsck``).
"""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Final

from omphalos.format.ids import ObjectId
from omphalos.store import durable
from omphalos.store.durable import OBJECT_MODE, Disk, Incoming

VERIFIED_NS: Final = 946_684_800_000_000_000  # 2000-01-01T00:00:00Z
CANNOT: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EROFS, errno.EMLINK, errno.ENOTSUP})
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = stat.S_IFREG | OBJECT_MODE


def is_untouched(seen: os.stat_result, size: int) -> bool:
    """Say whether a file is as it was when its bytes were hashed, by size, mode and mtime."""
    return seen.st_mtime_ns == VERIFIED_NS and seen.st_size == size and seen.st_mode == _MODE


class Links:
    """The files in one folder: ``objects/links`` or ``objects/large``."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self.folder = folder
        self._shards: dict[int, int] = {}
        self._swept: set[int] = set()

    def place(self, oid: ObjectId) -> Path:
        """Return where the file of an object lies."""
        name = oid.hex()
        return self.folder / name[:2] / name[2:]

    def _shard(self, number: int) -> int:
        fd = self._shards.get(number)
        if fd is None:
            fd = self._shards[number] = os.open(self.folder / f"{number:02x}", _FOLDER)
        return fd

    def link(self, oid: ObjectId, size: int, at: int, name: str) -> bool:
        """Give the file of an object the new ``name`` in the open folder ``at``, if there is one nobody has touched.

        Raises:
            OSError: the file system refused (``CANNOT``), or failed.
        """
        try:
            self._disk.link(oid.hex()[2:], name, at, self._shard(oid[0]))
        except FileNotFoundError:
            return False
        if is_untouched(os.stat(name, dir_fd=at, follow_symlinks=False), size):
            return True
        self._disk.remove(name, at)
        return False

    def make(self, oid: ObjectId, data: bytes | memoryview) -> None:
        """Write the file of a small object whose bytes were hashed; what stands there is replaced.

        Raises:
            OSError: it cannot be written.
        """
        path = self.place(oid)
        if not path.parent.is_dir():
            durable.make_folders(self._disk, path.parent)
        fd = self._shard(oid[0])
        if oid[0] not in self._swept:
            durable.sweep(self._disk, fd)
            self._swept.add(oid[0])
        with Incoming(self._disk, None, at=fd) as incoming:
            incoming.write(data)
            self._disk.set_time(incoming.fd, VERIFIED_NS)
            incoming.publish(path.name, OBJECT_MODE)

    def forget(self, oid: ObjectId) -> None:
        """Take the file of an object away, if there is one."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._disk.remove(self.place(oid))

    def close(self) -> None:
        """Close what was opened."""
        for fd in self._shards.values():
            os.close(fd)
        self._shards.clear()
