"""Verify a run directory: recompute everything it claims, and say what was not checked.

Rules of this file: nothing is imported, extracted or followed; each file is read once, from one descriptor, up to
the size recorded for it (`filecheck`); a file nothing records is a finding wherever it lies. Findings carry the ids of
``docs/findings.md`` and are sorted. What cannot be read makes the verdict incomplete, never positive.
"""

import errno
import os
import stat
import unicodedata
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from omphalos.format.dsse import MAX_BYTES as MAX_ENVELOPE
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import Finding, FindingId
from omphalos.format.ids import ObjectId, object_id, to_hex
from omphalos.format.manifest import (
    ATTESTATIONS,
    FILE_NAME,
    MAX_BYTES,
    Artifact,
    Manifest,
    check_manifest,
    is_reserved,
)
from omphalos.format.paths import MAX_COMPONENTS, check_path, refusing
from omphalos.runs.attest import MAX_FILES, SUFFIX, About, PublicKey, about, judge_statement, missing
from omphalos.runs.filecheck import (
    CHANGED_KIND,
    GONE,
    NOT_THERE,
    digest,
    judge_digests,
    open_below,
    parse_manifest,
    read_bounded,
    touched,
)
from omphalos.runs.verdict import Findings, Verdict
from omphalos.store.folders import FOLDER_FLAGS

SMALL: Final = 1 << 17  # below this, handing a file to another thread costs more than hashing it
READERS: Final = 2


class NoRunDirectory(OmphalosError):
    """What was named is no folder that could be a run directory."""

    kind = ErrorKind.NOT_FOUND
    id = "noRunDirectory"


def verify_directory(path: Path, *, expected: ObjectId | None = None, keys: Sequence[PublicKey] = ()) -> Verdict:
    """Verify the run directory at ``path`` on its own, without a store, by the rules of ``docs/format/verify.md``.

    Args:
        path: the folder.
        expected: the id of the run object that the manifest must be, where the caller knows one.
        keys: each of these must have vouched for the run, by ``docs/format/attestation.md``.

    Raises:
        NoRunDirectory: there is no folder at ``path``; a symbolic link is refused as such.
    """
    found = Findings(key.keyid for key in keys)
    try:
        root = os.open(path, FOLDER_FLAGS)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ELOOP, errno.ENOTDIR) and path.is_symlink():
            found.add(FindingId.SYMLINK_ENTRY, ".", "the run directory itself is a symbolic link")
        elif isinstance(error, OSError) and error.errno not in NOT_THERE:
            found.unread(".")
        else:
            raise NoRunDirectory(f"no run directory: {path}", hint="name a folder that holds manifest.json") from error
        return found.verdict(path.name, None, 0, 0)
    try:
        data = _read_manifest(root, found)
        if expected is not None and data is not None and object_id("run", data) != expected:
            found.add(FindingId.REF_MISMATCH, FILE_NAME, f"the store records {to_hex(expected)[:12]}")
        manifest = parse_manifest(data, found) if data is not None else None
        if manifest is None:  # nothing says what should be here, so nothing else is looked at
            return found.verdict(path.name, None, 0, 0)
        said = check_manifest(manifest)
        found.extend(said)
        records = _usable(manifest, said)
        survey = _Survey(records, {path[:at] for path in records for at, c in enumerate(path) if c == "/"}, found)
        survey.enter(root)
        for missing in records.keys() - survey.present.keys():
            if not survey.cannot_tell(missing):
                found.add(FindingId.FILE_MISSING, missing, "recorded in the manifest")
        there = [(records[name], on_disk) for name, on_disk in survey.present.items()]
        for file, on_disk in there:
            if file.path != on_disk:
                found.add(
                    FindingId.PATH_NORM_CHANGED, file.path, "its name on disk is spelled in another normalization"
                )
        for file, findings in _check_all(root, there):
            if findings is None:
                found.unread(file.path)
            else:
                found.extend(findings)
        signed = _attestations(root, survey.envelopes, keys, about(data or b"", manifest), found) if keys else ()
        size = sum(file.size for file, _ in there)
        return found.verdict(path.name, manifest, len(there), size, signed_by=signed)
    finally:
        os.close(root)


def _read_manifest(root: int, found: Findings) -> bytes | None:
    """Read ``manifest.json`` from the open folder, within the limit of the format."""
    try:
        mode = os.stat(FILE_NAME, dir_fd=root, follow_symlinks=False).st_mode
    except FileNotFoundError:
        found.add(FindingId.MANIFEST_MISSING, FILE_NAME)
        return None
    except OSError:
        found.unread(FILE_NAME)
        return None
    if not stat.S_ISREG(mode):
        named = {stat.S_IFLNK: FindingId.SYMLINK_ENTRY, stat.S_IFDIR: FindingId.MANIFEST_MISSING}
        found.add(named.get(stat.S_IFMT(mode), FindingId.SPECIAL_FILE), FILE_NAME, "it is not a file")
        return None
    return read_bounded(root, FILE_NAME, MAX_BYTES, FILE_NAME, found)


def _usable(manifest: Manifest, said: Iterable[Finding]) -> dict[str, Artifact]:
    """Return path → record of every file that may be looked up; of records with one path the first counts.

    ``said`` is what was found about the manifest: a path it does not name needs no second look.
    """
    suspect = {finding.path for finding in said}
    records: dict[str, Artifact] = {}
    for file in (*manifest.artifacts, *manifest.control):
        if file.path in suspect and (is_reserved(file.path) or refusing(check_path(file.path))):
            continue
        records.setdefault(file.path, file)
    return records


class _Survey:
    """A walk through a run directory: what lies there of the recorded files, and what should not be there."""

    def __init__(self, records: Container[str], folders: Container[str], found: Findings) -> None:
        self._records = records
        self._folders = folders
        self._found = found
        self._entered: dict[str, str] = {}  # recorded folder → its path on disk
        self._dark: set[str] = set()  # recorded paths about which nothing can be said
        self.present: dict[str, str] = {}  # recorded path → path on disk, another only by normalization
        self.envelopes: list[str] = []  # paths of attestations, one more than are allowed at most

    def enter(self, folder: int, prefix: str = "", depth: int = 1) -> None:
        """Look at everything below an open folder; folders are opened one by one, links are never followed."""
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = os.fsencode(entry.name)
                    try:
                        path = prefix + name.decode("utf-8")
                    except UnicodeDecodeError:
                        self._found.add(FindingId.NOT_UTF8, prefix + name.decode("utf-8", "backslashreplace"))
                        continue
                    try:
                        mode = entry.stat(follow_symlinks=False).st_mode
                    except OSError:
                        self._unread(path)
                        continue
                    if self._judge(path, mode, depth):
                        self._open(folder, name, path, depth)
        except OSError:
            self._unread(prefix.rstrip("/") or ".")

    def _open(self, folder: int, name: bytes, path: str, depth: int) -> None:
        try:
            inner = os.open(name, FOLDER_FLAGS, dir_fd=folder)
        except OSError as error:
            if error.errno in GONE:
                self._found.add(FindingId.TOCTOU, path, CHANGED_KIND)
            else:
                self._unread(path)
            return
        try:
            self.enter(inner, f"{path}/", depth + 1)
        finally:
            os.close(inner)

    def _judge(self, path: str, mode: int, depth: int) -> bool:
        """Judge one entry; return whether it is a folder to enter."""
        if path == FILE_NAME:
            return False  # judged already, before anything else
        if stat.S_ISLNK(mode):
            self._found.add(FindingId.SYMLINK_ENTRY, path)
        elif stat.S_ISDIR(mode):
            if depth >= MAX_COMPONENTS:
                self._found.add(FindingId.PATH_TOO_DEEP, path)
                return False
            recorded = _spelled(path, self._folders)
            if _attested(path, depth, folder=True):
                return True
            if recorded is None:
                self._found.add(FindingId.DIR_EXTRA, path)
            elif self._entered.setdefault(recorded, path) != path:
                self._found.add(FindingId.PATH_NORM_COLLISION, recorded, "two folders on disk have this name")
            return True
        elif not stat.S_ISREG(mode):
            self._found.add(FindingId.SPECIAL_FILE, path)
        elif not _attested(path, depth, folder=False):
            self._file(path)
        elif depth == 2 and path.endswith(SUFFIX) and len(self.envelopes) <= MAX_FILES:
            self.envelopes.append(path)
        return False

    def _file(self, path: str) -> None:
        recorded = _spelled(path, self._records)
        if recorded is None:
            self._found.add(FindingId.FILE_EXTRA, path)
            return
        other = self.present.setdefault(recorded, path)
        if other != path:
            self._found.add(FindingId.PATH_NORM_COLLISION, recorded, "two files on disk have this name")
            self.present[recorded] = recorded if recorded in (path, other) else min(path, other)

    def _unread(self, path: str) -> None:
        self._found.unread(path)
        for known in (self._records, self._folders):
            recorded = path if path == "." else _spelled(path, known)
            if recorded is not None:
                self._dark.add(recorded)

    def cannot_tell(self, path: str) -> bool:
        """Say whether a recorded path, or a folder above it, could not be read, so that it may be there."""
        if not self._dark:
            return False
        above = (path[:at] for at, c in enumerate(path) if c == "/")
        return not self._dark.isdisjoint((".", path, *above))


def _attested(path: str, depth: int, *, folder: bool) -> bool:
    """Say whether an entry is the folder of attestations or lies in it: what is there is not for this check."""
    return path.split("/", 1)[0] == ATTESTATIONS and (folder or depth > 1)


def _attestations(root: int, paths: list[str], keys: Sequence[PublicKey], run: About, found: Findings) -> set[str]:
    """Judge the attestations of a run directory; return the keyids for which something counts."""
    counted: set[str] = set()
    if len(paths) > MAX_FILES:
        found.add(FindingId.OVERSIZE_LENGTH, ATTESTATIONS, f"more than {MAX_FILES} attestations")
        paths = []
    for path in paths:
        envelope = read_bounded(root, path, MAX_ENVELOPE, path, found)
        if envelope is None:
            continue
        judged = judge_statement(envelope, keys, run)
        if judged.finding is not None:
            found.add(judged.finding, path, judged.detail)
        counted |= judged.signers
    absent = missing(keys, counted)
    if absent:
        found.add(FindingId.SIGNATURE_MISSING, ATTESTATIONS, absent)
    return counted


def _spelled(path: str, known: Container[str]) -> str | None:
    """Return the recorded path that a path on disk is, by name or by normalization."""
    if path in known:
        return path
    if path.isascii():
        return None
    normal = unicodedata.normalize("NFC", path)
    return normal if normal in known else None


def _check_all(root: int, there: list[tuple[Artifact, str]]) -> Iterator[tuple[Artifact, list[Finding] | None]]:
    """Check files, given with their paths on disk: large ones side by side, small ones meanwhile one by one."""
    large = [pair for pair in there if pair[0].size >= SMALL]
    with ThreadPoolExecutor(READERS) as pool:
        results = pool.map(lambda pair: _check_file(root, *pair), large)
        for file, on_disk in there:
            if file.size < SMALL:
                yield file, _check_file(root, file, on_disk)
        yield from zip((file for file, _ in large), results, strict=True)


def _check_file(root: int, file: Artifact, on_disk: str) -> list[Finding] | None:
    """Compare one file with its record, reading it once, from one descriptor, no further than its recorded size.

    Returns:
        What was found, or ``None`` if the file cannot be read.
    """
    try:
        descriptor = open_below(root, on_disk)
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                return [Finding(FindingId.TOCTOU, file.path, CHANGED_KIND)]
            if before.st_size != file.size:
                said = f"{before.st_size} bytes, recorded {file.size}"
                return [Finding(FindingId.SIZE_MISMATCH, file.path, said)]
            size, blake, sha = digest(descriptor, file.size)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return [Finding(FindingId.TOCTOU, file.path, CHANGED_KIND)] if error.errno in GONE else None
    if size != file.size or touched(before, after):
        return [Finding(FindingId.TOCTOU, file.path, "it changed while it was read")]
    return judge_digests(file, blake, sha)
