"""The inputs of a run: copied byte for byte into the run, hashed on the way, and described for the plan.

Rules of this file: what is screened is the copy inside the run, so the bytes that were hashed are the bytes that were
read; the name an input came under is its base name, never a path; names inside the run are safe on every system and
follow from the job alone. The configuration artifact says which file plays which part, so a recorded run can be
computed again from what it holds.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Final

from omphalos.format import strictjson
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import hasher
from omphalos.format.paths import safe_name
from omphalos.screening.job import FeedSpec, Job, job_of_table, normalized
from omphalos.screening.pipeline import Inputs
from omphalos.screening.reference import PART, SOURCE, reference_specs
from omphalos.screening.registries import reader_for
from omphalos.screening.synthetic import SyntheticParams, generate

CONFIG_PATH: Final = "config/job.json"
COPY_BYTES: Final = 1 << 20
MAX_CONFIG_BYTES: Final = 1 << 20


class InputMissing(OmphalosError):
    """A file the job names is not there, or cannot be read."""

    kind = ErrorKind.USAGE
    id = "inputMissing"


class InputTwice(OmphalosError):
    """One and the same file stands twice among the inputs of a job."""

    kind = ErrorKind.USAGE
    id = "inputTwice"


class BadConfiguration(OmphalosError):
    """The recorded configuration of a run cannot be used to compute it again."""

    kind = ErrorKind.USAGE
    id = "badConfiguration"


@dataclass(frozen=True)
class InputFile:
    """One input: its part in the plan, the name it came under, and where it lies in the run."""

    role: str
    source: str
    path: str
    format: str
    counted_as: str


@dataclass(frozen=True)
class Acquired:
    """The inputs of a run as they lie in its folder, and the configuration that says so."""

    files: tuple[InputFile, ...]
    config: dict[str, Any]


def acquire(job: Job, run: Path) -> Acquired:
    """Copy the inputs of ``job`` below ``run/inputs`` and write the configuration artifact.

    Raises:
        InputMissing: a file is not there or cannot be read; nothing of the run is to be recorded.
    """
    (run / "inputs").mkdir(parents=True)
    if job.synthetic is not None:
        files, places = _generate(job, run)
    else:
        files, places = _collect(job, run)
    if job.review.decisions is not None:
        files.append(_decisions(job.review.decisions, run))
        places["decisions"] = files[-1].path
    config = {**normalized(job), "files": places}
    (run / "config").mkdir()
    (run / CONFIG_PATH).write_bytes(strictjson.dump(config))
    return Acquired(tuple(files), config)


def _generate(job: Job, run: Path) -> tuple[list[InputFile], dict[str, Any]]:
    """Write the synthetic inputs straight into the run."""
    if job.synthetic is None:
        raise BadConfiguration("the job generates nothing")
    folder = run / "inputs" / "synthetic"
    folder.mkdir()
    made = generate(SyntheticParams(job.synthetic.seed, job.synthetic.shipments, job.synthetic.entities), folder)
    parts = {"feed": (made.feed, "csv"), "registry": (made.registry, "entities-csv"), "truth": (made.truth, "csv")}
    files, places = [], {}
    for role, (path, format_) in parts.items():
        inside = path.relative_to(run).as_posix()
        counted = {"feed": "feed", "registry": f"{SOURCE}/{PART}", "truth": "truth"}[role]
        files.append(InputFile(role, path.name, inside, format_, counted))
        places[role] = inside
    return files, {"feed": places["feed"], "registry": {SOURCE: {PART: places["registry"]}}, "truth": places["truth"]}


def _collect(job: Job, run: Path) -> tuple[list[InputFile], dict[str, Any]]:
    """Copy the feed and every file of every registry into the run."""
    if job.feed is None:
        raise BadConfiguration("the job has no feed")
    inside = f"inputs/feed/{safe_name(job.feed.path.name)}"
    files = [InputFile("feed", job.feed.path.name, inside, job.feed.format, "feed")]
    copies = [(job.feed.path, inside)]
    registry: dict[str, dict[str, str]] = {}
    for spec in job.registries:
        registry[spec.source] = {}
        for part, path in sorted(reader_for(spec.format).parts(spec.path).items()):
            inside = f"inputs/registry/{spec.source}/{part}-{safe_name(path.name)}"
            files.append(InputFile("registry", path.name, inside, spec.format, f"{spec.source}/{part}"))
            copies.append((path, inside))
            registry[spec.source][part] = inside
    seen: dict[tuple[str, str, str], str] = {}
    for (path, inside), file in zip(copies, files, strict=True):
        digest = _copy(path, run / inside)
        twin = seen.setdefault((file.role, file.source, digest), inside)
        if twin != inside:
            raise InputTwice(
                f"the file {path.name} stands twice among the inputs", hint="screen against each list once"
            )
    return files, {"feed": f"inputs/feed/{safe_name(job.feed.path.name)}", "registry": registry}


def _decisions(path: Path, run: Path) -> InputFile:
    """Copy the decisions of earlier reviews into the run."""
    inside = f"inputs/decisions/{safe_name(path.name)}"
    _copy(path, run / inside)
    return InputFile("decisions", path.name, inside, "decisions-jsonl", "decisions")


def _copy(path: Path, to: Path) -> str:
    """Copy a file into the run and return the BLAKE3 of what was copied."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Not blocking, so that a named pipe that nobody writes to is refused instead of waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        hint = "paths in a job file start at the job file's folder"
        raise InputMissing(f"no such file: {path}", hint=hint) from error
    except OSError as error:
        hint = "check the file and its permissions"
        raise InputMissing(f"cannot be read: {path}: {os.strerror(error.errno or 0).lower()}", hint=hint) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        hint = "an input is a regular file; save what a pipe or device gives into one first"
        raise InputMissing(f"not a regular file: {path}", hint=hint)
    with os.fdopen(descriptor, "rb") as source, to.open("xb") as target:
        return _stream(source, target)


def _stream(source: BinaryIO, target: BinaryIO) -> str:
    state = hasher("blob")
    while chunk := source.read(COPY_BYTES):
        target.write(chunk)
        state.update(chunk)
    return state.hexdigest()


def read_config(data: bytes) -> dict[str, Any]:
    """Return a configuration artifact as a document.

    Raises:
        BadConfiguration: it is not one.
    """
    document = strictjson.parse(data, max_bytes=MAX_CONFIG_BYTES)
    if not isinstance(document, dict) or not isinstance(document.get("files"), dict):
        raise BadConfiguration("the configuration artifact does not say which file is which input")
    return document


def job_of_config(config: Mapping[str, Any]) -> Job:
    """Return the job a configuration artifact describes, with base names in place of paths.

    Raises:
        BadConfiguration: a section of it has not the form in which one is recorded.
        JobError: a value in it is none that a job may have.
    """
    table = {key: value for key, value in config.items() if key not in ("files", "schema")}
    _require_sections(table)
    if "feed" in table:
        table["feed"] = _with_path(table["feed"])
        table["registry"] = [_with_path(spec) for spec in table["registry"]]
        if not table["feed"].get("currency"):
            table["feed"].pop("currency", None)
        if table["feed"]["format"] in ("jsonl", "parquet"):
            table["feed"].pop("delimiter", None)
    if "review" in table:
        # What is empty in the record was not said in the job.
        table["review"] = {key: value for key, value in table["review"].items() if value != ""}
    return job_of_table(table, base=PurePath())


def _require_sections(table: Mapping[str, Any]) -> None:
    """Refuse a record whose sections cannot be taken apart: it may come from anywhere."""
    feed, registries = table.get("feed", {"format": ""}), table.get("registry", [])
    sections = (feed, registries, table.get("review", {}))
    if not all(isinstance(part, kind) for part, kind in zip(sections, (dict, list, dict), strict=True)):
        raise BadConfiguration("a section of the configuration artifact is no section")
    if not isinstance(feed.get("format"), str) or not all(isinstance(spec, dict) for spec in registries):
        raise BadConfiguration("the configuration artifact does not say how the feed and the lists are to be read")
    if "feed" in table and "registry" not in table:
        raise BadConfiguration("the configuration artifact names no list")


def _with_path(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section as a job file would have it: the base name that was recorded stands where the path stood."""
    return {"path" if key == "file" else key: value for key, value in table.items()}


def inputs_of(job: Job, config: Mapping[str, Any], run: Path) -> Inputs:
    """Return what the pipeline reads: the specs of the job with the files inside the run.

    Raises:
        BadConfiguration: the configuration names a file outside ``inputs/``, or leaves one out.
    """
    places = config["files"]
    feed_spec, registry_specs = (job.feed, job.registries)
    if job.synthetic is not None:
        feed_spec, registry_specs = reference_specs()
    if feed_spec is None:
        raise BadConfiguration("the configuration describes no feed")
    feed: FeedSpec = replace(feed_spec, path=_inside(run, places.get("feed")))
    listed = _table(places.get("registry", {}))
    registries = tuple(
        (spec, {part: _inside(run, path) for part, path in sorted(_table(listed.get(spec.source, {})).items())})
        for spec in registry_specs
    )
    truth = _inside(run, places["truth"]) if "truth" in places else None
    if (job.review.decisions is None) == ("decisions" in places):
        raise BadConfiguration("the configuration does not say where the decisions lie")
    decisions = _inside(run, places["decisions"]) if "decisions" in places else None
    return Inputs(feed, registries, truth, replace(job.review, decisions=decisions), job.queries)


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadConfiguration("the configuration does not say which file is which part of a list")
    return value


def _inside(run: Path, path: Any) -> Path:
    if not isinstance(path, str) or not path.startswith("inputs/") or ".." in PurePath(path).parts:
        raise BadConfiguration(f"the configuration names {path!r}, which is no input of the run")
    return run / path
