"""``omphalos init``: make a store; making it again changes nothing."""

import click

from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape


@click.command(cls=Verb, examples=["omphalos init", "omphalos init evidence/"])
@click.argument("folder", required=False, metavar="[DIR]")
@click.pass_obj
def command(app: App, folder: str | None) -> None:
    """Make a store (objects/ and refs/) in DIR, or in the working directory."""
    from omphalos.store.store import Store

    root = app.path(folder) if folder else app.store_folder or app.cwd
    if root.exists() and not root.is_dir():
        raise click.UsageError(f"a file stands where the store's folder should be: '{escape(str(root))}'")
    existed = (root / "objects").is_dir()
    store = Store.init(root)
    if app.out.json:
        app.out.document("omphalos.init/1", {"store": str(store.root), "existed": existed})
    else:
        app.out.message(f"{'there was a store already in' if existed else 'made a store in'} {store.root}")
