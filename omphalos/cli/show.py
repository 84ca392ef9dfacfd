"""``omphalos show``: a run for a person, or one artifact of it."""

import sys
from typing import TYPE_CHECKING

import click
import msgspec

from omphalos.cli.main import App, Verb
from omphalos.cli.output import content_members, escape, human_size
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import to_hex

if TYPE_CHECKING:
    from omphalos.store.names import Resolved


class NotText(OmphalosError):
    """A file that is no text was to be shown on a terminal."""

    kind = ErrorKind.USAGE
    id = "notText"


class NotARunOrArtifact(OmphalosError):
    """What was named is an object of another kind."""

    kind = ErrorKind.USAGE
    id = "notARunOrArtifact"


@click.command(cls=Verb, examples=["omphalos show latest", "omphalos show latest:exports/review.csv"])
@click.argument("name", metavar="RUN[:PATH]")
@click.pass_obj
def command(app: App, name: str) -> None:
    """Show a run (what it is made of), or write one artifact to stdout (escaped where stdout is a terminal)."""
    from omphalos.store.names import read_run, resolve

    store = app.store()
    found = resolve(store, name)
    if found.path is not None and found.kind == "blob":
        _artifact(app, found, store.objects.read("blob", found.id))
        return
    if found.kind != "run":
        verb = "ls" if found.kind == "tree" else "cat"
        raise NotARunOrArtifact(
            f"{name!r} is a {found.kind} and neither a run nor an artifact",
            hint=f"'omphalos {verb} {name}' shows it",
            undone="nothing was shown",
        )
    manifest = read_run(store, found.id)
    if app.out.json:
        document = msgspec.to_builtins(manifest)
        app.out.document("omphalos.show/1", {"id": to_hex(found.id), "manifest": document})
        return
    out = app.out
    out.text(f"run       {out.style(manifest.run_id, bold=True)}")
    out.text(f"id        {to_hex(found.id)}")
    out.text(f"tree      {manifest.tree}")
    out.text(f"created   {manifest.created} by {manifest.tool.name} {manifest.tool.version}")
    out.text(f"plan      {manifest.plan.id}")
    out.text(f"method    {manifest.plan.method}")
    out.text("")
    out.text("inputs")
    for item in manifest.plan.inputs:
        out.text(f"  {item.role:<9} {item.records:>10} records  {human_size(item.size):>10}  {escape(item.source)}")
    out.text("")
    out.text("artifacts")
    for file in manifest.artifacts:
        rows = f"{file.rows:>10} rows" if file.rows is not None else " " * 15
        out.text(f"  {file.blake3[:12]} {human_size(file.size):>10} {rows}  {escape(file.path)}")


def _artifact(app: App, found: "Resolved", data: bytes) -> None:
    if app.out.json:
        about = {"run_id": found.run_id, "path": found.path, "id": to_hex(found.id), "size": len(data)}
        app.out.document("omphalos.artifact/1", {**about, **content_members(data)})
        return
    if not sys.stdout.isatty():
        app.out.data(data)
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        hint = "redirect stdout to a file, or check the run out"
        raise NotText(f"{found.path!r} is not text", hint=hint, undone="nothing was shown") from error
    for line in text.split("\n"):
        app.out.text(escape(line))
