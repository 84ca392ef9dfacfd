"""A folder's way into the store: surveyed and judged whole, then only what changed is read.

Rules of this file: every name was judged before the first object is stored; a file is opened relative to its folder and
must have, after it was read, the stat it had in the survey; an id taken from the stat cache is believed only while the
store still holds it (the same epoch for what is in segments, an ``lstat`` for what is a file); the value of a folder is
written to the cache only after its objects are durable.
"""

import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from blake3 import blake3

from omphalos.format.ids import ID_BYTES, ObjectId, object_id
from omphalos.format.tree import EMPTY_TREE, EMPTY_TREE_BYTES, TreeEntry, encode_tree
from omphalos.store import folders, statcache
from omphalos.store.folders import FILE_FLAGS, FOLDER_FLAGS, STAT, Folder, packed_stat, reading, unreadable
from omphalos.store.objects import ObjectStore
from omphalos.store.sources import SourceChanged, unchanged, without_collection
from omphalos.store.statcache import Row, Rows

_CHUNK_BYTES: Final = 2 * 1024 * 1024
Judge = Callable[[Folder, set[int]], None]


def put_folder(objects: ObjectStore, directory: Path, judge: Judge) -> tuple[ObjectId, int]:
    """Store a folder; return the id of its tree and the total size.

    Args:
        objects: where to.
        directory: the folder.
        judge: refuses what may not be stored; gets what was listed (no stats yet), and the ``id()`` of folders whose
            names were judged when they were cached.
    """
    with objects.batch():
        objects.begin()
        objects.catalog.catch_up()
        intake = _Intake(objects)
        fd = folders.open_root(directory)
        try:

            def meanwhile(listed: Folder) -> None:
                intake.recall(listed)
                judge(listed, intake.judged)

            with without_collection():
                found = folders.survey(fd, meanwhile)
            entry = intake.folder(fd, found, "")
        finally:
            os.close(fd)
        if entry is None:
            objects.put("tree", EMPTY_TREE_BYTES)
            entry = (EMPTY_TREE, 0)
        objects.when_durable(intake.remember)
    return entry


class _Intake:
    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._now = objects.file_time()
        self._epoch = objects.catalog.ask(lambda index: index.epoch())
        self._sure = not objects.is_wary  # what was there at this epoch is there, and stays
        self._known: dict[bytes, Rows] = {}
        self._new: dict[bytes, bytes] = {}
        self._fresh: list[tuple[bytes, Rows]] = []
        self._names: dict[int, bytes] = {}
        self.judged: set[int] = set()

    def recall(self, root: Folder) -> None:
        """Fetch the cached values of all folders at once."""
        every, todo = list[Folder](), [root]
        while todo:
            folder = todo.pop()
            every.append(folder)
            todo += folder.folders.values()
        keys = [statcache.key(folder) for folder in every]
        values = self._objects.catalog.ask(lambda index: index.stat_get(keys))
        for key, folder in zip(keys, every, strict=True):
            names = self._names[id(folder)] = statcache.names_of(folder)
            known = statcache.decode(values.get(key))
            if known is not None:
                self._known[key] = known
                judged = known.node != statcache.NO_ID  # a status asks about folders that nobody judged
                if judged and known.names == names and not folder.folders and not folder.odd:
                    self.judged.add(id(folder))

    def folder(self, fd: int, folder: Folder, path: str) -> tuple[ObjectId, int] | None:
        """Store one folder and what is below; return its node and size, None where there is no file below it."""
        below: list[TreeEntry] = []
        for name, inner in folder.folders.items():
            with reading(path + name):
                inner_fd = os.open(name, FOLDER_FLAGS, dir_fd=fd)
            try:
                entry = self.folder(inner_fd, inner, f"{path}{name}/")
            finally:
                os.close(inner_fd)
            if entry is not None:
                below.append(TreeEntry(name, "tree", entry[1], entry[0]))
        rows, key = Rows(names=self._names.pop(id(folder)), stats=folder.stats), statcache.key(folder)
        known = self._known.pop(key, None)
        if folder.names:
            self._files(fd, folder, path, rows, known)
        if not unchanged(folder.stat, os.fstat(fd)):
            raise SourceChanged(path or ".")
        if not folder.names and not below:
            return None
        rows.children = blake3(b"".join(_child(entry) for entry in below)).digest() if below else bytes(ID_BYTES)
        if (
            known is not None
            and (known.names, known.ids, known.children) == (rows.names, rows.ids, rows.children)
            and self._still(known.node, known.node_packed, known.epoch, 0)
        ):
            rows.node, rows.total, rows.node_packed = known.node, known.total, known.node_packed
            if known.epoch == self._epoch and known.stats == rows.stats:
                return rows.node, rows.total  # nothing new to remember
        else:
            below += (
                TreeEntry(name, "blob", size, rows.id_at(at))
                for at, (name, (size, *_)) in enumerate(zip(folder.names, STAT.iter_unpack(rows.stats), strict=True))
            )
            data = encode_tree(sorted(below, key=lambda entry: entry.name))
            rows.node, rows.total = object_id("tree", data), sum(entry.size for entry in below)
            self._objects.put_known("tree", rows.node, data)
            rows.node_packed = self._objects.is_packed(rows.node)
        rows.epoch = self._epoch
        self._new[key] = statcache.encode(rows, self._now)
        return rows.node, rows.total

    def _files(self, fd: int, folder: Folder, path: str, rows: Rows, known: Rows | None) -> None:
        found: Iterable[Row | None] = itertools.repeat(None)
        if known is not None:
            same = (known.names, known.stats, known.epoch) == (rows.names, rows.stats, self._epoch)
            if same and self._sure and all(known.packed):
                rows.ids, rows.packed = known.ids, known.packed
                return
            if known.names == rows.names:
                found = known.each()
            else:
                cached = known.by_name()
                found = map(cached.get, rows.names.split(b"\0"))
        epoch = known.epoch if known is not None else 0
        ids: list[ObjectId] = []
        packed = bytearray()
        chunk: list[tuple[ObjectId, bytes]] = []
        places: list[int] = []
        held, limit = 0, self._objects.pack_limit
        for at, (name, now, row) in enumerate(zip(folder.names, rows.each_stat(), found, strict=False)):
            size = int.from_bytes(now[:8], "little")
            if row is not None and row[0] == now and self._still(row[1], row[2], epoch, size):
                ids.append(row[1])
                packed.append(row[2])
                continue
            try:
                inner = os.open(name, FILE_FLAGS, dir_fd=fd)
                try:
                    if size > limit:
                        if packed_stat(os.fstat(inner)) != now:
                            raise SourceChanged(path + name)
                        oid = self._objects.put_descriptor(inner, path + name, sha256=False).id
                        packed.append(0)
                    else:
                        data = os.read(inner, size + 1)
                        if len(data) != size:
                            raise SourceChanged(path + name)
                        oid = ObjectId(blake3(data).digest())
                        chunk.append((oid, data))
                        held += len(data)
                        places.append(at)
                        packed.append(1)
                    if packed_stat(os.fstat(inner)) != now:
                        raise SourceChanged(path + name)
                finally:
                    os.close(inner)
            except OSError as problem:
                raise unreadable(path + name, problem) from problem
            ids.append(oid)
            if held >= _CHUNK_BYTES:
                self._put(chunk, places, packed)
                chunk, places, held = [], [], 0
        self._put(chunk, places, packed)
        rows.ids, rows.packed = b"".join(ids), bytes(packed)

    def _put(self, chunk: list[tuple[ObjectId, bytes]], places: list[int], packed: bytearray) -> None:
        for at, flag in zip(places, self._objects.put_blobs(chunk), strict=True):
            packed[at] = flag

    def _still(self, oid: ObjectId, packed: bool, epoch: int, size: int) -> bool:
        """Say whether the store holds an object that it held at ``epoch``."""
        if packed and self._sure and epoch == self._epoch:
            return True
        return self._objects.present(oid, size)

    def remember(self) -> None:
        """Write what was learned to the cache; its objects are durable by now."""
        new, self._new = self._new, {}
        self._objects.catalog.ask(lambda index: index.stat_put(new))


def _child(entry: TreeEntry) -> bytes:
    return entry.id + entry.size.to_bytes(8, "little") + os.fsencode(entry.name) + b"\0"
