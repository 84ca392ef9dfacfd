"""Records: how a small object lies in a segment, and how records are found again without an index.

A segment is ``SEGMENT_MAGIC`` and then records, each a header of 48 bytes and the object's plain bytes:

    offset  0  magic      f1 6f 6d 70
            4  version    1
            5  kind       0 blob, 1 tree, 2 run
            6  zero       two bytes
            8  length     of the bytes, unsigned 32 bits, little endian
           12  id         32 bytes
           44  check      CRC-32 of the 44 bytes before, little endian

Rules of this file: a header is believed only with its CRC, and only as a claim: who wants the object hashes the bytes.
Between records that follow each other nothing is searched, so bytes inside an object cannot pose as a record. After
something that is no record the next header is searched for, and believed only if its bytes have its id.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from blake3 import blake3

from omphalos.format.ids import KINDS, ObjectId, object_id

SEGMENT_MAGIC: Final = b"omphalos pack 1\n"
RECORD_MAGIC: Final = b"\xf1omp"
VERSION: Final = 1
MAX_RECORD: Final = 1 << 20  # bytes of an object in a record; a header that claims more is none
_FIRST: Final = struct.Struct("<4sBBHI32s")
_CHECK: Final = struct.Struct("<I")
_WHOLE: Final = struct.Struct("<4sBBHI32sI")
HEADER_BYTES: Final = _FIRST.size + _CHECK.size
SCAN_BYTES: Final = 1 << 20
_HOP_BYTES: Final = 1 << 15


class Record(NamedTuple):
    """One record: where its header begins in the segment, how many bytes the object has, its kind, and its id."""

    offset: int
    length: int
    kind: int
    id: ObjectId

    @property
    def end(self) -> int:
        """Return the offset behind the record."""
        return self.offset + HEADER_BYTES + self.length


class Gap(NamedTuple):
    """Bytes of a segment that are no record; ``torn`` where they can be what a killed writer left at the end."""

    start: int
    end: int
    torn: bool


def header(kind: int, length: int, oid: bytes) -> bytes:
    """Return the header of a record."""
    first = _FIRST.pack(RECORD_MAGIC, VERSION, kind, 0, length, oid)
    return first + _CHECK.pack(zlib.crc32(first))


def parse(data: bytes | memoryview, offset: int = 0) -> Record | None:
    """Return the claim of the header at the start of ``data``, for a record at ``offset``; None if it is no header."""
    if len(data) < HEADER_BYTES:
        return None
    magic, version, kind, zero, length, oid = _FIRST.unpack_from(data)
    if magic != RECORD_MAGIC or version != VERSION or zero or kind >= len(KINDS) or length > MAX_RECORD:
        return None
    if zlib.crc32(data[: _FIRST.size]) != _CHECK.unpack_from(data, _FIRST.size)[0]:
        return None
    return Record(offset, length, kind, ObjectId(oid))


class Reader:
    """Bytes of an open file by offset, read ahead in windows; never mapped, so a file that shrinks cannot kill us."""

    def __init__(self, fd: int, window: int) -> None:
        self.fd = fd
        self._window = window
        self._start = 0
        self._data = memoryview(b"")

    def at(self, offset: int, size: int) -> memoryview:
        """Return up to ``size`` bytes from ``offset``; fewer only at the end of the file."""
        place = offset - self._start
        if place < 0 or place + size > len(self._data):
            self._data = memoryview(os.pread(self.fd, max(size, self._window), offset))
            self._start, place = offset, 0
        return self._data[place : place + size]


class Window:
    """Bytes of an open file by offset, in one buffer that is used again: what ``at`` returned ends with the next call.

    What follows on what was asked for before is read ahead, so that records that stand as they are wanted cost one call
    in many; anything else is read as it is asked for.
    """

    def __init__(self, fd: int, size: int = 1 << 19) -> None:
        self._fd = fd
        self._buffer = memoryview(bytearray(size))
        self._start = self._end = self._next = 0

    def at(self, offset: int, size: int) -> memoryview:
        """Return ``size`` bytes from ``offset``; fewer only at the end of the file."""
        ahead = 0 <= offset - self._next <= len(self._buffer)
        self._next = offset + size
        if offset < self._start or offset + size > self._end:
            if size > len(self._buffer):
                return memoryview(os.pread(self._fd, size, offset))
            wanted = self._buffer if ahead else self._buffer[:size]
            self._start, self._end = offset, offset + os.preadv(self._fd, [wanted], offset)
        return self._buffer[offset - self._start : min(offset + size, self._end) - self._start]

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def is_intact(reader: Reader, record: Record) -> bool:
    """Say whether the bytes of a record have its id."""
    data = reader.at(record.offset + HEADER_BYTES, record.length)
    return len(data) == record.length and object_id(KINDS[record.kind], data) == record.id


def intact_run(view: memoryview, stop: int) -> tuple[int, int, int]:
    """Hash the records that begin before ``stop``, one after the other, until one is not whole and intact in ``view``.

    The fast way through a segment: who calls it looks at what stopped it with ``scan``.

    Returns:
        How many records are intact, the bytes of their objects, and where the first that is not (or not all there)
        begins.
    """
    at = count = total = 0
    last = min(stop - 1, len(view) - HEADER_BYTES)
    while at <= last:
        magic, version, kind, zero, length, oid, check = _WHOLE.unpack_from(view, at)
        start = at + HEADER_BYTES
        end = start + length
        if (
            magic != RECORD_MAGIC
            or version != VERSION
            or zero
            or length > MAX_RECORD
            or end > len(view)
            or zlib.crc32(view[at : at + _FIRST.size]) != check
        ):
            break
        if kind == 0:
            if blake3(view[start:end]).digest() != oid:
                break
        elif kind >= len(KINDS) or object_id(KINDS[kind], view[start:end]) != oid:
            break
        at = end
        count += 1
        total += length
    return count, total, at


def scan(reader: Reader, start: int, end: int, gaps: list[Gap] | None = None) -> Iterator[Record]:
    """Yield every record between two offsets of a segment, whether its bytes are intact or not.

    Args:
        reader: the segment.
        start: 0, or the end of a record.
        end: where to stop; usually the size of the file.
        gaps: takes what is no record.
    """
    at = start
    if at == 0:
        at = len(SEGMENT_MAGIC)
        if end == 0:
            return
        head = bytes(reader.at(0, min(at, end)))
        if head != SEGMENT_MAGIC:
            # A whole record may still follow a damaged first line.
            torn = SEGMENT_MAGIC.startswith(head)
            if gaps is not None:
                gaps.append(Gap(0, min(at, end), torn))
    while at < end:
        record = parse(reader.at(at, min(HEADER_BYTES, end - at)), at)
        if record is not None and record.end <= end:
            yield record
            at = record.end
            continue
        found = next_record(reader, at + 1, end)
        if gaps is not None:
            torn = found is None and _is_torn(reader, at, end, record)
            gaps.append(Gap(at, end if found is None else found.offset, torn))
        if found is None:
            return
        at = found.offset


def next_record(reader: Reader, start: int, end: int) -> Record | None:
    """Return the first record from ``start`` on whose bytes have its id."""
    at = start
    while at + HEADER_BYTES <= end:
        data = bytes(reader.at(at, min(SCAN_BYTES, end - at)))
        place = data.find(RECORD_MAGIC)
        if place < 0:
            at += max(1, len(data) - len(RECORD_MAGIC) + 1)
            continue
        at += place
        record = parse(reader.at(at, min(HEADER_BYTES, end - at)), at)
        if record is not None and record.end <= end and is_intact(reader, record):
            return record
        at += 1
    return None


def _is_torn(reader: Reader, at: int, end: int, claim: Record | None) -> bool:
    """Say whether the last bytes can be the beginning of a record, or nothing but zeros."""
    if claim is not None:
        return True
    data = bytes(reader.at(at, min(end - at, MAX_RECORD)))
    if end - at < HEADER_BYTES and data[: len(RECORD_MAGIC)] == RECORD_MAGIC[: len(data)]:
        return True
    return end - at <= MAX_RECORD and not data.strip(b"\0")


def hop_reader(fd: int) -> Reader:
    """Return a reader for passes that look at headers only."""
    return Reader(fd, _HOP_BYTES)


def scan_reader(fd: int) -> Reader:
    """Return a reader for passes that look at all bytes."""
    return Reader(fd, SCAN_BYTES * 4)
