"""Objects as readers see them: found, read and listed, wherever they lie.

Rules of this file: what is read through ``read``, ``copy_to`` or ``kind_of`` is hashed again; no mode, size, time or
index is ever trusted; memory is bounded by a few buffers except where bytes are asked for; any number of threads may
read. An object is looked for as a record, as a file, and as a list of chunks, in this order.
"""

import contextlib
import errno
import heapq
import io
import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from blake3 import blake3

from omphalos.format.errors import OmphalosError
from omphalos.format.ids import KINDS, SHORT_DIGITS, IdError, Kind, ObjectId, hasher, is_prefix, object_id
from omphalos.store import durable, sources
from omphalos.store.catalog import Catalog
from omphalos.store.chunked import Chunk, ChunkList, ChunkStream, Lists
from omphalos.store.damage import KindMismatch, ObjectDamaged, ObjectMissing
from omphalos.store.durable import Disk, translated
from omphalos.store.index import Place
from omphalos.store.loose import Loose
from omphalos.store.records import HEADER_BYTES, Window

_AT_ONCE: Final = 1024
_NONE: Final = memoryview(b"")


class ObjectReader:
    """What can be asked of the objects under ``root/objects``; ``ObjectStore`` adds how they get there."""

    def __init__(self, root: Path, disk: Disk, *, mapped: bool = True) -> None:
        """Take a store's folder; for ``mapped`` see ``Store``."""
        self._disk = disk
        self.catalog = Catalog(root, disk, mapped=mapped)
        self.loose = Loose(root, disk)
        self.lists = Lists(root, disk)
        self._pending: dict[ObjectId, Place] = {}  # appended, and not in the index yet

    # -- reading

    def _settle(self, oid: ObjectId) -> Place | None:
        """Return where an object that was just put lies, its bytes written; None for any other."""
        raise NotImplementedError

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

    def _either(self, oid: ObjectId, *, chunked: bool = True) -> tuple[Place, bytes] | int | ChunkList:
        """Return a small object, else a descriptor of a large one's file, else its list of chunks (if ``chunked``).

        Raises:
            ObjectMissing, ObjectDamaged: there is none; the file, or the list, is none.
        """
        small = self._small(oid, thorough=False)
        if small is not None and not small[0].damaged:
            return small
        fd = self._loose(oid)
        if fd is not None:
            return fd
        problem: OmphalosError = ObjectMissing(oid)
        try:
            listed = self._listed(oid) if chunked else None
            if listed is not None:
                return listed
        except ObjectDamaged as damaged:
            problem = damaged
        small = small or self._small(oid, thorough=True)
        if small is None:
            raise problem
        return small

    def _listed(self, oid: ObjectId) -> ChunkList | None:
        with translated("reading a list of chunks"):
            return self.lists.load(oid)

    def _chunk(self, chunk: Chunk) -> bytes:
        """Return the bytes of one chunk, hashed; a list in place of a chunk is none, or lists could go in circles."""
        found = self._either(chunk.id, chunked=False)
        data, place = (found[1], found[0]) if not isinstance(found, int | ChunkList) else (b"", None)
        if isinstance(found, int):
            with os.fdopen(found, "rb") as stream, translated("reading an object"):
                data = stream.read(chunk.length + 1)
        if len(data) != chunk.length or object_id("blob", data) != chunk.id:
            raise ObjectDamaged(chunk.id, object_id("blob", data), place)
        return data

    def _complete(self, listed: ChunkList) -> bool:
        return all(
            chunk.id in self._pending
            or self.loose.has(chunk.id)
            or self.catalog.locate(chunk.id, thorough=True) is not None
            for chunk in listed.chunks
        )

    def chunks_of(self, oid: ObjectId) -> tuple[Chunk, ...]:
        """Return the chunks an object needs; none where it stands whole, or is not there.

        Raises:
            ObjectDamaged: it has nothing but a list, and that is damaged.
        """
        if not self.lists.has(oid) or self.loose.has(oid):
            return ()
        try:
            listed = self._listed(oid)
        except ObjectDamaged:
            with translated("looking for an object"):
                if self.catalog.locate(oid, thorough=True) is not None:
                    return ()
            raise
        return listed.chunks if listed is not None else ()

    def hash_list(self, listed: ChunkList) -> ObjectId:
        """Return the id that the chunks of a list have as one blob; errors as for ``read``, of the chunk."""
        state = hasher("blob")
        for chunk in listed.chunks:
            state.update(self._chunk(chunk))
        return ObjectId(state.digest())

    def has(self, oid: ObjectId) -> bool:
        """Say whether the store holds an object under this id; its bytes are not checked."""
        if self._pending.get(oid) is not None or self.loose.has(oid) or self._whole_list(oid) is not None:
            return True
        with translated("looking for an object"):
            return self.catalog.locate(oid, thorough=True) is not None

    def _whole_list(self, oid: ObjectId) -> ChunkList | None:
        """Return the list of a chunked blob if it is sound and every chunk is there."""
        with contextlib.suppress(ObjectDamaged), translated("looking for an object"):
            listed = self.lists.load(oid)
            return listed if listed is not None and self._complete(listed) else None
        return None

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
        listed = self._whole_list(oid)
        if listed is not None:
            return listed.size
        with translated("looking for an object"):
            place = self.catalog.locate(oid, thorough=True)
        if place is None:
            raise ObjectMissing(oid)
        return place.length

    def open(self, oid: ObjectId) -> BinaryIO:
        """Return an object's bytes as a stream, rewindable. Nothing is checked: the caller hashes what it reads.

        Only of a chunked blob the chunks are checked, one by one, and reading it may raise what ``read`` raises.

        Raises:
            ObjectMissing, ObjectDamaged: it is not there, or is no regular file.
        """
        found = self._either(oid)
        if isinstance(found, int):
            return os.fdopen(found, "rb")
        if isinstance(found, ChunkList):
            return io.BufferedReader(ChunkStream(found, self._chunk))
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
        elif isinstance(found, ChunkList):
            if kind != "blob":
                self.check(oid, kind)  # it is a blob or damaged, and need not fit into memory to say which
            data = b"".join(map(self._chunk, found.chunks))
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

    def places(self, oids: list[ObjectId]) -> dict[ObjectId, Place]:
        """Return where the index says that objects lie; those it does not know are left out, and nothing is checked."""
        return self.catalog.ask(lambda index: index.get_many(oids))

    def unconfirmed(self, sizes: Mapping[ObjectId, int]) -> list[ObjectId]:
        """Return those of these blobs of which the index does not say that there is a record of that size."""
        return self.catalog.ask(lambda index: index.unconfirmed(sizes))

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
        if isinstance(found, ChunkList):
            state = hasher("blob")
            for chunk in found.chunks:
                data = self._chunk(chunk)
                state.update(data)
                durable.write_all(self._disk, dest_fd, data)
            if state.digest() != oid:
                raise ObjectDamaged(oid, ObjectId(state.digest()), folder="chunked")
            return found.size
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
        if isinstance(found, ChunkList):
            whole = self.hash_list(found)
            if whole != oid:
                raise ObjectDamaged(oid, whole, folder="chunked")
            return "blob"
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
        return _merged(sorted([*small, *self._pending]), self.loose.scan(), self.lists.scan())

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
        return list(_merged(sorted(small), self.loose.scan(prefix), self.lists.scan(prefix)))

    def _beginning(self, prefix: str) -> list[ObjectId]:
        found = [oid for oid in self._pending if oid.hex().startswith(prefix)]
        start = bytes.fromhex(prefix[: len(prefix) // 2 * 2])
        found += [oid for oid in self.catalog.ids(start) if oid.hex().startswith(prefix)]
        return found


def _merged(small: list[ObjectId], *others: Iterator[ObjectId]) -> Iterator[ObjectId]:
    for oid, _ in itertools.groupby(heapq.merge(small, *others)):
        yield oid
