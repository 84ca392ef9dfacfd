"""Large objects, and small ones of older stores: one read-only file each, ``objects/large/<2 hex>/<62 hex>``.

Rules of this file: an object becomes visible whole, by rename; who put it, or found it there, owes the fsync of its
folder before a ref may lead to it.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from omphalos.format.ids import HEX_DIGITS, ObjectId
from omphalos.store import durable
from omphalos.store.durable import OBJECT_MODE, Disk, Incoming
from omphalos.store.links import VERIFIED_NS

OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HEX = frozenset("0123456789abcdef")


def place_of(oid: ObjectId, folder: str = "large") -> str:
    """Return where the file of an object lies, below the store's folder."""
    name = oid.hex()
    return f"objects/{folder}/{name[:2]}/{name[2:]}"


class Loose:
    """The files of one store; ``open`` and the rest answer for what is there, nothing is checked."""

    def __init__(self, root: Path, disk: Disk, folder: str = "large") -> None:
        self._disk = disk
        self.folder = root / "objects" / folder
        self._quarantine = root / "objects" / "quarantine"
        self._owed: set[Path] = set()  # folders that must be fsynced before the batch ends
        self._shards: set[str] = set()  # shard folders whose own name this instance has made durable (or owes)
        self._ready = False
        self._sizes: set[int] | None = None

    def path(self, oid: ObjectId) -> Path:
        """Return where the file of an object lies."""
        name = oid.hex()
        return self.folder / name[:2] / name[2:]

    def incoming(self) -> Incoming:
        """Begin a file on its way in."""
        if not self._ready:
            durable.make_folders(self._disk, self._quarantine)
            durable.sweep_path(self._disk, self._quarantine)
            self._ready = True
        return Incoming(self._disk, self._quarantine)

    def _shard(self, oid: ObjectId) -> Path:
        """Return the folder of an object, made if missing; its own name is owed once per instance."""
        name = oid.hex()[:2]
        folder = self.folder / name
        if name not in self._shards:
            durable.make_folders(self._disk, self.folder)
            with contextlib.suppress(FileExistsError):
                self._disk.make_folder(folder)
            self._owed.add(self.folder)
            self._shards.add(name)
        self._owed.add(folder)
        return folder

    def settled(self, oid: ObjectId, size: int) -> bool:
        """Say whether the object is there with its full size; if so its folder's fsync is owed."""
        try:
            found = os.lstat(self.path(oid))
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return False  # damaged on disk: the put at hand replaces it
        self._shard(oid)
        return True

    def owe(self, oid: ObjectId) -> None:
        """Note that the fsync of the folder of a file that was found there is owed."""
        self._shard(oid)

    def admit(self, incoming: Incoming, oid: ObjectId) -> None:
        """Give a file on its way in its last name; its folder's fsync is owed."""
        self._disk.set_time(incoming.fd, VERIFIED_NS)  # its bytes were hashed: see ``links``
        incoming.commit(self._shard(oid) / oid.hex()[2:], OBJECT_MODE)

    def pay(self) -> None:
        """Make every name that is owed durable."""
        for folder in sorted(self._owed):
            durable.sync_folder(self._disk, folder)
        self._owed.clear()

    def forgive(self) -> None:
        """Forget what is owed at the end of a batch: if any is, it failed, and nothing was promised."""
        self._sizes = None
        if self._owed:
            self._owed.clear()
            self._shards.clear()

    def open(self, oid: ObjectId) -> int | None:
        """Return a descriptor of the object's regular file, None where there is none.

        Raises:
            OSError: something stands there that cannot be opened; ELOOP for a link or special file.
        """
        try:
            fd = os.open(self.path(oid), OPEN_FLAGS)
        except OSError as problem:
            if problem.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            if problem.errno == errno.ENXIO:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from problem
            raise
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return fd

    def has(self, oid: ObjectId) -> bool:
        """Say whether a regular file stands there."""
        try:
            return stat.S_ISREG(os.lstat(self.path(oid)).st_mode)
        except OSError:
            return False

    def any_of_size(self, size: int) -> bool:
        """Say whether any file has so many bytes; all are looked at once in a batch."""
        if self._sizes is None:
            self._sizes = set()
            for oid in self.scan():
                with contextlib.suppress(OSError):
                    self._sizes.add(os.lstat(self.path(oid)).st_size)
        return size in self._sizes

    def shards(self) -> frozenset[int]:
        """Return the first bytes of the ids for which there is a folder now."""
        return frozenset(int(name, 16) for name in listing(self.folder, 2))

    def scan(self, prefix: str = "") -> Iterator[ObjectId]:
        """Yield in order the ids of files whose hex begins with ``prefix``; other names are passed over."""
        for shard in [prefix[:2]] if prefix else listing(self.folder, 2):
            for rest in listing(self.folder / shard, HEX_DIGITS - 2):
                if rest.startswith(prefix[2:]):
                    yield ObjectId(bytes.fromhex(shard + rest))


def listing(folder: Path, digits: int) -> list[str]:
    """Return the names in ``folder`` that are so many lower-case hex digits, in order."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if len(name) == digits and _HEX.issuperset(name))
