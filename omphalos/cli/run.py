"""``omphalos run``: execute a plan and record the run."""

import json
import os
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from omphalos.cli.config import MAX_THREADS, is_size
from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb, alike
from omphalos.cli.output import escape
from omphalos.cli.progress import Progress, progress
from omphalos.format.errors import ErrorKind, OmphalosError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omphalos.runs.execute import Machine
    from omphalos.screening.job import Job

MAX_JOB_FILE = 1 << 20


class JobUnreadable(OmphalosError):
    """The job file is not there or cannot be read."""

    kind = ErrorKind.USAGE
    id = "jobUnreadable"


class NotUtf8(OmphalosError):
    """The name of an input, or the folder of the store, is not UTF-8 text."""

    kind = ErrorKind.USAGE
    id = "nameNotUtf8"


class OutOfMemory(OmphalosError):
    """The engine needed more memory than it was given."""

    kind = ErrorKind.USAGE
    id = "outOfMemory"


class NoSpaceLeft(OmphalosError):
    """No room was left for what the engine had to write."""

    kind = ErrorKind.USAGE
    id = "noSpaceLeft"


class Size(click.ParamType[str]):
    """An amount of memory."""

    name = "size"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text, if it is one."""
        if not is_size(value):
            self.fail(f"{value!r} is not a number with MiB, GiB or TiB, such as 2GiB", param, ctx)
        return value


SIZE = Size()


@click.command(cls=Verb, examples=["omphalos run --scale small", "omphalos run job.toml --set match.threshold_bp=9000"])
@click.argument("job_file", required=False, metavar="[JOB.toml]")
@click.option("--feed", metavar="FILE", help="Screen this feed instead.")
@click.option("--registry", "registries", multiple=True, metavar="SOURCE=PATH", help="Take this list instead.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override one key of the job.")
@click.option("--name", metavar="NAME", help="Name the run.")
@click.option("--scale", type=click.Choice(["small", "full"]), help="Size of the reference job (without JOB.toml).")
@click.option("--skip-existing", is_flag=True, help="Return at once if the plan is recorded.")
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), help="Threads to use.")
@click.option("--memory", type=SIZE, metavar="SIZE", help="Memory the engine may use, such as 2GiB.")
@click.pass_obj
def command(app: App, /, **options: Any) -> Exit:
    """Execute a plan and record the run; the last line on stdout is the run_id.

    Without JOB.toml this is the reference job on synthetic data. A plan that is recorded already is computed again
    and compared: equal is said, different is an error (exit 1), and the recorded run stays.
    """
    job = read_job(app, options)
    from omphalos.runs.execute import execute, existing_run

    _require_inputs(job)
    require_utf8(str(app.store_folder or app.cwd), "the path of the store")
    store = app.store_or_new()
    if options["skip_existing"]:
        recorded = existing_run(store, job)
        if recorded is not None:
            return _say(app, {"run_id": recorded, "again": True, "skipped": True}, [f"{recorded} is recorded already"])
    with progress(app.out) as stage, engine_failures(stage):
        outcome = execute(store, job, machine(options["threads"], options["memory"], stage))
    summary = outcome.summary
    lines = [
        f"{summary['records']} records: {summary['accepted']} accepted, {summary['quarantined']} quarantined",
        f"{summary['entities']} listed entities, {summary['review_items']} review items, "
        f"{summary['review_high']} of them high",
    ]
    if outcome.again:
        lines.append("the plan was recorded already and gave the same tree again")
    else:
        lines.append(f"run directory: {outcome.directory}")
    content = {
        "run_id": outcome.run_id,
        "id": outcome.run.hex(),
        "tree": outcome.tree.hex(),
        "path": str(outcome.directory),
        "again": outcome.again,
        "skipped": False,
        "summary": summary,
    }
    if summary["list_orphans"]:
        app.out.warning(
            f"{summary['list_orphans']} records of lists (names, addresses) belong to no entity there and were not "
            "used: files of two dates? quarantine/quarantine_registry.csv has each"
        )
    return _say(app, content, lines)


def _say(app: App, content: dict[str, Any], lines: list[str]) -> Exit:
    if app.out.json:
        app.out.document("omphalos.run/1", content)
    else:
        for line in lines:
            app.out.message(line)
        app.out.text(content["run_id"])
    return Exit.DONE


def read_job(app: App, options: dict[str, Any]) -> "Job":
    """Return the job of the command line: a job file with overrides, or the reference job.

    Raises:
        JobError, JobUnreadable: the job file or an override is not one.
    """
    overrides = [*options["settings"]]
    if options["name"]:
        overrides.append(f"name={json.dumps(options['name'])}")  # a JSON string is a TOML string
    if options["job_file"] is None:
        return _reference(options, overrides)
    if options["scale"]:
        raise click.UsageError("--scale is for the reference job, which takes no JOB.toml")
    path = app.path(options["job_file"])
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_JOB_FILE + 1)
    except OSError as error:
        near = alike(path)
        hint = f"did you mean '{near}'?" if near else "name a job file; without one the reference job runs"
        reason = os.strerror(error.errno or 0).lower()
        raise JobUnreadable(f"the job file '{escape(str(path))}' cannot be read: {reason}", hint=hint) from error
    from omphalos.screening.job import parse_job

    job = parse_job(text, base=path.parent, overrides=overrides)
    return _replaced(app, job, options)


def _require_inputs(job: "Job") -> None:
    """Refuse a job whose files are not there or cannot be named in a plan, before a store is made for it.

    Raises:
        InputMissing: a file or folder is not there.
        NotUtf8: its own name is not UTF-8, so no plan can hold it.
    """
    from omphalos.runs.inputs import InputMissing

    named = [job.feed.path] if job.feed else []
    named += [spec.path for spec in job.registries]
    if job.review.decisions is not None:
        named.append(job.review.decisions)
    for path in named:
        if not os.path.lexists(path):
            near = alike(path)
            hint = f"did you mean '{near}'?" if near else "paths in a job file start at the job file's folder"
            raise InputMissing(f"no such file or folder: '{escape(str(path))}'", hint=hint)
        require_utf8(path.name, "the name of an input")


def require_utf8(name: str, what: str) -> None:
    """Refuse a name that is not UTF-8: neither a plan nor the engine can hold it.

    Raises:
        NotUtf8: it is not.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        message = f"{what} is not UTF-8: '{escape(name)}'"
        raise NotUtf8(message, hint="rename or copy it", undone="no run was recorded") from error


def _reference(options: dict[str, Any], overrides: list[str]) -> "Job":
    if options["feed"] or options["registries"]:
        raise click.UsageError("--feed and --registry replace inputs of a JOB.toml, and none was named")
    from pathlib import PurePath

    from omphalos.screening.job import job_of_table
    from omphalos.screening.jobtable import apply_overrides
    from omphalos.screening.reference import reference_table

    return job_of_table(apply_overrides(reference_table(options["scale"] or "full"), overrides), base=PurePath())


def _replaced(app: App, job: "Job", options: dict[str, Any]) -> "Job":
    """Return the job with the inputs named on the command line in place of its own."""
    from dataclasses import replace

    if options["feed"]:
        if job.feed is None:
            raise click.UsageError("--feed replaces the feed of a job, and this job generates its own")
        job = replace(job, feed=replace(job.feed, path=app.existing(options["feed"])))
    for text in options["registries"]:
        source, equals, path = text.partition("=")
        if not equals or source not in {spec.source for spec in job.registries}:
            known = ", ".join(spec.source for spec in job.registries) or "none"
            raise click.UsageError(f"--registry {text}: write SOURCE=PATH with a source of the job ({known})")
        specs = tuple(replace(s, path=app.existing(path)) if s.source == source else s for s in job.registries)
        job = replace(job, registries=specs)
    return job


def machine(threads: int | None, memory: str, stage: "Callable[[str], None]") -> "Machine":
    """Return what an execution takes from this process: clock, environment, resources, progress."""
    import locale

    from omphalos.runs.environment import describe
    from omphalos.runs.execute import Machine
    from omphalos.screening.pipeline import Resources

    cpus = len(os.sched_getaffinity(0))
    environment = describe(
        cpu_count=cpus,
        locale=locale.setlocale(locale.LC_CTYPE, None),
        timezone=os.environ.get("TZ") or time.tzname[0],
    )
    return Machine(
        clock=lambda: datetime.now(UTC),
        stopwatch=time.monotonic_ns,
        environment=environment,
        resources=Resources(threads=threads or cpus, memory_limit=memory),
        progress=stage,
    )


@contextmanager
def engine_failures(at: Progress | None = None) -> "Iterator[None]":
    """Turn what the engine says about memory and space into errors of ours; its types are known by name only.

    Args:
        at: what the stages were reported to, so that the error can name the one that failed.

    Raises:
        OutOfMemory, NoSpaceLeft: the engine could not go on.
        KeyboardInterrupt: the engine was interrupted.
    """
    undone = "no run was recorded"
    try:
        yield
    except Exception as error:
        name = type(error).__name__
        if name == "InterruptException" or (name == "RuntimeError" and str(error) == "Query interrupted"):
            raise KeyboardInterrupt from error  # what the engine makes of Ctrl-C
        stage = f" at the stage {at.stage}" if at is not None and at.stage else ""
        wanted = _wanted(error)
        if wanted == "memory":
            hint = "give more with --memory, or fewer --threads; what does not fit goes to the disk of the store"
            message = f"the engine needs more memory than it may use{stage}"
            raise OutOfMemory(message, hint=hint, undone=undone) from error
        if wanted == "space":
            hint = "free some space, or use a store on a larger disk; with more --memory less goes to disk"
            raise NoSpaceLeft(f"no space left where the run is built{stage}", hint=hint, undone=undone) from error
        raise


_WANT_MEMORY = ("OutOfMemoryException", "ArrowMemoryError", "MemoryError")
# DuckDB and Arrow; SQLite; DuckDB where what it moved out of memory no longer fits on the disk.
_WANT_SPACE = ("No space left on device", "database or disk is full", "max_temp_directory_size")


def _wanted(error: BaseException) -> str:
    """Return ``space`` or ``memory``, whichever an error or one that it came from says was missing, or nothing."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, OSError):
        if not isinstance(link, OmphalosError):
            if any(said in str(link) for said in _WANT_SPACE):
                return "space"
            if type(link).__name__ in _WANT_MEMORY:
                return "memory"
        link = link.__cause__
    return ""
