"""``omphalos cat``: write an object's bytes to stdout, all of them hashed before the first is written."""

from typing import Final

import click

from omphalos.cli.main import App, Verb
from omphalos.cli.output import MAX_CONTENT, content_members
from omphalos.format.ids import hasher, to_hex

CHUNK: Final = 1 << 20


@click.command(cls=Verb, examples=["omphalos cat latest:reports/validation.json", "omphalos cat 3f1c2a9b > object"])
@click.argument("name", metavar="ID")
@click.pass_obj
def command(app: App, name: str) -> None:
    """Write the bytes of the object ID (or RUN:path) to stdout, exactly; nothing if they are damaged.

    With --json they stand in the document, as text or base64.
    """
    from omphalos.store.names import resolve
    from omphalos.store.objects import ObjectDamaged

    store = app.store()
    found = resolve(store, name)
    store.objects.check(found.id, found.kind)
    if app.out.json:
        with store.objects.open(found.id) as stream:
            data = stream.read(MAX_CONTENT + 1)
        content = {"id": to_hex(found.id), "kind": found.kind, "size": len(data), **content_members(data)}
        app.out.document("omphalos.cat/1", content)
        return
    state = hasher(found.kind)
    with store.objects.open(found.id) as stream:
        while chunk := stream.read(CHUNK):
            state.update(chunk)
            if not app.out.data(chunk):
                return
    if state.digest() != found.id:  # it changed between the two readings
        raise ObjectDamaged(found.id, None)
