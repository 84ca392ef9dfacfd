"""Execute a plan and record the run: all of it, or nothing.

Rules of this file: the order is inputs, plan, compute, objects, ref, run directory. Objects are durable before the
ref exists, the ref is made by compare-and-swap, and the directory appears by one rename: a crash leaves either no
run (at most unreachable objects) or a whole one (whose directory can be checked out again). A run that exists is
never touched: the same plan computed again either gives the same tree, which is said, or another one, which is a
finding. Clock, environment and progress come in as arguments.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from omphalos import __version__
from omphalos.format import strictjson
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import ObjectId, from_hex, to_hex
from omphalos.format.manifest import (
    FILE_NAME,
    SCHEMA,
    Artifact,
    Environment,
    Manifest,
    Plan,
    PlanInput,
    Reports,
    Tool,
    decode_manifest,
    encode_manifest,
)
from omphalos.format.merkle import artifacts_root
from omphalos.format.plan import plan_id, run_id
from omphalos.runs.building import Building, building, publish
from omphalos.runs.inputs import CONFIG_PATH, Acquired, acquire, inputs_of
from omphalos.runs.lookup import ref_of
from omphalos.runs.method import put_method
from omphalos.screening.job import Job
from omphalos.screening.pipeline import JSON, PayloadFile, Resources, Screening, screen
from omphalos.store.objects import StoredFile
from omphalos.store.store import Store
from omphalos.store.treediff import diff_trees
from omphalos.store.trees import put_paths

RUNS_FOLDER: Final = "artifacts/runs"
TIMINGS: Final = "control/timings.json"
REPORTS: Final = Reports(
    validation="reports/validation.json",
    matching="reports/matching.json",
    scoring="reports/scoring.json",
    policy=None,
)

Clock = Callable[[], datetime]
Stopwatch = Callable[[], int]


class NotReproduced(OmphalosError):
    """A recorded plan was computed again and gave another tree."""

    kind = ErrorKind.NEGATIVE
    id = "notReproduced"


class RunDirectoryInTheWay(OmphalosError):
    """Something that is not the run stands where the run directory should be."""

    kind = ErrorKind.USAGE
    id = "runDirectoryInTheWay"


@dataclass(frozen=True)
class Machine:
    """What an execution takes from its surroundings; none of it may change the payload.

    ``clock`` gives the time of creation (UTC); ``stopwatch`` gives nanoseconds for the timings in the control files.
    """

    clock: Clock
    stopwatch: Stopwatch
    environment: Environment
    resources: Resources
    progress: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Outcome:
    """What came of an execution: the run, its tree, and whether it was recorded now or found again."""

    run_id: str
    run: ObjectId
    tree: ObjectId
    directory: Path
    again: bool
    summary: dict[str, Any]


@dataclass(frozen=True)
class Computed:
    """A payload on disk and in the store, before it has a manifest."""

    files: tuple[PayloadFile, ...]
    stored: dict[str, StoredFile]
    tree: ObjectId


def existing_run(store: Store, job: Job) -> str | None:
    """Return the run_id of ``job`` where its plan is recorded already, without computing anything but its inputs."""
    with building(store.root / RUNS_FOLDER) as place:
        acquired = acquire(job, place.run)
        with store.objects.batch():
            stored = {file.path: store.objects.put_file(place.run / file.path) for file in acquired.files}
            stored[CONFIG_PATH] = store.objects.put_file(place.run / CONFIG_PATH)
            plan = _plan(store, job, acquired, stored, {})
    return plan.run_id if store.refs.get(ref_of(plan.run_id)) is not None else None


def execute(store: Store, job: Job, machine: Machine) -> Outcome:
    """Execute the plan of ``job`` and record the run, or compare with the run that has this plan already.

    Raises:
        NotReproduced: the plan is recorded and gave another tree this time; the recorded run stays.
        OmphalosError: an input, the configuration or the data does not allow a run; nothing is recorded.
    """
    started = machine.stopwatch()
    laps: list[tuple[str, int]] = []

    def lap(stage: str) -> None:
        laps.append((stage, machine.stopwatch()))
        machine.progress(stage)

    with building(store.root / RUNS_FOLDER) as place:
        lap("inputs")
        acquired = acquire(job, place.run)
        inputs = inputs_of(job, acquired.config, place.run)
        done = screen(inputs, job.match, place.run, place.work, machine.resources, lap)
        lap("record")
        with store.objects.batch():
            computed = put_payload(store, place.run, acquired, done)
            plan = _plan(store, job, acquired, computed.stored, done.records)
        lap("end")
        recorded = store.refs.get(ref_of(plan.run_id))
        if recorded is not None:
            compare_recorded(store, plan.run_id, recorded, computed.tree)
            directory = store.root / RUNS_FOLDER / plan.run_id
            return Outcome(plan.run_id, recorded, computed.tree, directory, True, done.summary)
        timings = _timings(started, laps)
        manifest = manifest_of(store, job.name, plan, computed, machine, place, timings)
        return publish_run(store, plan.run_id, manifest, computed, place, done.summary)


def put_payload(store: Store, run: Path, acquired: Acquired, done: Screening) -> Computed:
    """Put every payload file into the store and return the tree they make."""
    files = [PayloadFile(CONFIG_PATH, "config", JSON)]
    files += [PayloadFile(file.path, "input", "application/octet-stream") for file in acquired.files]
    files += done.files
    return put_files(store, run, files)


def put_files(store: Store, run: Path, files: Iterable[PayloadFile]) -> Computed:
    """Put files of a payload into the store and return the tree they make."""
    files = list(files)
    stored = {file.path: store.objects.put_file(run / file.path) for file in files}
    tree, _ = put_paths(store, {path: (blob.size, blob.id) for path, blob in stored.items()})
    return Computed(tuple(sorted(files, key=lambda file: file.path.encode())), stored, tree)


def _plan(
    store: Store, job: Job, acquired: Acquired, stored: dict[str, StoredFile], records: dict[str, int]
) -> "Planned":
    """Return the plan: what fully determines the payload."""
    inputs = []
    for file in acquired.files:
        blob = stored[file.path]
        inputs.append(
            PlanInput(
                role=file.role,
                source=file.source,
                path=file.path,
                format=file.format,
                size=blob.size,
                records=records.get(file.counted_as, 0),
                sha256=blob.sha256.hex(),
                blake3=to_hex(blob.id),
            )
        )
    inputs.sort(key=lambda item: (item.role, item.source, item.blake3, item.path))
    config = stored[CONFIG_PATH].id
    method = put_method(store)
    identifier = plan_id(job.name, inputs, config, method)
    plan = Plan(id=identifier.hex(), inputs=tuple(inputs), config=to_hex(config), method=to_hex(method))
    return Planned(plan, run_id(job.name, identifier))


@dataclass(frozen=True)
class Planned:
    """A plan and the run_id that follows from it."""

    plan: Plan
    run_id: str


def compare_recorded(store: Store, identifier: str, recorded: ObjectId, tree: ObjectId) -> None:
    """Refuse a computation whose tree is not the recorded one, naming the artifacts."""
    before = from_hex(decode_manifest(store.objects.read("run", recorded)).tree)
    if before == tree:
        return
    changes = list(diff_trees(store, before, tree))
    named = "\n".join(f"{change.change}: {change.path}" for change in changes[:20])
    more = f"\nand {len(changes) - 20} more" if len(changes) > 20 else ""
    raise NotReproduced(
        f"the plan of {identifier} was computed again and {len(changes)} artifacts differ\n{named}{more}",
        hint=f"'omphalos diff {identifier} {to_hex(tree)[:12]}' shows them; "
        "'omphalos show --json' has the environment of the first execution",
        undone=f"the recorded run stays as it was; the other tree is {to_hex(tree)}",
    )


def _timings(started: int, laps: list[tuple[str, int]]) -> bytes:
    stages = [
        {"stage": stage, "milliseconds": (end - begin) // 1_000_000}
        for (stage, begin), (_, end) in itertools.pairwise(laps)
    ]
    total = (laps[-1][1] - started) // 1_000_000
    return strictjson.dump({"schema": "omphalos.timings/1", "stages": stages, "milliseconds": total})


def manifest_of(
    store: Store,
    name: str,
    planned: Planned,
    computed: Computed,
    machine: Machine,
    place: Building,
    timings: bytes,
    reports: Reports = REPORTS,
) -> Manifest:
    """Write the control files and return the manifest, the commit of the run."""
    artifacts = tuple(_artifact(file, computed.stored[file.path]) for file in computed.files)
    (place.run / "control").mkdir()
    (place.run / TIMINGS).write_bytes(timings)
    control = _artifact(PayloadFile(TIMINGS, "timings", JSON), store.objects.put_file(place.run / TIMINGS))
    return Manifest(
        schema=SCHEMA,
        run_id=planned.run_id,
        name=name,
        created=machine.clock().strftime("%Y-%m-%dT%H:%M:%SZ"),
        tool=Tool(name="omphalos", version=__version__),
        plan=planned.plan,
        environment=machine.environment,
        tree=to_hex(computed.tree),
        merkle_root=artifacts_root(artifacts).hex(),
        artifacts=artifacts,
        control=(control,),
        reports=reports,
        release=None,
    )


def _artifact(file: PayloadFile, blob: StoredFile) -> Artifact:
    table = file.table
    return Artifact(
        path=file.path,
        role=file.role,
        media_type=file.media_type,
        size=blob.size,
        sha256=blob.sha256.hex(),
        blake3=to_hex(blob.id),
        rows=table.rows if table else None,
        key=table.key if table else None,
        fingerprint=table.fingerprint if table else None,
    )


def publish_run(
    store: Store, identifier: str, manifest: Manifest, computed: Computed, place: Building, summary: dict[str, Any]
) -> Outcome:
    """Make the run visible: run object, ref, then the directory by one rename."""
    data = encode_manifest(manifest)
    directory = store.root / RUNS_FOLDER / identifier
    if directory.exists() or directory.is_symlink():
        raise RunDirectoryInTheWay(
            f"{directory} exists and no ref records it as a run",
            hint="move it away; it may be a run of another store ('omphalos verify DIR' checks it)",
            undone="no run was recorded",
        )
    with store.objects.batch():
        run = store.put_run(data)
    store.refs.set(ref_of(identifier), run, old=None)
    (place.run / FILE_NAME).write_bytes(data)
    publish(place.run, directory)
    return Outcome(identifier, run, computed.tree, directory, False, summary)
