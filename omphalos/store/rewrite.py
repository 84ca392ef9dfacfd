"""A segment written anew without some of its records: for gc, and to get damage out of the way.

Rules of this file: what is kept is durable elsewhere, and indexed there, before the old segment is moved; the old one
is moved whole, never changed and never deleted here; a segment that a writer holds is left alone.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from omphalos.format.ids import KINDS, object_id
from omphalos.store import durable
from omphalos.store.durable import Disk
from omphalos.store.objects import ObjectStore
from omphalos.store.records import HEADER_BYTES, Record, scan, scan_reader


def rewrite(disk: Disk, objects: ObjectStore, name: str, keep: Callable[[Record], bool], target: Path) -> bool:
    """Copy the intact records of a segment that ``keep`` wants to another one, and move the segment to ``target``.

    Returns:
        Whether it was done; not if a writer holds the segment, or it is gone.

    Raises:
        OSError, StoreIOError: nothing was moved.
    """
    packs = objects.catalog.packs
    try:
        fd = packs.open(name)
    except FileNotFoundError:
        return False
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        size = os.fstat(fd).st_size
        reader = scan_reader(fd)
        with objects.batch():
            for record in scan(reader, 0, size):
                if keep(record):
                    data = bytes(reader.at(record.offset + HEADER_BYTES, record.length))
                    if object_id(KINDS[record.kind], data) == record.id:
                        objects.copy_record(record.kind, record.id, data)
        durable.make_folders(disk, target.parent)
        disk.rename(packs.folder / name, target)
        durable.sync_folder(disk, target.parent)
        durable.sync_folder(disk, packs.folder)
        objects.catalog.forget_segment(name)
    finally:
        os.close(fd)
    return True
