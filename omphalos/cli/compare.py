"""``omphalos compare``: the declared artifacts of two runs, side by side, by digest."""

import click

from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape


@click.command(cls=Verb, examples=["omphalos compare latest~1 latest", "omphalos compare A B --json"])
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--all", "everything", is_flag=True, help="List equal artifacts, too.")
@click.pass_obj
def command(app: App, before: str, after: str, everything: bool) -> Exit:
    """Compare the declared artifacts of two runs by digest; exit 0 if all are equal, 1 if not."""
    from omphalos.runs.compare import compare_artifacts
    from omphalos.runs.lookup import resolve_run

    store = app.store()
    first, second = resolve_run(store, before), resolve_run(store, after)
    rows = compare_artifacts(first.manifest, second.manifest)
    different = sum(1 for row in rows if row["state"] != "equal")
    if app.out.json:
        ids = {"a": first.manifest.run_id, "b": second.manifest.run_id}
        app.out.document("omphalos.compare/1", {**ids, "equal": not different, "artifacts": rows})
    else:
        for row in rows:
            if everything or row["state"] != "equal":
                ids_ = f"{(row['before'] or '-')[:12]:<12} {(row['after'] or '-')[:12]:<12}"
                app.out.text(f"{row['state']:<24} {ids_}  {escape(row['path'])}")
        app.out.text(f"{len(rows) - different} equal, {different} different")
    return Exit.NEGATIVE if different else Exit.DONE
