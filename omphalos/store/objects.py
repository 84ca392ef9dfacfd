"""Objects: bytes in the store under their id.

This file holds where an object lies and how it gets in and out. Every object is one file,
``objects/large/<2 hex>/<62 hex>``, mode 0444, holding the plain bytes; its name is its id. The layout is known to this
file alone.

Rules it keeps: an object becomes visible whole, and a put returns only when the object is durable (inside ``batch``:
when the batch ends). A put that finds its object there still waits for the folder, since another writer may not have.
What is read through ``read``, ``copy_to`` or ``kind_of`` is hashed again; no mode, size or time is ever trusted. Memory
is bounded by ``BUFFER_BYTES`` except where bytes are asked for. An instance belongs to one thread; any number of
processes may write to one store side by side.
"""

import contextlib
import errno
import hashlib
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId
from omphalos.format.ids import HEX_DIGITS, KINDS, SHORT_DIGITS, IdError, Kind, ObjectId, hasher, is_prefix, object_id
from omphalos.store import durable
from omphalos.store.durable import DISK, OBJECT_MODE, Disk, Incoming, translated

BUFFER_BYTES: Final = 8 * 1024 * 1024
_HEX = frozenset("0123456789abcdef")
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _place(oid: ObjectId) -> str:
    name = oid.hex()
    return f"objects/large/{name[:2]}/{name[2:]}"


class ObjectMissing(OmphalosError):
    """The store does not hold an object."""

    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    id: ClassVar[str] = FindingId.OBJECT_MISSING.value

    def __init__(self, oid: ObjectId) -> None:
        super().__init__(
            f"no object {oid.hex()[:SHORT_DIGITS]} in this store", hint="fetch it from a remote or a bundle that has it"
        )
        self.oid = oid


class ObjectDamaged(OmphalosError):
    """The bytes under an id are not the bytes it names; ``got`` is None where they are no regular file."""

    kind: ClassVar[ErrorKind] = ErrorKind.NEGATIVE
    id: ClassVar[str] = FindingId.OBJECT_DAMAGED.value

    def __init__(self, expected: ObjectId, got: ObjectId | None) -> None:
        what = f"hashes to {got.hex()[:SHORT_DIGITS]}" if got is not None else "is not a regular file"
        super().__init__(
            f"object {expected.hex()[:SHORT_DIGITS]} is damaged: its file {what}",
            hint=f"move {_place(expected)} elsewhere as evidence, then put the original content again or fetch it",
            undone="nothing that depends on it was written",
        )
        self.expected = expected
        self.got = got


class KindMismatch(OmphalosError):
    """An object is intact, but of another kind than was asked for."""

    kind: ClassVar[ErrorKind] = ErrorKind.NEGATIVE
    id: ClassVar[str] = FindingId.TYPE_MISMATCH.value

    def __init__(self, oid: ObjectId, expected: Kind, got: Kind) -> None:
        super().__init__(f"object {oid.hex()[:SHORT_DIGITS]} is a {got}, not a {expected}")
        self.oid = oid
        self.expected = expected
        self.got = got


class SourceChanged(OmphalosError):
    """A file or folder changed while it was read."""

    kind: ClassVar[ErrorKind] = ErrorKind.INCOMPLETE
    id: ClassVar[str] = FindingId.TOCTOU.value

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} changed while it was read", hint="repeat when nothing writes there any more")


class SourceUnreadable(OmphalosError):
    """A file or folder that should be stored cannot be read."""

    kind: ClassVar[ErrorKind] = ErrorKind.INCOMPLETE
    id: ClassVar[str] = "sourceUnreadable"

    def __init__(self, name: str, problem: OSError) -> None:
        super().__init__(f"cannot read {name!r}: {os.strerror(problem.errno or 0).lower()}", hint="check name and mode")


class SpecialFile(OmphalosError):
    """Something that must be a regular file is a folder, a device, a pipe or a socket."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = FindingId.SPECIAL_FILE.value

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is not a regular file", hint="only regular files can be stored")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What was stored: the blob's id, its size in bytes, and SHA-256 of the same bytes."""

    id: ObjectId
    size: int
    sha256: bytes


def unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    """Say whether two stats of one descriptor show the same file with the same content."""
    return (before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_dev,
        after.st_ino,
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def read_source(fd: int, name: str) -> Iterator[bytes]:
    """Yield the content of the open file ``fd`` in buffers; ``name`` is for messages.

    Raises:
        SpecialFile: it is no regular file.
        SourceChanged: it grew, shrank or was touched between the first and the last byte.
        SourceUnreadable: it cannot be read.
    """
    before = os.fstat(fd)
    if not stat.S_ISREG(before.st_mode):
        raise SpecialFile(name)
    left = before.st_size
    while True:
        try:
            chunk = os.read(fd, min(BUFFER_BYTES, left + 1))  # a file that grows gives one byte more than is left
        except OSError as problem:
            raise SourceUnreadable(name, problem) from problem
        if not chunk:
            break
        left -= len(chunk)
        yield chunk
    if left or not unchanged(before, os.fstat(fd)):
        raise SourceChanged(name)


class ObjectStore:
    """The objects under ``root/objects``."""

    def __init__(self, root: Path, *, disk: Disk = DISK) -> None:
        self._disk = disk
        self._large = root / "objects" / "large"
        self._quarantine = root / "objects" / "quarantine"
        self._depth = 0
        self._owed: set[Path] = set()  # folders that must be fsynced before the batch ends
        self._shards: set[str] = set()  # shard folders whose own name this instance has made durable (or owes)
        self._ready = False

    # -- writing

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Group puts: what is put inside is durable when the block ends without an error.

        Blocks may be nested; the outermost one does the work. After an error nothing was promised: objects may lie in
        the store, whole, and no ref names them.

        Raises:
            StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
        """
        self._depth += 1
        try:
            yield
            if self._depth == 1:
                with translated("making objects durable"):
                    for folder in sorted(self._owed):
                        durable.sync_folder(self._disk, folder)
                self._owed.clear()
        finally:
            self._depth -= 1
            if not self._depth and self._owed:
                self._owed.clear()
                self._shards.clear()

    def put(self, kind: Kind, data: bytes) -> ObjectId:
        """Store ``data`` as an object of ``kind`` and return its id; storing it again changes nothing.

        Raises:
            StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
        """
        oid = object_id(kind, data)
        with self.batch(), translated(f"storing a {kind}"):
            if not self._settled(oid, len(data)):
                with Incoming(self._disk, self._incoming_folder()) as incoming:
                    incoming.write(data)
                    self._admit(incoming, oid)
        return oid

    def put_file(self, path: Path) -> StoredFile:
        """Store the file at ``path`` as a blob, streamed; the digests are of the bytes that were stored.

        The caller names the file, so a link that leads to a regular file is followed here (not in ``put_directory``).

        Raises:
            SpecialFile, SourceChanged: see ``read_source``.
            StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
            SourceUnreadable: the file cannot be opened.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as problem:
            raise SourceUnreadable(path.name, problem) from problem
        try:
            return self.put_descriptor(fd, path.name)
        finally:
            os.close(fd)

    def put_descriptor(self, fd: int, name: str) -> StoredFile:
        """Store the open regular file ``fd``; like ``put_file`` for a caller that opened the file its own way."""
        chunks = read_source(fd, name)
        return self._put_chunks(lambda: next(chunks, b""))

    def put_stream(self, stream: BinaryIO) -> StoredFile:
        """Store what ``stream`` yields until its end as a blob.

        Raises:
            SourceUnreadable: the stream cannot be read.
            StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
        """

        def pull() -> bytes:
            try:
                return stream.read(BUFFER_BYTES)
            except OSError as problem:
                raise SourceUnreadable("the stream", problem) from problem

        return self._put_chunks(pull)

    def _put_chunks(self, pull: Callable[[], bytes]) -> StoredFile:
        first, second = pull(), pull()
        if not second:  # all of it is in memory: what is there already need not be written to be found out
            return StoredFile(self.put("blob", first), len(first), hashlib.sha256(first).digest())
        blake, sha, size = hasher("blob"), hashlib.sha256(), 0
        with (
            self.batch(),
            translated("storing a file"),
            Incoming(self._disk, self._incoming_folder()) as incoming,
            ThreadPoolExecutor(1) as beside,
        ):
            for chunk in itertools.chain((first, second), iter(pull, b"")):
                # SHA-256 is the slowest step, so it runs beside the write and BLAKE3 (measured: a quarter less time).
                other = beside.submit(sha.update, chunk)
                incoming.write(chunk)
                blake.update(chunk)
                size += len(chunk)
                other.result()
            oid = ObjectId(blake.digest())
            if not self._settled(oid, size):
                self._admit(incoming, oid)
        return StoredFile(oid, size, sha.digest())

    def _incoming_folder(self) -> Path:
        if not self._ready:
            durable.make_folders(self._disk, self._quarantine)
            durable.sweep_path(self._disk, self._quarantine)
            self._ready = True
        return self._quarantine

    def _shard(self, oid: ObjectId) -> Path:
        """Return the folder of an object, made if missing; its own name is owed once per instance."""
        name = oid.hex()[:2]
        folder = self._large / name
        if name not in self._shards:
            with contextlib.suppress(FileExistsError):
                self._disk.make_folder(folder)
            self._owed.add(self._large)
            self._shards.add(name)
        self._owed.add(folder)
        return folder

    def _settled(self, oid: ObjectId, size: int) -> bool:
        """Say whether the object is there with its full size; if so its folder's fsync is owed."""
        try:
            found = os.lstat(self._path(oid))
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return False  # damaged on disk: the put at hand replaces it
        self._shard(oid)
        return True

    def _admit(self, incoming: Incoming, oid: ObjectId) -> None:
        incoming.commit(self._shard(oid) / oid.hex()[2:], OBJECT_MODE)

    # -- reading

    def _path(self, oid: ObjectId) -> Path:
        name = oid.hex()
        return self._large / name[:2] / name[2:]

    def _open(self, oid: ObjectId) -> int:
        try:
            fd = os.open(self._path(oid), _OPEN)
        except OSError as problem:
            if problem.errno in (errno.ENOENT, errno.ENOTDIR):
                raise ObjectMissing(oid) from None
            if problem.errno in (errno.ELOOP, errno.ENXIO):
                raise ObjectDamaged(oid, None) from None
            raise durable.StoreIOError(
                f"cannot open object {oid.hex()[:SHORT_DIGITS]}: {os.strerror(problem.errno or 0).lower()}"
            ) from problem
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise ObjectDamaged(oid, None)
        return fd

    def has(self, oid: ObjectId) -> bool:
        """Say whether the store holds an object under this id; its bytes are not checked."""
        try:
            return stat.S_ISREG(os.lstat(self._path(oid)).st_mode)
        except OSError:
            return False

    def size(self, oid: ObjectId) -> int:
        """Return an object's size in bytes.

        Raises:
            ObjectMissing, ObjectDamaged: it is not there, or is no regular file.
        """
        fd = self._open(oid)
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def open(self, oid: ObjectId) -> BinaryIO:
        """Return an object's bytes as a stream. Nothing is checked: the caller hashes what it reads.

        Raises:
            ObjectMissing, ObjectDamaged: it is not there, or is no regular file.
        """
        return os.fdopen(self._open(oid), "rb")

    def read(self, kind: Kind, oid: ObjectId) -> bytes:
        """Return an object's bytes after hashing them again as ``kind``.

        Raises:
            ObjectMissing: the store does not hold it.
            ObjectDamaged: the bytes are not those the id names.
            KindMismatch: the bytes are intact, and an object of another kind.
        """
        with self.open(oid) as stream, translated("reading an object"):
            data = stream.read()
        if object_id(kind, data) == oid:
            return data
        for other in KINDS:
            if object_id(other, data) == oid:
                raise KindMismatch(oid, kind, other)
        raise ObjectDamaged(oid, object_id(kind, data))

    def _digest(self, kind: Kind, oid: ObjectId, sink: Callable[[bytes], None]) -> ObjectId:
        state = hasher(kind)
        with self.open(oid) as stream, translated("reading an object"):
            left = os.fstat(stream.fileno()).st_size
            while chunk := os.read(stream.fileno(), min(BUFFER_BYTES, left + 1)):
                left = max(0, left - len(chunk))
                state.update(chunk)
                sink(chunk)
        return ObjectId(state.digest())

    def copy_to(self, oid: ObjectId, dest_fd: int) -> int:
        """Write a blob's bytes to a descriptor, hashing them on the way; return how many bytes.

        After an error the destination holds bytes that must not be used.

        Raises:
            ObjectMissing, ObjectDamaged, KindMismatch: as for ``read``.
        """
        size = 0

        def sink(chunk: bytes) -> None:
            nonlocal size
            durable.write_all(self._disk, dest_fd, chunk)
            size += len(chunk)

        got = self._digest("blob", oid, sink)
        if got != oid:
            self.check(oid, "blob")
            raise ObjectDamaged(oid, got)
        return size

    def kind_of(self, oid: ObjectId) -> Kind:
        """Return the kind of an intact object, found by hashing its bytes as each kind in turn.

        Raises:
            ObjectMissing, ObjectDamaged: as for ``read``.
        """
        got: list[ObjectId] = []
        for kind in KINDS:
            got.append(self._digest(kind, oid, lambda _chunk: None))
            if got[-1] == oid:
                return kind
        raise ObjectDamaged(oid, got[0])

    def check(self, oid: ObjectId, kind: Kind) -> None:
        """Hash an object again and return if it is intact and of ``kind``; errors as for ``read``."""
        found = self.kind_of(oid)
        if found != kind:
            raise KindMismatch(oid, kind, found)

    def link_to(self, oid: ObjectId, at: int, name: str) -> bool:
        """Give an object a second name in the open folder ``at``, where the file system can; say whether it did."""
        try:
            self._disk.link(self._path(oid), name, at)
        except OSError as problem:
            if problem.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                return False
            raise
        return True

    # -- listing

    def ids(self) -> Iterator[ObjectId]:
        """Yield the id of every object in ascending order; files that are not named like an object are passed over."""
        return self._scan("")

    def find_prefix(self, prefix: str) -> list[ObjectId]:
        """Return, in ascending order, the objects whose id begins with ``prefix``.

        Raises:
            IdError: ``prefix`` is not 6 to 64 lower-case hex digits.
        """
        if not is_prefix(prefix):
            raise IdError("not the beginning of an object id: expected 6 to 64 lower-case hex digits")
        return list(self._scan(prefix))

    def _scan(self, prefix: str) -> Iterator[ObjectId]:
        for shard in [prefix[:2]] if prefix else _listing(self._large, 2):
            for rest in _listing(self._large / shard, HEX_DIGITS - 2):
                if rest.startswith(prefix[2:]):
                    yield ObjectId(bytes.fromhex(shard + rest))


def _listing(folder: Path, digits: int) -> list[str]:
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if len(name) == digits and _HEX.issuperset(name))
