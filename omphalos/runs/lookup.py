"""From what a person types to a run or a tree: a thin layer over the names of the store.

Rules of this file: it loads nothing heavier than the store, so that every verb that only reads answers at once.
"""

from dataclasses import dataclass

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import ObjectId, from_hex
from omphalos.format.manifest import Manifest
from omphalos.store.names import RUNS, UnknownName, read_run, resolve
from omphalos.store.store import Store


class NotARun(OmphalosError):
    """What was named is an object, but no run."""

    kind = ErrorKind.USAGE
    id = "notARun"


@dataclass(frozen=True)
class RunName:
    """A run of the store by name: its id, without its content having been read."""

    run_id: str
    id: ObjectId


@dataclass(frozen=True)
class Run:
    """A run of the store: its id and its manifest."""

    run_id: str
    id: ObjectId
    manifest: Manifest


def ref_of(run_id: str) -> str:
    """Return the name of the ref of a run, below ``refs/``."""
    return RUNS + run_id


def name_run(store: Store, text: str) -> RunName:
    """Return the run that ``text`` names; an exact run_id is found even where its objects are damaged or gone.

    Raises:
        UnknownName, AmbiguousName: nothing, or more than one thing, is called so.
        NotARun: it names another kind of object.
        RefDamaged: the run's ref is damaged.
    """
    try:
        oid = store.refs.get(RUNS + text) if "/" not in text and ":" not in text else None
    except OmphalosError as error:
        if error.id == "badRefName":
            raise UnknownName(f"nothing is called {text!r}", hint="'omphalos log' lists the runs") from error
        raise
    if oid is not None:
        return RunName(text, oid)
    run = resolve_run(store, text)
    return RunName(run.run_id, run.id)


def resolve_run(store: Store, text: str) -> Run:
    """Return the run that ``text`` names: a run_id, a unique prefix, a tag, ``latest``, ``latest~1``, an object id.

    Raises:
        UnknownName, AmbiguousName: nothing, or more than one thing, is called so.
        NotARun: it names another kind of object, or a path inside a run.
    """
    found = resolve(store, text)
    if found.kind != "run" or found.path is not None:
        raise NotARun(f"{text!r} names a {found.kind}, not a run", hint="'omphalos log' lists the runs")
    manifest = read_run(store, found.id)
    return Run(manifest.run_id, found.id, manifest)


def resolve_tree(store: Store, text: str) -> ObjectId:
    """Return the tree that ``text`` names: a tree, a run (its payload), or a folder inside one.

    Raises:
        NotARun: it names a blob.
    """
    found = resolve(store, text)
    if found.kind == "tree":
        return found.id
    if found.kind == "run":
        return from_hex(read_run(store, found.id).tree)
    raise NotARun(f"{text!r} names a file, not a tree or run", hint="'omphalos cat' writes a file's bytes")
