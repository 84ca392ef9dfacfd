"""``omphalos hold``: a legal hold keeps a run, and everything it leads to, from being deleted."""

import click

from omphalos.cli.main import App, Verb, VerbGroup


@click.group(cls=VerbGroup, examples=["omphalos hold add latest", "omphalos hold list"])
def command() -> None:
    """Put a legal hold on a run, release it, or list what is held."""


@command.command("add", cls=Verb, examples=["omphalos hold add latest", "omphalos hold add q3-screening-1a2b3c4d5e6f"])
@click.argument("name", metavar="RUN")
@click.pass_obj
def add(app: App, name: str) -> None:
    """Hold RUN: neither its ref nor anything it leads to can be deleted until the hold is released."""
    from omphalos.runs.lookup import resolve_run
    from omphalos.store.gc import hold

    store = app.store()
    run = resolve_run(store, name)
    hold(store, run.run_id)
    _say(app, run.run_id, held=True)


@command.command("release", cls=Verb, examples=["omphalos hold release latest", "omphalos hold release latest --json"])
@click.argument("name", metavar="RUN")
@click.pass_obj
def release_hold(app: App, name: str) -> None:
    """Release the hold on RUN; none there is no error."""
    from omphalos.runs.lookup import resolve_run
    from omphalos.store.gc import release

    store = app.store()
    run = resolve_run(store, name)
    release(store, run.run_id)
    _say(app, run.run_id, held=False)


@command.command("list", cls=Verb, examples=["omphalos hold list", "omphalos hold list --json"])
@click.pass_obj
def list_holds(app: App) -> None:
    """List the runs on hold."""
    from omphalos.store.gc import holds

    names = holds(app.store())
    if app.out.json:
        app.out.document("omphalos.hold-list/1", {"runs": names})
    else:
        for name in names:
            app.out.text(name)


def _say(app: App, run_id: str, *, held: bool) -> None:
    if app.out.json:
        app.out.document("omphalos.hold/1", {"run_id": run_id, "held": held})
    else:
        app.out.message(f"{run_id} is {'on hold' if held else 'not on hold'}")
