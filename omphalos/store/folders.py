"""Reading a folder of files that may be hostile, or may change while it is read.

Rules of this file: names are looked up only relative to an open folder, each component with ``O_NOFOLLOW``; nothing
but regular files is opened for reading; every file and folder is compared, by stat of its descriptor, with what was
surveyed before, and a difference is an error, not something to try again.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

from omphalos.format.findings import FindingId
from omphalos.format.paths import MAX_COMPONENTS
from omphalos.store.objects import SourceChanged, SourceUnreadable, unchanged

Visit = Callable[[int, str], None]

FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Folder:
    """What a folder held when it was surveyed: its files and folders by name, and what may not be there.

    ``odd`` maps a name to ``symlinkEntry``, ``specialFile`` or ``pathTooDeep``. Bytes that are not UTF-8 stand in a
    name as lone surrogates (PEP 383).
    """

    __slots__ = ("files", "folders", "odd", "stat")

    def __init__(self, seen: os.stat_result) -> None:
        self.stat = seen
        self.files: dict[str, os.stat_result] = {}
        self.folders: dict[str, Folder] = {}
        self.odd: dict[str, FindingId] = {}


def open_root(path: Path) -> int:
    """Open a folder the caller named.

    Raises:
        SourceUnreadable: it is missing, no folder, a symbolic link, or not allowed.
    """
    try:
        return os.open(path, FOLDER_FLAGS)
    except OSError as problem:
        raise SourceUnreadable(path.name, problem) from problem


def survey(fd: int, path: str = "", depth: int = 1) -> Folder:
    """Return what lies in the open folder ``fd``, all the way down; nothing is opened but folders.

    Raises:
        SourceUnreadable, SourceChanged: a folder cannot be read, or went away meanwhile.
    """
    found = Folder(os.fstat(fd))
    name = ""
    files, regular = found.files, stat.S_IFREG
    try:
        with os.scandir(fd) as entries:
            listed = {entry.name: entry for entry in entries}
            for name in in_order(listed):
                seen = listed[name].stat(follow_symlinks=False)
                if stat.S_IFMT(seen.st_mode) == regular:
                    files[name] = seen
                elif not stat.S_ISDIR(seen.st_mode):
                    link = stat.S_ISLNK(seen.st_mode)
                    found.odd[name] = FindingId.SYMLINK_ENTRY if link else FindingId.SPECIAL_FILE
                elif depth == MAX_COMPONENTS:
                    found.odd[name] = FindingId.PATH_TOO_DEEP
                else:
                    inner = os.open(name, FOLDER_FLAGS, dir_fd=fd)
                    try:
                        found.folders[name] = survey(inner, f"{path}{name}/", depth + 1)
                    finally:
                        os.close(inner)
    except OSError as problem:
        raise unreadable(path + name, problem) from problem
    return found


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
            if not unchanged(seen, os.fstat(inner)):
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
