"""``omphalos certify``: execute a recorded plan again, from the recorded inputs, and compare."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from omphalos.cli.config import MAX_THREADS
from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape
from omphalos.cli.progress import progress
from omphalos.cli.run import SIZE, engine_failures, machine
from omphalos.format.errors import ErrorKind, OmphalosError

if TYPE_CHECKING:
    from omphalos.runs.certify import Certification
    from omphalos.runs.variation import Surroundings

CODES = {
    "identical": Exit.DONE,
    "equal-after": Exit.NEGATIVE,
    "different": Exit.NEGATIVE,
    "not-rerunnable": Exit.INCOMPLETE,
}
VARIABLES = ("HOME", "USER", "LOGNAME", "TZ", "LANG", "LC_ALL", "PYTHONHASHSEED")
FAKE_CLOCKS = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib*/faketime/libfaketime.so.1")
SHOWN = 50


class StatementInTheWay(OmphalosError):
    """The file for the statement exists already, or cannot be written."""

    kind = ErrorKind.USAGE
    id = "statementNotWritten"


@contextmanager
def scratch(root: Path) -> Iterator[Path | None]:
    """Give the block where to compute: None for beside the store, or a folder of its own where that is read-only.

    Others write to the system's temporary folder too, so the name is a new one that nobody else can enter: whoever
    owned the folder could exchange what is computed in it.
    """
    if os.access(root, os.W_OK):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="omphalos-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _around(threads: int) -> "Surroundings":
    from omphalos.runs.variation import Surroundings

    umask = os.umask(0o077)
    os.umask(umask)
    clocks = sorted(path for pattern in FAKE_CLOCKS for path in Path("/").glob(pattern[1:]))
    return Surroundings(
        variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
        umask=umask,
        threads=threads,
        fake_clock=clocks[0] if clocks else None,
    )


@click.command(
    cls=Verb, examples=["omphalos certify latest", "omphalos certify latest --vary time-zone,hash-seed --json"]
)
@click.argument("name", metavar="RUN")
@click.option(
    "--vary",
    multiple=True,
    metavar="NAME,…",
    help="What to change: path, home, user, time-zone, locale, hash-seed, threads, umask, file-order, clock, all "
    "(the default) or none.",
)
@click.option(
    "-o",
    "--statement",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the in-toto statement; by default below artifacts/certifications beside the store.",
)
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), help="Threads to use.")
@click.option("--memory", type=SIZE, metavar="SIZE", help="Memory the engine may use, such as 2GiB.")
@click.pass_obj
def command(
    app: App, name: str, vary: tuple[str, ...], statement: Path | None, threads: int | None, memory: str
) -> Exit:
    """Execute the plan of RUN again from the inputs it recorded, in changed surroundings, and compare every artifact.

    Nothing is recorded in the store; the outcome and the variations are written as an in-toto statement. Outcomes:
    identical (exit 0), equal-after a named normalizer or different (exit 1), not-rerunnable (exit 3: the method that
    made the run is not the one installed here).
    """
    from omphalos.runs.certify import Certifier, certify
    from omphalos.runs.lookup import resolve_run
    from omphalos.runs.statement import certification_statement
    from omphalos.runs.variation import chosen

    variations = chosen(vary)
    store = app.store()
    run = resolve_run(store, name)
    now = datetime.now(UTC)
    target = statement or _default_statement(store.root, run.run_id, now)
    if target is not None and os.path.lexists(target):
        raise StatementInTheWay(f"{target} exists already", hint="give another file with --statement")
    with scratch(store.root) as place, progress(app.out) as stage, engine_failures(stage):
        here = machine(threads, memory, stage)
        certifier = Certifier(_around(here.resources.threads), variations, here.environment, memory, place, stage)
        result = certify(store, run, certifier)
    if target is not None:
        manifest = store.objects.read("run", run.id)
        at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        _write(target, certification_statement(manifest, run.run_id, result, at))
    if app.out.json:
        written = None if target is None else str(target)
        app.out.document("omphalos.certify/1", {"run_id": run.run_id, "statement": written, **result.document()})
        return CODES[result.outcome]
    _tell(app, run.run_id, result)
    if target is not None:
        app.out.text(f"  statement: {escape(str(target))}")
    return CODES[result.outcome]


def _default_statement(root: Path, run_id: str, now: datetime) -> Path | None:
    """Return the place of a statement beside the store; None where the store is read-only."""
    if not os.access(root, os.W_OK):
        return None
    return root / "artifacts" / "certifications" / f"{run_id}-{now.strftime('%Y%m%dT%H%M%S%fZ')}.intoto.json"


def _write(target: Path, data: bytes) -> None:
    """Write a new file, whole or not at all; one that is there is left alone."""
    from omphalos.store.newfile import AlreadyThere, write_new

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_new(target, data)
    except AlreadyThere as error:
        raise StatementInTheWay(
            f"'{target}' exists already",
            hint="give another file with --statement",
            undone="the run was certified, but no statement was written",
        ) from error
    except OSError as error:
        raise StatementInTheWay(
            f"{target} cannot be written: {os.strerror(error.errno or 0).lower()}",
            hint="give another file with --statement",
            undone="the run was certified, but no statement was written",
        ) from error


def _tell(app: App, run_id: str, result: "Certification") -> None:
    app.out.text(f"{result.outcome} {run_id}")
    if result.reason:
        app.out.text(f"  {escape(result.reason)}")
    for one in result.differences[:SHOWN]:
        state = f"{one.state} {one.normalizer}".strip()
        app.out.text(f"  {escape(one.path)}: {state}" + (f": {escape(one.detail)}" if one.detail else ""))
    if len(result.differences) > SHOWN:
        app.out.text(f"  and {len(result.differences) - SHOWN} more")
    if result.varied:
        app.out.text(f"  varied: {', '.join(one.name for one in result.varied)}")
    for name, reason in result.not_varied:
        app.out.text(f"  not varied: {name} ({escape(reason)})")
    for name, before, now in result.environment_changes:
        app.out.text(f"  other than recorded: {escape(name)} {escape(now)}, was {escape(before)}")
    app.out.text("  NOT CHECKED:")
    for word in result.not_checked:
        app.out.text(f"    {word.value}: {word.reason}")
