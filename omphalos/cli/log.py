"""``omphalos log``: the runs of the store, newest first."""

from typing import Any

import click

from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape, human_size
from omphalos.format.ids import to_hex


@click.command(cls=Verb, examples=["omphalos log", "omphalos log -n 5 --json"])
@click.option("-n", "--limit", type=click.IntRange(min=1), help="Show at most this many.")
@click.pass_obj
def command(app: App, limit: int | None) -> Exit:
    """List the runs, newest first; one that cannot be read is listed last, with the reason (exit 3)."""
    from omphalos.store.names import runs

    entries = runs(app.store())[:limit]
    if app.out.json:
        app.out.document("omphalos.log/1", {"runs": [_document(entry) for entry in entries]})
        return _code(entries)
    for entry in entries:
        if entry.manifest is None:
            reason = entry.error.message if entry.error else "unreadable"
            app.out.text(f"{escape(entry.run_id)}  {app.out.style('damaged', fg='red')}  {escape(reason)}")
            continue
        manifest = entry.manifest
        size = human_size(sum(file.size for file in manifest.artifacts))
        app.out.text(
            f"{app.out.style(entry.run_id, bold=True)}  {manifest.created}  tree {manifest.tree[:12]}  "
            f"{len(manifest.artifacts)} artifacts  {size}"
        )
    if not entries:
        app.out.message("no runs yet: 'omphalos run' makes one")
    return _code(entries)


def _code(entries: list[Any]) -> Exit:
    return Exit.INCOMPLETE if any(entry.error for entry in entries) else Exit.DONE


def _document(entry: Any) -> dict[str, Any]:
    manifest = entry.manifest
    return {
        "run_id": entry.run_id,
        "id": to_hex(entry.object_id) if entry.object_id else None,
        "created": manifest.created if manifest else None,
        "tree": manifest.tree if manifest else None,
        "artifacts": len(manifest.artifacts) if manifest else None,
        "bytes": sum(file.size for file in manifest.artifacts) if manifest else None,
        "error": entry.error.message if entry.error else None,
    }
