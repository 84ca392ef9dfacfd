"""Reading a folder of files that may be hostile, or may change while it is read.

Rules of this file: names are looked up only relative to an open folder, each component with ``O_NOFOLLOW``; nothing
but regular files is opened for reading; every file and folder is compared, by stat of its descriptor, with what was
surveyed before, and a difference is an error, not something to try again.
"""

import contextlib
import errno
import os
import stat
import struct
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId
from omphalos.format.paths import MAX_COMPONENTS
from omphalos.store.objects import SourceChanged, SourceUnreadable, unchanged

if TYPE_CHECKING:
    import mmap

Visit = Callable[[int, str], None]

_OF_THE_STORE: Final = ("objects", "refs")
FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
STAT: Final = struct.Struct("<qqqQQ")
_TIMES: Final = 1 << 63
_TYPE: Final = 0o170000  # the bits of a mode that say what kind of file it is
_WORTH_FORKING: Final = 4000  # files; to look at so many takes 10 ms, to start a process 2


def packed_stat(seen: os.stat_result) -> bytes:
    """Return what must be equal for a file to be the same."""
    try:
        return STAT.pack(seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_dev)
    except struct.error:  # a time after 2262 or before 1677, which some file systems can keep
        mtime, ctime = (value % _TIMES for value in (seen.st_mtime_ns, seen.st_ctime_ns))
        return STAT.pack(seen.st_size, mtime, ctime, seen.st_ino, seen.st_dev)


class Seen(NamedTuple):
    """What a stat says of a file that must be equal for the file to be the same; named as in ``os.stat_result``."""

    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int
    st_ino: int
    st_dev: int

    def is_still(self, now: os.stat_result) -> bool:
        """Say whether a later stat shows the same file with the same content."""
        return self == STAT.unpack(packed_stat(now))


class StoreInside(OmphalosError):
    """A folder that should be read as files holds the store, or is a part of it."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "storeInside"

    def __init__(self, directory: Path, doing: str) -> None:
        super().__init__(
            f"the store itself lies in {directory.name or str(directory)!r}, or the other way round",
            hint="name a folder beside objects/ and refs/; '--store DIR' names another store",
            undone=f"nothing was {doing}",
        )


class Folder:
    """What a folder held when it was surveyed: its files and folders by name, and what may not be there.

    ``names`` are the files in byte order, ``stats`` what ``packed_stat`` says of each, one after the other. ``odd``
    maps a name to ``symlinkEntry``, ``specialFile`` or ``pathTooDeep``. Bytes that are not UTF-8 stand in a name as
    lone surrogates (PEP 383).
    """

    __slots__ = ("_files", "below", "folders", "names", "odd", "stat", "stats")

    def __init__(self, seen: os.stat_result) -> None:
        self.stat = seen
        self.names: list[str] = []
        self.stats = b""
        self.below = 0  # how many files are in it and below it
        self.folders: dict[str, Folder] = {}
        self.odd: dict[str, FindingId] = {}
        self._files: dict[str, Seen] | None = None

    @property
    def files(self) -> dict[str, Seen]:
        """What was seen of each file, by name; made when first asked for: of a large folder these are many objects."""
        if self._files is None:
            self._files = dict(zip(self.names, map(Seen._make, STAT.iter_unpack(self.stats)), strict=True))
        return self._files


def open_root(path: Path) -> int:
    """Open a folder the caller named.

    Raises:
        SourceUnreadable: it is missing, no folder, a symbolic link, or not allowed.
    """
    try:
        return os.open(path, FOLDER_FLAGS)
    except OSError as problem:
        raise SourceUnreadable(path.name, problem) from problem


def survey(fd: int, meanwhile: Callable[[Folder], None] | None = None) -> Folder:
    """Return what lies in the open folder ``fd``, all the way down; nothing is opened but folders.

    First all folders are listed, then all files are looked at: in a large folder by two processes, since most of the
    time an unchanged folder takes is the kernel's, for one call per file.

    Args:
        fd: the folder.
        meanwhile: is called once with what was listed, before it is complete: no file has its stat yet.

    Raises:
        SourceUnreadable, SourceChanged: a folder cannot be read, or went away meanwhile.
    """
    root = _listed(fd, "", 1)
    if root.below < _WORTH_FORKING:
        if meanwhile is not None:
            meanwhile(root)
        table = bytearray(root.below * STAT.size)
        _look(fd, root, "", 0, range(root.below), table)
        _hand_out(root, memoryview(table), 0)
    else:
        _look_shared(fd, root, meanwhile)
    return root


def _listed(fd: int, path: str, depth: int) -> Folder:
    found = Folder(os.fstat(fd))
    name = ""
    files, folders, odd = found.names, list[str](), dict[str, FindingId]()
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_file(follow_symlinks=False):
                    files.append(name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                else:
                    odd[name] = FindingId.SYMLINK_ENTRY if entry.is_symlink() else FindingId.SPECIAL_FILE
        found.names = in_order(files)
        found.below = len(files)
        found.odd = {name: odd[name] for name in in_order(odd)}
        for name in in_order(folders):
            if depth == MAX_COMPONENTS:
                found.odd[name] = FindingId.PATH_TOO_DEEP
                continue
            inner = os.open(name, FOLDER_FLAGS, dir_fd=fd)
            try:
                below = found.folders[name] = _listed(inner, f"{path}{name}/", depth + 1)
            finally:
                os.close(inner)
            found.below += below.below
    except OSError as problem:
        raise unreadable(path + name, problem) from problem
    return found


def _look(fd: int, folder: Folder, path: str, at: int, wanted: range, table: "bytearray | mmap.mmap") -> None:
    """Put the stats of files into their places in ``table``.

    Args:
        fd: the open folder.
        folder: what was listed in it.
        path: of it, with a final ``/``, for messages.
        at: the number of its first file; those of its folders follow.
        wanted: which numbers to look at.
        table: what ``STAT`` packs of each file, by number.
    """
    first = max(at, wanted.start)
    names = folder.names[first - at : max(0, wanted.stop - at)]
    if names:
        table[first * STAT.size : (first + len(names)) * STAT.size] = _stats(fd, names, path)
    at += len(folder.names)
    for name, below in folder.folders.items():
        if at < wanted.stop and at + below.below > wanted.start:
            with reading(path + name):
                inner = os.open(name, FOLDER_FLAGS, dir_fd=fd)
            try:
                if not unchanged(below.stat, os.fstat(inner)):
                    raise SourceChanged(path + name)
                _look(inner, below, f"{path}{name}/", at, wanted, table)
            finally:
                os.close(inner)
        at += below.below


def _stats(fd: int, names: list[str], path: str) -> bytes:
    rows, regular, name = list[bytes](), stat.S_IFREG, ""
    try:
        for name in names:
            seen = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if seen.st_mode & _TYPE != regular:
                raise SourceChanged(path + name)
            rows.append(packed_stat(seen))
    except OSError as problem:
        raise unreadable(path + name, problem) from problem
    return b"".join(rows)


def _look_shared(fd: int, root: Folder, meanwhile: Callable[[Folder], None] | None) -> None:
    """Look at all files with two processes; what the other leaves undone, for whatever reason, is done here."""
    import mmap

    with mmap.mmap(-1, root.below * STAT.size) as table:
        own = root.below // 2 if meanwhile is None else root.below * 2 // 5
        ours, theirs = range(own), range(own, root.below)
        pid = -1
        with contextlib.suppress(OSError):  # no more processes for this user
            pid = os.fork()
        if not pid:
            code = 1
            try:
                _look(fd, root, "", 0, theirs, table)
                code = 0
            finally:
                os._exit(code)
        failed = True
        try:
            if meanwhile is not None:
                meanwhile(root)
            _look(fd, root, "", 0, ours, table)
        finally:
            with contextlib.suppress(ChildProcessError):  # none ever started, or SIGCHLD is ignored here
                failed = pid < 0 or os.waitpid(pid, 0)[1] != 0
        if failed:
            _look(fd, root, "", 0, theirs, table)
        with memoryview(table) as view:
            _hand_out(root, view, 0)


def _hand_out(folder: Folder, table: memoryview, at: int) -> None:
    """Give each folder the stats of its files."""
    end = at + len(folder.names)
    folder.stats = bytes(table[at * STAT.size : end * STAT.size])
    for below in folder.folders.values():
        _hand_out(below, table, end)
        end += below.below


def in_order(names: Collection[str]) -> list[str]:
    """Return names in byte order."""
    if "".join(names).isascii():
        return sorted(names)
    return sorted(names, key=os.fsencode)


def each_file(fd: int, folder: Folder, visit: Visit, path: str = "") -> None:
    """Call ``visit(descriptor, path)`` for every surveyed file, in order of name within each folder.

    Raises:
        SourceChanged: a file or folder is not, or after the visit no longer, what was surveyed.
        SourceUnreadable: a file cannot be opened.
    """
    for name, seen in folder.files.items():
        with reading(path + name):
            inner = os.open(name, FILE_FLAGS, dir_fd=fd)
        try:
            if not seen.is_still(os.fstat(inner)):
                raise SourceChanged(path + name)
            visit(inner, path + name)
        finally:
            os.close(inner)
    for name, below in folder.folders.items():
        with reading(path + name):
            inner = os.open(name, FOLDER_FLAGS, dir_fd=fd)
        try:
            each_file(inner, below, visit, f"{path}{name}/")
        finally:
            os.close(inner)
    if not unchanged(folder.stat, os.fstat(fd)):
        raise SourceChanged(path or ".")


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn an ``OSError`` inside the block into ``SourceChanged`` or ``SourceUnreadable`` for one path."""
    try:
        yield
    except OSError as problem:
        raise unreadable(path, problem) from problem


def unreadable(path: str, problem: OSError) -> SourceChanged | SourceUnreadable:
    """Return what an ``OSError`` means for a path that was there a moment ago."""
    if problem.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
        return SourceChanged(path)
    return SourceUnreadable(path, problem)


def overlaps(root: Path, directory: Path) -> bool:
    """Say whether a folder holds what the store in ``root`` changes by being used, or lies in it."""
    there = directory.resolve()
    for name in _OF_THE_STORE:
        own = (root / name).resolve()
        if own.is_relative_to(there) or there.is_relative_to(own):
            return True
    return False
