"""``omphalos cat``: write an object's bytes to stdout, verified before the first byte of a small object is written."""

import sys

import click

from omphalos.cli.main import App, Verb


@click.command(cls=Verb, examples=["omphalos cat 3f1c2a9b", "omphalos cat latest:reports/validation.json"])
@click.argument("name", metavar="ID")
@click.pass_obj
def command(app: App, name: str) -> None:
    """Write the bytes of the object ID (or RUN:path) to stdout, exactly."""
    from omphalos.store.names import resolve

    store = app.store()
    found = resolve(store, name)
    if found.kind == "blob":
        sys.stdout.flush()
        store.objects.copy_to(found.id, sys.stdout.fileno())
    else:
        sys.stdout.buffer.write(store.objects.read(found.kind, found.id))
        sys.stdout.buffer.flush()
