"""What a comparison is held between: trees of the store, and folders and files as they lie.

A folder is hashed into the tree it would be stored as, and nothing is stored. Rules of this file: a folder's files are
hashed through the stat cache, so what did not change is not read; bytes that are looked into later are hashed again
against that id, so that nothing is said about a file that changed in between; names are looked up one component at a
time, and links are not followed; a folder that the store lies in is refused, since it changes by being looked at.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from omphalos.format.findings import FindingId
from omphalos.format.ids import ObjectId, hasher
from omphalos.format.tree import EMPTY_TREE, TreeEntry, TreeError, decode_tree
from omphalos.store import durable
from omphalos.store.durable import DISK
from omphalos.store.folders import FILE_FLAGS, FOLDER_FLAGS, StoreInside, open_root, overlaps, reading
from omphalos.store.sources import SourceChanged, SourceUnreadable, read_source
from omphalos.store.store import Store
from omphalos.store.trees import in_path_order, load, nodes_of


class Source(Protocol):
    """Where one side of a comparison has its trees and its bytes."""

    def load(self, tree_id: ObjectId, size: int | None = None) -> tuple[TreeEntry, ...]:
        """Return the entries of a node, in the order of ``trees.load``."""

    def read(self, path: str, entry: TreeEntry) -> bytes:
        """Return the bytes of the file ``entry`` at ``path``, hashed."""

    def copy_to(self, path: str, entry: TreeEntry, fd: int) -> None:
        """Write the bytes of the file ``entry`` at ``path`` to a descriptor, hashed; after an error they are void."""


class Stored:
    """A side whose trees and bytes are objects of a store; errors are those of ``trees.load`` and of its objects."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.load = functools.partial(load, store)

    def read(self, path: str, entry: TreeEntry) -> bytes:
        """Return a blob's bytes, if they are as many as the tree says; the path is not needed."""
        if self._store.objects.size(entry.id) != entry.size:
            raise TreeError(FindingId.SIZE_MISMATCH, f"{path!r} has another size in the store than the tree says")
        return self._store.objects.read("blob", entry.id)

    def copy_to(self, path: str, entry: TreeEntry, fd: int) -> None:
        """Write a blob's bytes; the path is not needed."""
        self._store.objects.copy_to(entry.id, fd)


class Lying:
    """A side that is a folder or a file as it lies; ``entry`` is the tree or blob it would be stored as.

    Raises:
        SourceChanged: when bytes are read that are not those that were hashed.
        SourceUnreadable: they cannot be read.
    """

    def __init__(self, place: Path, entry: TreeEntry, nodes: dict[ObjectId, bytes]) -> None:
        self._place = place
        self._nodes = nodes
        self.entry = entry

    def load(self, tree_id: ObjectId, size: int | None = None) -> tuple[TreeEntry, ...]:
        """Return the entries of a node of the folder."""
        return in_path_order(decode_tree(self._nodes[tree_id]))

    def read(self, path: str, entry: TreeEntry) -> bytes:
        """Return the bytes of a file that are those that were hashed."""
        return b"".join(self._chunks(path, entry))

    def copy_to(self, path: str, entry: TreeEntry, fd: int) -> None:
        """Write the bytes of a file, which are those that were hashed unless an error follows."""
        for chunk in self._chunks(path, entry):
            durable.write_all(DISK, fd, chunk)

    def _chunks(self, path: str, entry: TreeEntry) -> Iterator[bytes]:
        state = hasher("blob")
        with self._opened(path) as fd:
            if os.fstat(fd).st_size != entry.size:
                raise SourceChanged(path)
            for chunk in read_source(fd, path):
                state.update(chunk)
                yield chunk
        if state.digest() != entry.id:
            raise SourceChanged(path)

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        if self.entry.kind == "blob":
            with _opened_file(self._place) as fd:
                yield fd
            return
        *above, name = path.split("/")
        with contextlib.ExitStack() as stack:
            fd = open_root(self._place)
            stack.callback(os.close, fd)
            for part, flags in (*((folder, FOLDER_FLAGS) for folder in above), (name, FILE_FLAGS)):
                with reading(path):
                    fd = os.open(part, flags, dir_fd=fd)
                stack.callback(os.close, fd)
            yield fd


@contextlib.contextmanager
def _opened_file(path: Path) -> Iterator[int]:
    try:
        fd = os.open(path, FILE_FLAGS)
    except OSError as problem:
        raise SourceUnreadable(path.name, problem) from problem
    try:
        yield fd
    finally:
        os.close(fd)


def lying_file(path: Path) -> Lying:
    """Return a file as a side of a comparison.

    Raises:
        SpecialFile, SourceChanged, SourceUnreadable: it is no regular file, changes while it is read, or cannot be.
    """
    state, size = hasher("blob"), 0
    with _opened_file(path) as fd:
        for chunk in read_source(fd, path.name):
            state.update(chunk)
            size += len(chunk)
    return Lying(path, TreeEntry(path.name, "blob", size, ObjectId(state.digest())), {})


def lying_folder(
    directory: Path, store: Store | None = None, *, leave_out: Callable[[str], bool] = lambda _path: False
) -> Lying:
    """Return a folder as a side of a comparison.

    Args:
        directory: the folder.
        store: whose stat cache is used; without one every file is read.
        leave_out: says of a path that it does not belong to the comparison.

    Raises:
        StoreInside: the folder holds the store, or is a part of it.
        DirectoryRefused: a link, a special file, or a name that breaks a path rule.
        SourceChanged, SourceUnreadable: something changed while it was read, or could not be read.
    """
    if store is not None and overlaps(store.root, directory):
        raise StoreInside(directory, "compared")
    root, size, nodes = EMPTY_TREE, 0, {}
    for node in nodes_of(directory, store, leave_out, "compared"):
        root, size, nodes[node.id] = node.id, node.size, node.data
    return Lying(directory, TreeEntry("", "tree", size, root), nodes)
