"""``omphalos hash``: the id a file or folder would have; nothing is stored and no store is needed.

Where there is a store, what did not change in a folder since it was last hashed is not read again; the answer is the
same without one.
"""

from typing import TYPE_CHECKING

import click

from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape
from omphalos.format.ids import to_hex

if TYPE_CHECKING:
    from pathlib import Path

    from omphalos.store.store import Store


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
            oid, size = hash_directory(path, _cache(app, path))
            rows.append({"path": text, "kind": "tree", "id": to_hex(oid), "size": size})
        else:
            blob = hash_file(path)
            rows.append({"path": text, "kind": "blob", "id": to_hex(blob.id), "size": blob.size})
    if app.out.json:
        app.out.document("omphalos.hash/1", {"files": rows})
    else:
        for row in rows:
            app.out.text(f"{row['id']}  {escape(str(row['path']))}")


def _cache(app: App, folder: "Path") -> "Store | None":
    """Return the store whose stat cache can be asked about a folder, if there is one that costs nothing to ask."""
    from omphalos.store.folders import overlaps
    from omphalos.store.store import StoreMissing

    try:
        store = app.store()
    except StoreMissing:
        return None
    return store if store.objects.catalog.is_kept() and not overlaps(store.root, folder) else None
