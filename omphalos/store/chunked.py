"""Chunked blobs: a huge file kept as a list of chunks, so that its next version costs what changed.

``objects/chunked/<2 hex>/<62 hex>`` is named by the id of the blob, the plain BLAKE3 of all its bytes, and holds

    offset  0  magic    the 16 bytes "omphalos list 1\\n"
           16  size     of the blob, unsigned 64 bits, little endian
           24  chunks   one after the other: id (32 bytes), length (unsigned 32 bits, little endian)
       end-32  check    BLAKE3 of all bytes before

A chunk is a blob like any other, a record in a segment or a file of its own, and never a list itself.

Rules of this file: a list is believed only with its check, and then only as a claim: who wants the blob hashes the
whole. It becomes visible when its chunks are durable, goes before they go, and is as good as absent if one is missing.
"""

import errno
import io
import os
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from blake3 import blake3

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import ID_BYTES, ObjectId
from omphalos.store.damage import ObjectDamaged
from omphalos.store.durable import Disk
from omphalos.store.loose import Loose
from omphalos.store.records import MAX_RECORD

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LIST_MAGIC: Final = b"omphalos list 1\n"
MAX_LIST: Final = 1 << 26  # bytes; a list is read whole
MAX_BLOB: Final = 448 << 30  # bytes; at 254 KiB a chunk, which is what arbitrary content gives, 452 GiB fill a list
_SIZE: Final = struct.Struct("<Q")
_CHUNK: Final = struct.Struct("<32sI")
_START: Final = len(LIST_MAGIC) + _SIZE.size
_LEAST: Final = _START + _CHUNK.size + ID_BYTES
MAX_CHUNKS: Final = (MAX_LIST - _START - ID_BYTES) // _CHUNK.size


class TooLargeToChunk(OmphalosError):
    """A file has more chunks than a list can name, or so many bytes that it would."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "tooLargeToChunk"

    def __init__(self, name: str, size: int | None) -> None:
        said, most = (f"{size} bytes, more", f"{MAX_BLOB}") if size is not None else ("more chunks", f"{MAX_CHUNKS}")
        super().__init__(
            f"{name!r} has {said} than the {most} that a list of chunks can name",
            hint="put it without --chunked, or with a larger chunk-above (OMPHALOS_CHUNK_ABOVE=16TiB): as one file",
            undone="it was not stored",
        )


class Chunk(NamedTuple):
    """One chunk: its id as a blob, and how many bytes it has."""

    id: ObjectId
    length: int


class ChunkList(NamedTuple):
    """A blob as it was cut: its size and its chunks in order."""

    size: int
    chunks: tuple[Chunk, ...]


def encode(chunks: Sequence[Chunk]) -> bytes:
    """Return the bytes of a list."""
    rows = b"".join(_CHUNK.pack(*chunk) for chunk in chunks)
    data = LIST_MAGIC + _SIZE.pack(sum(chunk.length for chunk in chunks)) + rows
    return data + blake3(data).digest()


def decode(data: bytes) -> ChunkList | None:
    """Return a list, or None where the bytes are none: wrong magic, check, lengths or sum, or longer than a list is."""
    end = len(data) - ID_BYTES
    if not _LEAST <= len(data) <= MAX_LIST or data[: len(LIST_MAGIC)] != LIST_MAGIC or (end - _START) % _CHUNK.size:
        return None
    if blake3(memoryview(data)[:end]).digest() != data[end:]:
        return None
    chunks = tuple(Chunk(ObjectId(oid), length) for oid, length in _CHUNK.iter_unpack(data[_START:end]))
    size = _SIZE.unpack_from(data, len(LIST_MAGIC))[0]
    if any(not 1 <= chunk.length <= MAX_RECORD for chunk in chunks) or sum(chunk.length for chunk in chunks) != size:
        return None
    return ChunkList(size, chunks)


class Lists(Loose):
    """The lists of one store, kept as files like large objects."""

    def __init__(self, root: Path, disk: Disk) -> None:
        super().__init__(root, disk, "chunked")

    def load(self, oid: ObjectId) -> ChunkList | None:
        """Return the list of a blob, None where there is none; whether its chunks are there is another question.

        Raises:
            ObjectDamaged: what stands there is no list.
            OSError: it cannot be read.
        """
        try:
            fd = self.open(oid)
        except OSError as problem:
            if problem.errno == errno.ELOOP:
                raise ObjectDamaged(oid, None, folder=self.folder.name) from None
            raise
        if fd is None:
            return None
        try:
            size = os.fstat(fd).st_size
            data = b"" if size > MAX_LIST else os.pread(fd, size, 0)
        finally:
            os.close(fd)
        found = decode(data)
        if found is None:
            raise ObjectDamaged(oid, None, folder=self.folder.name)
        return found


class ChunkStream(io.RawIOBase):
    """A chunked blob as a stream that can be read and rewound; one chunk at a time is in memory."""

    def __init__(self, listed: ChunkList, fetch: Callable[[Chunk], bytes]) -> None:
        """Take a list and what returns the bytes of a chunk (its errors come out of ``read``)."""
        self._listed = listed
        self._fetch = fetch
        self._starts = list(accumulate((chunk.length for chunk in listed.chunks), initial=0))
        self._at = 0
        self._held = (-1, b"")

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def seekable(self) -> bool:
        """Say that this can be rewound."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset from the start, from here, or from the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._listed.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill a buffer with what is left of one chunk."""
        view = memoryview(buffer).cast("B")
        if self._at >= self._listed.size:
            return 0
        number = bisect_right(self._starts, self._at) - 1
        if self._held[0] != number:
            self._held = (number, self._fetch(self._listed.chunks[number]))
        start = self._at - self._starts[number]
        part = self._held[1][start : start + len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)
