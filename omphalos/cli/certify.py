"""``omphalos certify``: execute a recorded plan again, from the recorded inputs, and compare."""

import os
import tempfile
from pathlib import Path

import click

from omphalos.cli.config import MAX_THREADS
from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape
from omphalos.cli.progress import progress
from omphalos.cli.run import SIZE, engine_failures, machine

CODES = {"identical": Exit.DONE, "different": Exit.NEGATIVE, "not-rerunnable": Exit.INCOMPLETE}


def _scratch(root: Path) -> Path | None:
    """Return where to compute: beside the store, or the system's temporary folder where the store is read-only."""
    return None if os.access(root, os.W_OK) else Path(tempfile.gettempdir()) / "omphalos"


@click.command(cls=Verb, examples=["omphalos certify latest", "omphalos certify latest --json"])
@click.argument("name", metavar="RUN")
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), help="Threads to use.")
@click.option("--memory", type=SIZE, metavar="SIZE", help="Memory the engine may use, such as 2GiB.")
@click.pass_obj
def command(app: App, name: str, threads: int | None, memory: str) -> Exit:
    """Execute the plan of RUN again from the inputs it recorded, and compare every artifact by digest.

    Nothing is recorded. Outcomes: identical (exit 0), different (exit 1), not-rerunnable (exit 3: the method that
    made the run is not the one installed here).
    """
    from omphalos.runs.certify import certify
    from omphalos.runs.lookup import resolve_run

    store = app.store()
    run = resolve_run(store, name)
    with progress(app.out) as stage, engine_failures():
        result = certify(store, run, machine(threads, memory, stage), _scratch(store.root))
    if app.out.json:
        app.out.document("omphalos.certify/1", {"run_id": run.run_id, **result.document()})
        return CODES[result.outcome]
    app.out.text(f"{result.outcome} {run.run_id}")
    if result.reason:
        app.out.text(f"  {escape(result.reason)}")
    for path in result.paths[:50]:
        app.out.text(f"  {escape(path)}")
    app.out.text("  NOT CHECKED:")
    for word in result.not_checked:
        app.out.text(f"    {word.value}: {word.reason}")
    return CODES[result.outcome]
