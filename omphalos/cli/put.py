"""``omphalos put``: store files as blobs and print their ids."""

import sys

import click

from omphalos.cli.main import App, Verb
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import to_hex


class NothingToPut(OmphalosError):
    """Neither a path nor ``--stdin`` was given."""

    kind = ErrorKind.USAGE
    id = "nothingToPut"


@click.command(cls=Verb, examples=["omphalos put report.csv", "omphalos put --chunked dump.csv"])
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--stdin", is_flag=True, help="Store what is read from stdin.")
@click.option("--chunked", is_flag=True, help="Cut huge files into chunks, so that a changed one costs its changes.")
@click.pass_obj
def command(app: App, paths: tuple[str, ...], stdin: bool, chunked: bool) -> None:
    """Store each PATH as a blob and print 'id  PATH', as b3sum does."""
    if not paths and not stdin:
        raise NothingToPut("there is nothing to store", hint="name files, or give --stdin")
    found = [(path, app.existing(path)) for path in paths]
    store = app.store()
    stored = []
    with store.objects.batch():
        if stdin:
            stored.append(("-", store.objects.put_stream(sys.stdin.buffer, chunked=chunked)))
        # SHA-256 costs most of the time of a large file, and only the document shows it.
        stored += [(path, store.objects.put_file(where, sha256=app.out.json, chunked=chunked)) for path, where in found]
    if app.out.json:
        files = [
            {"path": path, "id": to_hex(blob.id), "size": blob.size, "sha256": blob.sha256.hex()}
            for path, blob in stored
        ]
        app.out.document("omphalos.put/1", {"files": files})
    else:
        from omphalos.cli.output import escape

        for path, blob in stored:
            app.out.text(f"{to_hex(blob.id)}  {escape(path)}")
