"""gc: frees what no ref leads to, beside any number of readers and writers, without a clock.

The order, each step safe to be killed after:

1. what an earlier gc moved to ``objects/trash/`` is unlinked;
2. everything refs lead to is marked;
3. under the lock of the refs: refs that moved meanwhile are marked too; what is left is written as the condemned set,
   in one LMDB transaction that also says what was condemned until then; after it, the leases held are noted with it;
4. swept is what is condemned, if no lease was held, else what an earlier gc condemned whose leases are all back. Each
   id goes into the hash-chained log ``objects/deletions.log`` first (synced);
5. still under the lock of the refs: lists of chunks are renamed into the trash, before any chunk goes; then records
   leave the index and files are renamed, all only if still condemned; segments with dead records are written anew and
   moved to the trash.

Rules of this file: a hold is a ref like any other; an object of which a ref's closure cannot be read whole is no reason
to free anything: gc refuses to run on a store with missing or damaged trees. So it does where the index can only be
kept in memory: what writers see, and say, stands in the one on disk.
"""

import contextlib
import fcntl
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import msgspec
from blake3 import blake3

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import ObjectId
from omphalos.store import durable
from omphalos.store.catalog import Catalog
from omphalos.store.closure import closure
from omphalos.store.durable import translated, write_all
from omphalos.store.index import Index
from omphalos.store.leases import held
from omphalos.store.links import Links
from omphalos.store.records import Record
from omphalos.store.refs import HOLDS
from omphalos.store.rewrite import rewrite
from omphalos.store.store import Store

LOG_NAME: Final = "deletions.log"
_FIRST: Final = "0" * 64
T = TypeVar("T")


class GcBusy(OmphalosError):
    """Another gc runs in this store."""

    kind: ClassVar[ErrorKind] = ErrorKind.LOCKED
    id: ClassVar[str] = "gcBusy"


class GcRefused(OmphalosError):
    """The store is damaged so that what refs lead to cannot be known."""

    kind: ClassVar[ErrorKind] = ErrorKind.NEGATIVE
    id: ClassVar[str] = "gcRefused"


class NoRunToHold(OmphalosError):
    """There is no run of this name."""

    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    id: ClassVar[str] = "runMissing"


class LogBroken(OmphalosError):
    """The log of deletions is not a chain."""

    kind: ClassVar[ErrorKind] = ErrorKind.NEGATIVE
    id: ClassVar[str] = "logBroken"


@dataclass(frozen=True, slots=True)
class GcReport:
    """What gc would free, freed, and left for later, as ``(id, size)`` in order of id."""

    unreachable: list[tuple[ObjectId, int]]
    freed: list[tuple[ObjectId, int]] = field(default_factory=list)
    deferred: list[ObjectId] = field(default_factory=list)
    leases: int = 0
    reachable: int = 0

    def document(self) -> dict[str, Any]:
        """Return the report as a ``--json`` document."""
        return {
            "reachable": self.reachable,
            "unreachable": [{"id": oid.hex(), "size": size} for oid, size in self.unreachable],
            "freed": [{"id": oid.hex(), "size": size} for oid, size in self.freed],
            "freed_bytes": sum(size for _, size in self.freed),
            "deferred": [oid.hex() for oid in self.deferred],
            "writers_at_work": self.leases,
        }


def gc(store: Store, *, dry_run: bool = False, reason: str = "unreachable") -> GcReport:
    """Free what no ref leads to; with ``dry_run`` only say what that would be.

    Args:
        store: the store. A lease of this very instance does not count.
        dry_run: change nothing.
        reason: goes into the log of deletions.

    Raises:
        GcBusy: another gc runs.
        GcRefused: a ref's closure cannot be read whole.
        StoreFull, StoreReadOnly, StoreIOError: the store cannot be written.
    """
    if dry_run:
        store.objects.catalog.heal()
        marked = _mark(store, {})
        return GcReport(_sizes(store, _rest(store, marked)), reachable=len(marked))
    store.objects.end_lease()
    with _alone(store):
        return _gc(store, reason)


def _gc(store: Store, reason: str) -> GcReport:
    catalog, trash = store.objects.catalog, store.root / "objects" / "trash"
    with translated("collecting garbage"):
        for path in sorted(trash.iterdir()) if trash.is_dir() else []:
            store.disk.remove(path)
        durable.make_folders(store.disk, catalog.packs.folder)
        catalog.refresh()
        catalog.prepare()
        _kept(catalog, lambda index: index.segments())
        catalog.heal()
        refs: dict[str, ObjectId | None] = {}
        marked = _mark(store, refs)
        candidates = _rest(store, marked)
        with store.refs.locked():
            marked |= _mark(store, refs)
            condemned = [oid for oid in candidates if oid not in marked]
            before, older = _kept(catalog, lambda index: index.condemn(condemned))
            # Leases are counted after that: who looked before has its lease by now, who takes one later sees the set.
            alive = held(store.root / "objects" / "leases")
            _kept(catalog, lambda index: index.note_leases(alive))
            ready = condemned
            if alive:
                gone = older is not None and not set(older) & set(alive)
                ready = sorted(set(condemned) & set(before)) if gone else []
            sizes = _sizes(store, condemned)
            freed = _sweep(store, dict(sizes), ready, reason, trash) if ready else []
    done = {oid for oid, _ in freed}
    later = [oid for oid in condemned if oid not in done]
    return GcReport(sizes, freed, later, len(alive), len(marked))


def _kept(catalog: Catalog, work: Callable[[Index], T]) -> T:
    """Return what ``work`` returns for the index on disk; one in memory would hide from gc what writers look at."""

    def checked(index: Index) -> T:
        if index.in_memory:
            raise durable.StoreIOError(
                "the index cannot be written where the store lies, and without it gc does not see what writers do",
                hint="check room, owner, mode and mount",
                undone="nothing more was freed",
            )
        return work(index)

    return catalog.ask(checked)


def _mark(store: Store, refs: dict[str, ObjectId | None]) -> set[ObjectId]:
    """Return what refs lead to, as far as they are not in ``refs`` already; they are put there."""
    found: set[ObjectId] = set()
    seen: set[ObjectId] = set()
    for name in store.refs.list():
        oid = store.refs.get(name)
        if oid is None or refs.get(name) == oid:
            continue
        refs[name] = oid
        for met in closure(store.objects, oid, seen):
            if met.problem is not None:
                raise GcRefused(
                    f"ref {name!r} leads to a {met.kind} that cannot be read: {met.problem.message}",
                    hint="`omphalos fsck` says more; repair the store, or delete the ref, first",
                    undone="nothing was freed",
                )
            found.add(met.id)
    return found


def _rest(store: Store, marked: set[ObjectId]) -> list[ObjectId]:
    """Return every object that is not marked, without a list of all."""
    with translated("listing objects"):
        store.objects.catalog.heal()
        small = store.objects.catalog.ids_outside(marked)
    files = itertools.chain(store.objects.loose.scan(), store.objects.lists.scan())
    return sorted({*small, *(oid for oid in files if oid not in marked)})


def _sizes(store: Store, oids: list[ObjectId]) -> list[tuple[ObjectId, int]]:
    found = []
    for oid in oids:
        with contextlib.suppress(OmphalosError, OSError):
            if store.objects.lists.has(oid) and not store.objects.loose.has(oid):
                # Its chunks stand for themselves, so what is freed with the list is the list.
                found.append((oid, os.lstat(store.objects.lists.path(oid)).st_size))
            else:
                found.append((oid, store.objects.size(oid)))
    return found


def _sweep(
    store: Store, sizes: dict[ObjectId, int], ready: list[ObjectId], reason: str, trash: Path
) -> list[tuple[ObjectId, int]]:
    catalog, disk, loose, lists = store.objects.catalog, store.disk, store.objects.loose, store.objects.lists
    if not catalog.ask(lambda index: index.is_current()):
        return []
    log(store, [(oid, sizes.get(oid, 0)) for oid in ready], reason)
    durable.make_folders(disk, trash)
    gone: list[ObjectId] = []
    problems: list[OSError] = []

    def throw_list(oid: ObjectId) -> None:
        try:
            disk.rename(lists.path(oid), trash / f"{oid.hex()}.list")
            thrown.append(oid)
        except OSError as problem:
            problems.append(problem)

    def throw(oid: ObjectId) -> None:
        try:
            disk.rename(loose.path(oid), trash / oid.hex())
            gone.append(oid)
        except OSError as problem:
            problems.append(problem)

    # What stands both as a list and otherwise loses its list now and the rest with the next gc.
    thrown: list[ObjectId] = []
    chunked = [oid for oid in ready if lists.has(oid)]
    _kept(catalog, lambda index: index.while_condemned(chunked, throw_list))
    if problems:
        raise problems[0]
    for folder in sorted({lists.path(oid).parent for oid in thrown}):
        durable.sync_folder(disk, folder)
    ready = sorted(set(ready).difference(chunked))
    files = [oid for oid in ready if loose.has(oid)]
    swept = {
        entry.id: entry.place
        for entry in _kept(catalog, lambda index: index.sweep(set(ready).difference(files)))
        if entry.place.segment
    }
    _kept(catalog, lambda index: index.while_condemned(files, throw))
    if problems:
        raise problems[0]
    links = Links(disk, store.root / "objects" / "links")
    for oid in ready:
        links.forget(oid)
    for folder in sorted({loose.path(oid).parent for oid in gone}):
        durable.sync_folder(disk, folder)
    segments = {place.segment for place in swept.values()}
    for oid in gone:  # written out beside its record, for a hard link: the record goes too
        place = catalog.ask(lambda index, oid=oid: index.get(oid))  # type: ignore[misc]  # bound now
        if place is not None:
            segments.add(place.segment)
            catalog.ask(lambda index, oid=oid: index.update(removed=[oid]))  # type: ignore[misc]  # bound now
    catalog.ask(lambda index: index.update(bump=True))
    for name in sorted(segments):

        def keep(record: Record, name: str = name) -> bool:
            place = catalog.ask(lambda index: index.get(record.id))
            return place is not None and ((place.segment, place.offset) == (name, record.offset) or place.damaged)

        if rewrite(disk, store.objects, name, keep, trash / name):
            gone += [oid for oid, place in swept.items() if place.segment == name]
    store.objects.end_lease()
    gone += [oid for oid in thrown if not store.objects.has(oid)]
    return sorted((oid, sizes.get(oid, 0)) for oid in set(gone))


@contextlib.contextmanager
def _alone(store: Store) -> Iterator[None]:
    with translated("locking gc"):
        fd = os.open(store.root / "objects" / "gc.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise GcBusy(
                "another gc runs in this store", hint="wait for it to end", undone="nothing was freed"
            ) from None
        yield
    finally:
        os.close(fd)


def log(store: Store, deleted: list[tuple[ObjectId, int]], reason: str) -> None:
    """Append deletions to the log, one line each, chained by the BLAKE3 of the line before, and sync it."""
    path = store.root / "objects" / LOG_NAME
    number, previous = _last(path)
    lines = []
    for oid, size in deleted:
        number += 1
        line = msgspec.json.encode(
            {"id": oid.hex(), "n": number, "previous": previous, "reason": reason, "size": size}, order="sorted"
        )
        previous = blake3(line).hexdigest()
        lines.append(line + b"\n")
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        write_all(store.disk, fd, b"".join(lines))
        store.disk.sync_data(fd)
    finally:
        os.close(fd)
    durable.sync_folder(store.disk, path.parent)


def _last(path: Path) -> tuple[int, str]:
    """Return number and digest of the last whole line; a line cut off by a crash is ended and counts as one."""
    try:
        with path.open("r+b") as stream:
            data = stream.read()
            if data and not data.endswith(b"\n"):
                stream.write(b"\n")
                data += b"\n"
    except FileNotFoundError:
        return 0, _FIRST
    lines = data.splitlines()
    return len(lines), blake3(lines[-1]).hexdigest() if lines else _FIRST


def deletions(store: Store) -> list[dict[str, Any]]:
    """Return the log of deletions, oldest first, after checking its chain.

    Raises:
        LogBroken: a line was changed, added or taken out. (That the end was cut off cannot be seen from the log alone.)
    """
    previous, found = _FIRST, []
    try:
        lines = (store.root / "objects" / LOG_NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    for number, line in enumerate(lines, 1):
        try:
            row = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            row = None  # cut off by a crash; the chain goes on over it
        if row is not None:
            if not isinstance(row, dict) or row.get("previous") != previous or row.get("n") != number:
                raise LogBroken(f"line {number} of the log of deletions does not follow from the line before")
            found.append(row)
        previous = blake3(line).hexdigest()
    return found


def hold(store: Store, run_id: str) -> ObjectId:
    """Put a hold on a run: until it is released neither its ref nor anything it leads to can go.

    Raises:
        NoRunToHold: there is no such run.
        RefLocked, StoreFull, StoreReadOnly, StoreIOError: the refs cannot be written.
    """
    oid = store.refs.get(f"runs/{run_id}")
    if oid is None:
        raise NoRunToHold(f"no run {run_id!r} to hold", hint="`omphalos log` lists the runs")
    if store.refs.get(HOLDS + run_id) != oid:
        store.refs.set(HOLDS + run_id, oid, old=store.refs.get(HOLDS + run_id))
    return oid


def release(store: Store, run_id: str) -> None:
    """Take the hold off a run; none there is no error."""
    store.refs.delete(HOLDS + run_id, old=store.refs.get(HOLDS + run_id))


def holds(store: Store) -> list[str]:
    """Return the run_ids on which a hold stands, in order."""
    return [name.removeprefix(HOLDS) for name in store.refs.list(HOLDS)]
