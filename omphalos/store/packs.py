"""Segments: the files that records of small objects are appended to.

The syscall contract, for everything a batch appends:

1. ``open(O_RDWR | O_APPEND)`` of a free ``<16 hex>.open``, or ``open(O_CREAT | O_EXCL)`` of a new one, then ``flock``;
   what a killed writer left at its end is cut off with ``ftruncate`` before the first byte is appended;
2. ``write`` of headers and bytes, 8 MiB at a time;
3. ``fdatasync`` of the segment, once per batch (and once per 128 MiB);
4. ``fsync`` of the folder, if the segment is new or was renamed;
5. only now may an index name the records, and after that a ref their ids.

A segment that has grown to ``SEAL_BYTES`` is synced, hashed, made read-only and renamed to ``<64 hex>.pack``, the
BLAKE3 of its bytes; a sealed segment never changes again.

Rules of this file: a segment has one writer at a time, who holds its lock; nothing but a torn end is ever cut off;
after an error the segment is let go as it is, and the next writer looks at all of it.
"""

import contextlib
import fcntl
import os
import re
import stat
import threading
from pathlib import Path
from typing import Final

from blake3 import blake3

from omphalos.format.ids import ObjectId
from omphalos.store import durable
from omphalos.store.durable import OBJECT_MODE, Disk, temporary_name
from omphalos.store.records import (
    HEADER_BYTES,
    SEGMENT_MAGIC,
    Gap,
    Record,
    Window,
    header,
    hop_reader,
    parse,
    scan,
)

SEAL_BYTES: Final = 128 * 1024 * 1024
FLUSH_BYTES: Final = 8 * 1024 * 1024
OPEN_NAME: Final = re.compile(r"[0-9a-f]{16}\.open", re.ASCII)
SEALED_NAME: Final = re.compile(r"[0-9a-f]{64}\.pack", re.ASCII)
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HASH_BYTES: Final = 8 * 1024 * 1024
_OPEN_FILES: Final = 64
_OPEN_MODE: Final = 0o644


class Packs:
    """The segments in one folder, for readers; any number of threads may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fds: dict[str, int] = {}
        self._lock = threading.Lock()

    def listing(self) -> dict[str, int]:
        """Return the size of every segment by name, in order of name."""
        found: dict[str, int] = {}
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if SEALED_NAME.fullmatch(entry.name) or OPEN_NAME.fullmatch(entry.name):
                        with contextlib.suppress(FileNotFoundError):  # sealed or swept meanwhile
                            seen = entry.stat(follow_symlinks=False)
                            if stat.S_ISREG(seen.st_mode):
                                found[entry.name] = seen.st_size
        except FileNotFoundError:
            return {}
        return dict(sorted(found.items()))

    def open(self, name: str) -> int:
        """Open a segment for reading; the caller closes it."""
        return os.open(self.folder / name, _READ)

    def window(self, name: str) -> Window | None:
        """Return a segment for reading record after record, None where there is none; the caller closes it."""
        try:
            return Window(self.open(name))
        except FileNotFoundError:
            return None

    def read(self, name: str, offset: int, length: int, oid: ObjectId) -> bytes | None:
        """Return the bytes of the record at ``offset`` if its header claims them, unhashed; else None."""
        data = self._pread(name, HEADER_BYTES + length, offset)
        record = parse(data[:HEADER_BYTES])
        if record is None or record.id != oid or record.length != length or len(data) != HEADER_BYTES + length:
            return None
        return data[HEADER_BYTES:]

    def claims(self, name: str, offset: int, oid: ObjectId) -> Record | None:
        """Return the record at ``offset`` if its header says ``oid``; its bytes are not read."""
        record = parse(self._pread(name, HEADER_BYTES, offset), offset)
        return record if record is not None and record.id == oid else None

    def _pread(self, name: str, size: int, offset: int) -> bytes:
        """Return bytes of a segment; none where there is no such segment."""
        fd = self._fds.get(name)
        if fd is not None:
            return os.pread(fd, size, offset)
        try:
            fd = self.open(name)
        except FileNotFoundError:
            return b""
        data = os.pread(fd, size, offset)
        with self._lock:
            # A file that is kept open stays open: another thread may be reading from it.
            if len(self._fds) < _OPEN_FILES and name not in self._fds:
                self._fds[name] = fd
                return data
        os.close(fd)
        return data

    def drop(self, name: str) -> None:
        """Stop reading from a segment that was moved away, at a time when no other thread reads."""
        with self._lock:
            fd = self._fds.pop(name, None)
            if fd is not None:
                os.close(fd)

    def close(self) -> None:
        """Close what was opened; no other thread may be reading."""
        with self._lock:
            for fd in self._fds.values():
                os.close(fd)
            self._fds.clear()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


class PackWriter:
    """Appends records to one segment after another."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder
        self._buffers: list[bytes] = []
        self._buffered = 0
        self._fd = -1
        self._new = False
        self._dirty = False
        self._state: blake3 | None = None  # of all that was written, where this writer wrote all
        self.name = ""
        self.size = 0  # with what is buffered

    @property
    def is_open(self) -> bool:
        """Say whether a segment is held."""
        return self._fd >= 0

    def acquire(self, known: dict[str, int]) -> None:
        """Take a segment: one that is free and not damaged, or a new one.

        Args:
            known: how far each segment was found whole before; one of exactly that size is not looked at again.
        """
        durable.make_folders(self._disk, self._folder)
        for name in sorted(os.listdir(self._folder)):
            if OPEN_NAME.fullmatch(name) and self._take(name, known.get(name)):
                return
        while True:
            name = f"{temporary_name()}.open"
            fd = self._disk.create(self._folder / name)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)  # another writer took it at once
                continue
            self._hold(fd, name, 0, new=True)
            self._disk.set_mode(fd, _OPEN_MODE)
            self._append(SEGMENT_MAGIC)
            return

    def _take(self, name: str, known: int | None) -> bool:
        path = self._folder / name
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            found = os.fstat(fd)
            if not found.st_nlink or not stat.S_ISREG(found.st_mode) or not _is_at(path, found):
                return False  # sealed or removed between open and flock
            size = found.st_size
            if size != known or size >= SEAL_BYTES:
                whole = self._whole_size(fd, size)
                if whole is None:
                    return False
                if whole != size:
                    self._disk.truncate(fd, whole)
                    size = whole
            if size >= SEAL_BYTES:  # full, and its writer died before it was sealed
                self._hold(fd, name, size, new=True)
                fd = -1
                self._seal_whole()
                return False
            self._hold(fd, name, size, new=size != known)
            fd = -1
            if not size:
                self._append(SEGMENT_MAGIC)
            return True
        finally:
            if fd >= 0:
                os.close(fd)

    @staticmethod
    def _whole_size(fd: int, size: int) -> int | None:
        """Return where the last record ends; None where something else than a torn end is no record."""
        gaps: list[Gap] = []
        for _ in scan(hop_reader(fd), 0, size, gaps):
            pass
        if not gaps:
            return size
        return gaps[0].start if len(gaps) == 1 and gaps[0].torn and gaps[0].end == size else None

    def _hold(self, fd: int, name: str, size: int, *, new: bool) -> None:
        self._fd, self.name, self.size, self._new = fd, name, size, new
        self._dirty = new
        self._state = blake3() if not size else None
        self._buffers, self._buffered = [], 0

    def _append(self, data: bytes) -> None:
        self._buffers.append(data)
        self._buffered += len(data)
        self.size += len(data)
        self._dirty = True

    def append(self, kind: int, oid: ObjectId, data: bytes) -> int:
        """Append a record and return its offset; it is in memory until ``flush``."""
        offset = self.size
        self._buffers += (header(kind, len(data), oid), data)
        grown = HEADER_BYTES + len(data)
        self._buffered += grown
        self.size += grown
        self._dirty = True
        if self._buffered >= FLUSH_BYTES:
            self.flush()
        return offset

    def flush(self) -> None:
        """Write what is buffered, not yet durable."""
        if not self._buffers:
            return
        data, self._buffers, self._buffered = b"".join(self._buffers), [], 0
        durable.write_all(self._disk, self._fd, data)
        if self._state is not None:
            self._state.update(data)

    def sync(self) -> None:
        """Make everything appended durable, names included."""
        self.flush()
        if self._dirty:
            self._disk.sync_data(self._fd)
            self._dirty = False
        if self._new:
            durable.sync_folder(self._disk, self._folder)
            self._new = False

    def seal(self) -> tuple[str, str]:
        """Make the segment durable under its own hash, let it go, and return its name before and after."""
        self.sync()
        return self._seal_whole()

    def _seal_whole(self) -> tuple[str, str]:
        state, at = self._state or blake3(), 0
        fd = os.open(self._folder / self.name, _READ)
        try:
            while self._state is None and (chunk := os.pread(fd, _HASH_BYTES, at)):
                state.update(chunk)
                at += len(chunk)
        finally:
            os.close(fd)
        before, after = self.name, f"{state.hexdigest()}.pack"
        self._disk.sync_data(self._fd)
        self._disk.set_mode(self._fd, OBJECT_MODE)
        self._disk.rename(self._folder / before, self._folder / after)
        durable.sync_folder(self._disk, self._folder)
        self.release()
        return before, after

    def release(self) -> None:
        """Let the segment go as it is; what was not flushed is lost."""
        fd, self._fd, self.name = self._fd, -1, ""
        self._buffers, self._buffered = [], 0
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.release()


def _is_at(path: Path, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), found)
    except FileNotFoundError:
        return False
