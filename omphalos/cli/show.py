"""``omphalos show``: a run for a person, or one artifact of it."""

from typing import TYPE_CHECKING

import click
import msgspec

from omphalos.cli.main import App, Verb
from omphalos.cli.output import content_members, escape, human_size
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import to_hex

if TYPE_CHECKING:
    from omphalos.store.names import Resolved


class NotARunOrArtifact(OmphalosError):
    """What was named is an object of another kind."""

    kind = ErrorKind.USAGE
    id = "notARunOrArtifact"


@click.command(
    cls=Verb, examples=["omphalos show latest", "omphalos show latest:exports/review_queue.csv --for-spreadsheet"]
)
@click.argument("name", metavar="RUN[:PATH]")
@click.option("--for-spreadsheet", "sheet", is_flag=True, help="Write a CSV artifact so that no cell is a formula.")
@click.pass_obj
def command(app: App, name: str, sheet: bool) -> None:
    """Show a run (what it is made of), or write one artifact to stdout (escaped where stdout is a terminal).

    A name in a feed or list may begin like a formula, and a spreadsheet would execute it. With --for-spreadsheet such a
    cell, and one that begins with an apostrophe, gets an apostrophe in front; the artifact itself stays as it is.
    """
    from omphalos.store.names import read_run, resolve

    if sheet and app.out.json:
        raise click.UsageError("--for-spreadsheet and --json exclude each other")
    store = app.store()
    found = resolve(store, name)
    if found.path is not None and found.kind == "blob":
        data = store.objects.read("blob", found.id)
        if sheet:
            from omphalos.tables.spreadsheet import for_spreadsheet

            app.out.file(for_spreadsheet(data), found.path)
        else:
            _artifact(app, found, data)
        return
    if sheet:
        raise click.UsageError("--for-spreadsheet goes with RUN:PATH of a CSV file")
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
    app.out.file(data, found.path or "")
