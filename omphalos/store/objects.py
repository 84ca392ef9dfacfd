"""Objects: bytes in the store under their id.

Small objects are records in segments (``packs``, found through ``catalog``), others single read-only files
(``loose``). This file puts the two together and keeps the order of their steps.

The syscall contract of a batch: a lease (``leases``) before the first look; segment bytes ``write`` and ``fdatasync``;
the segments' folder ``fsync``; large files each ``fdatasync`` and renamed, their folders ``fsync``; then the index; and
only then does the caller hear that its objects are durable. Refs are moved after that.

Rules it keeps: an object becomes visible whole, and a put returns only when the object is durable (inside ``batch``:
when the batch ends). A put that finds its file there still waits for the folder, since another writer may not have.
What is read through ``read``, ``copy_to`` or ``kind_of`` is hashed again; no mode, size, time or index is ever trusted.
Memory is bounded by a few buffers of ``BUFFER_BYTES`` except where bytes are asked for. An instance has one writer
thread; any number of threads may read, and any number of processes may write to one store side by side.
"""

import contextlib
import errno
import heapq
import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from blake3 import blake3

from omphalos.format.ids import KINDS, SHORT_DIGITS, IdError, Kind, ObjectId, hasher, is_prefix, object_id
from omphalos.store import durable, packs, sources
from omphalos.store.catalog import Catalog
from omphalos.store.damage import KindMismatch, ObjectDamaged, ObjectMissing
from omphalos.store.durable import DISK, Disk, translated
from omphalos.store.index import Entry, Place
from omphalos.store.leases import Lease
from omphalos.store.loose import Loose
from omphalos.store.packs import PackWriter
from omphalos.store.records import HEADER_BYTES, Window
from omphalos.store.sources import SourceChanged, SourceUnreadable, SpecialFile, StoredFile, read_source, unchanged

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = [
    "PACK_LIMIT",
    "KindMismatch",
    "ObjectDamaged",
    "ObjectMissing",
    "ObjectStore",
    "SourceChanged",
    "SourceUnreadable",
    "SpecialFile",
    "StoredFile",
    "read_source",
    "unchanged",
]

PACK_LIMIT: Final = 64 * 1024
_PENDING: Final = 1 << 16
_AT_ONCE: Final = 1024
_NONE: Final = memoryview(b"")
_KIND_NUMBERS: Final[dict[Kind, int]] = {kind: number for number, kind in enumerate(KINDS)}


class ObjectStore:
    """The objects under ``root/objects``."""

    def __init__(self, root: Path, *, disk: Disk = DISK, pack_limit: int = PACK_LIMIT, mapped: bool = True) -> None:
        """Take a store's folder; for ``mapped`` see ``Store``.

        Objects of up to ``pack_limit`` bytes go into segments, larger ones into files. Limit 0 keeps all as files.
        """
        self._disk = disk
        self._root = root
        self.pack_limit = pack_limit
        self.catalog = Catalog(root, disk, mapped=mapped)
        self.loose = Loose(root, disk)
        self._writer = PackWriter(disk, root / "objects" / "packs")
        self._depth = 0
        self._lease: Lease | None = None
        self._leased_by = 0
        self._condemned = False
        self.epoch: int | None = None  # of the index, when this instance first looked
        self._shards: frozenset[int] | None = None  # of loose objects, as the batch found them
        self._pending: dict[ObjectId, Place] = {}  # appended, and not in the index yet
        self._resurrected: list[ObjectId] = []
        self._when_durable: list[Callable[[], None]] = []

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
                    self._commit()
                    self.loose.pay()
                for work in self._when_durable:
                    work()
        finally:
            self._depth -= 1
            if not self._depth:
                self._writer.release()
                self._pending.clear()
                self._resurrected.clear()
                self._when_durable.clear()
                self._shards = None
                self.loose.forgive()

    def when_durable(self, work: Callable[[], None]) -> None:
        """Call ``work`` when the outermost batch has made its objects durable; never if it fails."""
        self._when_durable.append(work)

    def _is_small(self, size: int) -> bool:
        return size <= self.pack_limit and self.pack_limit > 0

    def begin(self) -> None:
        """Take the lease that keeps gc from freeing what this instance finds or puts from now on.

        Raises:
            StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
        """
        if self._lease is not None and self._leased_by == os.getpid():
            if self._shards is None:
                self._shards = self.loose.shards()
            return
        self._shards = self.loose.shards()
        with translated("taking a lease"):
            self._lease = Lease(self._disk, self._root / "objects" / "leases")
            self._leased_by = os.getpid()
            self.catalog.refresh()
            self._condemned = self.catalog.ask(lambda index: index.has_condemned())
            if self.epoch is None:
                self.epoch = self.catalog.ask(lambda index: index.epoch())

    def _commit(self) -> None:
        """Make everything appended durable, then let the index name it."""
        writer, renamed = self._writer, dict[str, str]()
        if not writer.is_open:
            return
        name = writer.name
        if writer.size >= packs.SEAL_BYTES:
            before, name = writer.seal()
            renamed[before] = name
            size = self.catalog.packs.listing().get(name, 0)
        else:
            writer.sync()
            size = writer.size
        entries = [Entry(oid, place._replace(segment=name)) for oid, place in self._pending.items()]
        self._pending.clear()
        self.catalog.sizes[name] = size
        self.catalog.ask(
            lambda index: index.update(entries, sizes={name: size}, renamed=renamed, resurrected=self._resurrected)
        )
        self._resurrected.clear()

    def put(self, kind: Kind, data: bytes) -> ObjectId:
        """Store ``data`` as an object of ``kind`` and return its id; storing it again changes nothing.

        Raises:
            StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
        """
        oid = object_id(kind, data)
        with self.batch(), translated(f"storing a {kind}"):
            if not self.present(oid, len(data)):
                self._write(kind, oid, data)
        return oid

    def _write(self, kind: Kind, oid: ObjectId, data: bytes) -> None:
        if self._is_small(len(data)):
            self._append(_KIND_NUMBERS[kind], oid, data)
        else:
            with self.loose.incoming() as incoming:
                incoming.write(data)
                self.loose.admit(incoming, oid)

    def put_known(self, kind: Kind, oid: ObjectId, data: bytes) -> None:
        """Store an object whose id the caller has just computed; inside a batch."""
        with translated(f"storing a {kind}"):
            if not self.present(oid, len(data)):
                self._write(kind, oid, data)

    def put_blobs(self, blobs: list[tuple[ObjectId, bytes]]) -> bytes:
        """Store many small blobs whose ids the caller has just computed; inside a batch.

        Returns:
            One byte for each, 1 where it lies in a segment.
        """
        if self._condemned or self._shards is None or self._shards or not self.pack_limit:
            for oid, data in blobs:
                self.put_known("blob", oid, data)
            return bytes([self.is_packed(oid) for oid, _ in blobs])
        with translated("storing files"):
            ids = [oid for oid, _ in blobs]
            there = self.catalog.ask(lambda index: index.get_many(ids))
            for oid, data in blobs:
                if oid not in self._pending and (oid not in there or self.catalog.known(oid) is None):
                    self._append(0, oid, data)
        return b"\1" * len(blobs)

    def places(self, oids: list[ObjectId]) -> dict[ObjectId, Place]:
        """Return where the index says that objects lie; those it does not know are left out, and nothing is checked."""
        return self.catalog.ask(lambda index: index.get_many(oids))

    def is_packed(self, oid: ObjectId) -> bool:
        """Say whether an object that was just put lies in a segment."""
        return oid in self._pending or self.catalog.ask(lambda index: index.get(oid)) is not None

    def file_time(self) -> int:
        """Return the time of the store's file system now, in nanoseconds; inside a batch."""
        if self._lease is None:
            raise AssertionError("there is a lease inside a batch")
        with translated("reading the time"):
            return self._lease.now()

    def present(self, oid: ObjectId, size: int) -> bool:
        """Say, inside a batch, whether an object need not be written: it is there, durable when the batch is."""
        self.begin()
        if oid in self._pending:
            return True
        if self._condemned and self.catalog.ask(lambda index: index.is_condemned(oid)):
            if not self._is_small(size) or self.loose.has(oid):
                # A file has one place: it is taken out of the set at once, and then is there, or is not.
                self.catalog.ask(lambda index: index.update(resurrected=[oid]))
                return self.loose.settled(oid, size)
            self._resurrected.append(oid)
            return False  # written again elsewhere: gc may take the record that is there at any time
        if self.catalog.known(oid) is not None:
            return True
        return (oid[0] in (self._shards or ()) or not self._is_small(size)) and self.loose.settled(oid, size)

    def _append(self, kind: int, oid: ObjectId, data: bytes) -> None:
        writer = self._writer
        if not writer.is_open:
            durable.make_folders(self._disk, self._root / "objects" / "packs")
            self.catalog.prepare()
            writer.acquire(self.catalog.ask(lambda index: index.segments()))
        offset = writer.append(kind, oid, data)
        self._pending[oid] = Place(writer.name, offset, len(data), kind, damaged=False)
        if writer.size >= packs.SEAL_BYTES or len(self._pending) >= _PENDING:
            self._commit()

    def copy_record(self, kind: int, oid: ObjectId, data: bytes) -> None:
        """Append an object although there is a record of it, so that the other may go; inside a batch."""
        if oid not in self._pending:
            with translated("copying an object"):
                self._append(kind, oid, data)

    def end_lease(self) -> None:
        """Give the lease back, outside a batch; the next put takes one again and looks anew."""
        if self._lease is not None:
            self._lease.release()
            self._lease = None

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

    def put_descriptor(self, fd: int, name: str, *, sha256: bool = True) -> StoredFile:
        """Store the open regular file ``fd``; like ``put_file`` for a caller that opened the file its own way.

        Without ``sha256`` that digest is left out (empty), which saves most of the time a large file takes.
        """
        chunks = read_source(fd, name)
        return self._put_chunks(lambda: next(chunks, b""), sha256)

    def put_stream(self, stream: BinaryIO) -> StoredFile:
        """Store what ``stream`` yields until its end as a blob.

        Raises:
            SourceUnreadable: the stream cannot be read.
            StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
        """

        def pull() -> bytes:
            try:
                return stream.read(sources.BUFFER_BYTES)
            except OSError as problem:
                raise SourceUnreadable("the stream", problem) from problem

        return self._put_chunks(pull, True)

    def _put_chunks(self, pull: Callable[[], bytes], sha256: bool) -> StoredFile:
        first, second = pull(), pull()
        if not second:  # all of it is in memory: what is there already need not be written to be found out
            oid = self.put("blob", first)
            if not sha256:
                return StoredFile(oid, len(first), b"")
            import hashlib

            return StoredFile(oid, len(first), hashlib.sha256(first).digest())
        import hashlib  # here and below: what only large files need is not loaded for small ones
        from concurrent.futures import ThreadPoolExecutor

        blake, sha, size = hasher("blob"), hashlib.sha256(), 0
        with self.batch(), translated("storing a file"):
            self.begin()
            with self.loose.incoming() as incoming, ThreadPoolExecutor(2) as beside:
                # Measured on two cores: reading and BLAKE3 here, writing beside it; SHA-256, the slowest, on its own.
                writing: Future[None] | None = None
                for chunk in itertools.chain((first, second), iter(pull, b"")):
                    other = beside.submit(sha.update, chunk) if sha256 else None
                    blake.update(chunk)
                    size += len(chunk)
                    if writing is not None:
                        writing.result()
                    writing = beside.submit(incoming.write, chunk)
                    if other is not None:
                        other.result()
                if writing is not None:
                    writing.result()
                oid = ObjectId(blake.digest())
                if not self.present(oid, size):
                    self.loose.admit(incoming, oid)
        return StoredFile(oid, size, sha.digest() if sha256 else b"")

    # -- reading

    def _settle(self, oid: ObjectId) -> Place | None:
        """Return where an object of the present batch lies, its bytes written."""
        place = self._pending.get(oid)
        if place is not None:
            with translated("reading an object"):
                self._writer.flush()
        return place

    def _small(self, oid: ObjectId, *, thorough: bool) -> tuple[Place, bytes] | None:
        """Return a small object's place and bytes; ``damaged`` in the place says they do not have its id."""
        place = self._settle(oid)
        with translated("reading an object"):
            if place is not None:
                data = self.catalog.packs.read(place.segment, place.offset, place.length, oid)
                if data is not None:
                    return place._replace(damaged=object_id(KINDS[place.kind], data) != oid), data
            return self.catalog.find(oid, thorough=thorough)

    def _loose(self, oid: ObjectId) -> int | None:
        try:
            return self.loose.open(oid)
        except OSError as problem:
            if problem.errno == errno.ELOOP:
                raise ObjectDamaged(oid, None) from None
            raise durable.StoreIOError(
                f"cannot open object {oid.hex()[:SHORT_DIGITS]}: {os.strerror(problem.errno or 0).lower()}"
            ) from problem

    def _either(self, oid: ObjectId) -> tuple[Place, bytes] | int:
        """Return a small object, else a descriptor of a large one's file.

        Raises:
            ObjectMissing, ObjectDamaged: there is neither; the file is none.
        """
        small = self._small(oid, thorough=False)
        if small is not None and not small[0].damaged:
            return small
        fd = self._loose(oid)
        if fd is not None:
            return fd
        small = small or self._small(oid, thorough=True)
        if small is None:
            raise ObjectMissing(oid)
        return small

    def has(self, oid: ObjectId) -> bool:
        """Say whether the store holds an object under this id; its bytes are not checked."""
        if self._pending.get(oid) is not None or self.loose.has(oid):
            return True
        with translated("looking for an object"):
            return self.catalog.locate(oid, thorough=True) is not None

    def size(self, oid: ObjectId) -> int:
        """Return an object's size in bytes.

        Raises:
            ObjectMissing, ObjectDamaged: it is not there, or is no regular file.
        """
        place = self._pending.get(oid)
        with translated("looking for an object"):
            place = place or self.catalog.locate(oid, thorough=False)
        if place is not None:
            return place.length
        fd = self._loose(oid)
        if fd is not None:
            try:
                return os.fstat(fd).st_size
            finally:
                os.close(fd)
        with translated("looking for an object"):
            place = self.catalog.locate(oid, thorough=True)
        if place is None:
            raise ObjectMissing(oid)
        return place.length

    def open(self, oid: ObjectId) -> BinaryIO:
        """Return an object's bytes as a stream with a descriptor. Nothing is checked: the caller hashes what it reads.

        Raises:
            ObjectMissing, ObjectDamaged: it is not there, or is no regular file.
        """
        found = self._either(oid)
        if isinstance(found, int):
            return os.fdopen(found, "rb")
        with translated("reading an object"):
            fd = os.memfd_create("object", os.MFD_CLOEXEC)
            os.write(fd, found[1])
            os.lseek(fd, 0, os.SEEK_SET)
            return os.fdopen(fd, "rb")

    def read(self, kind: Kind, oid: ObjectId) -> bytes:
        """Return an object's bytes after hashing them again as ``kind``.

        Raises:
            ObjectMissing: the store does not hold it.
            ObjectDamaged: the bytes are not those the id names.
            KindMismatch: the bytes are intact, and an object of another kind.
        """
        found, place = self._either(oid), None
        if isinstance(found, int):
            with os.fdopen(found, "rb") as stream, translated("reading an object"):
                data = stream.read()
        else:
            place, data = found
            if not place.damaged and KINDS[place.kind] == kind:
                return data
        if object_id(kind, data) == oid:
            return data
        for other in KINDS:
            if object_id(other, data) == oid:
                raise KindMismatch(oid, kind, other)
        raise ObjectDamaged(oid, object_id(kind, data), place)

    def read_blobs(self, oids: Iterable[ObjectId]) -> Generator[memoryview | None]:
        """Yield the bytes of many small blobs in order, hashed; each is good until the next is asked for.

        None stands for what is not found intact in the place the index names: ``read`` and ``copy_to`` look further.
        """
        rest, windows = iter(oids), dict[str, Window | None]()
        try:
            while some := list(itertools.islice(rest, _AT_ONCE)):
                places = self.places(some)
                for oid in some:
                    place = places.get(oid)
                    if place is None or place.kind:
                        yield None
                        continue
                    name = place.segment
                    if name not in windows:
                        windows[name] = self.catalog.packs.window(name)
                    window = windows[name]
                    view = window.at(place.offset + HEADER_BYTES, place.length) if window is not None else _NONE
                    yield view if len(view) == place.length and blake3(view).digest() == oid else None
        finally:
            for window in windows.values():
                if window is not None:
                    window.close()

    def _digest(self, kind: Kind, oid: ObjectId, fd: int, sink: Callable[[bytes], None]) -> ObjectId:
        state = hasher(kind)
        with translated("reading an object"):
            os.lseek(fd, 0, os.SEEK_SET)
            left = os.fstat(fd).st_size
            while chunk := os.read(fd, min(sources.BUFFER_BYTES, left + 1)):
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
        found, size = self._either(oid), 0
        if not isinstance(found, int):
            place, data = found
            if place.damaged or place.kind:
                self.read("blob", oid)
            durable.write_all(self._disk, dest_fd, data)
            return len(data)

        def sink(chunk: bytes) -> None:
            nonlocal size
            durable.write_all(self._disk, dest_fd, chunk)
            size += len(chunk)

        try:
            got = self._digest("blob", oid, found, sink)
        finally:
            os.close(found)
        if got != oid:
            self.check(oid, "blob")
            raise ObjectDamaged(oid, got)
        return size

    def kind_of(self, oid: ObjectId) -> Kind:
        """Return the kind of an intact object, found by hashing its bytes as each kind in turn.

        Raises:
            ObjectMissing, ObjectDamaged: as for ``read``.
        """
        found = self._either(oid)
        if not isinstance(found, int):
            place, data = found
            if not place.damaged:
                return KINDS[place.kind]
            raise ObjectDamaged(oid, object_id("blob", data), place)
        got: list[ObjectId] = []
        try:
            for kind in KINDS:
                got.append(self._digest(kind, oid, found, lambda _chunk: None))
                if got[-1] == oid:
                    return kind
        finally:
            os.close(found)
        raise ObjectDamaged(oid, got[0])

    def check(self, oid: ObjectId, kind: Kind) -> None:
        """Hash an object again and return if it is intact and of ``kind``; errors as for ``read``."""
        found = self.kind_of(oid)
        if found != kind:
            raise KindMismatch(oid, kind, found)

    # -- listing

    def ids(self) -> Iterator[ObjectId]:
        """Yield the id of every object in ascending order; files that are not named like an object are passed over."""
        with translated("listing objects"):
            self.catalog.heal()
            small = self.catalog.ids()
        return _merged(sorted([*small, *self._pending]), self.loose.scan())

    def find_prefix(self, prefix: str) -> list[ObjectId]:
        """Return, in ascending order, the objects whose id begins with ``prefix``.

        Raises:
            IdError: ``prefix`` is not 6 to 64 lower-case hex digits.
        """
        if not is_prefix(prefix):
            raise IdError("not the beginning of an object id: expected 6 to 64 lower-case hex digits")
        with translated("listing objects"):
            self.catalog.catch_up()
            small = self._beginning(prefix)
            if not small:
                self.catalog.heal()
                small = self._beginning(prefix)
        return list(_merged(sorted(small), self.loose.scan(prefix)))

    def _beginning(self, prefix: str) -> list[ObjectId]:
        found = [oid for oid in self._pending if oid.hex().startswith(prefix)]
        start = bytes.fromhex(prefix[: len(prefix) // 2 * 2])
        found += [oid for oid in self.catalog.ids(start) if oid.hex().startswith(prefix)]
        return found


def _merged(small: list[ObjectId], large: Iterator[ObjectId]) -> Iterator[ObjectId]:
    for oid, _ in itertools.groupby(heapq.merge(small, large)):
        yield oid
