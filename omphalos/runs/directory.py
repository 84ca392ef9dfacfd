"""The run directory: a run as files, and how one differs from what the store records.

Rules of this file: a run directory is the payload tree, the control files and ``manifest.json``, whose bytes are
the run object; nothing is written into the store, so a run can be taken out of a store on read-only media; what
stands there and differs is not overwritten unless that is asked for.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from omphalos.format.ids import from_hex, object_id
from omphalos.format.manifest import ATTESTATIONS, FILE_NAME, Manifest
from omphalos.runs.building import PREFIX, building, publish
from omphalos.runs.lookup import Run
from omphalos.store.checkout import CheckoutConflict, CheckoutCounts, Reflink, checkout, status
from omphalos.store.folders import FOLDER_FLAGS
from omphalos.store.hashing import hash_file
from omphalos.store.store import Store

_NEW: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_IN_THE_WAY: Final = "links, folders and special files are never replaced; remove them"


def checkout_run(
    store: Store,
    run: Run,
    dest: Path,
    *,
    subpath: str | None = None,
    link: bool = False,
    reflink: Reflink | None = None,
    force: bool = False,
) -> CheckoutCounts:
    """Write a run, or one file or folder of its payload, to ``dest``; each file is verified on the way.

    ``link`` and ``reflink`` are those of ``store.checkout``.

    Raises:
        ReflinkImpossible: the file system cannot share blocks, and ``reflink`` is ``always``.
        CheckoutConflict: something that differs is in the way and ``force`` is not set.
        ObjectMissing, ObjectDamaged, PathMissing: the store cannot give what was asked for.
    """
    tree = from_hex(run.manifest.tree)
    if subpath is not None:
        return checkout(store, tree, dest, subpath=subpath.strip("/"), link=link, reflink=reflink, force=force)
    if os.path.lexists(dest):
        return _update(store, run, dest, link=link, reflink=reflink, force=force)
    with building(dest.parent) as place:
        place.run.rmdir()
        counts = checkout(store, tree, place.run, link=link, reflink=reflink)
        written = _write_rest(store, run, place.run)
        publish(place.run, dest)
    return _sum(counts, written)


def _update(store: Store, run: Run, dest: Path, *, link: bool, reflink: Reflink | None, force: bool) -> CheckoutCounts:
    """Complete a directory that exists, after looking at everything that would be replaced."""
    beyond = [path for path in _rest(run.manifest) if _is_beyond(dest, path)]
    if beyond:
        raise CheckoutConflict(beyond, _IN_THE_WAY)
    rest = _differing_rest(run, dest)
    differing = [path for path, state in rest.items() if state == "modified"]
    if differing and not force:
        raise CheckoutConflict(differing, "save them, or repeat with --force")
    counts = checkout(store, from_hex(run.manifest.tree), dest, link=link, reflink=reflink, force=force)
    for path in differing:
        (dest / path).unlink()
    written = _write_rest(store, run, dest, only=set(rest))
    return _sum(counts, written)


def _sum(counts: CheckoutCounts, written: tuple[int, int]) -> CheckoutCounts:
    return CheckoutCounts(
        counts.files + written[0], counts.linked, counts.bytes + written[1], counts.unchanged, counts.cloned
    )


def _rest(manifest: Manifest) -> list[str]:
    """Return what a run directory holds beside the payload."""
    return [*(file.path for file in manifest.control), FILE_NAME]


def _write_rest(store: Store, run: Run, folder: Path, only: set[str] | None = None) -> tuple[int, int]:
    """Write control files and the manifest; return how many files and bytes."""
    files = size = 0
    contents = {file.path: ("blob", from_hex(file.blake3)) for file in run.manifest.control}
    for path in _rest(run.manifest):
        if only is not None and path not in only:
            continue
        kind, oid = contents.get(path, ("run", run.id))
        data = store.objects.read("run" if kind == "run" else "blob", oid)
        with _folder_of(folder, path) as above:
            descriptor = os.open(path.rpartition("/")[2], _NEW, 0o444, dir_fd=above)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            os.fchmod(descriptor, 0o444)
            os.fsync(descriptor)
        files, size = files + 1, size + len(data)
    return files, size


@contextlib.contextmanager
def _folder_of(folder: Path, path: str) -> Iterator[int]:
    """Open the folder a path below ``folder`` stands in, making what is missing and following no link."""
    with contextlib.ExitStack() as stack:
        above = os.open(folder, FOLDER_FLAGS)
        stack.callback(os.close, above)
        for name in path.split("/")[:-1]:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=above)
            try:
                above = os.open(name, FOLDER_FLAGS, dir_fd=above)
            except OSError as problem:
                if problem.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise CheckoutConflict([path], _IN_THE_WAY) from None
                raise
            stack.callback(os.close, above)
        yield above


def _is_beyond(folder: Path, path: str) -> bool:
    """Say whether something on the way to a path below ``folder`` is no folder, but a link, say."""
    *above, _ = path.split("/")
    on_the_way = (folder.joinpath(*above[:count]) for count in range(1, len(above) + 1))
    return any(os.path.lexists(place) and (place.is_symlink() or not place.is_dir()) for place in on_the_way)


def _differing_rest(run: Run, folder: Path) -> dict[str, str]:
    """Return path → ``removed`` or ``modified`` for what a directory should hold beside the payload."""
    wanted = {file.path: file.blake3 for file in run.manifest.control}
    states = {}
    for path in _rest(run.manifest):
        target = folder / path
        if _is_beyond(folder, path) or not os.path.lexists(target):
            states[path] = "removed"
        elif target.is_symlink() or not target.is_file():
            states[path] = "modified"
        elif path == FILE_NAME:
            if object_id("run", target.read_bytes()) != run.id:
                states[path] = "modified"
        elif hash_file(target).id.hex() != wanted[path]:
            states[path] = "modified"
    return states


def status_run(store: Store, run: Run, folder: Path) -> list[dict[str, Any]]:
    """Return where a run directory differs from the run, in order of path: ``path`` and ``state``.

    Attestations are added to a run directory after the run, and are no difference; `verify` judges them.
    """
    beside = set(_rest(run.manifest))
    states = {
        entry.path: str(entry.state)
        for entry in status(store, from_hex(run.manifest.tree), folder)
        if entry.path not in beside and not entry.path.startswith((PREFIX, f"{ATTESTATIONS}/"))
    }
    states |= _differing_rest(run, folder)
    return [{"path": path, "state": state} for path, state in sorted(states.items())]
