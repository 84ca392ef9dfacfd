"""Writing bundles: runs in one file, the same bytes whatever the surroundings.

Rules of this file: ``docs/format/bundle.md``. What is written holds no time, no user, no path of the machine, and is
verified before it has its name.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from omphalos.format.bundle import (
    END,
    INDEX,
    MAX_ATTESTATIONS,
    MAX_MEMBER,
    MAX_STATEMENT,
    Attestation,
    BundledRun,
    Index,
    Member,
    encode_index,
    header,
    padding,
)
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import ObjectId, from_hex, hasher
from omphalos.format.manifest import ATTESTATIONS, Manifest, decode_manifest
from omphalos.format.paths import check_path, refusing
from omphalos.format.tree import decode_tree
from omphalos.runs.attest import SUFFIX
from omphalos.runs.bundle import BUFFER, KINDS, verify_bundle
from omphalos.runs.sign import NotSound
from omphalos.store import durable
from omphalos.store.folders import FILE_FLAGS
from omphalos.store.newfile import new_file
from omphalos.store.store import Store


class TooLargeToBundle(OmphalosError):
    """A run holds something that no bundle can."""

    kind = ErrorKind.USAGE
    id = "tooLargeToBundle"


class BadAttestation(OmphalosError):
    """A file among a run's attestations cannot go into a bundle."""

    kind = ErrorKind.USAGE
    id = "badAttestation"


@dataclass
class _Plan:
    """What goes into a bundle: members by name, with where their bytes are."""

    members: dict[str, Member] = field(default_factory=dict)
    small: dict[str, bytes] = field(default_factory=dict)  # bytes at hand

    def add(self, name: str, size: int, sha256: str) -> None:
        if size > MAX_MEMBER:
            raise TooLargeToBundle(f"{name} has {size} bytes, and a bundle holds files below 8 GiB")
        self.members[name] = Member(name, size, sha256)

    def keep(self, folder: str, data: bytes) -> str:
        """Add a member whose bytes are at hand; return its id."""
        state = hasher(KINDS[folder])
        state.update(data)
        oid = state.hexdigest()
        self.add(f"{folder}/{oid}", len(data), hashlib.sha256(data).hexdigest())
        self.small[f"{folder}/{oid}"] = data
        return oid


def read_attestations(run_directory: Path) -> dict[str, bytes]:
    """Return the attestations in a run directory by name; none where there is no such folder.

    Raises:
        BadAttestation: one is no file, too large, or has a name no bundle takes; or there are too many.
    """
    folder = run_directory / ATTESTATIONS
    if not folder.is_dir():
        return {}
    found: dict[str, bytes] = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(SUFFIX):
            continue
        if refusing(check_path(name)) or len(found) == MAX_ATTESTATIONS:
            raise BadAttestation(f"{name!r} cannot go into a bundle", hint="rename it, or take it away")
        try:
            with os.fdopen(os.open(folder / name, FILE_FLAGS), "rb") as stream:
                data = stream.read(MAX_STATEMENT + 1)
        except OSError as error:
            raise BadAttestation(f"{name!r} cannot be read: {os.strerror(error.errno or 0).lower()}") from error
        if len(data) > MAX_STATEMENT:
            raise BadAttestation(f"{name!r} is larger than an attestation may be")
        found[name] = data
    return found


@dataclass(frozen=True)
class Built:
    """A bundle that was written: members, bytes, and its digests, which stand outside it."""

    members: int
    size: int
    blake3: str
    sha256: str


def build_bundle(store: Store, runs: Mapping[ObjectId, Mapping[str, bytes]], path: Path) -> Built:
    """Write a bundle to ``path``, which must not be there: whole, synced and verified before it has its name.

    Args:
        store: where the runs are.
        runs: run object → its attestations by name.
        path: the file.

    Raises:
        AlreadyThere: there is something at ``path``.
        NotSound: what the store gave does not verify.
        StoreFull, StoreReadOnly, StoreIOError: it cannot be written.
        ObjectMissing, ObjectDamaged, KindMismatch, ManifestError, TooLargeToBundle: as ``write_bundle``.
    """
    with durable.translated("writing the bundle"), new_file(path) as (descriptor, temporary):
        members, size = write_bundle(store, runs, descriptor)
        verdict = verify_bundle(temporary)
        if verdict.word != "verified":
            first = f": {verdict.findings[0].id.value}" if verdict.findings else ""
            raise NotSound(f"the bundle is {verdict.word}{first}", hint="'omphalos fsck' looks at the whole store")
        with temporary.open("rb") as stream:
            blake, sha = blake3(), hashlib.sha256()
            while chunk := stream.read(BUFFER):
                blake.update(chunk)
                sha.update(chunk)
    return Built(members, size, blake.hexdigest(), sha.hexdigest())


def write_bundle(store: Store, runs: Mapping[ObjectId, Mapping[str, bytes]], descriptor: int) -> tuple[int, int]:
    """Write a bundle of runs to an open file; return the number of members and of bytes written.

    Args:
        store: where the runs are.
        runs: run object → its attestations by name.
        descriptor: an empty file, open for writing; after an error it holds bytes that must not be used.

    Raises:
        ObjectMissing, ObjectDamaged, KindMismatch: the store has not all of a run.
        ManifestError: a run's manifest cannot be read.
        TooLargeToBundle: a file has 8 GiB or more.
    """
    plan, listed = _Plan(), []
    for oid, attestations in runs.items():
        manifest = _add_run(store, oid, plan)
        items = tuple(Attestation(name, plan.keep("statements", data)) for name, data in sorted(attestations.items()))
        listed.append(BundledRun(manifest.run_id, oid.hex(), items))
    members = tuple(plan.members[name] for name in sorted(plan.members))
    index = encode_index(Index("omphalos.bundle/1", tuple(sorted(listed, key=lambda run: run.run_id)), members))
    written = _put(descriptor, header(INDEX, len(index)), index, bytes(padding(len(index))))
    for member in members:
        written += _put(descriptor, header(member.name, member.size))
        if member.name in plan.small:
            size = _put(descriptor, plan.small[member.name])
        else:
            size = store.objects.copy_to(from_hex(member.name.split("/")[1]), descriptor)
        if size != member.size:  # the manifest says otherwise than the store
            raise TooLargeToBundle(f"{member.name} has {size} bytes and is recorded with {member.size}")
        written += size + _put(descriptor, bytes(padding(size)))
    return len(members) + 1, written + _put(descriptor, END)


def _add_run(store: Store, oid: ObjectId, plan: _Plan) -> Manifest:
    data = store.objects.read("run", oid)
    manifest = decode_manifest(data)
    plan.keep("manifests", data)
    for file in (*manifest.artifacts, *manifest.control):
        plan.add(f"payload/{file.blake3}", file.size, file.sha256)
    todo = [from_hex(manifest.plan.method)]
    while todo:
        node = todo.pop()
        if f"nodes/{node.hex()}" in plan.members:
            continue
        raw = store.objects.read("tree", node)
        plan.keep("nodes", raw)
        for entry in decode_tree(raw):
            if entry.kind == "tree":
                todo.append(entry.id)
            elif f"payload/{entry.id.hex()}" not in plan.members:
                plan.add(f"payload/{entry.id.hex()}", entry.size, _sha256(store, entry.id))
    return manifest


def _sha256(store: Store, oid: ObjectId) -> str:
    state = hashlib.sha256()
    with store.objects.open(oid) as stream:
        while chunk := stream.read(BUFFER):
            state.update(chunk)
    return state.hexdigest()


def _put(descriptor: int, *parts: bytes) -> int:
    written = 0
    for data in parts:
        view = memoryview(data)
        while view:
            count = os.write(descriptor, view)
            view = view[count:]
            written += count
    return written
