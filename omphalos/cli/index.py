"""``omphalos index``: the index is a cache; it can be made anew from the objects at any time."""

import click

from omphalos.cli.main import App, Verb, VerbGroup


@click.group(cls=VerbGroup, examples=["omphalos index rebuild", "omphalos index rebuild --json"])
def command() -> None:
    """Make the index of the store anew."""


@command.command("rebuild", cls=Verb, examples=["omphalos index rebuild", "omphalos index rebuild --json"])
@click.pass_obj
def rebuild(app: App) -> None:
    """Read every segment and make the index anew; a record counts only if its bytes have its id."""
    from omphalos.store.fsck import rebuild_index

    counts = rebuild_index(app.store())
    if app.out.json:
        app.out.document("omphalos.index/1", counts)
    else:
        app.out.message(f"{counts['objects']} objects in {counts['segments']} segments")
