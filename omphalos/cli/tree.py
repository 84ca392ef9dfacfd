"""``omphalos tree``: store a folder as a tree and print its id."""

import click

from omphalos.cli.main import App, Verb
from omphalos.format.ids import to_hex


@click.command(cls=Verb, examples=["omphalos tree evidence/", "omphalos tree --json evidence/"])
@click.argument("folder", metavar="DIR")
@click.pass_obj
def command(app: App, folder: str) -> None:
    """Store DIR (plain files and folders only) as a tree and print the tree's id."""
    from omphalos.store.trees import put_directory

    store = app.store()
    with store.objects.batch():
        tree, size = put_directory(store, app.existing(folder))
    if app.out.json:
        app.out.document("omphalos.tree/1", {"id": to_hex(tree), "size": size})
    else:
        app.out.text(to_hex(tree))
