"""A store: a folder with ``objects/`` and ``refs/``.

This file makes, opens and finds stores and keeps the one order that matters above single objects: a run object is
put only when its manifest is valid and its tree is there. Who wants a run to exist moves a ref afterwards.
"""

import functools
from pathlib import Path
from typing import ClassVar, Self

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import ObjectId, from_hex
from omphalos.store import durable
from omphalos.store.closure import secure
from omphalos.store.durable import DISK, Disk, translated
from omphalos.store.objects import PACK_LIMIT, ObjectMissing, ObjectStore
from omphalos.store.refs import RefStore


class StoreMissing(OmphalosError):
    """There is no store where one was expected."""

    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    id: ClassVar[str] = "storeMissing"

    def __init__(self, where: str) -> None:
        super().__init__(f"no store {where}", hint="make one with `omphalos init`, or name the folder of one")


class Store:
    """The store in the folder ``root``: its objects and its refs."""

    def __init__(self, root: Path, *, disk: Disk = DISK, pack_limit: int = PACK_LIMIT, mapped: bool = True) -> None:
        """Take a folder that is known to be a store; use ``init``, ``open`` or ``find``.

        What ``pack_limit`` means to a writer is said at ``ObjectStore``; readers need not know. A store whose files
        somebody else made or may change is read with ``mapped=False``: its index, which LMDB would map and believe, is
        neither opened nor written, and is made in memory out of the segments.
        """
        self.root = root
        self.disk = disk
        self.objects = ObjectStore(root, disk=disk, pack_limit=pack_limit, mapped=mapped)
        self.refs = RefStore(root, disk=disk, secure=functools.partial(secure, self.objects))

    @classmethod
    def init(cls, root: Path, *, disk: Disk = DISK, pack_limit: int = PACK_LIMIT) -> Self:
        """Make a store in ``root``, durably, and return it; one that is there already stays as it is.

        Raises:
            StoreFull, StoreReadOnly, StoreIOError: the folders cannot be made.
        """
        with translated("making a store"):
            durable.make_folders(disk, root / "objects" / "large")
            durable.make_folders(disk, root / "refs")
        return cls(root, disk=disk, pack_limit=pack_limit)

    @classmethod
    def open(cls, root: Path, *, disk: Disk = DISK, pack_limit: int = PACK_LIMIT) -> Self:
        """Return the store in ``root``.

        Raises:
            StoreMissing: ``root`` holds no ``objects/large`` and ``refs``.
        """
        if not _is_store(root):
            raise StoreMissing(f"in {str(root)!r}")
        return cls(root, disk=disk, pack_limit=pack_limit)

    @classmethod
    def find(cls, start: Path, *, disk: Disk = DISK) -> Self:
        """Return the nearest store in ``start`` (an absolute path) or a folder above it.

        Raises:
            StoreMissing: there is none up to the root of the file system.
        """
        for folder in (start, *start.parents):
            if _is_store(folder):
                return cls(folder, disk=disk)
        raise StoreMissing(f"in {str(start)!r} or a folder above it")

    def put_run(self, manifest: bytes) -> ObjectId:
        """Store the bytes of a ``manifest.json`` as a run object and return its id; no ref is moved.

        Raises:
            ManifestError: the bytes are not a valid manifest.
            ObjectMissing: the store does not hold the tree it names.
            StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
        """
        from omphalos.format.manifest import decode_manifest  # not for the many commands that meet no run

        tree = from_hex(decode_manifest(manifest).tree)
        if not self.objects.has(tree):
            raise ObjectMissing(tree)
        return self.objects.put("run", manifest)


def _is_store(folder: Path) -> bool:
    return (folder / "objects" / "large").is_dir() and (folder / "refs").is_dir()
