"""Trees: folders of files as objects.

Rules of this file: what goes in is judged whole before anything is stored: names by the path rules, links and special
files refused, never followed. What comes out of a node was hashed and decoded strictly, a folder's recorded size is
the sum of what it holds, and a path was judged again as a whole, so a caller may use it as a file name. A tree is
files: a folder without any file below it is not recorded.
"""

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import Finding, FindingId
from omphalos.format.ids import ObjectId
from omphalos.format.paths import (
    MAX_COMPONENTS,
    MAX_PATH_BYTES,
    check_component,
    check_path,
    check_paths,
    fold,
    refusing,
    show,
)
from omphalos.format.tree import EMPTY_TREE, TreeEntry, TreeError, TreeNode, build_tree, decode_tree, iter_tree
from omphalos.store import folders, intake
from omphalos.store.digests import hash_files
from omphalos.store.store import Store

Load = Callable[[ObjectId, int | None], tuple[TreeEntry, ...]]  # of a node by its id, and the size recorded for it

MAX_FILES: Final = 2**24  # in one tree; without it a few small nodes could describe more files than a disk can hold


class DirectoryRefused(OmphalosError):
    """A folder holds something that cannot be part of a tree; ``findings`` lists it all, ``finding`` is the first."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "badDirectory"

    def __init__(self, findings: list[Finding], doing: str = "stored") -> None:
        first = findings[0]
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        super().__init__(
            f"{first.path!r} cannot be {doing}: {first.id.value}: {first.id.description.lower().rstrip('.')}{more}",
            hint="rename or remove it; a tree holds only regular files with portable names",
            undone=f"nothing was {doing}",
        )
        self.findings = findings
        self.finding = first.id


class PathMissing(OmphalosError):
    """A tree has no such path."""

    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    id: ClassVar[str] = "pathMissing"

    def __init__(self, path: str) -> None:
        super().__init__(f"no {show(path)!r} in this tree", hint="list the tree to see its paths")


def put_directory(store: Store, directory: Path) -> tuple[ObjectId, int]:
    """Store every file under ``directory`` and the tree of them; return the tree's id and the total size in bytes.

    The id depends on names and bytes alone, not on modes, times, links' counts or the order of the folder.

    Raises:
        StoreInside: the folder holds the store, or is a part of it.
        DirectoryRefused: a link, a special file, or a name that breaks a path rule; nothing was stored.
        SourceChanged, SourceUnreadable: something changed while it was read, or could not be read.
        StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
    """
    if folders.overlaps(store.root, directory):
        raise folders.StoreInside(directory, "stored")
    return intake.put_folder(store.objects, directory, _judge_folder)


def hash_directory(directory: Path, store: Store | None = None) -> tuple[ObjectId, int]:
    """Return what ``put_directory`` would return, with nothing stored; errors as there, but for the store's.

    With a ``store`` its stat cache is used: files that did not change since they were last hashed are not read.
    """
    root, total = EMPTY_TREE, 0
    for node in nodes_of(directory, store):
        root, total = node.id, node.size  # the root comes last
    return root, total


def nodes_of(
    directory: Path,
    store: Store | None = None,
    leave_out: Callable[[str], bool] = lambda _path: False,
    doing: str = "hashed",
) -> Iterator[TreeNode]:
    """Yield the nodes of the tree that ``directory`` would be stored as, the root last; errors as ``hash_directory``.

    Args:
        directory: the folder; all of it is judged.
        store: whose stat cache is used.
        leave_out: says of a path that its file does not go into the tree.
        doing: what messages call it.
    """
    files: list[tuple[str, int]] = []
    fd = folders.open_root(directory)
    try:
        found = folders.survey(fd)
        try:
            _judge_folder(found, set())
        except DirectoryRefused as refused:
            raise DirectoryRefused(refused.findings, doing) from None
        _list_files(found, "", files)
        files = [(path, size) for path, size in files if not leave_out(path)]
        catalog = store.objects.catalog if store is not None else None
        ids = hash_files(fd, found, lambda path, _size: not leave_out(path), catalog)
    finally:
        os.close(fd)
    yield from iter_tree((path, size, ids[path]) for path, size in files)


def put_paths(store: Store, files: Mapping[str, tuple[int, ObjectId]]) -> tuple[ObjectId, int]:
    """Store the tree of known blobs, ``{path: (size, id)}``; return its id and the total size in bytes.

    Raises:
        DirectoryRefused: a path breaks a rule, or two paths collide.
        ObjectMissing: the store does not hold a blob.
        TreeError: a blob has another size (``sizeMismatch``).
        StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
    """
    _judge(check_paths(files))
    for path, (size, oid) in files.items():
        if store.objects.size(oid) != size:
            raise TreeError(FindingId.SIZE_MISMATCH, f"{path!r} has another size in the store")
    with store.objects.batch():
        return _put_nodes(store, files)


def load(store: Store, tree_id: ObjectId, size: int | None = None) -> tuple[TreeEntry, ...]:
    """Return the entries of one node in the byte order of the paths they stand for (a folder as if it ended in ``/``).

    Raises:
        ObjectMissing, ObjectDamaged, KindMismatch: as for ``ObjectStore.read``.
        TreeError: the bytes are no node, or its sizes do not add up to ``size``.
    """
    entries = decode_tree(store.objects.read("tree", tree_id))
    if size is not None and sum(entry.size for entry in entries) != size:
        raise TreeError(FindingId.SIZE_MISMATCH, "the sizes in a folder do not add up to the size recorded for it")
    return in_path_order(entries)


def in_path_order(entries: Iterable[TreeEntry]) -> tuple[TreeEntry, ...]:
    """Return the entries of one node in the byte order of the paths they stand for."""
    return tuple(sorted(entries, key=sort_key))


def sort_key(entry: TreeEntry) -> str:
    """Return what puts the entries of one node into the byte order of full paths.

    Code point order of text is byte order of its UTF-8.
    """
    return entry.name + "/" if entry.kind == "tree" else entry.name


def walk(store: Store, tree_id: ObjectId, prefix: str = "") -> Iterator[tuple[str, int, ObjectId]]:
    """Yield ``(path, size, id)`` of every file under ``tree_id`` in byte order of path; ``prefix`` goes before each.

    Raises:
        ObjectMissing, ObjectDamaged, KindMismatch, TreeError: as for ``load``; also for a path that as a whole breaks a
            rule, and for more than ``MAX_FILES`` files (``treeTooLarge``).
    """
    left = MAX_FILES
    for path, entry in _walk(store, tree_id, None, ""):
        left -= 1
        if left < 0:
            raise TreeError(FindingId.TREE_TOO_LARGE, f"a tree has more than {MAX_FILES} files")
        yield prefix + path, entry.size, entry.id


def _walk(store: Store, tree_id: ObjectId, size: int | None, above: str) -> Iterator[tuple[str, TreeEntry]]:
    deep = above.count("/") >= MAX_COMPONENTS
    for entry in load(store, tree_id, size):
        path = above + entry.name
        if deep or len(path) * 4 > MAX_PATH_BYTES or path == "~" or path.startswith("~/"):
            _judge_path(path)  # each name was judged by itself: only what the whole can break is left
        if entry.kind == "tree":
            yield from _walk(store, entry.id, entry.size, path + "/")
        else:
            yield path, entry


def lookup(store: Store, tree_id: ObjectId, path: str) -> TreeEntry:
    """Return the entry at ``path``, a file or a folder.

    Raises:
        PathMissing: the tree has no such path.
        ObjectMissing, ObjectDamaged, KindMismatch, TreeError: as for ``load``.
    """
    return lookup_in(functools.partial(load, store), tree_id, path)


def lookup_in(load_node: Load, tree_id: ObjectId, path: str) -> TreeEntry:
    """Return the entry at ``path`` of a tree whose nodes ``load_node`` returns, with its errors.

    Raises:
        PathMissing: the tree has no such path.
    """
    node, size = tree_id, None
    *above, last = path.split("/")
    for name in above:
        entry = _entry(load_node(node, size), name, path)
        if entry.kind != "tree":
            raise PathMissing(path)
        node, size = entry.id, entry.size
    return _entry(load_node(node, size), last, path)


def _entry(entries: tuple[TreeEntry, ...], name: str, path: str) -> TreeEntry:
    for entry in entries:
        if entry.name == name:
            return entry
    raise PathMissing(path)


def _judge_path(path: str) -> None:
    broken = refusing(check_path(path))
    if broken:
        raise TreeError(broken[0], f"a path in a tree breaks a rule: {broken[0].value}")


def _judge(findings: list[Finding]) -> None:
    refused = [finding for finding in findings if finding.severity.refuses]
    if refused:
        raise DirectoryRefused(refused)


def _list_files(folder: folders.Folder, above: str, found: list[tuple[str, int]]) -> None:
    found += [(above + name, seen.st_size) for name, seen in folder.files.items()]
    for name, below in folder.folders.items():
        _list_files(below, f"{above}{name}/", found)


def _judge_folder(folder: folders.Folder, judged: set[int]) -> None:
    """Refuse a surveyed folder that cannot be a tree; files in folders ``judged`` before are judged by the longest."""
    paths: list[str] = []
    findings: list[Finding] = []
    _list(folder, "", judged, paths, findings)
    _judge(sorted(findings + check_paths(paths)))


def _list(folder: folders.Folder, above: str, judged: set[int], paths: list[str], findings: list[Finding]) -> None:
    findings += [Finding(finding, show(above + name)) for name, finding in folder.odd.items()]
    if id(folder) in judged or _is_plain(folder):
        paths += [above + name for name in _longest(folder.names)]
    else:
        paths += [above + name for name in folder.names]
    for name, below in folder.folders.items():
        _list(below, f"{above}{name}/", judged, paths, findings)


def _is_plain(folder: folders.Folder) -> bool:
    """Say whether all names in a folder are in order by themselves and beside each other."""
    names = [*folder.names, *folder.folders]
    return not any(map(check_component, names)) and len(set(map(fold, names))) == len(names)


def _longest(names: Iterable[str]) -> list[str]:
    joined = os.fsencode("\0".join(names))
    return [os.fsdecode(max(joined.split(b"\0"), key=len))] if joined else []


def _put_nodes(store: Store, files: Mapping[str, tuple[int, ObjectId]]) -> tuple[ObjectId, int]:
    root, total = EMPTY_TREE, 0
    for node in build_tree((path, size, oid) for path, (size, oid) in files.items()):
        root, total = store.objects.put("tree", node.data), node.size  # the root comes last
    return root, total
