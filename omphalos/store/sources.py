"""Files that are read to be stored or hashed: each from one descriptor, and refused if it changes meanwhile."""

import contextlib
import gc
import os
import stat
from collections.abc import Iterator
from typing import ClassVar, Final, NamedTuple

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId
from omphalos.format.ids import ObjectId

BUFFER_BYTES: Final = 8 * 1024 * 1024


class SourceChanged(OmphalosError):
    """A file or folder changed while it was read."""

    kind: ClassVar[ErrorKind] = ErrorKind.INCOMPLETE
    id: ClassVar[str] = FindingId.TOCTOU.value

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} changed while it was read", hint="repeat when nothing writes there any more")


class SourceUnreadable(OmphalosError):
    """A file or folder that should be stored cannot be read."""

    kind: ClassVar[ErrorKind] = ErrorKind.INCOMPLETE
    id: ClassVar[str] = "sourceUnreadable"

    def __init__(self, name: str, problem: OSError) -> None:
        super().__init__(f"cannot read {name!r}: {os.strerror(problem.errno or 0).lower()}", hint="check name and mode")


class SpecialFile(OmphalosError):
    """Something that must be a regular file is a folder, a device, a pipe or a socket."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = FindingId.SPECIAL_FILE.value

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is not a regular file", hint="only regular files can be stored")


class StoredFile(NamedTuple):
    """What was stored: the blob's id, its size in bytes, and SHA-256 of the same bytes."""

    id: ObjectId
    size: int
    sha256: bytes


def unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    """Say whether two stats of one descriptor show the same file with the same content."""
    return (before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_dev,
        after.st_ino,
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def read_source(fd: int, name: str) -> Iterator[bytes]:
    """Yield the content of the open file ``fd`` in buffers; ``name`` is for messages.

    Raises:
        SpecialFile: it is no regular file.
        SourceChanged: it grew, shrank or was touched between the first and the last byte.
        SourceUnreadable: it cannot be read.
    """
    before = os.fstat(fd)
    if not stat.S_ISREG(before.st_mode):
        raise SpecialFile(name)
    left = before.st_size
    while True:
        try:
            chunk = os.read(fd, min(BUFFER_BYTES, left + 1))  # a file that grows gives one byte more than is left
        except OSError as problem:
            raise SourceUnreadable(name, problem) from problem
        if not chunk:
            break
        left -= len(chunk)
        yield chunk
    if left or not unchanged(before, os.fstat(fd)):
        raise SourceChanged(name)


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Keep the collector from walking again and again over what is large, is soon gone, and holds no cycle."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
