"""The stat cache: a file whose stat is what it was when it was stored need not be read again.

One value per folder in the index, by device and inode of the folder: the files' names, their stats, ids and whether
each id was in a segment, and the folder's own node. Rules of this file: a file is trusted only if device, inode, size,
mtime and ctime are those of the cached row, and mtime and ctime were before the survey began by more than the file
system's clock may lag (git's rule for racy entries); times come from the file system, never from a clock of ours;
a value of an older epoch says nothing about what the store holds. Whoever can set ctime (a privileged user, a changed
clock) can deceive the cache; what verifies, hashes.
"""

import os
import struct
from collections.abc import Iterator
from typing import Final

from omphalos.format.ids import ID_BYTES, ObjectId
from omphalos.store.folders import STAT, Folder
from omphalos.store.leases import Moment

_HEAD: Final = struct.Struct("<BQIQ32s32s?")
_KEY: Final = struct.Struct("<QQ")
_VERSION: Final = 1
# A file that changes after it was read gets a time no earlier than the one taken before the survey, rounded down to the
# grain of its file system. On the file system that said the time the clock is the same, and where a time shows digits
# behind the tenths the grain is at most a tick of the kernel, 10 ms. Two seconds are the grain of FAT, and room for the
# clock of another machine.
FINE_NS: Final = 100_000_000
RACY_NS: Final = 2_000_000_000
_TENTH: Final = 100_000_000
_NOTHING: Final = bytes(STAT.size)
NO_ID: Final = ObjectId(bytes(ID_BYTES))


Row = tuple[bytes, ObjectId, bool]


class Rows:
    """What is known of one folder's files, in order of name (``ids`` one after the other), and of its node."""

    __slots__ = ("children", "epoch", "ids", "names", "node", "node_packed", "packed", "stats", "total")

    def __init__(
        self,
        epoch: int = 0,
        names: bytes = b"",
        stats: bytes = b"",
        ids: bytes = b"",
        packed: bytes = b"",
        children: bytes = bytes(ID_BYTES),
        node: ObjectId = NO_ID,
        node_packed: bool = False,
        total: int = 0,
    ) -> None:
        self.epoch = epoch
        self.names = names
        self.stats = stats
        self.ids = ids
        self.packed = packed
        self.children = children
        self.node = node
        self.node_packed = node_packed
        self.total = total

    def id_at(self, at: int) -> ObjectId:
        """Return the id of one file by its place."""
        return ObjectId(self.ids[at * ID_BYTES : (at + 1) * ID_BYTES])

    def each_stat(self) -> Iterator[bytes]:
        """Yield the stat of each file, in order of name."""
        stats, size = self.stats, STAT.size
        return (stats[at : at + size] for at in range(0, len(stats), size))

    def each(self) -> Iterator[Row]:
        """Yield stat, id and whether it is in a segment, in order of name."""
        ids = self.ids
        each_id = (ObjectId(ids[at : at + ID_BYTES]) for at in range(0, len(ids), ID_BYTES))
        return zip(self.each_stat(), each_id, map(bool, self.packed), strict=True)

    def by_name(self) -> dict[bytes, Row]:
        """Return the same by name."""
        return dict(zip(self.names.split(b"\0"), self.each(), strict=True)) if self.ids else {}


def key(folder: Folder) -> bytes:
    """Return the key of a folder's value."""
    return _KEY.pack(folder.stat.st_dev, folder.stat.st_ino)


def encode_name(name: str) -> bytes:
    """Return a file's name as it stands in a value."""
    return os.fsencode(name)


def names_of(folder: Folder) -> bytes:
    """Return the names of a folder's files as they stand in a value."""
    return os.fsencode("\0".join(folder.names))


def observed(folder: Folder) -> Rows:
    """Return names and stats of a folder's files as surveyed."""
    return Rows(names=names_of(folder), stats=folder.stats)


def encode(rows: Rows, before: Moment) -> bytes:
    """Return the value of a folder.

    Args:
        rows: what is known of its files.
        before: the time of the store's file system before they were surveyed; files touched so shortly before it that
            a later change might show in no time are left untrusted.
    """
    size, untrusted = STAT.size, list[int]()
    fine, coarse = before.ns - FINE_NS, before.ns - RACY_NS
    for at, (_, mtime, ctime, _, device) in enumerate(STAT.iter_unpack(rows.stats)):
        last = max(mtime, ctime)
        if last >= coarse and (last >= fine or device != before.device or not mtime % _TENTH or not ctime % _TENTH):
            untrusted.append(at)
    trusted = bytearray(rows.stats)
    for at in untrusted:
        trusted[at * size : (at + 1) * size] = _NOTHING
    head = _HEAD.pack(
        _VERSION, rows.epoch, len(rows.ids) // ID_BYTES, rows.total, rows.node, rows.children, rows.node_packed
    )
    return b"".join((head, trusted, rows.packed, rows.ids, rows.names))


def decode(value: bytes | None) -> Rows | None:
    """Return what a value says, None where it says nothing."""
    if value is None or len(value) < _HEAD.size or value[0] != _VERSION:
        return None
    _, epoch, count, total, node, children, node_packed = _HEAD.unpack_from(value)
    stats_at = _HEAD.size
    packed_at = stats_at + count * STAT.size
    ids_at = packed_at + count
    names_at = ids_at + count * ID_BYTES
    names = value[names_at:]
    if names_at > len(value) or (names.count(b"\0") + 1 if names else 0) != count:
        return None
    return Rows(
        epoch,
        names,
        value[stats_at:packed_at],
        value[ids_at:names_at],
        value[packed_at:ids_at],
        children,
        ObjectId(node),
        node_packed,
        total,
    )
