"""One file under verification: opened without following or waiting, read once up to a limit, hashed by both functions.

Rules of this file: both recorded digests must match, and two that disagree about the same bytes are a finding of their
own; a file that changed between two looks is one, too; what cannot be read is said to be unread, never passed.
"""

import errno
import functools
import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import Finding, FindingId
from omphalos.format.ids import hasher
from omphalos.format.manifest import Artifact, Manifest, ManifestError, decode_manifest
from omphalos.runs.verdict import Findings
from omphalos.store.folders import FILE_FLAGS, FOLDER_FLAGS

BUFFER: Final = 1 << 18  # near the core for both digests
CHANGED_KIND: Final = "it changed its kind while the folder was read"
GONE: Final = (errno.ELOOP, errno.ENOTDIR, errno.ENOENT, errno.ENXIO)
NOT_THERE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class NoSuchThing(OmphalosError):
    """What was named for verification is no file, or no store."""

    kind = ErrorKind.NOT_FOUND
    id = "noSuchThing"


def read_bounded(root: int, path: str, limit: int, name: str, found: Findings) -> bytes | None:
    """Return a whole file below an open folder, unless it is longer than ``limit``, or changes; say so at ``name``."""
    try:
        descriptor = open_below(root, path)
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                found.add(FindingId.TOCTOU, name, CHANGED_KIND)
                return None
            if before.st_size > limit:
                found.add(FindingId.JSON_TOO_LARGE, name, f"{before.st_size} bytes")
                return None
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                data = stream.read(before.st_size + 1)
            if len(data) != before.st_size or touched(before, os.fstat(descriptor)):
                found.add(FindingId.TOCTOU, name, "it changed while it was read")
                return None
            return data
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in GONE:
            found.add(FindingId.TOCTOU, name, CHANGED_KIND)
        else:
            found.unread(name)
        return None


def parse_manifest(data: bytes, found: Findings) -> Manifest | None:
    """Return the manifest in ``data``; where it is none, say why, and return None."""
    try:
        return decode_manifest(data)
    except ManifestError as error:
        found.extend(error.findings)
        return None


def open_plain(path: str | Path, name: str, found: Findings) -> int | None:
    """Open a file the caller named, without following or waiting; return None where a finding says why not.

    Raises:
        NoSuchThing: there is nothing, or a folder.
    """
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISREG(mode):
            descriptor = os.open(path, FILE_FLAGS)
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISREG(mode):
                return descriptor
            os.close(descriptor)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in NOT_THERE:
            found.unread(name)
            return None
        raise NoSuchThing(f"no such file: {path}", hint="name a file") from error
    if stat.S_ISDIR(mode):
        raise NoSuchThing(f"{path} is a folder", hint="name a file")
    found.add(FindingId.SYMLINK_ENTRY if stat.S_ISLNK(mode) else FindingId.SPECIAL_FILE, name, "it is not a file")
    return None


def touched(before: os.stat_result, after: os.stat_result) -> bool:
    """Say whether a file was written to between two looks at it."""
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def open_below(root: int, path: str) -> int:
    """Open a file below an open folder, each component without following links; return its descriptor."""
    *folders, name = path.encode().split(b"/")
    at = root
    try:
        for folder in folders:
            inner = os.open(folder, FOLDER_FLAGS, dir_fd=at)
            if at != root:
                os.close(at)
            at = inner
        return os.open(name, FILE_FLAGS, dir_fd=at)
    finally:
        if at != root:
            os.close(at)


def digest(source: int | BinaryIO, limit: int) -> tuple[int, str, str]:
    """Return (bytes read, BLAKE3, SHA-256) of a descriptor or stream, reading at most a byte more than ``limit``."""
    blake, sha, left = hasher("blob"), hashlib.sha256(), limit + 1
    read = functools.partial(os.read, source) if isinstance(source, int) else source.read
    while left and (chunk := read(min(BUFFER, left))):
        left -= len(chunk)
        blake.update(chunk)
        sha.update(chunk)
    return limit + 1 - left, blake.hexdigest(), sha.hexdigest()


def judge_digests(file: Artifact, blake: str, sha: str) -> list[Finding]:
    """Compare two digests with the recorded ones."""
    if (blake == file.blake3) != (sha == file.sha256):
        said = "blake3 matches and sha256 does not" if blake == file.blake3 else "sha256 matches and blake3 does not"
        return [Finding(FindingId.HASH_DISAGREE, file.path, said)]
    if blake != file.blake3:
        return [Finding(FindingId.HASH_MISMATCH, file.path, f"blake3 {blake[:12]}, recorded {file.blake3[:12]}")]
    return []
