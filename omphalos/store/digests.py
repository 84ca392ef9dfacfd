"""The ids of a folder's files, reading only what changed since they were last hashed.

Rules of this file: an id is taken from the stat cache only under its rule (``statcache``); everything else is read from
one descriptor that has the stat of the survey before and after; what was hashed is remembered, if the index can be
written, and forgotten without harm if not. Nothing is said about what the store holds. What verifies hashes by itself.
"""

import contextlib
from collections.abc import Callable, Iterator

from omphalos.format.ids import ID_BYTES, ObjectId, hasher
from omphalos.store import statcache
from omphalos.store.catalog import Catalog
from omphalos.store.folders import STAT, Folder, each_file
from omphalos.store.leases import Moment
from omphalos.store.sources import read_source
from omphalos.store.statcache import Rows

Wanted = Callable[[str, int], bool]
_NONE = ObjectId(bytes(ID_BYTES))


def hash_files(fd: int, root: Folder, wanted: Wanted, catalog: Catalog | None) -> dict[str, ObjectId]:
    """Return the ids of surveyed files.

    Args:
        fd: the open folder.
        root: its survey.
        wanted: says of a path and size whether the id is asked for.
        catalog: where the stat cache is; without it every wanted file is read.

    Raises:
        SourceChanged, SourceUnreadable: a file or folder that had to be read changed meanwhile, or cannot be read.
    """
    found: dict[str, ObjectId] = {}
    before = catalog.file_time() if catalog is not None else None
    known = _recall(catalog, root) if catalog is not None else {}
    rest = _rest(root, "", wanted, known, found)

    def take(descriptor: int, path: str) -> None:
        state = hasher("blob")
        for chunk in read_source(descriptor, path):
            state.update(chunk)
        found[path] = ObjectId(state.digest())

    if rest is not None:
        each_file(fd, rest, take)
        if catalog is not None and before is not None:
            _remember(catalog, root, rest, known, found, before)
    return found


def _every(folder: Folder, above: str = "") -> Iterator[tuple[str, Folder]]:
    yield above, folder
    for name, below in folder.folders.items():
        yield from _every(below, f"{above}{name}/")


def _recall(catalog: Catalog, root: Folder) -> dict[bytes, Rows]:
    keys = [statcache.key(folder) for _, folder in _every(root) if folder.names]
    values = catalog.ask(lambda index: index.stat_get(keys))
    return {key: rows for key, value in values.items() if (rows := statcache.decode(value)) is not None}


def _rest(
    folder: Folder, above: str, wanted: Wanted, known: dict[bytes, Rows], found: dict[str, ObjectId]
) -> Folder | None:
    """Note the ids that are known, and return the part of a survey that must be read; None if nothing must."""
    rows = known.get(statcache.key(folder))
    cached = rows.by_name() if rows is not None else {}
    rest = Folder(folder.stat)
    for name, seen in folder.files.items():
        if not wanted(above + name, seen.st_size):
            continue
        row = cached.get(statcache.encode_name(name))
        if row is not None and row[0] == STAT.pack(*seen):
            found[above + name] = row[1]
        else:
            rest.files[name] = seen
    for name, below in folder.folders.items():
        inner = _rest(below, f"{above}{name}/", wanted, known, found)
        if inner is not None:
            rest.folders[name] = inner
    return rest if rest.files or rest.folders else None


def _remember(
    catalog: Catalog, root: Folder, rest: Folder, known: dict[bytes, Rows], found: dict[str, ObjectId], before: Moment
) -> None:
    """Write the values of the folders in which files were read; what is not known of a file there matches nothing."""
    read = {above for above, folder in _every(rest) if folder.files}
    new: dict[bytes, bytes] = {}
    for above, folder in _every(root):
        if above not in read:
            continue
        key, rows = statcache.key(folder), statcache.observed(folder)
        old = known[key].by_name() if key in known else {}
        stats = bytearray(rows.stats)
        size, ids = STAT.size, list[ObjectId]()
        for at, name in enumerate(folder.names):
            oid, here = found.get(above + name), slice(at * size, (at + 1) * size)
            row = old.get(statcache.encode_name(name))
            if oid is None and row is not None and row[0] == stats[here]:
                oid = row[1]
            if oid is None:
                stats[here] = bytes(size)
            ids.append(oid or _NONE)
        rows.stats, rows.ids, rows.packed = bytes(stats), b"".join(ids), bytes(len(ids))
        new[key] = statcache.encode(rows, before)
    with contextlib.suppress(OSError):
        catalog.ask(lambda index: index.stat_put(new))
