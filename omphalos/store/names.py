"""What a person may type for a run or an object.

Rules of this file: a text means one thing or is refused with the things it could mean. In order: ``latest`` and
``latest~N``, a whole run_id, a tag, a whole object id, then a beginning of exactly one run_id or object id. After a
colon comes a path inside the run or tree. A run that cannot be read is listed with its error, never left out.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId
from omphalos.format.ids import HEX_DIGITS, SHORT_DIGITS, Kind, ObjectId, from_hex, is_prefix
from omphalos.format.manifest import Manifest, decode_manifest
from omphalos.store.refs import BadRefName
from omphalos.store.store import Store
from omphalos.store.trees import lookup

RUNS: Final = "runs/"
TAGS: Final = "tags/"
MANIFEST_PATH: Final = "manifest.json"
_LATEST: Final = re.compile(r"latest(?:~([0-9]{1,9}))?", re.ASCII)
_SHOWN: Final = 5
_GUESS_LENGTH: Final = 200


class UnknownName(OmphalosError):
    """A text names nothing in the store."""

    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    id: ClassVar[str] = "unknownName"


class AmbiguousName(OmphalosError):
    """A text may mean several things; ``candidates`` lists them."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "ambiguousName"

    def __init__(self, text: str, candidates: list[str]) -> None:
        more = f" and {len(candidates) - _SHOWN} more" if len(candidates) > _SHOWN else ""
        super().__init__(
            f"{text!r} may mean {', '.join(candidates[:_SHOWN])}{more}",
            hint="type more of it",
            undone="nothing was done",
        )
        self.candidates = candidates


class RefMismatch(OmphalosError):
    """A run's ref and the run_id in the manifest it names differ."""

    kind: ClassVar[ErrorKind] = ErrorKind.NEGATIVE
    id: ClassVar[str] = FindingId.REF_MISMATCH.value


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a text means: an object, the run it was reached through (if any), and the path inside it (if any)."""

    kind: Kind
    id: ObjectId
    run_id: str | None
    path: str | None


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One run of a store. Where it cannot be read, ``error`` says why and ``manifest`` is None."""

    run_id: str
    object_id: ObjectId | None
    manifest: Manifest | None
    error: OmphalosError | None = None


def read_run(store: Store, oid: ObjectId) -> Manifest:
    """Return the manifest in a run object.

    Raises:
        ObjectMissing, ObjectDamaged, KindMismatch: as for ``ObjectStore.read``.
        ManifestError: its bytes are not a manifest.
    """
    return decode_manifest(store.objects.read("run", oid))


def runs(store: Store) -> list[RunEntry]:
    """Return the runs of a store, newest first, equal times by run_id; those that cannot be read come last."""
    good: list[tuple[str, RunEntry]] = []
    bad: list[RunEntry] = []
    for name in store.refs.list(RUNS):
        run_id = name.removeprefix(RUNS)
        oid: ObjectId | None = None
        try:
            oid = store.refs.get(name)
            if oid is None:
                continue  # deleted since it was listed
            manifest = read_run(store, oid)
            if manifest.run_id != run_id:
                raise RefMismatch(f"the ref of run {run_id!r} names a manifest of run {manifest.run_id!r}")
            good.append((manifest.created.removesuffix("Z"), RunEntry(run_id, oid, manifest)))
        except OmphalosError as problem:
            bad.append(RunEntry(run_id, oid, None, problem))
    good.sort(key=lambda pair: pair[0], reverse=True)  # stable: equal times stay in order of run_id
    return [entry for _, entry in good] + bad


def resolve(store: Store, text: str) -> Resolved:
    """Return what ``text`` names: ``NAME`` or ``NAME:path``.

    ``RUN:path`` is a file or folder of the run's tree, one of its control files, or ``manifest.json`` (the run object
    itself); ``RUN:`` is the root tree. The object named is hashed again.

    Raises:
        UnknownName: nothing is called so; the hint offers what is spelled alike.
        AmbiguousName: several things are.
        PathMissing: the run or tree has no such path.
        ObjectMissing, ObjectDamaged, KindMismatch, ManifestError, RefDamaged: what is named cannot be read.
    """
    name, colon, path = text.partition(":")
    found = _resolve_name(store, name)
    return _resolve_path(store, found, name, path) if colon else found


def _resolve_name(store: Store, name: str) -> Resolved:
    latest = _LATEST.fullmatch(name)
    if latest:
        whole = [entry for entry in runs(store) if entry.error is None]
        place = int(latest[1] or 0)
        if place >= len(whole):
            raise UnknownName(
                f"no {name!r}: the store has {len(whole)} readable runs", hint="`omphalos log` lists them"
            )
        return Resolved("run", _known(whole[place].object_id), whole[place].run_id, None)
    run = _ref(store, RUNS + name)
    if run is not None:
        store.objects.check(run, "run")
        return Resolved("run", run, name, None)
    tag = _ref(store, TAGS + name)
    if tag is not None:
        return _of(store, tag)
    return _resolve_beginning(store, name)


def _resolve_beginning(store: Store, name: str) -> Resolved:
    candidates: dict[ObjectId, str] = {}
    if is_prefix(name):
        matching = [from_hex(name)] if len(name) == HEX_DIGITS else store.objects.find_prefix(name)
        candidates.update((oid, f"object {oid.hex()[:SHORT_DIGITS]}") for oid in matching if store.objects.has(oid))
    run_ids = [ref.removeprefix(RUNS) for ref in store.refs.list(RUNS + name)] if name else []
    for run_id in run_ids:
        oid = _ref(store, RUNS + run_id)
        if oid is not None:
            candidates[oid] = f"run {run_id}"
    if len(candidates) > 1:
        raise AmbiguousName(name, sorted(candidates.values()))
    for oid, label in candidates.items():
        if label.startswith("run "):
            store.objects.check(oid, "run")
            return Resolved("run", oid, label.removeprefix("run "), None)
        return _of(store, oid)
    raise UnknownName(f"no run, tag or object is called {name!r}", hint=_guess(store, name))


def _resolve_path(store: Store, found: Resolved, name: str, path: str) -> Resolved:
    tree = found.id
    if found.kind == "run":
        if path == MANIFEST_PATH:
            return Resolved("run", found.id, found.run_id, path)
        manifest = read_run(store, found.id)
        for control in manifest.control:
            if control.path == path:
                return Resolved("blob", from_hex(control.blake3), found.run_id, path)
        tree = from_hex(manifest.tree)
    elif found.kind == "blob":
        raise UnknownName(f"{name!r} is a file: it has no {path!r}")
    if not path:
        return Resolved("tree", tree, found.run_id, path)
    entry = lookup(store, tree, path)
    return Resolved(entry.kind, entry.id, found.run_id, path)


def _of(store: Store, oid: ObjectId) -> Resolved:
    kind = store.objects.kind_of(oid)
    return Resolved(kind, oid, read_run(store, oid).run_id if kind == "run" else None, None)


def _ref(store: Store, name: str) -> ObjectId | None:
    try:
        return store.refs.get(name)
    except BadRefName:
        return None


def _known(oid: ObjectId | None) -> ObjectId:
    if oid is None:
        raise AssertionError("a readable run has an object")
    return oid


def _guess(store: Store, name: str) -> str:
    known: Iterable[str] = (ref.partition("/")[2] for prefix in (RUNS, TAGS) for ref in store.refs.list(prefix))
    close = difflib.get_close_matches(name[:_GUESS_LENGTH], sorted(known), n=3)
    if not close:
        return "`omphalos log` lists the runs; an object needs 6 or more digits of its id"
    return f"did you mean {' or '.join(close)}?"
