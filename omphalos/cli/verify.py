"""``omphalos verify``: recompute everything a run claims, and end by naming what was not checked."""

from typing import Any

import click

from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape, human_size

CODES = {"verified": Exit.DONE, "refused": Exit.NEGATIVE, "incomplete": Exit.INCOMPLETE}
SHOWN = 50


@click.command(
    cls=Verb, surroundings=False, examples=["omphalos verify latest", "omphalos verify artifacts/runs/q3-1a2b3c4d5e6f/"]
)
@click.argument("name", metavar="RUN|DIR")
@click.option("--deep", is_flag=True, help="Recompute table fingerprints and check the warehouse file, too.")
@click.pass_obj
def command(app: App, name: str, deep: bool) -> Exit:
    """Verify a run: the one the store records under RUN, with its directory; or the run directory DIR on its own.

    DIR is a path: one that holds a separator, or a folder that stands in the working directory and names no run.
    """
    verdicts = _verdicts(app, name, deep)
    if app.out.json:
        worst = max((CODES[v.word] for v in verdicts), key=_weight)
        word = next(word for word, code in CODES.items() if code is worst)
        app.out.document("omphalos.verify/1", {"verdict": word, "checks": [v.document() for v in verdicts]})
        return worst
    for verdict in verdicts:
        _print(app, verdict)
    return max((CODES[v.word] for v in verdicts), key=_weight)


def _weight(code: Exit) -> int:
    return (Exit.DONE, Exit.INCOMPLETE, Exit.NEGATIVE).index(code)


def _verdicts(app: App, name: str, deep: bool) -> list[Any]:
    from omphalos.runs.lookup import name_run, ref_of
    from omphalos.runs.verify import verify_directory, verify_recorded
    from omphalos.store.names import UnknownName
    from omphalos.store.store import StoreMissing

    path = app.path(name)
    if "/" in name or name in (".", ".."):
        return [_deepened(verify_directory(path), path, deep)]
    try:
        store = app.store()
        run = name_run(store, name)
    except (StoreMissing, UnknownName):
        if name and path.is_dir():
            return [_deepened(verify_directory(path), path, deep)]
        raise
    verdicts = [verify_recorded(store, ref_of(run.run_id), run.id)]
    directory = store.root / "artifacts" / "runs" / run.run_id
    if directory.is_dir():
        verdicts.append(_deepened(verify_directory(directory, expected=run.id), directory, deep))
    elif deep:
        app.out.warning("there is no run directory, so tables were checked as bytes only; check the run out first")
    return verdicts


def _deepened(verdict: Any, path: Any, deep: bool) -> Any:
    if not deep:
        return verdict
    from omphalos.runs.deep import deepen

    return deepen(verdict, path)


def _print(app: App, verdict: Any) -> None:
    out = app.out
    color = {"verified": "green", "refused": "red", "incomplete": "yellow"}[verdict.word]
    word = out.style(verdict.word.upper(), fg=color, bold=True)
    out.text(f"{word} {escape(verdict.subject) or '/'}: {verdict.files} files, {human_size(verdict.size)}")
    for finding in verdict.findings[:SHOWN]:
        detail = f": {escape(finding.detail)}" if finding.detail else ""
        out.text(f"  {finding.severity.value:<5} {finding.id.value} {escape(finding.path)}{detail}")
    more = len(verdict.findings) - SHOWN + verdict.suppressed
    if more > 0:
        out.text(f"  and {more} more findings (--json lists up to 10,000)")
    for path in verdict.unreadable[:SHOWN]:
        out.text(f"  could not be read: {escape(path)}")
    out.text("  NOT CHECKED:")
    for word in verdict.not_checked:
        out.text(f"    {word.value}: {word.reason}")
