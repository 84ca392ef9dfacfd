"""The stat cache: a file whose stat is what it was when it was stored need not be read again.

One value per folder in the index, by device and inode of the folder: the files' names, their stats, ids and whether
each id was in a segment, and the folder's own node. Rules of this file: a file is trusted only if device, inode, size,
mtime and ctime are those of the cached row, and mtime and ctime were at least two seconds before the row was written
(git's rule for racy entries, with room for coarse clocks); times come from the file system, never from a clock of ours;
a value of an older epoch says nothing about what the store holds. Whoever can set ctime (a privileged user, a changed
clock) can deceive the cache; what verifies, hashes.
"""

import os
import struct
from typing import Final

from omphalos.format.ids import ID_BYTES, ObjectId
from omphalos.store.folders import Folder

_HEAD: Final = struct.Struct("<BQIQ32s32s?")
_STAT: Final = struct.Struct("<qqqQQ")
_KEY: Final = struct.Struct("<QQ")
_VERSION: Final = 1
RACY_NS: Final = 2_000_000_000
_NOTHING: Final = bytes(_STAT.size)
NO_ID: Final = ObjectId(bytes(ID_BYTES))


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

    def by_name(self) -> dict[bytes, tuple[bytes, ObjectId, bool]]:
        """Return stat, id and whether it is in a segment, by name."""
        size = _STAT.size
        return {
            name: (self.stats[at * size : (at + 1) * size], self.id_at(at), bool(self.packed[at]))
            for at, name in enumerate(self.names.split(b"\0") if self.ids else ())
        }


def key(folder: Folder) -> bytes:
    """Return the key of a folder's value."""
    return _KEY.pack(folder.stat.st_dev, folder.stat.st_ino)


def encode_name(name: str) -> bytes:
    """Return a file's name as it stands in a value."""
    return os.fsencode(name)


def stat_bytes(seen: os.stat_result) -> bytes:
    """Return what must be equal for a file to be the same."""
    return _STAT.pack(seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_dev)


def observed(folder: Folder) -> Rows:
    """Return names and stats of a folder's files as surveyed."""
    pack = _STAT.pack
    return Rows(
        names=os.fsencode("\0".join(folder.files)),
        stats=b"".join(
            [pack(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev) for s in folder.files.values()]
        ),
    )


def encode(rows: Rows, before: int) -> bytes:
    """Return the value of a folder; files touched less than two seconds before ``before`` are left untrusted."""
    trusted, size = bytearray(rows.stats), _STAT.size
    for at, (_, mtime, ctime, _, _) in enumerate(_STAT.iter_unpack(rows.stats)):
        if max(mtime, ctime) >= before - RACY_NS:
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
    packed_at = stats_at + count * _STAT.size
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
