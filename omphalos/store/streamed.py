"""A blob's way into the store where it need not fit into memory: as one file, or cut into chunks.

Rules of this file: what was hashed is what is stored (a large file is copied by the kernel, and the copy is hashed
while the next part is copied); memory is bounded by a few buffers; a list of chunks gets its name only when its chunks
are durable; a file that is to be cut and may be there whole already is hashed before it is cut; what only large files
need is not imported for small ones.
"""

import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from omphalos.format.ids import ObjectId, blob_id, hasher
from omphalos.store import chunked as lists
from omphalos.store.chunked import Chunk, TooLargeToChunk, encode
from omphalos.store.durable import translated
from omphalos.store.sources import (
    BUFFER_BYTES,
    SourceChanged,
    SourceUnreadable,
    SpecialFile,
    StoredFile,
    read_source,
    unchanged,
)

if TYPE_CHECKING:
    from concurrent.futures import Future
    from hashlib import _Hash as Hash
    from queue import SimpleQueue
    from threading import Event

    from omphalos.store.durable import Incoming
    from omphalos.store.objects import ObjectStore

COPY_ABOVE: Final = BUFFER_BYTES  # smaller files are read whole, and not written if they are there
_WINDOW: Final = 1 << 20  # what was just copied is still in the processor's cache when it is hashed
_SYNC_BYTES: Final = 8 << 20
_HASH_BYTES: Final = 1 << 20
# What sendfile says where it cannot be had for these two files; EIO, where either may be to blame.
_NO_COPY: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EOVERFLOW, errno.EIO})
Pull = Callable[[], bytes]  # the next bytes of a stream, none at its end


def put_stream(
    objects: "ObjectStore", pull: Pull, *, sha256: bool, chunked: bool, name: str = "the stream"
) -> StoredFile:
    """Store what ``pull`` yields as a blob: a record where it is small, else chunks if so wanted, or one file.

    Without ``sha256`` that digest is left out (empty).

    Raises:
        TooLargeToChunk: it has more chunks than a list can name; those stored so far are for gc to free.
        StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
    """
    first, second = pull(), pull()
    if not second and (not chunked or len(first) <= objects.pack_limit):
        # All of it is in memory: what is there already need not be written to be found out.
        oid = objects.put("blob", first)
        if not sha256:
            return StoredFile(oid, len(first), b"")
        import hashlib

        return StoredFile(oid, len(first), hashlib.sha256(first).digest())
    pieces = itertools.chain((first, second), iter(pull, b""))
    return _cut(objects, pieces, sha256, name) if chunked else _whole(objects, pieces, sha256)


def put_chunked(objects: "ObjectStore", fd: int, name: str, *, sha256: bool) -> StoredFile:
    """Store an open file in chunks, unless the store has it whole.

    Raises:
        SpecialFile, SourceChanged, SourceUnreadable: see ``read_source``.
        TooLargeToChunk: it is larger than a list of chunks can describe; nothing was read.
        StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
    """
    size = os.fstat(fd).st_size
    if size > lists.MAX_BLOB:
        raise TooLargeToChunk(name, size)
    if objects.loose.any_of_size(size):
        import hashlib

        blake, sha = hasher("blob"), hashlib.sha256()
        for piece in read_source(fd, name):
            blake.update(piece)
            if sha256:
                sha.update(piece)
        with objects.batch(), translated("storing a file"):
            if objects.present(ObjectId(blake.digest()), size):
                return StoredFile(ObjectId(blake.digest()), size, sha.digest() if sha256 else b"")
        os.lseek(fd, 0, os.SEEK_SET)
    rest = read_source(fd, name)
    return put_stream(objects, lambda: next(rest, b""), sha256=sha256, chunked=True, name=name)


def put_copy(objects: "ObjectStore", fd: int, name: str, *, sha256: bool) -> StoredFile:
    """Store an open regular file as one file.

    The kernel copies it, one window after the other, and what was copied is read back and hashed meanwhile: the bytes
    never pass through this process's memory twice, and what another process does to the source in between is in the
    copy, or is not, and the id is that of the copy.

    Raises:
        SpecialFile, SourceChanged, SourceUnreadable: see ``read_source``.
        StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
    """
    from concurrent.futures import ThreadPoolExecutor
    from queue import SimpleQueue
    from threading import Event

    before = os.fstat(fd)
    if not stat.S_ISREG(before.st_mode):
        raise SpecialFile(name)
    blake, sha, at = hasher("blob"), _sha256() if sha256 else None, 0
    buffer = memoryview(bytearray(_HASH_BYTES))
    with objects.batch(), translated("storing a file"):
        objects.begin()
        with objects.loose.incoming() as incoming, ThreadPoolExecutor(1) as beside:
            done, stop, begun = SimpleQueue[int](), Event(), 0
            copying = beside.submit(_copy, incoming, fd, before.st_size, name, done, stop)
            try:
                while at < before.st_size:
                    end = done.get()
                    if end < 0:
                        copying.result()
                        raise AssertionError("a copy that ended early says why")
                    while at < end:
                        got = os.preadv(incoming.fd, [buffer[: end - at]], at)
                        if not got:
                            raise OSError(errno.EIO, os.strerror(errno.EIO))  # somebody cut the copy
                        blake.update(buffer[:got])
                        if sha is not None:
                            sha.update(buffer[:got])
                        at += got
                    if at - begun >= _SYNC_BYTES:
                        incoming.start_sync(begun, at - begun)
                        begun = at
            finally:
                stop.set()
            if not unchanged(before, os.fstat(fd)):
                raise SourceChanged(name)
            oid = ObjectId(blake.digest())
            if not objects.present(oid, at):
                objects.loose.admit(incoming, oid)
    return StoredFile(oid, at, sha.digest() if sha is not None else b"")


def _copy(incoming: "Incoming", fd: int, size: int, name: str, done: "SimpleQueue[int]", stop: "Event") -> None:
    """Copy an open file, telling how far it is after each window, and -1 at the end, however it ends."""
    at = 0
    try:
        while at < size and not stop.is_set():
            end = min(at + _WINDOW, size)
            while at < end:
                at += _copy_some(incoming, fd, at, end, name)
            done.put(at)
    finally:
        done.put(-1)


def _copy_some(incoming: "Incoming", fd: int, at: int, end: int, name: str) -> int:
    try:
        got = incoming.copy(fd, at, end - at)
    except OSError as problem:
        if problem.errno not in _NO_COPY:
            raise
        try:
            data = os.pread(fd, min(_HASH_BYTES, end - at), at)
        except OSError as unread:
            raise SourceUnreadable(name, unread) from unread
        if problem.errno == errno.EIO:
            raise  # the source can be read, so it was not that
        incoming.write(data)
        got = len(data)
    if not got:
        raise SourceChanged(name)
    return got


def _sha256() -> "Hash":
    import hashlib  # its library takes as long to load as a small file to store

    return hashlib.sha256()


def _whole(objects: "ObjectStore", pieces: Iterator[bytes], sha256: bool) -> StoredFile:
    from concurrent.futures import ThreadPoolExecutor

    blake, sha, size = hasher("blob"), _sha256() if sha256 else None, 0
    with objects.batch(), translated("storing a file"):
        objects.begin()
        with objects.loose.incoming() as incoming, ThreadPoolExecutor(2) as beside:
            # Measured on two cores: reading and BLAKE3 here, writing beside it; SHA-256, the slowest, on its own.
            writing: Future[None] | None = None
            for piece in pieces:
                other = beside.submit(sha.update, piece) if sha is not None else None
                blake.update(piece)
                size += len(piece)
                if writing is not None:
                    writing.result()
                writing = beside.submit(incoming.write, piece)
                if other is not None:
                    other.result()
            if writing is not None:
                writing.result()
            oid = ObjectId(blake.digest())
            if not objects.present(oid, size):
                objects.loose.admit(incoming, oid)
    return StoredFile(oid, size, sha.digest() if sha is not None else b"")


def _cut(objects: "ObjectStore", pieces: Iterator[bytes], sha256: bool, name: str) -> StoredFile:
    import hashlib
    from concurrent.futures import ThreadPoolExecutor

    from omphalos.store.chunking import Cutter

    blake, sha, cutter, chunks = hasher("blob"), hashlib.sha256(), Cutter(), list[Chunk]()

    def keep(data: bytes) -> None:
        if len(chunks) == lists.MAX_CHUNKS:  # content can be made to give chunks of the smallest size
            raise TooLargeToChunk(name, None)
        chunks.append(Chunk(blob_id(data), len(data)))
        objects.put_chunk(chunks[-1].id, data)

    with objects.batch(), translated("storing a file"):
        objects.begin()
        with ThreadPoolExecutor(2) as beside:
            for piece in pieces:
                whole = beside.submit(blake.update, piece)
                other = beside.submit(sha.update, piece) if sha256 else None
                for chunk in cutter.feed(piece):
                    keep(chunk)
                whole.result()
                if other is not None:
                    other.result()
            for chunk in cutter.finish():
                keep(chunk)
        oid, size = ObjectId(blake.digest()), sum(chunk.length for chunk in chunks)
        if len(chunks) > 1 and not objects.present(oid, size):  # a single chunk is the blob itself
            objects.put_list(oid, encode(chunks))
    return StoredFile(oid, size, sha.digest() if sha256 else b"")
