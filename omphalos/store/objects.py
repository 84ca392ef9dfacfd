"""Objects: bytes in the store under their id.

Small objects are records in segments (``packs``, found through ``catalog``), others single read-only files
(``loose``) or, where asked for, lists of chunks (``chunked``). How they are read is in ``objectreader``; this file
writes them and keeps the order of the steps.

The syscall contract of a batch: a lease (``leases``) before the first look; segment bytes ``write`` and ``fdatasync``;
the segments' folder ``fsync``; large files each ``fdatasync`` and renamed, their folders ``fsync``; then the index; a
list of chunks behind all this, in the way of a large file; and only then does the caller hear that its objects are
durable. Refs are moved after that.

Rules it keeps: an object becomes visible whole, and a put returns only when the object is durable (inside ``batch``:
when the batch ends). A put that finds its file there still waits for the folder, since another writer may not have.
Memory is bounded by a few buffers of ``BUFFER_BYTES`` except where bytes are asked for. An instance has one writer
thread; any number of threads may read, and any number of processes may write to one store side by side.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from omphalos.format.ids import KINDS, Kind, ObjectId, object_id
from omphalos.store import durable, packs, sources, streamed
from omphalos.store.damage import KindMismatch, ObjectDamaged, ObjectMissing
from omphalos.store.durable import DISK, Disk, translated
from omphalos.store.index import Entry, Place
from omphalos.store.leases import Lease, Moment
from omphalos.store.objectreader import ObjectReader
from omphalos.store.packs import PackWriter
from omphalos.store.sources import SourceChanged, SourceUnreadable, SpecialFile, StoredFile, read_source, unchanged

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
_KIND_NUMBERS: Final[dict[Kind, int]] = {kind: number for number, kind in enumerate(KINDS)}


class ObjectStore(ObjectReader):
    """The objects under ``root/objects``."""

    def __init__(self, root: Path, *, disk: Disk = DISK, pack_limit: int = PACK_LIMIT, mapped: bool = True) -> None:
        """Take a store's folder; for ``mapped`` see ``Store``.

        Objects of up to ``pack_limit`` bytes go into segments, larger ones into files. Limit 0 keeps all as files.
        """
        super().__init__(root, disk, mapped=mapped)
        self._root = root
        self.pack_limit = pack_limit
        self.chunk_above: int | None = None  # files of so many bytes or more are cut into chunks
        self._writer = PackWriter(disk, root / "objects" / "packs")
        self._depth = 0
        self._lease: Lease | None = None
        self._leased_by = 0
        self._condemned = False
        self.epoch: int | None = None  # of the index, when this instance first looked
        self._shards: frozenset[int] | None = None  # of loose objects, as the batch found them
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
                    self.lists.pay()
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
                self.lists.forgive()

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
        entries = [
            Entry(oid, place if place.segment == name else place._replace(segment=name))
            for oid, place in self._pending.items()
        ]
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

    @property
    def is_wary(self) -> bool:
        """Whether gc may take objects that are there: each must then be asked for (``present``), inside a batch."""
        return self._condemned

    def is_packed(self, oid: ObjectId) -> bool:
        """Say whether an object that was just put lies in a segment."""
        return oid in self._pending or self.catalog.ask(lambda index: index.get(oid)) is not None

    def file_time(self) -> Moment:
        """Return the time of the store's file system now; inside a batch."""
        if self._lease is None:
            raise AssertionError("there is a lease inside a batch")
        with translated("reading the time"):
            return self._lease.now()

    def present(self, oid: ObjectId, size: int, *, chunked: bool = True) -> bool:
        """Say, inside a batch, whether an object need not be written: it is there, durable when the batch is.

        Without ``chunked`` a list of chunks is not enough.
        """
        self.begin()
        if oid in self._pending:
            return True
        if self._condemned and self.catalog.ask(lambda index: index.is_condemned(oid)):
            if not self._is_small(size) or self.loose.has(oid):
                # A file has one place: it is taken out of the set at once, and then is there, or is not.
                self.catalog.ask(lambda index: index.update(resurrected=[oid]))
                return self.loose.settled(oid, size) or (chunked and self._chunks_stand(oid, size))
            self._resurrected.append(oid)
            return False  # written again elsewhere: gc may take the record that is there at any time
        if self.catalog.known(oid) is not None:
            return True
        if self._is_small(size):
            return oid[0] in (self._shards or ()) and self.loose.settled(oid, size)
        return self.loose.settled(oid, size) or (chunked and self._chunks_stand(oid, size))

    def _chunks_stand(self, oid: ObjectId, size: int) -> bool:
        """Say, inside a batch, whether a list and all its chunks are there and none of these is condemned."""
        try:
            listed = self.lists.load(oid)
        except (ObjectDamaged, OSError):
            return False
        if listed is None or listed.size != size:
            return False
        for chunk in listed.chunks:
            if chunk.id in self._pending:
                continue
            if self._condemned and self.catalog.ask(lambda index, oid=chunk.id: index.is_condemned(oid)):  # type: ignore[misc]  # bound now
                return False
            if self.catalog.known(chunk.id) is None and not self.loose.settled(chunk.id, chunk.length):
                return False
        self.lists.owe(oid)
        return True

    def put_chunk(self, oid: ObjectId, data: bytes) -> None:
        """Store a chunk, whose id the caller has just computed, as a record; inside a batch."""
        if not self.present(oid, len(data), chunked=False):
            self._append(0, oid, data)

    def put_list(self, oid: ObjectId, data: bytes) -> None:
        """Store the list of a blob whose chunks were put before; inside a batch."""
        self._commit()  # nobody sees the list before its chunks are durable
        with self.lists.incoming() as incoming:
            incoming.write(data)
            self.lists.admit(incoming, oid)

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

    def put_file(self, path: Path, *, sha256: bool = True, chunked: bool = False) -> StoredFile:
        """Store the file at ``path`` as a blob, streamed; the digests are of the bytes that were stored.

        Without ``sha256`` that digest is left out, as in ``put_descriptor``.
        It is cut into chunks if it is ``chunked``, or has ``chunk_above`` bytes, and more than ``pack_limit``.

        The caller names the file, so a link that leads to a regular file is followed here (not in ``put_directory``).

        Raises:
            SpecialFile, SourceChanged: see ``read_source``.
            TooLargeToChunk: it is to be cut, and too large for that.
            StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
            SourceUnreadable: the file cannot be opened.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as problem:
            raise SourceUnreadable(path.name, problem) from problem
        try:
            return self.put_descriptor(fd, path.name, sha256=sha256, chunked=chunked)
        finally:
            os.close(fd)

    def put_descriptor(self, fd: int, name: str, *, sha256: bool = True, chunked: bool = False) -> StoredFile:
        """Store the open regular file ``fd``; like ``put_file`` for a caller that opened the file its own way.

        Without ``sha256`` that digest is left out (empty), which saves most of the time a large file takes.
        """
        size = os.fstat(fd).st_size
        if chunked or (self.chunk_above is not None and size >= self.chunk_above):
            return streamed.put_chunked(self, fd, name, sha256=sha256)
        if size > streamed.COPY_ABOVE:
            return streamed.put_copy(self, fd, name, sha256=sha256)
        rest = read_source(fd, name)
        return streamed.put_stream(self, lambda: next(rest, b""), sha256=sha256, chunked=False)

    def put_stream(self, stream: BinaryIO, *, chunked: bool = False) -> StoredFile:
        """Store what ``stream`` yields until its end as a blob; how large it gets nobody knows, so say ``chunked``.

        Raises:
            SourceUnreadable: the stream cannot be read.
            StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
        """

        def pull() -> bytes:
            try:
                return stream.read(sources.BUFFER_BYTES)
            except OSError as problem:
                raise SourceUnreadable("the stream", problem) from problem

        return streamed.put_stream(self, pull, sha256=True, chunked=chunked)

    def _settle(self, oid: ObjectId) -> Place | None:
        """Return where an object of the present batch lies, its bytes written."""
        place = self._pending.get(oid)
        if place is not None:
            with translated("reading an object"):
                self._writer.flush()
        return place
