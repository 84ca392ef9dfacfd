"""``omphalos ref``: list, get, set and delete refs; every change is a compare-and-swap."""

import re
from typing import Final

import click

from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb, VerbGroup
from omphalos.cli.output import escape
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import ObjectId, from_hex, to_hex


class NoSuchRef(OmphalosError):
    """The ref does not exist."""

    kind = ErrorKind.NOT_FOUND
    id = "noSuchRef"


class RefMisleads(OmphalosError):
    """The ref would say something else than what its name says."""

    kind = ErrorKind.USAGE
    id = "refMisleads"


PREFIX: Final = "refs/"
_NEWEST: Final = re.compile(r"tags/latest(~[0-9]*)?")


def _below(name: str) -> str:
    """Return a ref's name below ``refs/``, which may or may not be typed."""
    return name.removeprefix(PREFIX)


@click.group(cls=VerbGroup, examples=["omphalos ref list", "omphalos ref set refs/tags/q3 latest"])
def command() -> None:
    """List, get, set and delete refs."""


def _require_truth(name: str, run_id: str | None) -> None:
    """Refuse a tag that nobody could name, and the name of a run for what is not that run.

    Raises:
        RefMisleads: it is one.
    """
    if _NEWEST.fullmatch(name):
        raise RefMisleads(
            f"'{name}' cannot be a tag: 'latest' is the newest run, whatever it is", undone="nothing was written"
        )
    if name.startswith("runs/") and name != f"runs/{run_id}":
        raise RefMisleads(
            f"'{escape(PREFIX + name)}' can only name the run of that run_id",
            hint="a name of your own is a tag, such as refs/tags/q3",
            undone="nothing was written",
        )


@command.command("list", cls=Verb, examples=["omphalos ref list", "omphalos ref list refs/tags/"])
@click.argument("prefix", required=False, default="refs/")
@click.pass_obj
def list_refs(app: App, prefix: str) -> Exit:
    """List the refs whose name starts with PREFIX; one that is damaged is said to be (exit 3)."""
    refs = app.store().refs
    found: list[dict[str, str | None]] = []
    for name in refs.list(_below(prefix)):
        row = {"name": PREFIX + name, "id": None, "error": None}
        try:
            oid = refs.get(name)
            row["id"] = to_hex(oid) if oid else None
        except OmphalosError as error:
            row["error"] = error.message
        if row["id"] or row["error"]:  # neither: deleted since it was listed
            found.append(row)
    if app.out.json:
        app.out.document("omphalos.ref-list/1", {"refs": found})
    else:
        for row in found:
            app.out.text(f"{row['id'] or 'damaged':<64} {escape(str(row['name']))}")
    return Exit.INCOMPLETE if any(row["error"] for row in found) else Exit.DONE


@command.command("get", cls=Verb, examples=["omphalos ref get refs/tags/q3", "omphalos ref get tags/q3 --json"])
@click.argument("name")
@click.pass_obj
def get(app: App, name: str) -> None:
    """Print the id a ref points at."""
    oid = app.store().refs.get(_below(name))
    if oid is None:
        raise NoSuchRef(f"there is no ref {name!r}", hint="'omphalos ref list' shows what there is")
    if app.out.json:
        app.out.document("omphalos.ref/1", {"name": PREFIX + _below(name), "id": to_hex(oid)})
    else:
        app.out.text(to_hex(oid))


def _old(text: str | None) -> ObjectId | None:
    return None if text in (None, "none") else from_hex(str(text))


@command.command(
    "set",
    cls=Verb,
    examples=[
        "omphalos ref set refs/tags/q3 latest",
        'omphalos ref set refs/tags/q3 latest --old "$(omphalos ref get refs/tags/q3)"',
    ],
)
@click.argument("name")
@click.argument("target", metavar="ID")
@click.option("--old", metavar="ID", help="The id the ref must hold now; 'none' if it must not exist (the default).")
@click.pass_obj
def set_ref(app: App, name: str, target: str, old: str | None) -> None:
    """Point the ref NAME at ID; refused where it does not hold what --old says."""
    from omphalos.store.names import resolve

    store = app.store()
    found = resolve(store, target)
    oid = found.id
    _require_truth(_below(name), found.run_id if found.kind == "run" else None)
    store.refs.set(_below(name), oid, old=_old(old))
    if app.out.json:
        app.out.document("omphalos.ref/1", {"name": PREFIX + _below(name), "id": to_hex(oid)})


@command.command(
    "delete",
    cls=Verb,
    examples=['omphalos ref delete refs/tags/q3 --old "$(omphalos ref get refs/tags/q3)"', "omphalos ref delete -h"],
)
@click.argument("name")
@click.option("--old", metavar="ID", required=True, help="The id the ref must hold now.")
@click.pass_obj
def delete(app: App, name: str, old: str) -> None:
    """Delete the ref NAME; refused where it does not hold what --old says."""
    store = app.store()
    if store.refs.get(_below(name)) is None:
        raise NoSuchRef(
            f"there is no ref {name!r}", hint="'omphalos ref list' shows what there is", undone="nothing was deleted"
        )
    store.refs.delete(_below(name), old=from_hex(old))
    if app.out.json:
        app.out.document("omphalos.ref/1", {"name": PREFIX + _below(name), "id": None})
