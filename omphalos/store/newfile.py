"""A file outside the store that must not be there yet: a bundle, a proof, a statement, a page.

Rules of this file: it is written under another name beside its own, synced, and given its name only when it is whole;
nothing is ever replaced, not even what another process put there meanwhile; whatever goes wrong leaves no file.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.store import durable
from omphalos.store.durable import DISK

# What systems say where a file system knows no second names (link(2)).
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class AlreadyThere(OmphalosError):
    """Something stands where a new file was to be written."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "alreadyThere"

    def __init__(self, path: Path) -> None:
        hint = "nothing is written over; choose another name"
        super().__init__(f"'{path.name}' is there already", hint=hint, undone="nothing was written")


def require_absent(path: Path) -> None:
    """Refuse early what ``new_file`` would refuse in the end.

    Raises:
        AlreadyThere: there is something at ``path``, be it a link that leads nowhere.
    """
    if os.path.lexists(path):
        raise AlreadyThere(path)


@contextmanager
def new_file(path: Path) -> Iterator[tuple[int, Path]]:
    """Give the block an open descriptor of an empty file and its name for now; afterwards the file is at ``path``.

    Raises:
        AlreadyThere: something stands at ``path``, now or when the block has ended.
        OSError: it cannot be written.
    """
    require_absent(path)
    temporary = path.with_name(f".omphalos-{durable.temporary_name()}")
    descriptor = DISK.create(temporary, mode=0o644)
    try:
        try:
            yield descriptor, temporary
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _claim(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    durable.sync_folder(DISK, path.parent)


def _claim(temporary: Path, path: Path) -> None:
    """Give a finished file its name by a second name, which unlike a renaming replaces nothing."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError as error:
        raise AlreadyThere(path) from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        require_absent(path)  # between this and the next line another process could still take the name
        temporary.rename(path)
        return
    temporary.unlink()


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not be there, whole or not at all.

    Raises:
        AlreadyThere, OSError: as ``new_file``.
    """
    with new_file(path) as (descriptor, _):
        durable.write_all(DISK, descriptor, data)
