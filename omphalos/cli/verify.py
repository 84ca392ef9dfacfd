"""``omphalos verify``: recompute everything a run claims, and end by naming what was not checked."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape, human_size
from omphalos.format.errors import ErrorKind, OmphalosError

CODES = {"verified": Exit.DONE, "refused": Exit.NEGATIVE, "incomplete": Exit.INCOMPLETE}
SHOWN = 50
STORED, DIRECTORY, BUNDLE, PROOF, STORE = (
    "as recorded in the store",
    "as it lies in the folder",
    "bundle",
    "proof",
    "store",
)
Checked = tuple[str, Any]  # what was looked at, and the verdict


class NoAttestations(OmphalosError):
    """A key was given, and there is no run directory whose attestations it could be held against."""

    kind = ErrorKind.UNTRUSTED
    id = "noAttestations"


@click.command(
    cls=Verb,
    surroundings=False,
    examples=["omphalos verify latest", "omphalos verify artifacts/runs/q3-1a2b3c4d5e6f/ --key office.pub"],
)
@click.argument("name", metavar="RUN|DIR|BUNDLE")
@click.option("--deep", is_flag=True, help="Recompute table fingerprints and check the warehouse file, too.")
@click.option("--key", "keys", multiple=True, metavar="PUB", help="This key must have vouched for the run; repeatable.")
@click.option("--proof", metavar="PROOF", help="Verify that the file named is the artifact that PROOF proves.")
@click.option("--root", metavar="HEX", help="With --proof: the Merkle root to believe.")
@click.pass_obj
def command(app: App, name: str, deep: bool, keys: tuple[str, ...], proof: str | None, root: str | None) -> Exit:
    """Verify a run: the one the store records under RUN, with its directory; a run directory DIR; or a BUNDLE.

    RUN gives two verdicts where the run has a directory: one about the objects of the store, and one about the files
    in the folder. DIR and BUNDLE are paths: ones that hold a separator, or stand in the working directory and name no
    run. With --proof the argument is a file, and without --root or --key the best verdict is incomplete.
    """
    from omphalos.runs.attest import read_keys

    if (root is not None and proof is None) or (deep and proof is not None):
        raise click.UsageError("--root goes with --proof, and --deep does not")
    if root is not None and (len(root) != 64 or not set(root) <= set("0123456789abcdef")):
        raise click.UsageError("--root takes 64 lower-case hex digits")
    given = read_keys([app.path(text) for text in keys])
    if proof is not None:
        from omphalos.runs.prove import verify_proof

        files = [_path(app, text) for text in (proof, name)]
        return show(app, [(PROOF, verify_proof(files[0], files[1], root=root, keys=given))])
    return show(app, _verdicts(app, name, deep, given))


def show(app: App, checks: Sequence[Checked]) -> Exit:
    """Print verdicts, and return the exit code for the worst of them."""
    worst = max((CODES[v.word] for _, v in checks), key=_weight)
    if app.out.json:
        word = next(word for word, code in CODES.items() if code is worst)
        app.out.document("omphalos.verify/1", {"verdict": word, "checks": [v.document() for _, v in checks]})
        return worst
    if len(checks) > 1:
        app.out.message("two verdicts: the run as the store records it, and the files in its folder")
    keyed = any(verdict.keys for _, verdict in checks)
    for where, verdict in checks:
        _print(app, where, verdict, elsewhere=keyed and not verdict.keys)
    return worst


def _weight(code: Exit) -> int:
    return (Exit.DONE, Exit.INCOMPLETE, Exit.NEGATIVE).index(code)


def _path(app: App, text: str) -> str:
    """Return a path from the command line as text, so that a slash at its end is not lost; empty stays empty."""
    return os.path.join(app.cwd, text) if text else ""  # noqa: PTH118  # a Path would drop the slash


def _is_file(path: Path) -> bool:
    """Say whether something is there that is no folder: it is taken for a bundle, and judged as one."""
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116  # beside the other uses of os
    except (OSError, ValueError):
        return False


def _verdicts(app: App, name: str, deep: bool, keys: Sequence[Any]) -> list[Checked]:
    from omphalos.runs.lookup import name_run, ref_of
    from omphalos.runs.verify import verify_directory
    from omphalos.runs.verify_recorded import verify_recorded
    from omphalos.store.names import UnknownName
    from omphalos.store.store import StoreMissing

    path = app.path(name)
    if "/" in name or name in (".", ".."):
        return [_one(app, name, deep, keys)]
    try:
        store = app.store()
        run = name_run(store, name)
    except (StoreMissing, UnknownName):
        if name and (path.is_dir() or _is_file(path)):
            return [_one(app, name, deep, keys)]
        raise
    directory = store.root / "artifacts" / "runs" / run.run_id
    if keys and not directory.is_dir():
        hint = f"'omphalos checkout {run.run_id}' makes the folder; attestations have to be copied into it"
        raise NoAttestations("attestations lie in the run directory, and there is none", hint=hint)
    verdicts = [(STORED, verify_recorded(store, ref_of(run.run_id), run.id))]
    _say_parents(app, store, run.run_id)
    if directory.is_dir():
        checked = verify_directory(directory, expected=run.id, keys=keys)
        verdicts.append((DIRECTORY, _deepened(checked, directory, deep)))
    elif deep:
        app.out.warning("there is no run directory, so tables were checked as bytes only; check the run out first")
    return verdicts


def _say_parents(app: App, store: Any, run_id: str) -> None:
    """Say which run a recorded answer was asked of that is not here: it stands alone, but cannot be asked again."""
    from omphalos.runs.lookup import resolve_run

    try:
        run = resolve_run(store, run_id)
        if all(item.format != "manifest" for item in run.manifest.plan.inputs):
            return
        from omphalos.runs.derived import parents  # loads the engines, which no other run needs here

        parents(store, run.manifest)
    except OmphalosError as error:
        if error.id == "parentMissing":
            app.out.warning(f"{error.message}; the answer can be verified, and certify cannot ask for it again")
        # Any other damage is for the verdict to say.


def _one(app: App, name: str, deep: bool, keys: Sequence[Any]) -> Checked:
    """Judge the folder or file at a path."""
    from omphalos.runs.verify import verify_directory

    path = app.path(name)
    if not _is_file(path):
        return DIRECTORY, _deepened(verify_directory(path, keys=keys), path, deep)
    from omphalos.runs.bundle import verify_bundle

    if deep:
        raise click.UsageError("--deep looks into tables of a run directory, not of a bundle")
    return BUNDLE, verify_bundle(_path(app, name), keys=keys)


def _deepened(verdict: Any, path: Any, deep: bool) -> Any:
    if not deep:
        return verdict
    from omphalos.runs.deep import deepen

    return deepen(verdict, path)


def _print(app: App, where: str, verdict: Any, *, elsewhere: bool = False) -> None:
    """Print one verdict; ``elsewhere`` says that the keys that were given are for another one beside it."""
    from omphalos.format.findings import NotChecked

    out = app.out
    color = {"verified": "green", "refused": "red", "incomplete": "yellow"}[verdict.word]
    word = out.style(verdict.word.upper(), fg=color, bold=True)
    name = escape(verdict.run_id or verdict.subject) or "/"
    out.text(f"{word} {name}: {verdict.files} files, {human_size(verdict.size)}, {where}")
    for finding in verdict.findings[:SHOWN]:
        detail = f": {escape(finding.detail)}" if finding.detail else ""
        out.text(f"  {finding.severity.value:<5} {finding.id.value} {escape(finding.path)}{detail}")
    more = len(verdict.findings) - SHOWN + verdict.suppressed
    if more > 0:
        out.text(f"  and {more} more findings (--json lists up to 10,000)")
    for path in verdict.unreadable[:SHOWN]:
        out.text(f"  could not be read: {escape(path)}")
    ids = sorted({finding.id for finding in verdict.findings})
    if ids:
        out.text("  WHAT THIS MEANS:")
    for one in ids:
        out.text(f"    {one.value}: {one.description}")
    if verdict.refused:
        out.text("  WHAT NOW:")
        out.text("    Rely on nothing in it; keep it as it is, and get the run again, by another way, to compare.")
    for keyid in verdict.signed_by:
        out.text(f"  vouched for by key {keyid[:12]}")
    out.text("  NOT CHECKED:")
    for word in verdict.not_checked:
        moved = elsewhere and word is NotChecked.SIGNATURES
        out.text(f"    {word.value}: {'They lie in the folder, and are checked there.' if moved else word.reason}")
