"""``omphalos gc``: name what no ref leads to, and free it where that is asked for."""

import click

from omphalos.cli.main import App, Verb
from omphalos.cli.output import human_size
from omphalos.format.ids import to_hex

SHOWN = 20


@click.command(cls=Verb, examples=["omphalos gc", 'omphalos gc --free --reason "retention of 2024 is over"'])
@click.option("--free", is_flag=True, help="Free what is named; without it nothing is changed.")
@click.option("--reason", default="unreachable", metavar="TEXT", help="Goes into the log of deletions.")
@click.pass_obj
def command(app: App, free: bool, reason: str) -> None:
    """Name the objects that no ref leads to; with --free, free them. A run on hold keeps everything it leads to.

    What a writer at work may still need is left for the next time. Every deletion goes into objects/deletions.log.
    """
    from omphalos.store.gc import gc

    report = gc(app.store(), dry_run=not free, reason=reason)
    if app.out.json:
        app.out.document("omphalos.gc/1", {"dry_run": not free, **report.document()})
        return
    rows = report.freed if free else report.unreachable
    for oid, size in rows[:SHOWN]:
        app.out.text(f"{to_hex(oid)} {size:>12}")
    if len(rows) > SHOWN:
        app.out.text(f"and {len(rows) - SHOWN} more (--json lists all)")
    total = human_size(sum(size for _, size in rows))
    said = "freed" if free else "could be freed; --free does it"
    app.out.text(f"{len(rows)} objects, {total}, {said}; {report.reachable} are needed")
    if report.deferred:
        app.out.text(f"{len(report.deferred)} left for the next time: {report.leases} writers are at work")
