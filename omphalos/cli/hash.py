"""``omphalos hash``: the id a file or folder would have; nothing is stored and no store is needed."""

import click

from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape
from omphalos.format.ids import to_hex


@click.command(cls=Verb, examples=["omphalos hash report.csv", "omphalos hash artifacts/runs/"])
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.pass_obj
def command(app: App, paths: tuple[str, ...]) -> None:
    """Print 'id  PATH' for each file (its blob id, the same as b3sum prints) or folder (its tree id)."""
    from omphalos.store.hashing import hash_file
    from omphalos.store.trees import hash_directory

    rows = []
    for text in paths:
        path = app.existing(text)
        if path.is_dir():
            oid, size = hash_directory(path)
            rows.append({"path": text, "kind": "tree", "id": to_hex(oid), "size": size})
        else:
            blob = hash_file(path)
            rows.append({"path": text, "kind": "blob", "id": to_hex(blob.id), "size": blob.size})
    if app.out.json:
        app.out.document("omphalos.hash/1", {"files": rows})
    else:
        for row in rows:
            app.out.text(f"{row['id']}  {escape(str(row['path']))}")
