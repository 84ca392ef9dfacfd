"""Verify a run: recompute everything it claims, from its directory or from the store, and say what was not checked.

Rules of this file: nothing is imported, extracted or followed; each file is read once, from one descriptor, up to
the size recorded for it; both recorded digests must match, and two that disagree about the same bytes are a
finding of their own; a file nothing records is a finding wherever it lies. Findings carry the ids of
``docs/findings.md`` and are sorted. What cannot be read makes the verdict incomplete, never positive.
"""

import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import Finding, FindingId, NotChecked, Severity
from omphalos.format.ids import ObjectId, from_hex, hasher, object_id, to_hex
from omphalos.format.manifest import (
    ATTESTATIONS,
    FILE_NAME,
    MAX_BYTES,
    Artifact,
    Manifest,
    ManifestError,
    check_manifest,
    decode_manifest,
)
from omphalos.store.folders import FILE_FLAGS, FOLDER_FLAGS
from omphalos.store.names import RUNS
from omphalos.store.objects import KindMismatch, ObjectDamaged, ObjectMissing
from omphalos.store.refs import RefDamaged
from omphalos.store.store import Store
from omphalos.store.trees import walk

BUFFER: Final = 1 << 20
MAX_FINDINGS: Final = 10_000
READERS: Final = 2
ALWAYS_UNCHECKED: Final = (
    NotChecked.SIGNATURES,
    NotChecked.LEDGER,
    NotChecked.RECOMPUTATION,
    NotChecked.MEANING,
    NotChecked.INPUTS_AUTHENTICITY,
    NotChecked.POLICY,
)


class NoRunDirectory(OmphalosError):
    """What was named is no folder that could be a run directory."""

    kind = ErrorKind.NOT_FOUND
    id = "noRunDirectory"


@dataclass(frozen=True)
class Verdict:
    """What a verification found.

    ``unreadable`` names what could not be read; ``suppressed`` counts findings beyond the limit; the verdict is
    positive only if every recorded thing was read and nothing refuses it.
    """

    subject: str
    run_id: str | None
    files: int
    size: int
    findings: tuple[Finding, ...]
    unreadable: tuple[str, ...] = ()
    suppressed: int = 0
    not_checked: tuple[NotChecked, ...] = (*ALWAYS_UNCHECKED, NotChecked.FINGERPRINTS)

    @property
    def refused(self) -> bool:
        """Whether a finding makes the verdict negative."""
        return bool(self.suppressed) or any(finding.severity.refuses for finding in self.findings)

    @property
    def word(self) -> str:
        """The verdict in a word: ``verified``, ``refused`` or ``incomplete``."""
        return "refused" if self.refused else "incomplete" if self.unreadable else "verified"

    def document(self) -> dict[str, Any]:
        """Return the verdict as the members of the ``omphalos.verify/1`` document."""
        return {
            "subject": self.subject,
            "run_id": self.run_id,
            "verdict": self.word,
            "files": self.files,
            "bytes": self.size,
            "findings": [finding.to_dict() for finding in self.findings],
            "suppressed": self.suppressed,
            "unreadable": list(self.unreadable),
            "not_checked": [{"word": word.value, "reason": word.reason} for word in self.not_checked],
        }


@dataclass
class _Findings:
    """Findings with a bound, so that a hostile folder cannot exhaust memory."""

    kept: list[Finding] = field(default_factory=list)
    suppressed: int = 0
    unreadable: list[str] = field(default_factory=list)

    def add(self, identifier: FindingId, path: str, detail: str = "") -> None:
        """Keep a finding, or count it where there are too many."""
        self.extend([Finding(identifier, path, detail)])

    def extend(self, findings: Iterable[Finding]) -> None:
        """Keep findings up to the bound and count the rest."""
        for finding in findings:
            if len(self.kept) < MAX_FINDINGS:
                self.kept.append(finding)
            else:
                self.suppressed += finding.severity is not Severity.INFO

    def verdict(self, subject: str, manifest: Manifest | None, files: int, size: int) -> Verdict:
        """Close the list into a verdict."""
        return Verdict(
            subject,
            manifest.run_id if manifest else None,
            files,
            size,
            tuple(sorted(set(self.kept))),
            tuple(sorted(self.unreadable)),
            self.suppressed,
        )


def verify_directory(path: Path, *, expected: ObjectId | None = None) -> Verdict:
    """Verify the run directory at ``path`` on its own, without a store.

    Args:
        path: the folder.
        expected: the id of the run object that the manifest must be, where the caller knows one.

    Raises:
        NoRunDirectory: there is no folder at ``path``; a symbolic link is refused as such.
    """
    found = _Findings()
    try:
        root = os.open(path, FOLDER_FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and path.is_symlink():
            found.add(FindingId.SYMLINK_ENTRY, ".", "the run directory itself is a symbolic link")
            return found.verdict(path.name, None, 0, 0)
        raise NoRunDirectory(f"no run directory: {path}", hint="name a folder that holds manifest.json") from error
    try:
        data = _read_manifest(root, found)
        manifest = _parse(data, found) if data is not None else None
        if expected is not None and data is not None and object_id("run", data) != expected:
            found.add(FindingId.REF_MISMATCH, FILE_NAME, f"the store records {to_hex(expected)[:12]}")
        recorded = _recorded(manifest)
        present = _survey(root, recorded, found)
        if manifest is None:
            return found.verdict(path.name, None, 0, 0)
        found.extend(check_manifest(manifest))
        files = (*manifest.artifacts, *manifest.control)
        missing = [file for file in files if file.path not in present]
        for file in missing:
            found.add(FindingId.FILE_MISSING, file.path, "recorded in the manifest")
        there = [(file, present[file.path]) for file in files if file.path in present]
        with ThreadPoolExecutor(READERS) as pool:
            for findings, unreadable in pool.map(lambda pair: _check_file(root, *pair), there):
                found.extend(findings)
                found.unreadable += unreadable
        return found.verdict(path.name, manifest, len(there), sum(file.size for file, _ in there))
    finally:
        os.close(root)


def _read_manifest(root: int, found: _Findings) -> bytes | None:
    """Read ``manifest.json`` from the open folder, within the limit of the format."""
    try:
        descriptor = os.open(FILE_NAME, FILE_FLAGS, dir_fd=root)
    except FileNotFoundError:
        found.add(FindingId.MANIFEST_MISSING, FILE_NAME)
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            found.add(FindingId.SYMLINK_ENTRY, FILE_NAME)
        else:
            found.unreadable.append(FILE_NAME)
        return None
    with os.fdopen(descriptor, "rb") as stream:
        about = os.fstat(stream.fileno())
        if not stat.S_ISREG(about.st_mode):
            found.add(FindingId.SPECIAL_FILE, FILE_NAME)
            return None
        if about.st_size > MAX_BYTES:
            found.add(FindingId.JSON_TOO_LARGE, FILE_NAME, f"{about.st_size} bytes")
            return None
        return stream.read(MAX_BYTES + 1)


def _parse(data: bytes, found: _Findings) -> Manifest | None:
    try:
        return decode_manifest(data)
    except ManifestError as error:
        found.extend(error.findings)
        return None


def _recorded(manifest: Manifest | None) -> set[str]:
    """Return the paths a run directory may hold, the manifest included."""
    paths = {FILE_NAME}
    if manifest is not None:
        paths |= {file.path for file in (*manifest.artifacts, *manifest.control)}
    return paths


def _survey(root: int, recorded: set[str], found: _Findings) -> dict[str, str]:
    """Walk the folder; return recorded path → path on disk of what is there, and find what should not be.

    The two differ only where a file system changed the normalization of a name.
    """
    folders = {path[:at] for path in recorded for at, c in enumerate(path) if c == "/"}
    present: dict[str, str] = {}
    for on_disk, mode in _walk(root, "", found):
        path = on_disk
        if any(0xDC80 <= ord(c) <= 0xDCFF for c in path):
            found.add(FindingId.NOT_UTF8, os.fsencode(path).decode("utf-8", "backslashreplace"))
            continue
        known = folders if stat.S_ISDIR(mode) else recorded
        if path not in known and unicodedata.normalize("NFC", path) in known:
            path = unicodedata.normalize("NFC", path)
            if not stat.S_ISDIR(mode):
                found.add(FindingId.PATH_NORM_CHANGED, path, "the name on disk is spelled in another normalization")
        if stat.S_ISLNK(mode):
            found.add(FindingId.SYMLINK_ENTRY, path)
        elif stat.S_ISDIR(mode):
            if path not in folders and path.split("/")[0] != ATTESTATIONS:
                found.add(FindingId.DIR_EXTRA, path)
        elif not stat.S_ISREG(mode):
            found.add(FindingId.SPECIAL_FILE, path)
        elif path in recorded:
            if path in present:
                found.add(FindingId.PATH_NORM_COLLISION, path, "two files on disk have this name")
            present[path] = on_disk
        elif path.split("/")[0] != ATTESTATIONS:
            found.add(FindingId.FILE_EXTRA, path)
    return present


def _walk(folder: int, prefix: str, found: _Findings, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yield (path, mode) of everything below an open folder; folders are opened one by one, links never followed."""
    below: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            try:
                mode = entry.stat(follow_symlinks=False).st_mode
            except OSError:
                found.unreadable.append(path)
                continue
            yield path, mode
            if stat.S_ISDIR(mode):
                below.append(entry.name)
    for name in sorted(below):
        if depth >= 64:
            found.add(FindingId.PATH_TOO_DEEP, prefix + name)
            continue
        try:
            inner = os.open(name, FOLDER_FLAGS, dir_fd=folder)
        except OSError:
            found.unreadable.append(prefix + name)
            continue
        try:
            yield from _walk(inner, f"{prefix}{name}/", found, depth + 1)
        finally:
            os.close(inner)


def _check_file(root: int, file: Artifact, on_disk: str) -> tuple[list[Finding], list[str]]:
    """Compare one file with its record; read it once, from one descriptor, and no further than its recorded size."""
    try:
        descriptor = _open_below(root, on_disk)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENOENT, errno.ENXIO):
            return [Finding(FindingId.TOCTOU, file.path, "it changed its kind while the folder was read")], []
        return [], [file.path]
    with os.fdopen(descriptor, "rb", buffering=0):
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return [Finding(FindingId.TOCTOU, file.path, "it changed its kind while the folder was read")], []
        if before.st_size != file.size:
            return [Finding(FindingId.SIZE_MISMATCH, file.path, f"{before.st_size} bytes, recorded {file.size}")], []
        try:
            size, blake, sha = _digest(descriptor, file.size)
        except OSError:
            return [], [file.path]
        after = os.fstat(descriptor)
    if size != file.size or (before.st_mtime_ns, before.st_ctime_ns) != (after.st_mtime_ns, after.st_ctime_ns):
        return [Finding(FindingId.TOCTOU, file.path, "it changed while it was read")], []
    return _judge(file, blake, sha), []


def _open_below(root: int, path: str) -> int:
    """Open a file below an open folder, each component without following links."""
    *folders, name = path.split("/")
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


def _digest(descriptor: int, limit: int) -> tuple[int, str, str]:
    """Return (bytes read, BLAKE3, SHA-256) of a descriptor, reading at most one byte more than ``limit``."""
    blake, sha, left = hasher("blob"), hashlib.sha256(), limit + 1
    while left and (chunk := os.read(descriptor, min(BUFFER, left))):
        left -= len(chunk)
        blake.update(chunk)
        sha.update(chunk)
    return limit + 1 - left, blake.hexdigest(), sha.hexdigest()


def _judge(file: Artifact, blake: str, sha: str) -> list[Finding]:
    """Compare two digests with the recorded ones."""
    if (blake == file.blake3) != (sha == file.sha256):
        said = "blake3 matches and sha256 does not" if blake == file.blake3 else "sha256 matches and blake3 does not"
        return [Finding(FindingId.HASH_DISAGREE, file.path, said)]
    if blake != file.blake3:
        return [Finding(FindingId.HASH_MISMATCH, file.path, f"blake3 {blake[:12]}, recorded {file.blake3[:12]}")]
    return []


def verify_recorded(store: Store, ref: str, run: ObjectId) -> Verdict:
    """Verify a run as the store holds it: run object, manifest, tree, method, and every blob, all hashed again.

    Args:
        store: the store.
        ref: the name of the run's ref, or the text the run was named by.
        run: the id of the run object.
    """
    found = _Findings()
    manifest = None
    try:
        manifest = _parse(store.objects.read("run", run), found)
    except OmphalosError as error:
        _object_finding(error, ref, found)
    if manifest is None:
        return found.verdict(ref, None, 0, 0)
    found.extend(check_manifest(manifest))
    if ref.startswith(RUNS) and ref.removeprefix(RUNS) != manifest.run_id:
        found.add(FindingId.REF_MISMATCH, ref, f"the manifest says {manifest.run_id}")
    _check_tree(store, manifest, found)
    _check_method(store, manifest, found)
    files = (*manifest.artifacts, *manifest.control)
    with ThreadPoolExecutor(READERS) as pool:
        for findings, unreadable in pool.map(lambda file: _check_blob(store, file), files):
            found.extend(findings)
            found.unreadable += unreadable
    return found.verdict(ref, manifest, len(files), sum(file.size for file in files))


def _check_tree(store: Store, manifest: Manifest, found: _Findings) -> None:
    """Compare the tree the manifest names, node by node, with the artifacts it lists."""
    listed = {file.path: (file.size, file.blake3) for file in manifest.artifacts}
    try:
        stored = {path: (size, to_hex(oid)) for path, size, oid in walk(store, from_hex(manifest.tree))}
    except OmphalosError as error:
        _object_finding(error, "tree", found)
        return
    for path in sorted(listed.keys() ^ stored.keys()):
        found.add(FindingId.FILE_MISSING if path in listed else FindingId.FILE_EXTRA, path, "in the stored tree")
    for path in sorted(listed.keys() & stored.keys()):
        if listed[path] != stored[path]:
            found.add(FindingId.TREE_MISMATCH, path, "the stored tree and the manifest differ")


def _check_method(store: Store, manifest: Manifest, found: _Findings) -> None:
    """Hash the recorded method again, so that the code that made the run can be read with confidence."""
    try:
        for path, _, oid in walk(store, from_hex(manifest.plan.method)):
            try:
                store.objects.check(oid, "blob")
            except OmphalosError as error:
                _object_finding(error, f"method/{path}", found)
    except OmphalosError as error:
        _object_finding(error, "method", found)


def _check_blob(store: Store, file: Artifact) -> tuple[list[Finding], list[str]]:
    try:
        with store.objects.open(from_hex(file.blake3)) as stream:
            size, blake, sha = _digest(stream.fileno(), file.size)
    except ObjectMissing:
        return [Finding(FindingId.OBJECT_MISSING, file.path, file.blake3[:12])], []
    except ObjectDamaged:
        return [Finding(FindingId.OBJECT_DAMAGED, file.path, file.blake3[:12])], []
    except OSError:
        return [], [file.path]
    if blake != file.blake3 and size == file.size and sha != file.sha256:
        return [Finding(FindingId.OBJECT_DAMAGED, file.path, f"blake3 {blake[:12]}, id {file.blake3[:12]}")], []
    if size != file.size:
        return [Finding(FindingId.SIZE_MISMATCH, file.path, f"recorded {file.size} bytes")], []
    return _judge(file, blake, sha), []


def _object_finding(error: OmphalosError, path: str, found: _Findings) -> None:
    """Turn an error of the store into a finding, or into something that could not be read."""
    known: tuple[tuple[type[OmphalosError], FindingId], ...] = (
        (ObjectMissing, FindingId.OBJECT_MISSING),
        (KindMismatch, FindingId.TYPE_MISMATCH),
        (ObjectDamaged, FindingId.OBJECT_DAMAGED),
        (RefDamaged, FindingId.REF_MALFORMED),
    )
    for kind, identifier in known:
        if isinstance(error, kind):
            found.add(identifier, path, error.message)
            return
    finding = getattr(error, "finding", None)
    if isinstance(finding, FindingId):
        found.add(finding, path, error.message)
    else:
        found.unreadable.append(path)
