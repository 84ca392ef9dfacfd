"""The index: where each small object lies, kept in LMDB, or in memory where nothing can be written.

A cache, never the truth. ``objects/index/`` may be deleted or damaged at any time; then it is made again from the
segments. Rules of this file: an error of LMDB leaves it only as ``IndexUnusable``, and the caller carries on without;
a file is compared with its check sum before it is mapped (``guard``), and one that is in use and was cut is filled up,
since reading behind the end of a mapped file kills the process; a full map grows by itself; one environment per process
and folder, closed when nobody uses it any more, opened anew after a fork.
"""

import atexit
import contextlib
import functools
import itertools
import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from omphalos.format.ids import ObjectId
from omphalos.store.guard import Guard, delete, locked

MAP_BYTES: Final = 1 << 28
_READERS: Final = 512
_MANY: Final = 1 << 14  # entries, which may touch as many pages
_TABLES: Final = (b"objects", b"segments", b"stat", b"condemned", b"meta", b"verified")
_PLACE: Final = struct.Struct("<IQIB")
_SEGMENT: Final = struct.Struct("<IQ")
_COUNTER: Final = struct.Struct("<Q")
_DAMAGED: Final = 0x80
_META: Final = struct.Struct("<16xII8xQI92xQQ")  # header, magic, version, mapsize, page size, ..., last page, txn
_META_MAGIC: Final = 0xBEEFC0DE
_NEXT: Final = b"next-segment"
_EPOCH: Final = b"epoch"
_PAGE: Final = 4096  # entries read in one transaction

T = TypeVar("T")


class IndexUnusable(Exception):
    """The index cannot be opened, read or written; what it would say must be found out without it."""


class Place(NamedTuple):
    """Where a record lies; ``damaged`` where its bytes were seen not to have its id, and no good copy is known."""

    segment: str
    offset: int
    length: int
    kind: int
    damaged: bool


class Entry(NamedTuple):
    """A place by id, as it is handed in."""

    id: ObjectId
    place: Place


class Index:
    """What one process knows of the index in ``folder``; ``folder`` None keeps it in memory."""

    def __init__(self, folder: Path | None, map_bytes: int = MAP_BYTES) -> None:
        self._folder = folder
        self._env: Any = None
        self._db: dict[bytes, Any] = {}
        self._shared: _Shared | None = None
        self._memory: dict[ObjectId, Place] = {}
        self._memory_segments: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        if folder is not None:
            self._shared = _open(folder, map_bytes)
            self._env, self._db = self._shared.env, self._shared.tables

    @property
    def in_memory(self) -> bool:
        """Say whether nothing of it is kept."""
        return self._folder is None

    def _run(self, work: Callable[[Any], T], *, write: bool = False) -> T:
        import lmdb

        shared = self._shared
        if shared is None:
            raise IndexUnusable("the index was closed")
        while True:
            sizes = shared.sizes
            try:
                # Held by a writer, since the size of the map cannot be changed meanwhile.
                with shared.writing if write else contextlib.nullcontext(), self._env.begin(write=write) as txn:
                    return work(txn)
            except lmdb.MapFullError:
                self._grow()
            except lmdb.MapResizedError:
                self._resize(0)
            except (lmdb.Error, struct.error, UnicodeDecodeError, OSError) as problem:
                if shared.sizes != sizes:  # another thread changed the size, which ended what was being read here
                    continue
                raise IndexUnusable(str(problem)) from problem

    def _grow(self) -> None:
        self._resize(self._env.info()["map_size"] * 2)

    def _resize(self, size: int) -> None:
        import lmdb

        shared = self._shared
        if shared is None:
            raise IndexUnusable("the index was closed")
        with shared.writing:
            shared.sizes += 1  # first: who fails because of this shall see it
            try:
                self._env.set_mapsize(size)
            except (lmdb.Error, OSError) as problem:
                raise IndexUnusable(str(problem)) from problem

    # -- places

    def get(self, oid: ObjectId) -> Place | None:
        """Return where an object lies."""
        if self._env is None:
            return self._memory.get(oid)
        value = self._run(lambda txn: txn.get(oid, db=self._db[b"objects"]))
        return None if value is None else self._decode(value)

    def get_many(self, oids: list[ObjectId]) -> dict[ObjectId, Place]:
        """Return where those of ``oids`` lie that have a place."""
        if self._env is None:
            return {oid: self._memory[oid] for oid in oids if oid in self._memory}
        rows = self._run(lambda txn: txn.cursor(self._db[b"objects"]).getmulti(oids))
        places = {ObjectId(key): self._decode(value) for key, value in rows}
        return {oid: place for oid, place in places.items() if place is not None}

    def unconfirmed(self, sizes: Mapping[ObjectId, int]) -> list[ObjectId]:
        """Return those of these blobs of which the index does not say that there is an intact record of that size."""
        oids = sorted(sizes)
        if self._env is None or not oids:
            return oids
        rows = self._run(lambda txn: txn.cursor(self._db[b"objects"]).getmulti(oids))
        values = [value for _, value in rows]
        if len(values) == len(oids) and {*map(len, values)} == {_PLACE.size}:
            numbers, _, lengths, kinds = zip(*_PLACE.iter_unpack(b"".join(values)), strict=True)
            if not {*numbers} <= self._names.keys():
                self.segments()
            if lengths == tuple([sizes[oid] for oid in oids]) and not any(kinds) and {*numbers} <= self._names.keys():
                return []
        places = {ObjectId(key): self._decode(value) for key, value in rows}
        return [
            oid
            for oid in oids
            if (place := places.get(oid)) is None or place.damaged or place.kind or place.length != sizes[oid]
        ]

    def _decode(self, value: bytes) -> Place | None:
        try:
            number, offset, length, kind = _PLACE.unpack(value)
        except struct.error as problem:
            raise IndexUnusable(str(problem)) from problem
        name = self._names.get(number)
        if name is None:
            self.segments()
            name = self._names.get(number)
            if name is None:
                return None
        return Place(name, offset, length, kind & ~_DAMAGED, bool(kind & _DAMAGED))

    def items(self, prefix: bytes = b"") -> Iterator[Entry]:
        """Yield all entries in ascending order of id, from the first whose id is not below ``prefix``."""
        if self._env is None:
            for oid in sorted(self._memory):
                if oid >= prefix:
                    yield Entry(oid, self._memory[oid])
            return
        start = prefix
        # In pages, so that no transaction is open while the caller works: one would keep LMDB from using pages again,
        # and be ended by a change of the map's size.
        while rows := self._run(functools.partial(self._page, start)):
            for key, value in rows:
                place = self._decode(value)
                if place is not None:
                    yield Entry(ObjectId(key), place)
            start = rows[-1][0] + b"\0"

    def _page(self, start: bytes, txn: Any) -> list[tuple[bytes, bytes]]:
        with txn.cursor(self._db[b"objects"]) as cursor:
            return list(itertools.islice(cursor.iternext(), _PAGE)) if cursor.set_range(start) else []

    def walk(self) -> int:
        """Go through all entries, as LMDB has them, and return how many there are."""
        if self._env is None:
            return len(self._memory)
        return self._run(lambda txn: sum(map(bool, txn.cursor(self._db[b"objects"]).iternext(values=False))))

    def segments(self) -> dict[str, int]:
        """Return how far each segment is indexed, by name."""
        if self._env is None:
            return dict(self._memory_segments)
        rows = self._run(lambda txn: list(txn.cursor(self._db[b"segments"])))
        found: dict[str, int] = {}
        try:
            for key, value in rows:
                number, size = _SEGMENT.unpack(value)
                name = key.decode("ascii")
                found[name] = size
                self._names[number] = name
                self._numbers[name] = number
        except (struct.error, UnicodeDecodeError) as problem:
            raise IndexUnusable(str(problem)) from problem
        return found

    def update(
        self,
        entries: Iterable[Entry] = (),
        *,
        sizes: Mapping[str, int] | None = None,
        renamed: Mapping[str, str] | None = None,
        dropped: Iterable[str] = (),
        removed: Iterable[ObjectId] = (),
        resurrected: Iterable[ObjectId] = (),
        bump: bool = False,
    ) -> None:
        """Change the index in one transaction.

        Args:
            entries: places to set; their segments must be synced.
            sizes: how far segments are indexed now.
            renamed: segments by their old name, with the new one.
            dropped: segments that are gone; entries that lead there lead nowhere from now on.
            removed: ids to take out.
            resurrected: ids to take out of the condemned set.
            bump: also say that objects may have gone (see ``epoch``).
        """
        entries, removed, dropped, resurrected = list(entries), list(removed), list(dropped), list(resurrected)
        if self._env is None:
            self._memory.update(entries)
            for oid in removed:
                self._memory.pop(oid, None)
            self._memory_segments.update(sizes or {})
            for name in dropped:
                self._memory_segments.pop(name, None)
            return

        def work(txn: Any) -> None:
            segments, objects = self._db[b"segments"], self._db[b"objects"]
            for before, after in (renamed or {}).items():
                row = txn.pop(before.encode(), db=segments)
                if row is not None:
                    txn.put(after.encode(), row, db=segments)
            for name in dropped:
                txn.delete(name.encode(), db=segments)
            numbers: dict[str, int] = {}
            wanted = {entry.place.segment for entry in entries} | set(sizes or {})
            for name in sorted(wanted):
                row = txn.get(name.encode(), db=segments)
                number, size = _SEGMENT.unpack(row) if row is not None else (self._number(txn), 0)
                numbers[name] = number
                txn.put(name.encode(), _SEGMENT.pack(number, max(size, (sizes or {}).get(name, 0))), db=segments)
            rows = sorted(
                (
                    entry.id,
                    _PLACE.pack(
                        numbers[entry.place.segment],
                        entry.place.offset,
                        entry.place.length,
                        entry.place.kind | (_DAMAGED if entry.place.damaged else 0),
                    ),
                )
                for entry in entries
            )
            txn.cursor(objects).putmulti(rows)
            for oid in removed:
                txn.delete(oid, db=objects)
            for oid in resurrected:
                txn.delete(oid, db=self._db[b"condemned"])
            if bump:
                now = txn.get(_EPOCH, db=self._db[b"meta"])
                value = _COUNTER.unpack(now)[0] + 1 if now is not None else 1
                txn.put(_EPOCH, _COUNTER.pack(value), db=self._db[b"meta"])

        self._run(work, write=True)
        if len(entries) >= _MANY and self._shared is not None:
            from omphalos.store.resident import give_back

            give_back(self._shared.guard.fd)
        if renamed or dropped or sizes:
            self._names.clear()
            self._numbers.clear()

    def _number(self, txn: Any) -> int:
        row = txn.get(_NEXT, db=self._db[b"meta"])
        number: int = _COUNTER.unpack(row)[0] if row is not None else 0
        txn.put(_NEXT, _COUNTER.pack(number + 1), db=self._db[b"meta"])
        return number

    def epoch(self) -> int:
        """Return a number that changes whenever objects may have gone from the store."""
        if self._env is None:
            return 0
        row = self._run(lambda txn: txn.get(_EPOCH, db=self._db[b"meta"]))
        if row is None:
            return 0
        value: int = _COUNTER.unpack(row)[0]
        return value

    # -- the condemned set

    def condemn(self, oids: Iterable[ObjectId]) -> tuple[list[ObjectId], list[str] | None]:
        """Make these ids, and no others, the condemned set.

        Returns:
            The set as it was until this moment, and the leases noted with it (None: none were noted).
        """
        self._must_be_kept()
        ids = sorted(oids)

        def work(txn: Any) -> tuple[list[ObjectId], bytes | None]:
            condemned = self._db[b"condemned"]
            before = [ObjectId(key) for key in txn.cursor(condemned).iternext(values=False)]
            txn.drop(condemned, delete=False)
            txn.cursor(condemned).putmulti((oid, b"") for oid in ids)
            return before, txn.pop(b"leases", db=self._db[b"meta"])

        before, row = self._run(work, write=True)
        return before, None if row is None else row.decode("ascii").split("\n")

    def note_leases(self, leases: Iterable[str]) -> None:
        """Note with the condemned set who may have looked before it was written."""
        self._must_be_kept()
        row = "\n".join(sorted(leases)).encode("ascii")
        self._run(lambda txn: txn.put(b"leases", row, db=self._db[b"meta"]), write=True)

    def _must_be_kept(self) -> None:
        if self._env is None:
            raise IndexUnusable("an index in memory is seen by nobody else, and orders nothing")

    def sweep(self, oids: Iterable[ObjectId]) -> list[Entry]:
        """Take those of ``oids`` that are still condemned out of the index and the set; return their places."""
        self._must_be_kept()
        wanted = sorted(oids)

        def work(txn: Any) -> list[tuple[ObjectId, bytes | None]]:
            condemned, objects = self._db[b"condemned"], self._db[b"objects"]
            return [(oid, txn.pop(oid, db=objects)) for oid in wanted if txn.delete(oid, db=condemned)]

        rows = self._run(work, write=True)
        places = [(oid, self._decode(value) if value is not None else None) for oid, value in rows]
        return [Entry(oid, place or Place("", 0, 0, 0, False)) for oid, place in places]

    def while_condemned(self, oids: Iterable[ObjectId], work: Callable[[ObjectId], None]) -> None:
        """Call ``work`` for each id still condemned, and take it out of the set, with every other writer waiting."""
        self._must_be_kept()
        wanted = sorted(oids)

        def each(txn: Any) -> None:
            for oid in wanted:
                if txn.delete(oid, db=self._db[b"condemned"]):
                    work(oid)

        self._run(each, write=True)

    def verified(self) -> dict[str, int]:
        """Return when each unit was last verified, as a number that grows with every verification."""
        if self._env is None:
            return {}
        rows = self._run(lambda txn: list(txn.cursor(self._db[b"verified"])))
        return {key.decode("ascii", "replace"): int.from_bytes(value, "little") for key, value in rows}

    def set_verified(self, units: Iterable[str], number: int, known: Iterable[str]) -> None:
        """Note that units were verified; forget those that are not ``known`` any more."""
        if self._env is None:
            return
        units, stay = sorted(units), {name.encode() for name in known}

        def work(txn: Any) -> None:
            table = self._db[b"verified"]
            for unit in units:
                txn.put(unit.encode(), number.to_bytes(8, "little"), db=table)
            for key in [key for key, _ in txn.cursor(table) if key not in stay]:
                txn.delete(key, db=table)

        self._run(work, write=True)

    def has_condemned(self) -> bool:
        """Say whether anything is condemned."""
        return self._env is not None and self._run(lambda txn: txn.stat(self._db[b"condemned"])["entries"]) > 0

    def is_condemned(self, oid: ObjectId) -> bool:
        """Say whether one object is condemned."""
        if self._env is None:
            return False
        return self._run(lambda txn: txn.get(oid, db=self._db[b"condemned"])) is not None

    def is_current(self) -> bool:
        """Say whether the files this process has open are those that lie in the folder."""
        if self._folder is None:
            return False
        key = _key(self._folder)
        return key is not None and _environments.get(key) is self._shared

    # -- the stat cache

    def stat_get(self, keys: list[bytes]) -> dict[bytes, bytes]:
        """Return the stat cache's values for those of ``keys`` it has."""
        if self._env is None or not keys:
            return {}
        return dict(self._run(lambda txn: txn.cursor(self._db[b"stat"]).getmulti(keys)))

    def stat_put(self, rows: Mapping[bytes, bytes]) -> None:
        """Set values of the stat cache."""
        if self._env is not None and rows:
            self._run(lambda txn: txn.cursor(self._db[b"stat"]).putmulti(sorted(rows.items())), write=True)

    # -- all of it

    def close(self) -> None:
        """Let go of what is in memory, and of the files if no other index of this process uses them."""
        self._memory.clear()
        shared, self._shared, self._env = self._shared, None, None
        if shared is not None:
            _release(shared)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


class _Shared:
    """An environment of this process, and how many use it: LMDB must not open one file twice in a process."""

    def __init__(self, env: Any, tables: dict[bytes, Any], guard: Guard) -> None:
        self.pid = os.getpid()
        self.env = env
        self.tables = tables
        self.guard = guard
        self.users = 1
        self.writing = threading.RLock()
        self.sizes = 0  # how often the map's size was changed

    def close(self) -> None:
        """Close the file; the last process to do so records its check sum."""
        with contextlib.suppress(Exception):
            self.env.close()
        if self.pid == os.getpid():
            self.guard.leave()
        else:
            self.guard.drop()


_lock = threading.RLock()  # an index may be collected, and let go of its environment, while this thread holds it
_environments: dict[tuple[int, int], _Shared] = {}


def _release(shared: _Shared) -> None:
    with _lock:
        shared.users -= 1
        if not shared.users and shared.pid == os.getpid():
            for key in [key for key, known in _environments.items() if known is shared]:
                del _environments[key]
                shared.close()


def _key(folder: Path) -> tuple[int, int] | None:
    try:
        found = (folder / "data.mdb").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open(folder: Path, map_bytes: int) -> _Shared:
    import lmdb

    with _lock:
        for known, shared in list(_environments.items()):
            if shared.pid != os.getpid():  # opened before a fork: not ours to use
                del _environments[known]
                shared.close()
        key = _key(folder)
        known_one = _environments.get(key) if key is not None else None
        if known_one is not None:
            known_one.users += 1
            return known_one
        env = guard = None
        try:
            with locked(folder):
                guard = Guard.take(folder)
                _fill_up(folder / "data.mdb")
                env = lmdb.open(
                    str(folder),
                    map_size=map_bytes,
                    max_dbs=len(_TABLES),
                    max_readers=_READERS,
                    metasync=False,
                    mode=0o666,
                )
                if not guard.is_current():
                    raise OSError("the index went away while it was opened")
                env.reader_check()
                tables = {name: env.open_db(name) for name in _TABLES}
                guard.share()
        except (IndexUnusable, lmdb.Error, OSError) as problem:
            if env is not None:
                env.close()
            if guard is not None:
                guard.drop()
            raise IndexUnusable(str(problem)) from problem
        found = os.fstat(guard.fd)
        shared = _environments[found.st_dev, found.st_ino] = _Shared(env, tables, guard)
        return shared


@atexit.register
def close_all() -> None:
    """Close every index this process has open, and record its check sum where no other process has it open.

    Called at the end of a process that ends in order; one that leaves by ``os._exit`` calls it itself.
    """
    with _lock:
        for key, shared in list(_environments.items()):
            del _environments[key]
            shared.close()


def _fill_up(path: Path) -> None:
    """Extend a data file that is shorter than its meta pages say, so that no page of it lies behind the end."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        size = os.fstat(fd).st_size
        head = os.pread(fd, _META.size, 0)
        if not head:
            return  # made this moment
        if len(head) < _META.size:
            raise IndexUnusable("the index is cut off")
        needed = 0
        magic, _, _, page, last, _ = _META.unpack(head)
        if magic != _META_MAGIC or page not in (4096, 8192, 16384, 32768, 65536):
            raise IndexUnusable("the index does not begin with a meta page")
        needed = (last + 1) * page
        other = os.pread(fd, _META.size, page)
        if len(other) == _META.size:
            needed = max(needed, (_META.unpack(other)[4] + 1) * page)
        if needed > 1 << 40:
            raise IndexUnusable("the index claims to be larger than a disk")
        if size < needed:
            os.ftruncate(fd, needed)
    finally:
        os.close(fd)


def discard(folder: Path) -> None:
    """Delete the index in ``folder``; whoever has it open goes on with what is open, and finds out."""
    with _lock:
        key = _key(folder)
        if key is not None and key in _environments:
            shared = _environments.pop(key)
            with contextlib.suppress(Exception):
                shared.env.close()
            shared.guard.drop()
        if folder.is_dir():
            with locked(folder):
                delete(folder)
