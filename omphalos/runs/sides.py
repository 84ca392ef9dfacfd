"""The two sides of a ``diff``: what a name of the store means, or a folder or file as it lies.

Rules of this file: a folder that holds a ``manifest.json`` which is one is a run directory; its payload is compared as
that of a run is, without control files, manifest and attestations, and if the payload is not the one the manifest
names, that is said. What the manifest claims beside that is for ``verify`` to judge.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from omphalos.format.ids import from_hex, to_hex
from omphalos.format.manifest import (
    FILE_NAME,
    MAX_BYTES,
    Artifact,
    Manifest,
    ManifestError,
    decode_manifest,
    is_reserved,
)
from omphalos.format.tree import TreeEntry
from omphalos.runs.compare import causes
from omphalos.runs.lookup import name_run
from omphalos.store.names import read_run, resolve
from omphalos.store.sides import Source, Stored, lying_file, lying_folder
from omphalos.store.sources import SourceChanged, SourceUnreadable
from omphalos.store.store import Store
from omphalos.store.treediff import TreeChange, diff_entries, diff_roots
from omphalos.store.trees import PathMissing, lookup_in

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Side:
    """One side: its name as typed, where it lies, a tree or a file, and the run around it with the path in it, if any.

    ``whole`` says that it is all of a run, and ``lying`` that it is no object of a store.
    """

    name: str
    source: Source
    entry: TreeEntry
    manifest: Manifest | None
    whole: bool
    prefix: str = ""
    lying: bool = False

    def artifact(self, path: str) -> Artifact | None:
        """Return what the manifest of the run says of the file at ``path`` of this side."""
        wanted = self.prefix + path
        files = self.manifest.artifacts if self.manifest is not None else ()
        return next((file for file in files if file.path == wanted), None)


def stored(store: Store, name: str) -> Side:
    """Return what a name means in a store; errors are those of ``names.resolve``."""
    found = resolve(store, name)
    source, path = Stored(store), found.path or ""
    if found.kind == "run":
        manifest = read_run(store, found.id)
        return Side(name, source, TreeEntry("", "tree", 0, from_hex(manifest.tree)), manifest, True)
    around = read_run(store, name_run(store, found.run_id).id) if found.run_id is not None else None
    if found.kind == "tree":
        return Side(name, source, TreeEntry("", "tree", 0, found.id), around, False, f"{path}/" if path else "")
    above, _, last = path.rpartition("/")
    entry = TreeEntry(last or name, "blob", store.objects.size(found.id), found.id)
    return Side(name, source, entry, around, False, f"{above}/" if above else "")


def lying(path: Path, name: str, store: Store | None) -> Side:
    """Return the folder or file at ``path``, hashed through the stat cache of ``store`` if there is one.

    Raises:
        StoreInside: the folder holds the store, or is a part of it.
        DirectoryRefused, SpecialFile: something there is neither file nor folder, or breaks a path rule.
        SourceChanged, SourceUnreadable: something changed while it was read, or could not be read.
    """
    try:
        mode = path.lstat().st_mode
    except OSError as problem:
        raise SourceUnreadable(path.name, problem) from problem
    if not stat.S_ISDIR(mode):
        file = lying_file(path)
        return Side(name, file, file.entry, None, False, lying=True)
    manifest = _manifest(path / FILE_NAME)
    control = {file.path for file in manifest.control} if manifest is not None else set[str]()

    def is_beside(file: str) -> bool:
        return manifest is not None and (file in control or is_reserved(file))

    folder = lying_folder(path, store, leave_out=is_beside)
    return Side(name, folder, folder.entry, manifest, manifest is not None, lying=True)


def _manifest(path: Path) -> Manifest | None:
    """Return the manifest in a file; None where there is no file, or another."""
    try:
        fd = os.open(path, _FLAGS)
    except OSError as problem:
        if problem.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):  # a link or socket is refused with the folder
            return None
        raise SourceUnreadable(FILE_NAME, problem) from problem
    with os.fdopen(fd, "rb") as stream:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > MAX_BYTES:
            return None
        data = stream.read(seen.st_size + 1)
    if len(data) != seen.st_size:
        raise SourceChanged(FILE_NAME)
    try:
        return decode_manifest(data)
    except ManifestError:
        return None


def reasons(sides: tuple[Side, Side]) -> list[dict[str, Any]]:
    """Return why two whole runs may differ, and which run directory is not what its manifest names; see ``causes``."""
    a, b = sides[0].manifest, sides[1].manifest
    if a is None or b is None or not (sides[0].whole and sides[1].whole):
        return []
    found = causes(a, b)
    for side, manifest in zip(sides, (a, b), strict=True):
        made = to_hex(side.entry.id)
        if side.lying and made != manifest.tree:
            what = f"files of {side.name} were changed since its manifest was written"
            found.append({"part": "files", "what": what, "before": manifest.tree, "after": made})
    return found


def changes(sides: tuple[Side, Side], path: str | None) -> tuple[list[TreeChange], bool]:
    """Return what differs between two trees, or at ``path`` in them, and whether that is a file.

    Raises:
        PathMissing: neither side has the path.
    """
    loads = sides[0].source.load, sides[1].source.load
    if path is None:
        return list(diff_roots(loads, sides[0].entry.id, sides[1].entry.id)), False
    entries: list[TreeEntry | None] = []
    problem: PathMissing | None = None
    for side, load in zip(sides, loads, strict=True):
        try:
            entries.append(lookup_in(load, side.entry.id, path))
        except PathMissing as error:
            entries.append(None)
            problem = error
    if problem is not None and entries == [None, None]:
        raise problem
    above = path.rpartition("/")[0]
    found = list(diff_entries(loads, entries[0], entries[1], f"{above}/" if above else ""))
    return found, all(entry is None or entry.kind == "blob" for entry in entries)
