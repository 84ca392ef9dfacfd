"""Reading bundles: runs in one file, verified in one pass without extraction (``bundle_build`` writes them).

Rules of this file: ``docs/format/bundle.md``. Every byte of a bundle is hostile: nothing is read that the index did not
announce, nothing is written, and memory is bounded by the index, the manifests and the nodes.
"""

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

from omphalos.format.bundle import (
    BLOCK,
    INDEX,
    ArchiveError,
    BundledRun,
    Index,
    Member,
    check_index,
    decode_index,
    padding,
    read_header,
)
from omphalos.format.closed import ClosedError
from omphalos.format.findings import Finding, FindingId
from omphalos.format.ids import Kind, ObjectId, hasher
from omphalos.format.manifest import Artifact, check_manifest, decode_manifest, payload_files
from omphalos.format.tree import TreeEntry, TreeError, decode_tree, iter_tree
from omphalos.runs.attest import About, PublicKey, about, judge_statement, missing
from omphalos.runs.filecheck import open_plain, parse_manifest, touched
from omphalos.runs.sign import NotSound
from omphalos.runs.verdict import Findings, Verdict

BUFFER: Final = 1 << 20
KINDS: Final[Mapping[str, Kind]] = {"manifests": "run", "nodes": "tree", "payload": "blob", "statements": "blob"}


def verify_bundle(path: str | Path, *, keys: Sequence[PublicKey] = ()) -> Verdict:
    """Verify the bundle at ``path`` in one pass, by the rules of ``docs/format/bundle.md``.

    Args:
        path: the file.
        keys: each of these must have vouched for every run of the bundle.

    Raises:
        NoSuchThing: there is no file at ``path``.
    """
    found = Findings(key.keyid for key in keys)
    subject = os.fspath(path).rstrip("/").rsplit("/", 1)[-1]
    descriptor = open_plain(path, ".", found)
    if descriptor is None:
        return found.verdict(subject, None, 0, 0)
    before = os.fstat(descriptor)
    with os.fdopen(descriptor, "rb", buffering=BUFFER) as stream:
        reading = _Reading(stream, found, keys)
        try:
            reading.all()
        except ArchiveError as error:
            found.add(error.finding, error.path, error.message)
            reading.signed = set()
        except OSError:
            found.unread(".")
            reading.signed = set()
        if touched(before, os.fstat(descriptor)):
            found.add(FindingId.TOCTOU, ".", "it changed while it was read")
    return found.verdict(subject, reading.run_id, reading.files, reading.size, signed_by=reading.signed)


class _Reading:
    """One pass over a bundle."""

    def __init__(self, stream: BinaryIO, found: Findings, keys: Sequence[PublicKey]) -> None:
        self._stream = stream
        self._found = found
        self._keys = keys
        self._members: dict[str, Member] = {}
        self._place: dict[str, int] = {}
        self._runs: dict[str, list[BundledRun]] = {}  # by id of the run object, which several may claim
        self._given: dict[str, list[BundledRun]] = {}  # by id of a statement
        self._abouts: dict[str, About] = {}  # of usable manifests, by id of the run object
        self._nodes: dict[str, tuple[TreeEntry, ...]] = {}
        self._methods: set[str] = set()
        self._asked: set[str] = set()  # members that something asks for
        self._paths: dict[str, str] = {}  # of members that hold a file of a run, where it lies in the run
        self._usable = True  # every manifest and node so far could be read as what it is
        self._vouching: list[Finding] = []
        self._counted: dict[str, set[str]] = {}  # run_id → keyids for which something counts
        self.run_id: str | None = None
        self.files = 0
        self.size = 0
        self.signed: set[str] = set()

    def all(self) -> None:
        """Read everything.

        Raises:
            ArchiveError: a structural fault.
        """
        index = self._index()
        if index is None:
            return
        for member in index.members:
            self._member(member)
        self._end()
        if self._usable:
            self._walk()
        if self._keys:
            self._settle()

    def _index(self) -> Index | None:
        size = read_header(self._stream.read(BLOCK), INDEX, None, {})
        data = self._stream.read(size)
        if len(data) < size:
            raise ArchiveError(FindingId.TRUNCATED, INDEX)
        index, wrong = None, []
        try:
            index = decode_index(data)
            wrong = check_index(index)
        except ClosedError as error:
            wrong = [Finding(finding, INDEX, error.message) for finding in error.findings]
        self._found.extend(wrong)
        if wrong or index is None:
            return None
        self._members = {member.name: member for member in index.members}
        self._place = {member.name: at for at, member in enumerate(index.members)}
        self.run_id = index.runs[0].run_id if len(index.runs) == 1 else None
        for run in index.runs:
            self._counted[run.run_id] = set()
            self._runs.setdefault(run.run, []).append(run)
            self._asked.add(f"manifests/{run.run}")
            for statement in {item.id for item in run.attestations}:
                self._given.setdefault(statement, []).append(run)
                self._asked.add(f"statements/{statement}")
        self._pad(INDEX, size)
        return index

    def _pad(self, name: str, size: int) -> None:
        rest = self._stream.read(padding(size))
        if len(rest) < padding(size):
            raise ArchiveError(FindingId.TRUNCATED, name)
        if any(rest):
            raise ArchiveError(FindingId.TRAILING_GARBAGE, name, "the padding is not zero")

    def _member(self, member: Member) -> None:
        name = member.name
        read_header(self._stream.read(BLOCK), name, member.size, self._place)
        folder, oid = name.split("/")
        keep = folder in ("manifests", "nodes") or (folder == "statements" and bool(self._keys))
        blake, sha, left, kept = hasher(KINDS[folder]), hashlib.sha256(), member.size, bytearray()
        while left:
            chunk = self._stream.read(min(BUFFER, left))
            if not chunk:
                raise ArchiveError(FindingId.TRUNCATED, name, self._called(name))
            left -= len(chunk)
            blake.update(chunk)
            sha.update(chunk)
            if keep:
                kept += chunk
        self.files += 1
        self.size += member.size
        right = (blake.hexdigest() == oid, sha.hexdigest() == member.sha256)
        if all(right):
            self._judge(folder, oid, bytes(kept))
        else:
            finding = FindingId.HASH_DISAGREE if any(right) else FindingId.HASH_MISMATCH
            self._found.add(finding, name, self._called(name))
            self._usable &= folder not in ("manifests", "nodes")
        self._pad(name, member.size)

    def _called(self, name: str) -> str:
        """Say which file of a run a member holds: an id tells a reader nothing."""
        return f"this is {self._paths[name]}" if name in self._paths else ""

    def _judge(self, folder: str, oid: str, data: bytes) -> None:
        if folder == "manifests" and oid in self._runs:
            self._manifest(oid, data)
        elif folder == "nodes":
            try:
                self._nodes[oid] = decode_tree(data)
            except TreeError as error:
                self._found.add(error.finding, f"nodes/{oid}", error.message)
                self._usable = False
        elif folder == "statements" and self._keys:
            for run in self._given.get(oid, ()):
                if run.run in self._abouts:
                    self._statement(run, oid, data)

    def _manifest(self, oid: str, data: bytes) -> None:
        name, said = f"manifests/{oid}", Findings()
        manifest = parse_manifest(data, said)
        if manifest is None:
            self._found.extend(Finding(f.id, name, f.detail) for f in said.verdict("", None, 0, 0).findings)
            self._usable = False
            return
        self._found.extend(Finding(f.id, f"{name}/{f.path}", f.detail) for f in check_manifest(manifest))
        for run in self._runs[oid]:
            if manifest.run_id != run.run_id:
                self._found.add(FindingId.REF_MISMATCH, name, f"the index says {run.run_id[:80]}")
        for file in (*manifest.artifacts, *manifest.control):
            self._paths.setdefault(f"payload/{file.blake3}", f"{manifest.run_id}:{file.path}")
            self._record(name, file)
        self._methods.add(manifest.plan.method)
        self._abouts[oid] = about(data, manifest)

    def _record(self, manifest: str, file: Artifact) -> None:
        """Compare a record of a manifest with the index."""
        name = f"payload/{file.blake3}"
        self._asked.add(name)
        member = self._members.get(name)
        if member is None:
            self._found.add(FindingId.FILE_MISSING, f"{manifest}/{file.path}", "not in the index")
        elif member.size != file.size:
            self._found.add(FindingId.SIZE_MISMATCH, f"{manifest}/{file.path}", "the index has another")
        elif member.sha256 != file.sha256:
            self._found.add(FindingId.HASH_DISAGREE, f"{manifest}/{file.path}", "the index has another sha256")

    def _statement(self, run: BundledRun, oid: str, data: bytes) -> None:
        judged = judge_statement(data, self._keys, self._abouts[run.run])
        if judged.finding is not None:
            self._vouching.append(Finding(judged.finding, f"statements/{oid}", judged.detail))
        self._counted[run.run_id] |= judged.signers

    def _end(self) -> None:
        first = self._stream.read(BLOCK)
        if len(first) == BLOCK and any(first):
            raise ArchiveError(FindingId.ENDLESS_DATA, ".", "it goes on after the last member")
        second = self._stream.read(BLOCK) if len(first) == BLOCK else b""
        if len(second) < BLOCK:
            raise ArchiveError(FindingId.TRUNCATED, ".", "the end of the archive is missing")
        if any(second) or self._stream.read(1):
            raise ArchiveError(FindingId.TRAILING_GARBAGE, ".")

    def _walk(self) -> None:
        """Follow every method, each node once, and find what nothing asks for."""
        todo, seen = sorted(self._methods), set[str]()
        while todo:
            oid = todo.pop()
            if oid in seen:
                continue
            seen.add(oid)
            name = f"nodes/{oid}"
            self._asked.add(name)
            if oid not in self._nodes:
                self._found.add(FindingId.OBJECT_MISSING, name)
                continue
            for entry in self._nodes[oid]:
                self._entry(name, entry, todo)
        for extra in self._members.keys() - self._asked:
            self._found.add(FindingId.FILE_EXTRA, extra, "nothing in the bundle asks for it")

    def _entry(self, name: str, entry: TreeEntry, todo: list[str]) -> None:
        oid = entry.id.hex()
        if entry.kind == "tree":
            todo.append(oid)
            below = self._nodes.get(oid)
            size = None if below is None else sum(item.size for item in below)
        else:
            self._asked.add(f"payload/{oid}")
            member = self._members.get(f"payload/{oid}")
            size = None if member is None else member.size
            if member is None:
                self._found.add(FindingId.OBJECT_MISSING, f"payload/{oid}")
        if size not in (None, entry.size):
            self._found.add(FindingId.SIZE_MISMATCH, name, "an entry has another size than what it names")

    def _settle(self) -> None:
        """Say for which runs a given key did not vouch, and which keys vouched for all."""
        self._found.extend(self._vouching)
        for oid in self._abouts:
            for run in self._runs[oid]:
                absent = missing(self._keys, self._counted[run.run_id])
                if absent:
                    self._found.add(FindingId.SIGNATURE_MISSING, f"manifests/{oid}", absent)
        every = list(self._counted.values())
        self.signed = set.intersection(*every) if every else set()


def from_bundle(path: Path) -> Callable[[ObjectId], BinaryIO | None]:
    """Return a source of objects for the repair of a store: those of a bundle, and the tree nodes of its payload.

    The bundle is verified first; whoever takes an object from the source hashes it again.

    Raises:
        NotSound: the bundle does not verify.
        NoSuchThing: there is no file.
    """
    verdict = verify_bundle(path)
    if verdict.word != "verified":
        raise NotSound(f"the bundle is {verdict.word}", hint=f"'omphalos release verify {path.name}' says why")
    places: dict[str, tuple[int, int]] = {}  # id → where its bytes begin, and how many there are
    nodes: dict[str, bytes] = {}
    with path.open("rb") as stream:
        size = read_header(stream.read(BLOCK), INDEX, None, {})
        index = decode_index(stream.read(size))
        at = BLOCK + size + padding(size)
        for member in index.members:
            places[member.name.split("/")[1]] = (at + BLOCK, member.size)
            at += BLOCK + member.size + padding(member.size)
        for run in index.runs:
            start, size = places[run.run]
            stream.seek(start)
            for node in iter_tree(payload_files(decode_manifest(stream.read(size)))):
                nodes[node.id.hex()] = node.data

    def find(oid: ObjectId) -> BinaryIO | None:
        if oid.hex() in nodes:
            return io.BytesIO(nodes[oid.hex()])
        if oid.hex() not in places:
            return None
        start, size = places[oid.hex()]
        taken = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
        with path.open("rb") as stream:
            stream.seek(start)
            while size and (chunk := stream.read(min(BUFFER, size))):
                taken.write(chunk)
                size -= len(chunk)
        taken.seek(0)
        return cast("BinaryIO", taken)

    return find
