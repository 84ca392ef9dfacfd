"""Verify a run as the store records it: run object, manifest, tree, method and every blob, all hashed again.

Rules of this file: those of ``verify``; an error of the store is a finding, or something that could not be read.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from omphalos.format.errors import OmphalosError
from omphalos.format.findings import Finding, FindingId
from omphalos.format.ids import ObjectId, from_hex, to_hex
from omphalos.format.manifest import Artifact, Manifest, check_manifest
from omphalos.runs.filecheck import digest, judge_digests, parse_manifest
from omphalos.runs.verdict import Findings, Verdict
from omphalos.store.durable import StoreIOError
from omphalos.store.names import RUNS
from omphalos.store.objects import KindMismatch, ObjectDamaged, ObjectMissing
from omphalos.store.refs import RefDamaged
from omphalos.store.store import Store
from omphalos.store.trees import walk

READERS: Final = 2


def verify_recorded(store: Store, ref: str, run: ObjectId) -> Verdict:
    """Verify a run as the store holds it: run object, manifest, tree, method, and every blob, all hashed again.

    Args:
        store: the store.
        ref: the name of the run's ref, or the text the run was named by.
        run: the id of the run object.
    """
    found = Findings()
    manifest = None
    try:
        manifest = parse_manifest(store.objects.read("run", run), found)
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
        results = pool.map(lambda file: _check_blob(store, file), files)
        for file, findings in zip(files, results, strict=True):
            if findings is None:
                found.unread(file.path)
            else:
                found.extend(findings)
    return found.verdict(ref, manifest, len(files), sum(file.size for file in files))


def _check_tree(store: Store, manifest: Manifest, found: Findings) -> None:
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


def _check_method(store: Store, manifest: Manifest, found: Findings) -> None:
    """Hash the recorded method again, so that the code that made the run can be read with confidence."""
    try:
        for path, _, oid in walk(store, from_hex(manifest.plan.method)):
            try:
                store.objects.check(oid, "blob")
            except OmphalosError as error:
                _object_finding(error, f"method/{path}", found)
    except OmphalosError as error:
        _object_finding(error, "method", found)


def _check_blob(store: Store, file: Artifact) -> list[Finding] | None:
    try:
        with store.objects.open(from_hex(file.blake3)) as stream:
            size, blake, sha = digest(stream, file.size)
    except ObjectMissing:
        return [Finding(FindingId.OBJECT_MISSING, file.path, file.blake3[:12])]
    except ObjectDamaged:
        return [Finding(FindingId.OBJECT_DAMAGED, file.path, file.blake3[:12])]
    except (OSError, StoreIOError):
        return None
    if blake != file.blake3 and size == file.size and sha != file.sha256:
        return [Finding(FindingId.OBJECT_DAMAGED, file.path, f"blake3 {blake[:12]}, id {file.blake3[:12]}")]
    if size != file.size:
        return [Finding(FindingId.SIZE_MISMATCH, file.path, f"recorded {file.size} bytes")]
    return judge_digests(file, blake, sha)


def _object_finding(error: OmphalosError, path: str, found: Findings) -> None:
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
        found.unread(path)
