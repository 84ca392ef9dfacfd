"""``omphalos show``: a run for a person, or one artifact of it."""

import sys

import click
import msgspec

from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape, human_size
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import to_hex


class NotText(OmphalosError):
    """A file that is no text was to be shown on a terminal."""

    kind = ErrorKind.USAGE
    id = "notText"


@click.command(cls=Verb, examples=["omphalos show latest", "omphalos show latest:exports/review.csv"])
@click.argument("name", metavar="RUN[:PATH]")
@click.pass_obj
def command(app: App, name: str) -> None:
    """Show a run (what it is made of), or write one artifact to stdout (escaped where stdout is a terminal)."""
    from omphalos.store.names import read_run, resolve

    store = app.store()
    found = resolve(store, name)
    if found.path is not None and found.kind == "blob":
        _artifact(app, store.objects.read("blob", found.id), found.path)
        return
    if found.kind != "run":
        raise click.UsageError(f"{name} is a {found.kind}; 'omphalos ls' and 'omphalos cat' show it")
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


def _artifact(app: App, data: bytes, path: str) -> None:
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        hint = "redirect stdout to a file, or check the run out"
        raise NotText(f"{path} is not text", hint=hint, undone="nothing was shown") from error
    for line in text.splitlines():
        app.out.text(escape(line))
