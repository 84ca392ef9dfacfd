"""What a ref leads to: the run object, its trees and every blob, each tree node opened once.

Rules of this file: nothing is raised for an object that cannot be read; it is yielded with the reason, and the walk
goes on elsewhere. A blob kept as a list of chunks is followed by these, under its path. Memory is linear in the tree
nodes and chunked blobs met, not in the blobs.
"""

from collections.abc import Iterator
from typing import NamedTuple

from omphalos.format.errors import OmphalosError
from omphalos.format.ids import Kind, ObjectId, from_hex
from omphalos.format.tree import TreeEntry, decode_ids, decode_tree
from omphalos.store.damage import ObjectMissing
from omphalos.store.durable import translated
from omphalos.store.objects import ObjectStore


class Met(NamedTuple):
    """One object that is referred to: where, as what, of which size (-1 where nobody says), and why it is unusable."""

    path: str
    kind: Kind
    id: ObjectId
    size: int
    problem: OmphalosError | None = None


def closure(objects: ObjectStore, oid: ObjectId, seen: set[ObjectId]) -> Iterator[Met]:
    """Yield everything below an object, itself first; what is below a node in ``seen`` is left out.

    Blobs are yielded and not read; of the rest those that cannot be read or decoded carry the ``problem``.
    """
    listed = objects.lists.shards()
    for met in _whole(objects, oid, seen):
        if met.kind != "blob" or met.id[0] not in listed or met.id in seen:
            yield met
        else:
            yield from _chunks(objects, met, seen)


def _chunks(objects: ObjectStore, met: Met, seen: set[ObjectId]) -> Iterator[Met]:
    """Yield a blob and then the chunks it needs, if it is kept as a list."""
    try:
        chunks = objects.chunks_of(met.id)
    except OmphalosError as problem:
        yield met._replace(problem=met.problem or problem)
        return
    yield met
    if chunks:
        seen.add(met.id)
    for chunk in chunks:
        yield Met(met.path, "blob", chunk.id, chunk.length)


def _whole(objects: ObjectStore, oid: ObjectId, seen: set[ObjectId]) -> Iterator[Met]:
    try:
        kind = objects.kind_of(oid)
    except OmphalosError as problem:
        yield Met("", "blob", oid, -1, problem)
        return
    if kind == "blob":
        yield Met("", kind, oid, -1)
    elif kind == "tree":
        yield from _tree(objects, oid, "", seen)
    else:
        yield from _run(objects, oid, seen)


def _run(objects: ObjectStore, oid: ObjectId, seen: set[ObjectId]) -> Iterator[Met]:
    from omphalos.format.manifest import decode_manifest  # not for the many commands that meet no run

    try:
        manifest = decode_manifest(objects.read("run", oid))
    except OmphalosError as problem:
        yield Met("manifest.json", "run", oid, -1, problem)
        return
    yield Met("manifest.json", "run", oid, -1)
    yield from _tree(objects, from_hex(manifest.tree), "", seen)
    for file in manifest.control:
        yield Met(file.path, "blob", from_hex(file.blake3), file.size)
    method = from_hex(manifest.plan.method)
    if objects.has(method):  # a run whose method was not stored says so when it is verified
        yield from _tree(objects, method, "method/", seen)


def _tree(objects: ObjectStore, root: ObjectId, prefix: str, seen: set[ObjectId]) -> Iterator[Met]:
    todo = [(prefix, root, -1)]
    while todo:
        path, oid, size = todo.pop()
        if oid in seen:
            continue
        seen.add(oid)
        try:
            entries: tuple[TreeEntry, ...] = decode_tree(objects.read("tree", oid))
        except OmphalosError as problem:
            yield Met(path, "tree", oid, size, problem)
            continue
        yield Met(path, "tree", oid, size)
        for entry in entries:
            if entry.kind == "tree":
                todo.append((f"{path}{entry.name}/", entry.id, entry.size))
            else:
                yield Met(path + entry.name, "blob", entry.id, entry.size)


def blobs(
    objects: ObjectStore, oid: ObjectId, seen: set[ObjectId], here: set[ObjectId]
) -> Iterator[list[tuple[ObjectId, int]]]:
    """Yield id and size of the files below an object, those of one folder at a time, for who wants to know no paths.

    Args:
        objects: where it is; no blob in it is kept as a list of chunks.
        oid: the object.
        seen: nodes to leave out.
        here: takes the nodes that were met.

    Raises:
        OmphalosError: where ``closure`` would yield a problem.
    """
    kind = objects.kind_of(oid)
    todo = [oid] if kind == "tree" else []
    if kind == "run":
        from omphalos.format.manifest import decode_manifest

        manifest = decode_manifest(objects.read("run", oid))
        todo.append(from_hex(manifest.tree))
        method = from_hex(manifest.plan.method)
        if objects.has(method):
            todo.append(method)
        yield [(from_hex(file.blake3), file.size) for file in manifest.control]
    while todo:
        node = todo.pop()
        if node in seen or node in here:
            continue
        here.add(node)
        files, folders = decode_ids(objects.read("tree", node))
        todo += folders
        yield files


def secure(objects: ObjectStore, oid: ObjectId) -> None:
    """See to it, under the lock of the refs, that gc takes nothing below an object that a ref will name.

    Raises:
        ObjectMissing: gc, which ran since this instance first looked, has taken something of it.
    """
    catalog = objects.catalog
    with translated("looking for what gc condemned"):
        if (
            not catalog.is_blind()
            and not catalog.ask(lambda index: index.has_condemned())
            and (objects.epoch is None or objects.epoch == catalog.ask(lambda index: index.epoch()))
        ):
            return
        below: list[ObjectId] = []
        for met in closure(objects, oid, set()):
            if isinstance(met.problem, ObjectMissing) or not objects.has(met.id):
                if met.id == oid and objects.epoch is None:
                    return  # it was never here; a ref may wait for its object
                raise ObjectMissing(met.id)
            below.append(met.id)
        catalog.ask(lambda index: index.update(resurrected=below))
