"""Trees as files: writing one into a folder, and comparing a folder with one.

Rules of this file: every path was judged before the first byte is written; folders are opened one component at a time,
relative to an open folder, with ``O_NOFOLLOW``; the bytes of each file are hashed before they are written. Where the
destination does not exist, everything is written beside it and appears by one rename: the whole checkout, or none. Its
bytes are waited for only if the caller says so: they can be had again from the store. In a destination that exists each
file is on the disk before it gets its name. One that differs is never replaced unless the caller says so, and then by
rename, so that a hard link elsewhere (the store's own object, perhaps) keeps its bytes.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId
from omphalos.format.ids import ObjectId, hasher
from omphalos.format.paths import show
from omphalos.format.tree import TreeError
from omphalos.store import durable
from omphalos.store.digests import hash_files
from omphalos.store.durable import OBJECT_MODE, Disk, Incoming, temporary_name, translated
from omphalos.store.folders import FILE_FLAGS, FOLDER_FLAGS, Folder, open_root, survey
from omphalos.store.links import CANNOT, Links
from omphalos.store.objects import ObjectDamaged, ObjectStore, read_source
from omphalos.store.store import Store
from omphalos.store.trees import lookup, walk

PARTIAL_PREFIX: Final = ".omphalos-checkout-"
_SHOWN: Final = 5
_WORTH_FORKING: Final = 500

File = tuple[str, int, ObjectId]
State = Literal["added", "removed", "modified", "special"]
Reflink = Literal["auto", "always"]
# What file systems answer that cannot share blocks, or not between these two files.
_NO_CLONE: Final = frozenset(
    {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.ETXTBSY}
)


class CheckoutConflict(OmphalosError):
    """Something stands in the way of a checkout; ``paths`` lists it."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "checkoutConflict"

    def __init__(self, paths: list[str], hint: str) -> None:
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        super().__init__(f"in the way: {', '.join(show(path) for path in paths[:_SHOWN])}{more}", hint=hint)
        self.paths = paths


class ReflinkImpossible(OmphalosError):
    """Files were to share their blocks with the store, and the file system does not do that."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "reflinkImpossible"


@dataclass(frozen=True, slots=True)
class CheckoutCounts:
    """How many files were written (of those hard-linked or cloned), their bytes, and how many were right already."""

    files: int
    linked: int
    bytes: int
    unchanged: int
    cloned: int = 0


@dataclass(frozen=True, slots=True)
class StatusEntry:
    """One path where a folder differs from a tree; a folder that holds nothing is ``added``, with a final ``/``."""

    path: str
    state: State


def checkout(
    store: Store,
    tree_id: ObjectId,
    dest: Path,
    *,
    subpath: str | None = None,
    link: bool = False,
    reflink: Reflink | None = None,
    force: bool = False,
    sync: bool = False,
) -> CheckoutCounts:
    """Write the files of a tree under ``dest``, read-only, each verified.

    Args:
        store: where the tree and its blobs are.
        tree_id: the tree.
        dest: the folder to fill; made, with its parents, if it does not exist. Files in it that the tree does not name
            are left alone. With a ``subpath`` that is a file, the file to write.
        subpath: a file or folder of the tree to write instead of the whole.
        link: hard-link objects where the file system can, instead of copying; what was linked before and has not been
            written to since is not read again (see ``links``).
        reflink: let files share the blocks of the store's large objects, copy on write, so that they cost no space and
            can still be changed; ``auto`` copies where the file system cannot. Objects in segments are always copied.
        force: replace files that differ.
        sync: return only when all of it is on the disk.

    Raises:
        CheckoutConflict: files differ and ``force`` is not set, or a link, folder or special file is in the way.
        ReflinkImpossible: the file system cannot share blocks, and ``reflink`` is ``always``.
        PathMissing: the tree has no ``subpath``.
        ObjectMissing, ObjectDamaged, KindMismatch, TreeError: the store cannot give what the tree names.
        StoreFull, StoreReadOnly, StoreIOError: the destination cannot be written.
    """
    root: ObjectId | None = tree_id
    files: list[File] = []
    if subpath is not None:
        entry = lookup(store, tree_id, subpath)
        root = entry.id if entry.kind == "tree" else None
        files = [(dest.name, entry.size, entry.id)]
    if root is not None:
        files = list(walk(store, root))
    kept = [path for path, _, _ in files if PARTIAL_PREFIX in path and _is_kept(path)]
    if kept:
        raise CheckoutConflict(kept, "a name like this is kept for files on their way in, and would be swept away")
    folder = dest if root is not None else dest.parent
    with translated("checking out"), contextlib.closing(_Writer(store, link, reflink, sync)) as writer:
        if os.path.lexists(folder):
            writer.update(folder, files, force)
        else:
            writer.fresh(folder, files)
    return CheckoutCounts(writer.files, writer.linked, writer.bytes, writer.unchanged, writer.cloned)


def status(store: Store, tree_id: ObjectId, directory: Path) -> list[StatusEntry]:
    """Return where ``directory`` differs from a tree, in byte order of path; empty means it is exactly that tree.

    Files of the same size are hashed, but for those whose stat is as it was when they were last (see ``statcache``).
    What is neither file nor folder is ``special``.

    Raises:
        SourceChanged, SourceUnreadable: the folder changed meanwhile, or cannot be read.
        ObjectMissing, ObjectDamaged, KindMismatch, TreeError: as for ``trees.walk``.
    """
    wanted = {path: (size, oid) for path, size, oid in walk(store, tree_id)}
    seen: dict[str, State | None] = {}
    sizes = {path: size for path, (size, _) in wanted.items()}
    fd = open_root(directory)
    try:
        found = survey(fd)
        ids = hash_files(fd, found, lambda path, size: sizes.get(path) == size, store.objects.catalog)
    finally:
        os.close(fd)
    _note_files(found, "", wanted, ids, seen)
    _note_rest(found, "", seen)
    for path in wanted:
        seen.setdefault(path, "removed")
    ordered = sorted(seen.items(), key=lambda item: os.fsencode(item[0]))
    return [StatusEntry(show(path), state) for path, state in ordered if state is not None]


def _note_files(
    folder: Folder,
    above: str,
    wanted: dict[str, tuple[int, ObjectId]],
    ids: dict[str, ObjectId],
    seen: dict[str, State | None],
) -> None:
    for name in folder.names:
        path = above + name
        expected = wanted.get(path)
        seen[path] = "added" if expected is None else None if ids.get(path) == expected[1] else "modified"
    for name, below in folder.folders.items():
        _note_files(below, f"{above}{name}/", wanted, ids, seen)


def _note_rest(folder: Folder, above: str, seen: dict[str, State | None]) -> None:
    for name in folder.odd:
        seen[above + name] = "special"
    for name, below in folder.folders.items():
        if below.names or below.folders or below.odd:
            _note_rest(below, f"{above}{name}/", seen)
        else:
            seen[f"{above}{name}/"] = "added"


def _is_kept(path: str) -> bool:
    return any(durable.is_temporary(name, PARTIAL_PREFIX) for name in path.split("/"))


def _is_blob(fd: int, name: str, size: int, oid: ObjectId) -> bool:
    if os.fstat(fd).st_size != size:
        return False
    state = hasher("blob")
    for chunk in read_source(fd, name):
        state.update(chunk)
    return state.digest() == oid


class _Folders:
    """The chain of open folders from a root to where work goes on, as paths come in order."""

    def __init__(self, disk: Disk, root: int, *, make: bool, sync: bool = True, sweep: bool = True) -> None:
        self._disk = disk
        self._make = make
        self._sync = sync
        self._sweep = sweep
        self._names: list[str] = []
        self._fds = [root]

    def enter(self, names: list[str]) -> int | None:
        """Return the open folder ``names`` below the root; None where it is not there and may not be made.

        Raises:
            OSError: a component is a link or no folder (ELOOP, ENOTDIR).
        """
        shared = 0
        while shared < min(len(names), len(self._names)) and names[shared] == self._names[shared]:
            shared += 1
        self._leave(shared)
        for name in names[shared:]:
            if self._make:
                with contextlib.suppress(FileExistsError):
                    self._disk.make_folder(name, self._fds[-1])
            try:
                fd = os.open(name, FOLDER_FLAGS, dir_fd=self._fds[-1])
            except FileNotFoundError:
                return None
            self._names.append(name)
            self._fds.append(fd)
            if self._make and self._sweep:
                durable.sweep(self._disk, fd, PARTIAL_PREFIX)
        return self._fds[-1]

    def _leave(self, depth: int) -> None:
        while len(self._names) > depth:
            self._names.pop()
            fd = self._fds.pop()
            try:
                if self._make and self._sync:
                    self._disk.sync_folder(fd)
            finally:
                os.close(fd)

    def finish(self) -> None:
        """Close what is open below the root; what was made is made durable where that is wanted, the root last."""
        self._leave(0)
        if self._make and self._sync:
            self._disk.sync_folder(self._fds[0])

    def abandon(self) -> None:
        """Close what is open below the root."""
        self._make = False
        self._leave(0)


class _Writer:
    """One checkout's work and counts."""

    def __init__(self, store: Store, link: bool, reflink: Reflink | None, sync: bool) -> None:
        self._disk: Disk = store.disk
        self._objects: ObjectStore = store.objects
        self._link = link
        self._reflink = reflink
        self._sync = sync
        self._small = Links(store.disk, store.root / "objects" / "links")
        self._large = Links(store.disk, store.objects.loose.folder)
        self._again = False  # what is there may be half of a file
        self._moded = False  # a file that is made with a mode has it, whatever the umask
        self.files = self.linked = self.bytes = self.unchanged = self.cloned = 0

    def fresh(self, dest: Path, files: list[File]) -> None:
        """Write into a new folder beside ``dest`` and rename it there."""
        durable.make_folders(self._disk, dest.parent)
        _sweep_folders(dest.parent)
        with self._partial(dest.parent) as (partial, fd):
            self._share_new(fd, files)
            try:
                self._disk.rename(partial, dest)
            except OSError as problem:
                if problem.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise CheckoutConflict([dest.name], "it appeared meanwhile; look at it, then repeat") from None
                raise
            if self._sync:
                durable.sync_folder(self._disk, dest.parent)

    @contextlib.contextmanager
    def _partial(self, parent: Path) -> Iterator[tuple[Path, int]]:
        """Make a flocked folder that goes away unless it is renamed inside the block."""
        while True:
            partial = parent / (PARTIAL_PREFIX + temporary_name())
            self._disk.make_folder(partial)
            fd = -1
            try:
                with contextlib.suppress(FileNotFoundError):
                    fd = os.open(partial, FOLDER_FLAGS)
                    fcntl.flock(fd, fcntl.LOCK_EX)
                if fd < 0 or not os.path.lexists(partial):
                    continue  # a sweep took it between mkdir and flock
                yield partial, fd
                return
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            finally:
                if fd >= 0:
                    os.close(fd)

    def update(self, folder: Path, files: list[File], force: bool) -> None:
        """Write into a folder that exists, after looking at everything the tree names in it."""
        try:
            root = os.open(folder, FOLDER_FLAGS)
        except OSError as problem:
            if problem.errno in (errno.ELOOP, errno.ENOTDIR):
                raise CheckoutConflict(
                    [folder.name], "the destination is a link or no folder; choose another"
                ) from None
            raise
        try:
            missing, differing, blocked = self._look(root, files)
            if blocked:
                raise CheckoutConflict(blocked, "links, folders and special files are never replaced; remove them")
            if differing and not force:
                raise CheckoutConflict([path for path, _, _ in differing], "save them, or repeat with force")
            self.unchanged = len(files) - len(missing) - len(differing)
            replaced = {path for path, _, _ in (*missing, *differing)}
            self._write(root, [file for file in files if file[0] in replaced], {path for path, _, _ in missing})
        finally:
            os.close(root)

    def _look(self, root: int, files: list[File]) -> tuple[list[File], list[File], list[str]]:
        missing: list[File] = []
        differing: list[File] = []
        blocked: list[str] = []
        folders = _Folders(self._disk, root, make=False)
        try:
            for path, size, oid in files:
                *above, name = path.split("/")
                fd = -1
                try:
                    folder = folders.enter(above)
                    if folder is None:
                        missing.append((path, size, oid))
                        continue
                    fd = os.open(name, FILE_FLAGS, dir_fd=folder)
                    if not stat.S_ISREG(os.fstat(fd).st_mode):
                        blocked.append(path)
                    elif not _is_blob(fd, path, size, oid):
                        differing.append((path, size, oid))
                except FileNotFoundError:
                    missing.append((path, size, oid))
                except OSError as problem:
                    if problem.errno not in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
                        raise
                    blocked.append(path)
                finally:
                    if fd >= 0:
                        os.close(fd)
        finally:
            folders.abandon()
        return missing, differing, blocked

    def _share_new(self, root: int, files: list[File]) -> None:
        """Write into the new folder with two processes, where there are files enough for two."""
        if len(files) < _WORTH_FORKING or self._reflink:
            self._write_new(root, files)
            return
        half = len(files) // 2
        ours, theirs = os.pipe()
        try:
            pid = os.fork()
        except OSError:  # no process to be had: then alone
            os.close(ours)
            os.close(theirs)
            self._write_new(root, files)
            return
        if not pid:
            code = 1
            try:
                self._write_new(root, files[half:])
                os.write(theirs, self.linked.to_bytes(8, "little"))
                code = 0
            finally:
                os._exit(code)
        os.close(theirs)
        try:
            self._write_new(root, files[:half])
        except BaseException:
            os.kill(pid, signal.SIGKILL)  # all of it goes away
            raise
        finally:
            with os.fdopen(ours, "rb") as stream:
                linked = int.from_bytes(stream.read(), "little")
            failed = os.waitpid(pid, 0)[1]
        if failed:  # do it again here, to fail (or not) with a reason
            self._again = True
            self._write_new(root, files[half:])
            return
        self.linked += linked
        self.files += len(files) - half
        self.bytes += sum(size for _, size, _ in files[half:])

    def _write_new(self, root: int, files: list[File]) -> None:
        """Write into a folder that nobody else sees yet: every file gets its name at once."""
        folders = _Folders(self._disk, root, make=True, sync=self._sync, sweep=False)
        folder, current = root, ""
        found = contextlib.closing(self._objects.read_blobs(oid for _, _, oid in files))
        try:
            with found as views:
                for path, size, oid in files:
                    above, _, name = path.rpartition("/")
                    if above != current:
                        entered = folders.enter(above.split("/") if above else [])
                        if entered is None:
                            raise CheckoutConflict([path], "its folder went away meanwhile")
                        folder, current = entered, above
                    if self._again:
                        with contextlib.suppress(FileNotFoundError):
                            self._disk.remove(name, folder)
                    if self._link and self._linked(folder, name, size, oid):
                        self.linked += 1
                    else:
                        self._put_new(folder, name, size, oid, None if self._link else next(views))
                    self.files += 1
                    self.bytes += size
            folders.finish()
        finally:
            folders.abandon()

    def _write(self, root: int, files: list[File], missing: set[str]) -> None:
        durable.sweep(self._disk, root, PARTIAL_PREFIX)
        folders = _Folders(self._disk, root, make=True)
        try:
            for path, size, oid in files:
                *above, name = path.split("/")
                folder = folders.enter(above)
                if folder is None:
                    raise CheckoutConflict([path], "its folder went away meanwhile")
                try:
                    self._put(folder, name, size, oid, new=path in missing)
                except FileExistsError:
                    raise CheckoutConflict([path], "it appeared meanwhile; look at it, then repeat") from None
                self.files += 1
                self.bytes += size
            folders.finish()
        finally:
            folders.abandon()

    def _put(self, folder: int, name: str, size: int, oid: ObjectId, *, new: bool) -> None:
        """Give a file its name; if it is ``new``, FileExistsError says that somebody else was faster."""
        if self._link and self._put_link(folder, name, size, oid, new=new):
            self.linked += 1
            return
        with Incoming(self._disk, None, prefix=PARTIAL_PREFIX, at=folder) as incoming:
            if self._fill(oid, incoming.fd) != size:
                raise _wrong_size(name)
            if new:
                try:
                    incoming.commit_new(name, OBJECT_MODE)
                    return
                except OSError as problem:
                    if problem.errno not in CANNOT:
                        raise  # else the file system has no hard links
            incoming.commit(name, OBJECT_MODE)

    def _put_new(self, folder: int, name: str, size: int, oid: ObjectId, data: memoryview | None) -> None:
        fd = self._disk.create(name, folder, OBJECT_MODE)
        try:
            if data is None:
                written = self._fill(oid, fd)
            else:
                written = len(data)
                durable.write_all(self._disk, fd, data)
            if written != size:
                raise _wrong_size(name)
            if not self._moded:
                self._moded = stat.S_IMODE(os.fstat(fd).st_mode) == OBJECT_MODE
            if not self._moded:
                self._disk.set_mode(fd, OBJECT_MODE)
            if self._sync:
                self._disk.sync_data(fd)
        finally:
            os.close(fd)

    def _fill(self, oid: ObjectId, fd: int) -> int:
        """Give an empty file the bytes of a blob, hashed; return how many."""
        source = self._objects.loose.open(oid) if self._reflink else None
        if source is None:
            return self._objects.copy_to(oid, fd)
        try:
            try:
                self._disk.clone(source, fd)
            except OSError as problem:
                if problem.errno not in _NO_CLONE:
                    raise
                if self._reflink == "always":
                    raise ReflinkImpossible(
                        f"files cannot share their blocks with the store here: {os.strerror(problem.errno).lower()}",
                        hint="that takes btrfs or XFS, and one file system for both; 'auto' copies instead",
                        undone="nothing more was written",
                    ) from problem
                return self._objects.copy_to(oid, fd)
            size, state = os.fstat(source).st_size, hasher("blob")
            for chunk in read_source(source, oid.hex()):  # the very blocks that the new file has
                state.update(chunk)
        finally:
            os.close(source)
        if state.digest() != oid:
            self._objects.check(oid, "blob")
            raise ObjectDamaged(oid, ObjectId(state.digest()))
        self.cloned += 1
        return size

    def _put_link(self, folder: int, name: str, size: int, oid: ObjectId, *, new: bool) -> bool:
        temporary = PARTIAL_PREFIX + temporary_name()
        try:
            if not self._linked(folder, temporary, size, oid):
                return False
            if new:
                try:
                    self._disk.link(temporary, name, folder, folder)
                except OSError as problem:
                    if problem.errno in CANNOT:
                        return False
                    raise
            else:
                self._disk.rename(temporary, name, folder)
        finally:
            with contextlib.suppress(FileNotFoundError):  # still there if the rename failed, or if both are one file
                self._disk.remove(temporary, folder)
        return True

    def _linked(self, folder: int, name: str, size: int, oid: ObjectId) -> bool:
        """Give the file of an object a new name, the file made first where there is none; False where that cannot be.

        Raises:
            ObjectMissing, ObjectDamaged, KindMismatch, TreeError: the store cannot give what the tree names.
        """
        try:
            if self._small.link(oid, size, folder, name) or self._large.link(oid, size, folder, name):
                return True
            if self._objects.chunks_of(oid):
                return False  # there is no file to link to, and what is huge is not kept twice
            self._objects.check(oid, "blob")
            if self._objects.size(oid) != size:
                raise _wrong_size(name)
            if self._objects.loose.has(oid):
                self._disk.link(self._objects.loose.path(oid), name, folder)
                return True
            self._small.make(oid, self._objects.read("blob", oid))
            return self._small.link(oid, size, folder, name)
        except OSError as problem:
            if problem.errno in CANNOT:
                return False
            raise

    def close(self) -> None:
        """Close what was opened."""
        self._small.close()
        self._large.close()


def _wrong_size(name: str) -> TreeError:
    return TreeError(FindingId.SIZE_MISMATCH, f"{name!r} has another size in the store than the tree says")


def _sweep_folders(parent: Path) -> None:
    """Remove what checkouts that died left in ``parent``; one under way holds its lock and is left alone."""
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        return
    for name in names:
        if durable.is_temporary(name, PARTIAL_PREFIX):
            with contextlib.suppress(OSError):
                fd = os.open(parent / name, FOLDER_FLAGS)
                try:
                    if durable.is_abandoned(fd):
                        shutil.rmtree(parent / name, ignore_errors=True)
                finally:
                    os.close(fd)
