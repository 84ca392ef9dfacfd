"""``omphalos report``: the briefing of a run, one HTML page that stands alone."""

import os

import click

from omphalos.cli.main import App, Verb
from omphalos.format.errors import ErrorKind, OmphalosError


class NoBriefing(OmphalosError):
    """The run has no briefing."""

    kind = ErrorKind.NOT_FOUND
    id = "noBriefing"


class ReportInTheWay(OmphalosError):
    """Another file stands where the briefing is to be written, or it cannot be written there."""

    kind = ErrorKind.USAGE
    id = "reportInTheWay"


@click.command(cls=Verb, examples=["omphalos report latest -o briefing.html", "omphalos report latest > briefing.html"])
@click.argument("name", metavar="RUN")
@click.option("-o", "--output", metavar="FILE", help="Write the page to this file instead of stdout.")
@click.pass_obj
def command(app: App, name: str, output: str | None) -> None:
    """Write the briefing of RUN: one HTML page with tables and charts, no script, and nothing from outside.

    It is the artifact reports/briefing.html of the run, byte for byte. A file that is there is not overwritten.
    """
    from omphalos.format.ids import from_hex
    from omphalos.runs.derived import asked_of
    from omphalos.runs.lookup import resolve_run
    from omphalos.store.newfile import AlreadyThere, write_new

    store = app.store()
    run = asked_of(store, resolve_run(store, name))
    page = next((file for file in run.manifest.artifacts if file.path == "reports/briefing.html"), None)
    if page is None:
        raise NoBriefing(f"the run {run.run_id} has no briefing", hint="it was made by an older version; run it again")
    data = store.objects.read("blob", from_hex(page.blake3))
    if output is not None:
        path = app.path(output)
        hint = "remove it, or name another file"
        try:
            write_new(path, data)
        except AlreadyThere as error:
            if not path.is_file() or path.read_bytes() != data:
                raise ReportInTheWay(f"'{output}' is there already and is another file", hint=hint) from error
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise ReportInTheWay(f"'{output}' cannot be written: {reason}", hint="name another file") from error
    if app.out.json:
        members = {"run_id": run.run_id, "path": output, "blake3": page.blake3, "size": page.size}
        app.out.document("omphalos.report/1", members)
    elif output is None:
        app.out.file(data, page.path)
    else:
        app.out.message(f"wrote {output}")
