"""Digests of a file that is not stored: what ``put_file`` would return, with nothing written."""

import hashlib
import os
from pathlib import Path

from omphalos.format.ids import ObjectId, hasher
from omphalos.store.objects import SourceUnreadable, StoredFile, read_source


def hash_file(path: Path) -> StoredFile:
    """Return id, size and SHA-256 of the regular file at ``path``, read once in bounded memory.

    Raises:
        SourceUnreadable: it cannot be opened.
        SpecialFile, SourceChanged: see ``read_source``.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        raise SourceUnreadable(path.name, problem) from problem
    try:
        blake, sha, size = hasher("blob"), hashlib.sha256(), 0
        for chunk in read_source(fd, path.name):
            blake.update(chunk)
            sha.update(chunk)
            size += len(chunk)
        return StoredFile(ObjectId(blake.digest()), size, sha.digest())
    finally:
        os.close(fd)
