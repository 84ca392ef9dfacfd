"""``omphalos status``: what in a run directory differs from the run the store records."""

import os

import click

from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape

MARKS = {"added": "?", "removed": "D", "modified": "M", "special": "!"}


def _differ(count: int) -> str:
    return "1 path differs" if count == 1 else f"{count} paths differ"


@click.command(cls=Verb, examples=["omphalos status", "omphalos status latest /tmp/review"])
@click.argument("name", required=False, metavar="[RUN]")
@click.argument("directory", required=False, metavar="[DIR]")
@click.pass_obj
def command(app: App, name: str | None, directory: str | None) -> Exit:
    """Say what differs between run directories and their runs: all of them, or RUN's (or DIR held against RUN)."""
    from omphalos.runs.directory import status_run
    from omphalos.runs.lookup import resolve_run
    from omphalos.runs.verify import NoRunDirectory
    from omphalos.store.names import runs

    store = app.store()
    folder = store.root / "artifacts" / "runs"
    if name is not None:
        run = resolve_run(store, name)
        pairs = [(run, app.path(directory) if directory else folder / run.run_id)]
        if not os.path.lexists(pairs[0][1]):
            raise NoRunDirectory(
                f"no run directory: '{escape(str(pairs[0][1]))}'", hint=f"'omphalos checkout {run.run_id}' makes one"
            )
    else:
        names = [entry.run_id for entry in runs(store) if entry.manifest is not None]
        pairs = [(resolve_run(store, one), folder / one) for one in names if (folder / one).is_dir()]
    report = []
    for run, path in pairs:
        entries = status_run(store, run, path)
        report.append({"run_id": run.run_id, "path": str(path), "entries": entries})
        if not app.out.json:
            app.out.text(f"{run.run_id}: {'as recorded' if not entries else _differ(len(entries))}")
            for entry in entries:
                app.out.text(f"  {MARKS[entry['state']]} {escape(entry['path'])}")
    if app.out.json:
        app.out.document("omphalos.status/1", {"runs": report})
    elif not report:
        app.out.message("no run directory here; 'omphalos checkout RUN' makes one")
    return Exit.NEGATIVE if any(item["entries"] for item in report) else Exit.DONE
