"""Damage to a store, done on purpose, wherever the object lies: what a test does in place of a bad disk."""

import os
from pathlib import Path

from omphalos.format.ids import ObjectId
from omphalos.store.records import HEADER_BYTES
from omphalos.store.store import Store


def flip(store: Store, oid: ObjectId, byte: int = 0, bit: int = 0) -> None:
    """Flip one bit of the bytes of an object that the store holds, or of its list of chunks."""
    path = store.objects.loose.path(oid)
    start = 0
    if not path.is_file() and store.objects.lists.has(oid):
        path = store.objects.lists.path(oid)
    elif not path.is_file():
        place = store.objects.catalog.locate(oid, thorough=True)
        if place is None:
            raise LookupError(oid.hex())
        path, start = store.objects.catalog.packs.folder / place.segment, place.offset + HEADER_BYTES
    flip_bit(path, start + byte, bit)


def flip_bit(path: Path, byte: int, bit: int = 0) -> None:
    """Flip one bit of a file, whatever its mode."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        old = os.pread(fd, 1, byte)
        os.pwrite(fd, bytes([old[0] ^ (1 << bit)]), byte)
    finally:
        os.close(fd)
        path.chmod(mode & 0o7777)


def lose(store: Store, oid: ObjectId) -> None:
    """Take an object out of the store as if it had never been there, every copy of it."""
    store.objects.loose.path(oid).unlink(missing_ok=True)
    store.objects.lists.path(oid).unlink(missing_ok=True)
    catalog = store.objects.catalog
    while (place := catalog.locate(oid, thorough=True)) is not None:
        path = catalog.packs.folder / place.segment
        mode = path.stat().st_mode
        path.chmod(0o644)
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.pwrite(fd, bytes(HEADER_BYTES + place.length), place.offset)
        finally:
            os.close(fd)
            path.chmod(mode & 0o7777)
