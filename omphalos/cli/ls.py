"""``omphalos ls``: list a tree."""

import click

from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape
from omphalos.format.ids import to_hex


@click.command(cls=Verb, examples=["omphalos ls latest", "omphalos ls -r latest:reports"])
@click.argument("name", metavar="ID")
@click.option("-r", "--recursive", is_flag=True, help="List what lies below, too.")
@click.pass_obj
def command(app: App, name: str, recursive: bool) -> None:
    """List the entries of the tree ID (a tree, a run, or RUN:path): kind, id, size, name."""
    from omphalos.runs.lookup import resolve_tree
    from omphalos.store.trees import load, walk

    store = app.store()
    tree = resolve_tree(store, name)
    if recursive:
        rows = [("blob", oid, size, path) for path, size, oid in walk(store, tree)]
    else:
        rows = [(e.kind, e.id, e.size, e.name) for e in load(store, tree)]
    if app.out.json:
        entries = [{"kind": kind, "id": to_hex(oid), "size": size, "path": path} for kind, oid, size, path in rows]
        app.out.document("omphalos.ls/1", {"id": to_hex(tree), "entries": entries})
    else:
        for kind, oid, size, path in rows:
            app.out.text(f"{kind} {to_hex(oid)} {size:>12} {escape(path)}")
