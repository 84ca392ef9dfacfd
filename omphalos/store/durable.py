"""The only place that makes bytes durable.

The syscall contract, for every file that becomes part of a store, a ref or a checkout:

1. ``open(O_CREAT | O_EXCL | O_NOFOLLOW)`` under a random name on the same file system, then ``flock`` it;
2. ``write`` (or ``sendfile``, from another file) until everything is written;
3. ``fdatasync``, so that the bytes are on the disk before any name leads to them;
4. ``fchmod`` to its last mode (0444 for an object);
5. ``rename`` onto the last name: a reader sees nothing, or the whole file;
6. ``fsync`` of the folder that holds the name. In a batch each folder is fsynced once, when the batch ends, and
   only then does the caller hear that its objects are durable; refs are moved after that.

A new folder is fsynced into its parent in the same way. Nothing is ever written in place.

A writer that dies leaves at most files with random names in a folder of their own. Each is flocked by the process
that writes it, so a sweep can tell a leftover (the lock is free) from work under way, without a clock or a pid.

Rules of this file: every system call that changes a disk is one method of ``Disk``, so that a test can make any of
them fail, or end the process there, and can record their order. An ``OSError`` leaves this room only as a
``StoreFull``, ``StoreReadOnly`` or ``StoreIOError``.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from omphalos.format.errors import ErrorKind, OmphalosError

OBJECT_MODE: Final = 0o444
REF_MODE: Final = 0o644
FICLONE: Final = 0x40049409  # of linux/fs.h; Python has no name for it before 3.14
_TEMP_BYTES: Final = 8
_TEMP_NAME: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class StoreIOError(OmphalosError):
    """The file system refused an operation for a reason the store cannot mend."""

    kind: ClassVar[ErrorKind] = ErrorKind.INCOMPLETE
    id: ClassVar[str] = "storeIo"


class StoreFull(StoreIOError):
    """No room (or no quota) is left where the store lies."""

    kind = ErrorKind.USAGE
    id = "storeFull"


class StoreReadOnly(StoreIOError):
    """The store lies where this process may not write."""

    kind = ErrorKind.USAGE
    id = "storeReadOnly"


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn an ``OSError`` inside the block into a typed error that says what was being done.

    Raises:
        StoreFull, StoreReadOnly, StoreIOError: after the cause.
    """
    try:
        yield
    except OSError as problem:
        reason = os.strerror(problem.errno).lower() if problem.errno else str(problem)
        if problem.errno in _FULL:
            raise StoreFull(
                f"no space left while {doing}: {reason}", hint="free some space, or use a store on a larger disk"
            ) from problem
        if problem.errno in READ_ONLY:
            raise StoreReadOnly(
                f"not allowed to write while {doing}: {reason}",
                hint="the store is read-only for this user; use a writable copy, or check owner, mode and mount",
            ) from problem
        raise StoreIOError(
            f"input/output failure while {doing}: {reason}",
            hint="nothing half-written is visible; check the disk, then repeat the command",
        ) from problem


class Disk:
    """The system calls that change a disk, one method each; paths may be relative to an open folder ``at``."""

    def create(self, path: str | Path, at: int | None = None, mode: int = 0o600) -> int:
        """Make a new file, which must not exist, and return a descriptor of it; the umask narrows ``mode``."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=at)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Write some of ``data`` and return how many bytes were taken."""
        return os.write(fd, data)

    def copy(self, source: int, fd: int, at: int, count: int) -> int:
        """Write some of the ``count`` bytes that ``source`` has from ``at`` on, and return how many were taken."""
        return os.sendfile(fd, source, at, count)

    def start_sync(self, fd: int, at: int, count: int) -> None:
        """Let some bytes of a file begin their way to the disk, and do not wait (posix_fadvise(2))."""
        os.posix_fadvise(fd, at, count, os.POSIX_FADV_DONTNEED)

    def truncate(self, fd: int, size: int) -> None:
        """Cut a file off."""
        os.ftruncate(fd, size)

    def sync_data(self, fd: int) -> None:
        """Wait until the bytes of a file are on the disk."""
        os.fdatasync(fd)

    def set_mode(self, fd: int, mode: int) -> None:
        """Set the mode of an open file, whatever the umask."""
        os.fchmod(fd, mode)

    def rename(self, source: str | Path, target: str | Path, at: int | None = None) -> None:
        """Give a file its last name, replacing what stood there, in one step."""
        os.rename(source, target, src_dir_fd=at, dst_dir_fd=at)

    def link(self, source: str | Path, target: str, at: int, source_at: int | None = None) -> None:
        """Give an existing file a second name inside the open folder ``at``."""
        os.link(source, target, src_dir_fd=source_at, dst_dir_fd=at, follow_symlinks=False)

    def set_time(self, fd: int, when: int) -> None:
        """Set both times of an open file, in nanoseconds."""
        os.utime(fd, ns=(when, when))

    def clone(self, source: int, target: int) -> None:
        """Let an open, empty file share the blocks of another (FICLONE, ioctl_ficlone(2)); either may change alone."""
        fcntl.ioctl(target, FICLONE, source)

    def make_folder(self, path: str | Path, at: int | None = None) -> None:
        """Make one folder, which must not exist."""
        os.mkdir(path, 0o777, dir_fd=at)

    def sync_folder(self, fd: int) -> None:
        """Wait until the names in an open folder are on the disk."""
        os.fsync(fd)

    def remove(self, path: str | Path, at: int | None = None) -> None:
        """Take one file's name away."""
        os.unlink(path, dir_fd=at)

    def remove_folder(self, path: str | Path, at: int | None = None) -> None:
        """Take one empty folder away."""
        os.rmdir(path, dir_fd=at)


DISK: Final = Disk()


def temporary_name() -> str:
    """Return a name nobody else uses: random, never derived from content, time or process."""
    return os.urandom(_TEMP_BYTES).hex()


def is_temporary(name: str, prefix: str = "") -> bool:
    """Say whether a name is one that ``temporary_name`` makes, behind a prefix."""
    return name.startswith(prefix) and _TEMP_NAME.fullmatch(name[len(prefix) :]) is not None


def write_all(disk: Disk, fd: int, data: bytes | memoryview) -> None:
    """Write every byte of ``data``, however small the pieces the system takes."""
    view = memoryview(data)
    while view:
        taken = disk.write(fd, view)
        if taken == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        view = view[taken:]


def sync_folder(disk: Disk, path: Path) -> None:
    """Make the names in the folder ``path`` durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        disk.sync_folder(fd)
    finally:
        os.close(fd)


def make_folders(disk: Disk, path: Path) -> None:
    """Make the folder ``path`` and its missing parents, each durable in the folder above it."""
    if path.is_dir():
        return
    if path.parent != path:
        make_folders(disk, path.parent)
    with contextlib.suppress(FileExistsError):
        disk.make_folder(path)
    sync_folder(disk, path.parent)


class Incoming:
    """One file on its way in: written under a random name, then renamed by ``commit``.

    Used as a context manager. Leaving the block without ``commit`` removes the file. ``folder`` must be on the file
    system of the last name. With ``at`` (an open folder) both names are relative to it and ``prefix`` only decorates
    the random one.
    """

    def __init__(self, disk: Disk, folder: Path | None, *, prefix: str = "", at: int | None = None) -> None:
        self._disk = disk
        self._at = at
        self._committed = False
        while True:
            name = prefix + temporary_name()
            self.path: str | Path = folder / name if folder is not None else name
            self.fd = disk.create(self.path, at)
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX)
                if os.fstat(self.fd).st_nlink:
                    return
            except BaseException:
                self._discard()
                raise
            os.close(self.fd)  # a sweep took it between open and flock: start again under another name

    def write(self, data: bytes | memoryview) -> None:
        """Append all of ``data``."""
        write_all(self._disk, self.fd, data)

    def copy(self, source: int, at: int, count: int) -> int:
        """Append some of the ``count`` bytes that the open file ``source`` has from ``at`` on; return how many."""
        return self._disk.copy(source, self.fd, at, count)

    def start_sync(self, at: int, count: int) -> None:
        """Let what was appended begin its way to the disk; ``commit`` waits for it."""
        with contextlib.suppress(OSError):  # advice; what goes wrong on the way is heard of at the end
            self._disk.start_sync(self.fd, at, count)

    def commit(self, target: str | Path, mode: int) -> None:
        """Steps 3 to 5 of the contract; the caller still owes the fsync of the folder."""
        self._disk.sync_data(self.fd)
        self.publish(target, mode)

    def commit_new(self, target: str, mode: int) -> None:
        """Do the same, with ``at``, where nothing may stand there yet; the random name goes when the block is left.

        Raises:
            FileExistsError: something has that name.
        """
        if self._at is None:
            raise AssertionError("both names are relative to an open folder")
        self._disk.sync_data(self.fd)
        self._disk.set_mode(self.fd, mode)
        self._disk.link(self.path, target, self._at, self._at)

    def publish(self, target: str | Path, mode: int) -> None:
        """Steps 4 and 5 alone, for a file that may be lost with the power."""
        self._disk.set_mode(self.fd, mode)
        self._disk.rename(self.path, target, self._at)
        self._committed = True

    def _discard(self) -> None:
        with contextlib.suppress(OSError):  # a leftover is harmless and swept later; the first error matters more
            self._disk.remove(self.path, self._at)
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._committed:
            os.close(self.fd)
        else:
            self._discard()


def is_abandoned(fd: int) -> bool:
    """Say whether the process that made this temporary file or folder is gone, and lock it if so."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sweep(disk: Disk, folder: int, prefix: str = "") -> None:
    """Remove temporary files in the open folder whose writers are gone.

    Only regular files with a name as ``Incoming`` makes them are touched. What cannot be opened or removed stays: a
    leftover is harmless, and whoever sweeps came for something else.
    """
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(folder)):
            if is_temporary(name, prefix):
                _sweep_one(disk, folder, name)


def _sweep_one(disk: Disk, folder: int, name: str) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode) and is_abandoned(fd):
                disk.remove(name, folder)
        finally:
            os.close(fd)


def sweep_path(disk: Disk, path: Path, prefix: str = "") -> None:
    """Do the same in the folder ``path``."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sweep(disk, fd, prefix)
        finally:
            os.close(fd)
