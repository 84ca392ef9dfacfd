"""Refs: names that point at object ids, one small file each under ``refs/``.

A ref file holds one line, 64 lower-case hex digits and a newline, and nothing else. Rules of this file: a ref moves
only by compare-and-swap under one lock, whole or not at all, and is durable when ``set`` returns; a reader takes no
lock. The caller has made the object durable before: a ref is what makes a run exist. A file that is not exactly one
such line is reported, never guessed at.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import ClassVar, Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId
from omphalos.format.ids import HEX_DIGITS, SHORT_DIGITS, IdError, ObjectId, from_hex
from omphalos.format.paths import check_path, refusing
from omphalos.store import durable
from omphalos.store.durable import DISK, REF_MODE, Disk, Incoming, translated

LOCK_NAME: Final = ".lock"
HOLDS: Final = "holds/"
_TEMP_PREFIX: Final = ".new-"
_LOCK_TRIES: Final = 1000
_LOCK_PAUSE_SECONDS: Final = 0.01


class Anything(Enum):
    """The type of ``ANY``, so that a type checker knows it from an id."""

    ANY = "any"


ANY: Final = Anything.ANY
Expected = ObjectId | None | Anything


class BadRefName(OmphalosError):
    """A text cannot name a ref."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "badRefName"


class RefConflict(OmphalosError):
    """A ref does not point where the caller thought it did."""

    kind: ClassVar[ErrorKind] = ErrorKind.LOCKED
    id: ClassVar[str] = "refConflict"

    def __init__(self, name: str, expected: ObjectId | None, found: ObjectId | None) -> None:
        super().__init__(
            f"ref {name!r} points at {_short(found)}, not at {_short(expected)}",
            hint="another process moved it: look again, then repeat",
            undone="the ref was not moved",
        )
        self.expected = expected
        self.found = found


class RefLocked(OmphalosError):
    """Another process holds the lock on the refs for too long."""

    kind: ClassVar[ErrorKind] = ErrorKind.LOCKED
    id: ClassVar[str] = "refLocked"


class RefDamaged(OmphalosError):
    """A ref file is not one line of 64 hex digits."""

    kind: ClassVar[ErrorKind] = ErrorKind.NEGATIVE
    id: ClassVar[str] = FindingId.REF_MALFORMED.value


def _short(oid: ObjectId | None) -> str:
    return "nothing" if oid is None else oid.hex()[:SHORT_DIGITS]


class RefHeld(OmphalosError):
    """A hold stands on a run, so its ref can be neither moved nor deleted."""

    kind: ClassVar[ErrorKind] = ErrorKind.LOCKED
    id: ClassVar[str] = "refHeld"


class RefStore:
    """The refs under ``root/refs``; ``root`` is the store's folder.

    ``secure`` is called with the id a ref is about to name, under the lock, and may refuse by raising.
    """

    def __init__(
        self,
        root: Path,
        *,
        disk: Disk = DISK,
        lock_tries: int = _LOCK_TRIES,
        secure: Callable[[ObjectId], None] | None = None,
    ) -> None:
        self._disk = disk
        self._secure = secure
        self._folder = root / "refs"
        self._lock_tries = lock_tries

    def _path(self, name: str) -> Path:
        broken = refusing(check_path(name))
        if broken:
            raise BadRefName(f"bad ref name {name!r}: {broken[0].description.lower().rstrip('.')}")
        if any(part.startswith(".") for part in name.split("/")):
            raise BadRefName(f"bad ref name {name!r}: a part begins with a dot")
        return self._folder / name

    def get(self, name: str) -> ObjectId | None:
        """Return where a ref points, or None where there is no such ref.

        Raises:
            BadRefName: see ``set``.
            RefDamaged: its file is not one line of 64 hex digits.
        """
        path = self._path(name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as problem:
            if problem.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            if problem.errno in (errno.ELOOP, errno.ENXIO):
                raise _damaged(name) from None
            raise durable.StoreIOError(f"cannot read ref {name!r}: {os.strerror(problem.errno or 0).lower()}") from None
        try:
            mode = os.fstat(fd).st_mode
            if stat.S_ISDIR(mode):
                return None
            if not stat.S_ISREG(mode):
                raise _damaged(name)
            with translated(f"reading ref {name!r}"):
                data = os.read(fd, HEX_DIGITS + 2)
        finally:
            os.close(fd)
        if len(data) != HEX_DIGITS + 1 or data[-1:] != b"\n":
            raise _damaged(name)
        try:
            return from_hex(data[:-1].decode("latin-1"))
        except IdError:
            raise _damaged(name) from None

    def set(self, name: str, new: ObjectId, *, old: Expected) -> None:
        """Point ``name`` at ``new`` if it points at ``old`` now; ``None`` means: if there is no such ref yet.

        ``ANY`` moves it wherever it points, and replaces a damaged ref file.

        Raises:
            BadRefName: the name breaks the path rules, has a part that begins with a dot, or is a folder of refs.
            RefConflict: it points elsewhere.
            RefHeld: it is the ref of a run on which a hold stands.
            RefLocked: the lock was not free for ten seconds.
            RefDamaged: the ref file is damaged and ``old`` is not ``ANY``.
            StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
        """
        path = self._path(name)
        with self.locked(), translated(f"moving ref {name!r}"):
            if self._expect(name, old):
                self._refuse_held(name)
            if self._secure is not None:
                self._secure(new)
            with contextlib.suppress(OSError):  # an empty folder, left by a process that died, must not block a name
                self._disk.remove_folder(path)
            try:
                durable.make_folders(self._disk, path.parent)
                with Incoming(self._disk, self._folder, prefix=_TEMP_PREFIX) as incoming:
                    incoming.write(new.hex().encode("ascii") + b"\n")
                    incoming.commit(path, REF_MODE)
            except (IsADirectoryError, NotADirectoryError):
                raise BadRefName(f"bad ref name {name!r}: a ref cannot be a folder of refs too") from None
            durable.sync_folder(self._disk, path.parent)

    def delete(self, name: str, *, old: Expected) -> None:
        """Take a ref away if it points at ``old``; folders it leaves empty go with it.

        Deleting a ref that does not exist is allowed with ``old=ANY`` or ``old=None``. Errors as for ``set``.
        """
        path = self._path(name)
        with self.locked(), translated(f"deleting ref {name!r}"):
            if not self._expect(name, old):
                return
            self._refuse_held(name)
            self._disk.remove(path)
            folder = path.parent
            durable.sync_folder(self._disk, folder)
            while folder != self._folder:
                try:
                    self._disk.remove_folder(folder)
                except OSError as problem:
                    if problem.errno in (errno.ENOTEMPTY, errno.EEXIST):
                        return
                    raise
                folder = folder.parent
                durable.sync_folder(self._disk, folder)

    def list(self, prefix: str = "") -> list[str]:
        """Return the names of all refs that begin with ``prefix``, in byte order, damaged ones included."""
        found: list[str] = []

        def visit(folder: Path, above: str) -> None:
            try:
                entries = list(os.scandir(folder))
            except FileNotFoundError:
                return
            for entry in entries:
                name = above + entry.name
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    inside = name + "/"
                    if inside.startswith(prefix) or prefix.startswith(inside):
                        visit(folder / entry.name, inside)
                elif name.startswith(prefix):
                    found.append(name)

        with translated("listing refs"):
            visit(self._folder, "")
        return sorted(found, key=os.fsencode)

    def _expect(self, name: str, old: Expected) -> bool:
        """Return whether the ref file is there, after comparing it with ``old``."""
        if isinstance(old, Anything):
            path = self._path(name)
            return path.is_symlink() or path.is_file()
        found = self.get(name)
        if found != old:
            raise RefConflict(name, old, found)
        return found is not None

    def _refuse_held(self, name: str) -> None:
        hold = HOLDS + name.removeprefix("runs/")
        if name.startswith("runs/") and os.path.lexists(self._folder / hold):
            raise RefHeld(
                f"ref {name!r} is held",
                hint=f"a hold stands on this run: 'refs/{hold}'; release it first, if you may",
                undone="the ref was not moved",
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every ref of the store as it is while the block runs; not to be nested.

        Raises:
            RefLocked: the lock was not free for ten seconds.
            StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
        """
        with translated("locking the refs"):
            fd = os.open(self._folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            for _ in range(self._lock_tries):
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as problem:
                    if problem.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                        raise durable.StoreIOError(
                            f"cannot lock the refs: {os.strerror(problem.errno or 0).lower()}",
                            hint="keep the store on a local file system",
                        ) from problem
                    time.sleep(_LOCK_PAUSE_SECONDS)
                    continue
                break
            else:
                raise RefLocked(
                    "another process holds the lock on the refs",
                    hint="wait for it to end; the lock goes away with its process",
                    undone="the ref was not moved",
                )
            durable.sweep_path(self._disk, self._folder, _TEMP_PREFIX)
            yield
        finally:
            os.close(fd)


def _damaged(name: str) -> RefDamaged:
    return RefDamaged(
        f"ref {name!r} is damaged: its file is not one line of 64 lower-case hex digits",
        hint="set it again to the object it should name, or fetch it from a remote",
        undone="the ref was not read",
    )
