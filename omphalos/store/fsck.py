"""fsck: reads every object once, in disk order, on two cores, and says what is wrong and whom it concerns.

First every segment and file is hashed (``scrub``), by two processes, then every blob that is kept as a list of chunks,
as a whole. Then every ref is followed through its trees: what is missing, damaged, or of another kind than its tree
says, is reported with the refs and paths it stands under. Rules of this file: nothing is deleted: damage is moved into
``objects/quarantine/`` (a segment whole, after its intact records were copied); repair takes bytes only if they have
the id that is missing; what a budget left out is said.
"""

import contextlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from omphalos.format.errors import OmphalosError
from omphalos.format.findings import FindingId
from omphalos.format.ids import KINDS, Kind, ObjectId, from_hex, hasher, is_prefix, object_id
from omphalos.format.tree import build_tree
from omphalos.store import durable, scrub
from omphalos.store.closure import Met, blobs, closure
from omphalos.store.durable import temporary_name, translated
from omphalos.store.index import Index, IndexUnusable, Place
from omphalos.store.objects import KindMismatch, ObjectMissing
from omphalos.store.rewrite import rewrite
from omphalos.store.sources import BUFFER_BYTES, without_collection
from omphalos.store.store import Store

MANIFEST_NAME: Final = "manifest.json"
WORKERS: Final = 2
_AT_ONCE: Final = 2048
MAX_PLACES: Final = 100  # refs and paths named for one object; further ones are counted
Source = Callable[[ObjectId], BinaryIO | None]


class Problem(msgspec.Struct):
    """One thing that is wrong: what, with which object or file, and under which refs and paths it is needed."""

    id: FindingId
    object: str
    place: str
    detail: str = ""
    needed_by: list[str] = msgspec.field(default_factory=list)
    more: int = 0
    repaired: bool = False

    def document(self) -> dict[str, Any]:
        """Return the problem as part of a ``--json`` document."""
        return {
            "id": self.id.value,
            "severity": self.id.severity.value,
            "object": self.object,
            "place": self.place,
            "detail": self.detail,
            "needed_by": self.needed_by,
            "more": self.more,
            "repaired": self.repaired,
        }


class FsckReport(msgspec.Struct):
    """What was read, what is wrong, what was not looked at, and what could not be written down."""

    objects: int = 0
    bytes: int = 0
    refs: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)
    quarantined: list[str] = msgspec.field(default_factory=list)
    not_checked: list[str] = msgspec.field(default_factory=list)
    not_written: list[str] = msgspec.field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Say whether nothing refuses; a warning does not, nor what was repaired."""
        return not any(problem.id.severity.refuses and not problem.repaired for problem in self.problems)

    def document(self) -> dict[str, Any]:
        """Return the report as a ``--json`` document."""
        return {
            "objects": self.objects,
            "bytes": self.bytes,
            "refs": self.refs,
            "clean": self.clean,
            "problems": [problem.document() for problem in self.problems],
            "quarantined": self.quarantined,
            "not_checked": self.not_checked,
            "not_written": self.not_written,
        }


def fsck(
    store: Store,
    *,
    quarantine: bool = False,
    repair: Iterable[Source] = (),
    budget: int | None = None,
    workers: int = WORKERS,
) -> FsckReport:
    """Check a whole store.

    Args:
        store: the store.
        quarantine: move damage out of the way.
        repair: where to look for objects that are missing or damaged; implies ``quarantine``.
        budget: how many bytes to read at most (at least one segment or folder is); those read longest ago come
            first, whatever was found in them then. What is left out is not checked for damage this time; refs are
            followed all the same.
        workers: how many processes read.

    Raises:
        StoreFull, StoreReadOnly, StoreIOError: the store cannot be read, or not be written where that was asked for.
    """
    sources, report = list(repair), FsckReport()
    with translated("checking the store"), without_collection():
        _check_index(store, report)
        files, lists = scrub.units(store), scrub.lists(store)
        units = files + lists
        chosen = _choose(store, units, budget, report)
        walked, wanted = FsckReport(), dict[ObjectId, Kind]()
        shares = scrub.read_all(
            store,
            [unit for unit in files if unit[0] in chosen],
            workers,
            lambda: wanted.update(_follow(store, {}, walked)),
        )
        shares += scrub.read_moved(store, {name for name, _ in files}, shares, workers)
        shares.append(scrub.read_lists(store, [name for name, _ in lists if name in chosen]))
        for share in shares:
            report.objects += share.objects
            report.bytes += share.bytes
        bad = {place: (oid, name, offset) for share in shares for oid, name, offset, _ in share.bad
               for place in [f"{name}@{offset}"]}  # fmt: skip
        gaps = [gap for share in shares for gap in share.gaps]
        kinds = {ObjectId(bytes.fromhex(oid)): KINDS[kind] for share in shares for oid, kind in share.kinds.items()}
        _note_damage(bad, gaps, report)
        if quarantine or sources:
            _set_aside(store, bad, gaps, report)
        if bad or gaps or kinds or report.quarantined:
            missing = _follow(store, kinds, report)
        else:  # nothing that the walk could not know while it was read
            missing, report.refs = wanted, walked.refs
            report.problems += walked.problems
        if sources:
            _repair(store, sources, missing, bad, report)
        # Whatever was found: a problem that stays must not keep a budget at the same units for ever.
        number = max(_verified(store).values(), default=0) + 1
        names = [name for name, _ in units]
        store.objects.catalog.ask(lambda index: index.set_verified(chosen, number, names))
    report.problems.sort(key=lambda problem: (problem.id.value, problem.object, problem.place))
    return report


def rebuild_index(store: Store) -> dict[str, int]:
    """Make the index anew from the segments, accepting a record only if its bytes have its id; return the counts.

    Raises:
        StoreIOError: the index cannot be written; reading goes on without one.
    """
    catalog = store.objects.catalog
    with translated("making the index"):
        segments, objects = catalog.rebuild()
    if segments and catalog.index().in_memory:
        raise durable.StoreIOError(
            "the index cannot be written where the store lies",
            hint="check room, owner, mode and mount; without an index everything works, and takes longer",
            undone="the old index is gone; no object was touched",
        )
    return {"segments": segments, "objects": objects}


# -- what there is to read


def _check_index(store: Store, report: FsckReport) -> None:
    folder = store.root / "objects" / "index"
    if (folder / "data.mdb").exists():
        try:
            Index(folder).walk()
        except IndexUnusable as problem:
            cause = problem.__cause__
            if not (isinstance(cause, OSError) and cause.errno in durable.READ_ONLY):  # that says nothing about it
                report.problems.append(Problem(FindingId.LMDB_CORRUPT, "", "objects/index", str(problem)))
    catalog = store.objects.catalog
    catalog.catch_up()
    if catalog.packs.folder.is_dir() and catalog.index().in_memory:
        report.not_written.append("objects/index: kept in memory this time; what was verified is not remembered")


def _verified(store: Store) -> dict[str, int]:
    return store.objects.catalog.ask(lambda index: index.verified())


def _choose(store: Store, units: list[tuple[str, int]], budget: int | None, report: FsckReport) -> set[str]:
    if budget is None:
        return {name for name, _ in units}
    when, left = _verified(store), budget
    chosen: set[str] = set()
    for name, size in sorted(units, key=lambda unit: (when.get(unit[0], 0), unit[0])):
        if chosen and size > left:
            report.not_checked.append(_place(name))
            continue
        chosen.add(name)
        left -= size
    report.not_checked.sort()
    return chosen


def _place(unit: str) -> str:
    """Return where a segment, a folder or file of large objects (``xx``, ``xx/...``), or a list lies in the store."""
    if unit.startswith(scrub.LISTS):
        return f"objects/{unit}"
    return f"objects/packs/{unit}" if "." in unit else f"objects/large/{unit}"


def _note_damage(
    bad: dict[str, tuple[str, str, int]], gaps: list[tuple[str, int, int, bool]], report: FsckReport
) -> None:
    for oid, name, offset in bad.values():
        place = f"{_place(name)} at {offset}" if name.endswith((".pack", ".open")) else _place(name)
        report.problems.append(Problem(FindingId.OBJECT_DAMAGED, oid, place))
    for name, start, end, torn in gaps:
        if not torn:  # the end of an open segment may be what a killed writer left
            detail = f"{end - start} bytes at {start} are no record"
            report.problems.append(Problem(FindingId.OBJECT_DAMAGED, "", f"objects/packs/{name} at {start}", detail))


# -- following refs


def _follow(store: Store, kinds: dict[ObjectId, Kind], report: FsckReport) -> dict[ObjectId, Kind]:
    """Follow every ref; return what is missing or damaged with the kind it is wanted as."""
    wanted: dict[ObjectId, Kind] = {}
    refs = store.refs.list()
    seen: set[ObjectId] = set()
    report.refs = len(refs)
    problems: dict[tuple[FindingId, ObjectId], Problem] = {}
    damaged = {problem.object: problem for problem in report.problems if problem.object}
    for name in refs:
        try:
            root = store.refs.get(name)
        except OmphalosError as problem:
            report.problems.append(Problem(FindingId.REF_MALFORMED, "", f"refs/{name}", problem.message))
            continue
        if root is None:
            continue
        if not kinds and not problems and not damaged and _is_sound(store, root, seen):
            continue
        here: set[ObjectId] = set()
        trouble = False
        for met, found in _judged(
            store, closure(store.objects, root, here if problems or damaged else seen), kinds, damaged
        ):
            if found is None:
                continue
            trouble = True
            id_ = FindingId.REF_DANGLING if found is FindingId.OBJECT_MISSING and met.id == root else found
            entry = damaged.get(met.id.hex()) if id_ is FindingId.OBJECT_DAMAGED else None
            if entry is None:
                entry = problems.setdefault((id_, met.id), Problem(id_, met.id.hex(), "", _said(met)))
            if len(entry.needed_by) < MAX_PLACES:
                entry.needed_by.append(f"{name}:{met.path}")
            else:
                entry.more += 1
            if found in (FindingId.OBJECT_MISSING, FindingId.OBJECT_DAMAGED):
                wanted[met.id] = met.kind
        if not trouble:
            seen |= here
    report.problems += problems.values()
    return wanted


def _is_sound(store: Store, root: ObjectId, seen: set[ObjectId]) -> bool:
    """Say quickly that nothing is wrong below an object, and note its nodes; False means: look at each by its path."""
    here, sizes = set[ObjectId](), dict[ObjectId, int]()
    if store.objects.lists.shards():
        return False
    try:
        for files in blobs(store.objects, root, seen, here):
            for oid, size in files:
                if sizes.setdefault(oid, size) != size:
                    return False
            if len(sizes) >= _AT_ONCE:
                if not _are_sound(store, sizes):
                    return False
                sizes.clear()
        if not _are_sound(store, sizes):
            return False
    except OmphalosError:
        return False
    seen |= here
    return True


def _are_sound(store: Store, sizes: dict[ObjectId, int]) -> bool:
    rest = store.objects.unconfirmed(sizes)
    places = store.objects.places(rest)
    return all(_judge(store, Met("", "blob", oid, sizes[oid]), places.get(oid), {}, {}) is None for oid in rest)


def _judged(
    store: Store, mets: Iterable[Met], kinds: dict[ObjectId, Kind], damaged: dict[str, Problem]
) -> Iterator[tuple[Met, FindingId | None]]:
    """Yield what is wrong with each object that is referred to; the index is asked for many at a time."""
    rest = iter(mets)
    while some := list(itertools.islice(rest, _AT_ONCE)):
        ids = sorted({met.id for met in some if met.kind == "blob" and met.problem is None})
        places = store.objects.places(ids)
        for met in some:
            place = places.get(met.id)
            if (
                place is None
                or met.problem is not None
                or damaged
                or place.damaged
                or (met.kind == "blob" and (place.kind or place.length != met.size))
            ):
                yield met, _judge(store, met, place, kinds, damaged)


def _said(met: Met) -> str:
    return met.problem.message if met.problem is not None else f"needed as a {met.kind}"


def _judge(
    store: Store, met: Met, place: Place | None, kinds: dict[ObjectId, Kind], damaged: dict[str, Problem]
) -> FindingId | None:
    """Return what is wrong with one object that is referred to."""
    if met.problem is not None:
        if isinstance(met.problem, ObjectMissing):
            return FindingId.OBJECT_MISSING
        if isinstance(met.problem, KindMismatch):
            return FindingId.TYPE_MISMATCH
        return getattr(met.problem, "finding", None) or FindingId.OBJECT_DAMAGED
    if met.kind != "blob":
        return None
    if place is None or place.damaged:
        if not store.objects.loose.has(met.id):
            if met.id.hex() in damaged or (place is not None and place.damaged):
                return FindingId.OBJECT_DAMAGED
            if not store.objects.has(met.id):
                return FindingId.OBJECT_MISSING
            if store.objects.lists.has(met.id) and met.size not in (-1, store.objects.size(met.id)):
                return FindingId.SIZE_MISMATCH
            return None
        size, kind = store.objects.loose.path(met.id).stat().st_size, kinds.get(met.id, "blob")
        if met.id.hex() in damaged:
            return FindingId.OBJECT_DAMAGED
    else:
        size, kind = place.length, KINDS[place.kind]
        if met.id.hex() in damaged and not _good_copy(store, met.id):
            return FindingId.OBJECT_DAMAGED
    if kind != "blob":
        return FindingId.TYPE_MISMATCH
    return FindingId.SIZE_MISMATCH if met.size not in (-1, size) else None


def _good_copy(store: Store, oid: ObjectId) -> bool:
    try:
        store.objects.kind_of(oid)
    except OmphalosError:
        return False
    return True


# -- setting aside, and repair


def _set_aside(
    store: Store, bad: dict[str, tuple[str, str, int]], gaps: list[tuple[str, int, int, bool]], report: FsckReport
) -> None:
    folder = store.root / "objects" / "quarantine"
    durable.make_folders(store.disk, folder)
    segments = {name for _, name, _ in bad.values() if name.endswith((".pack", ".open"))}
    segments |= {name for name, _, _, torn in gaps if not torn}
    for name in sorted(segments):
        target = folder / f"damaged-{name}-{temporary_name()}"
        if rewrite(store.disk, store.objects, name, lambda _: True, target):
            report.quarantined.append(str(target.relative_to(store.root)))
            for problem in report.problems:  # bytes that are no record are no object that would be missing now
                problem.repaired |= not problem.object and problem.place.startswith(f"objects/packs/{name} at ")
    for oid, name, _ in sorted(bad.values()):
        if name in segments:
            continue
        target = folder / f"damaged-{oid}-{temporary_name()}"
        source = store.root / _place(name)
        store.disk.rename(source, target)
        durable.sync_folder(store.disk, source.parent)
        report.quarantined.append(str(target.relative_to(store.root)))
    durable.sync_folder(store.disk, folder)
    store.objects.catalog.ask(lambda index: index.update(bump=True))
    store.objects.catalog.heal()
    report.quarantined.sort()


def _repair(
    store: Store,
    sources: list[Source],
    missing: dict[ObjectId, Kind],
    bad: dict[str, tuple[str, str, int]],
    report: FsckReport,
) -> None:
    todo: dict[ObjectId, Kind] = {}
    for damaged, _, _ in bad.values():
        todo[ObjectId(bytes.fromhex(damaged))] = "blob"
    todo |= missing | _methods(store)
    # What was cut stays cut, so that the chunks come back that other versions share.
    cut = {ObjectId(bytes.fromhex(oid)) for oid, name, _ in bad.values() if name.startswith(scrub.LISTS)}
    mended: set[str] = set()
    tried: set[ObjectId] = set()
    while todo:
        tried |= todo.keys()
        with store.objects.batch():
            mended |= {oid.hex() for oid, kind in sorted(todo.items()) if _mend(store, sources, oid, kind, oid in cut)}
        # A chunk that no source has by itself came back with its blob.
        mended |= {oid.hex() for oid in todo if oid.hex() not in mended and _good_copy(store, oid)}
        # A tree that is there again may name more that is missing.
        again = FsckReport()
        more = _follow(store, {}, again) | _methods(store)
        more = {oid: kind for oid, kind in more.items() if oid.hex() not in mended}
        fresh = more.keys() - tried
        known = {(problem.id, problem.object) for problem in report.problems}
        report.problems += [p for p in again.problems if p.object and (p.id, p.object) not in known and fresh]
        todo = {oid: more[oid] for oid in fresh}
    for problem in report.problems:
        problem.repaired |= problem.object in mended


def _methods(store: Store) -> dict[ObjectId, Kind]:
    """Return the methods of runs that the store does not hold: no fault of the store, and worth having."""
    found: dict[ObjectId, Kind] = {}
    for name in store.refs.list("runs/"):
        with contextlib.suppress(OmphalosError):
            oid = store.refs.get(name)
            if oid is not None:
                from omphalos.format.manifest import decode_manifest

                method = from_hex(decode_manifest(store.objects.read("run", oid)).plan.method)
                if not store.objects.has(method):
                    found[method] = "tree"
    return found


def _mend(store: Store, sources: list[Source], oid: ObjectId, kind: Kind, cut: bool) -> bool:
    if _good_copy(store, oid):
        return True
    for source in sources:
        stream = source(oid)
        if stream is None:
            continue
        with stream:
            chunked = cut or store.objects.lists.has(oid)
            if kind == "blob" and store.objects.put_stream(stream, chunked=chunked).id == oid:
                return True
            for other in KINDS:
                stream.seek(0)
                state = hasher(other)
                while chunk := stream.read(BUFFER_BYTES):
                    state.update(chunk)
                if state.digest() == oid:
                    stream.seek(0)
                    store.objects.put(other, stream.read())
                    return True
    return False


def from_store(other: Store) -> Source:
    """Return a source that takes objects from another store, whose index is neither believed nor opened."""
    other = Store(other.root, disk=other.disk, mapped=False)

    def find(oid: ObjectId) -> BinaryIO | None:
        return other.objects.open(oid) if _good_copy(other, oid) else None

    return find


def from_folder(folder: Path) -> Source:
    """Return a source that takes objects from a folder: any file (hashed once), one named by its id, and the nodes.

    The nodes of trees are computed from the files, of the folder as it is and, in a run directory, of the payload that
    its manifest lists; the manifest itself stands for the run object.
    """
    known: dict[ObjectId, Path] = {}
    files: dict[str, tuple[int, ObjectId]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                state, size = hasher("blob"), 0
                while chunk := stream.read(BUFFER_BYTES):
                    state.update(chunk)
                    size += len(chunk)
            oid = ObjectId(state.digest())
            known.setdefault(oid, path)
            files[path.relative_to(folder).as_posix()] = size, oid
            if len(path.name) == 64 and is_prefix(path.name):
                known.setdefault(from_hex(path.name), path)
    nodes = _nodes(files)
    with contextlib.suppress(OmphalosError, OSError):
        data = (folder / MANIFEST_NAME).read_bytes()
        from omphalos.format.manifest import decode_manifest

        manifest = decode_manifest(data)
        nodes[object_id("run", data)] = data
        control = {file.path for file in manifest.control} | {MANIFEST_NAME}
        nodes |= _nodes({path: known for path, known in files.items() if path not in control})

    def find(oid: ObjectId) -> BinaryIO | None:
        path = known.get(oid)
        if path is None:
            return io.BytesIO(nodes[oid]) if oid in nodes else None
        return path.open("rb")

    return find


def _nodes(files: dict[str, tuple[int, ObjectId]]) -> dict[ObjectId, bytes]:
    """Return the nodes of the tree of some files, none where they cannot be a tree."""
    with contextlib.suppress(OmphalosError):
        return {node.id: node.data for node in build_tree((path, *rest) for path, rest in files.items())}
    return {}
