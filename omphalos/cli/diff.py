"""``omphalos diff``: what differs between two runs or trees: first why, then how much, then which artifacts."""

from typing import Any

import click

from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape, human_size
from omphalos.format.ids import to_hex

MARKS = {"added": "A", "removed": "D", "modified": "M", "typechange": "T"}


@click.command(cls=Verb, examples=["omphalos diff latest~1 latest", "omphalos diff latest~1 latest --stat"])
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--stat", is_flag=True, help="Counts only.")
@click.pass_obj
def command(app: App, before: str, after: str, stat: bool) -> Exit:
    """Compare two runs or trees; exit 0 if equal, 1 if different."""
    from omphalos.runs.compare import causes, input_counts
    from omphalos.runs.lookup import resolve_tree
    from omphalos.store.names import read_run, resolve
    from omphalos.store.treediff import diff_trees

    store = app.store()
    trees = [resolve_tree(store, name) for name in (before, after)]
    manifests = []
    for name in (before, after):
        found = resolve(store, name)
        manifests.append(read_run(store, found.id) if found.kind == "run" else None)
    why: list[dict[str, Any]] = []
    counts: list[dict[str, Any]] = []
    if manifests[0] is not None and manifests[1] is not None:
        why = causes(manifests[0], manifests[1])
        counts = input_counts(manifests[0], manifests[1])
    changes = list(diff_trees(store, *trees))
    total = {change: sum(1 for c in changes if c.change == change) for change in MARKS}
    if app.out.json:
        rows = [
            {
                "path": change.path,
                "change": change.change,
                "old": _entry(change.old),
                "new": _entry(change.new),
            }
            for change in changes
        ]
        content = {"a": to_hex(trees[0]), "b": to_hex(trees[1]), "causes": why, "inputs": counts, "counts": total}
        app.out.document("omphalos.diff/1", content if stat else {**content, "changes": rows})
    else:
        _print(app, why, counts, changes, total, stat)
    return Exit.NEGATIVE if changes else Exit.DONE


def _entry(entry: Any) -> dict[str, Any] | None:
    return {"kind": entry.kind, "size": entry.size, "id": to_hex(entry.id)} if entry else None


def _print(
    app: App,
    why: list[dict[str, Any]],
    counts: list[dict[str, Any]],
    changes: list[Any],
    total: dict[str, int],
    stat: bool,
) -> None:
    out = app.out
    if not changes and not why:
        out.text("equal")
        return
    for cause in why:
        out.text(f"cause: {escape(cause['what'])}")
    for count in counts:
        out.text(
            f"input {escape(count['role'])} {escape(count['source'])}: {count['before']} -> {count['after']} records"
        )
    out.text(", ".join(f"{number} {change}" for change, number in total.items() if number) or "no artifact differs")
    if stat:
        return
    for change in changes:
        sizes = " -> ".join(human_size(entry.size) if entry else "nothing" for entry in (change.old, change.new))
        out.text(f"{MARKS[change.change]} {escape(change.path)}  {sizes}")
