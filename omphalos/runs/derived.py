"""A derived run: the answer to a query over recorded runs, recorded with the runs it was asked of as its inputs.

Rules of this file: a derived run points at its parents by their exact manifests, which are inputs of its plan and lie
in its payload; a manifest binds every table by digest, so the answer is bound to the bytes it was read from. The query
is recorded with its whole text, so that it can be executed again when the catalog has changed. Only verified tables of
the store are asked: what a server holds is no part of a run, and its answers are not recorded.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from omphalos.catalog.execute import QueryLimits, Where, execute
from omphalos.catalog.files import write_answer
from omphalos.catalog.query import FORBIDDEN, NOT_SHARED, EngineName, Query, check_select, is_query_name
from omphalos.format import strictjson
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import from_hex, object_id, to_hex
from omphalos.format.manifest import Manifest, Plan, PlanInput, Reports
from omphalos.format.plan import plan_id, run_id
from omphalos.runs.building import building
from omphalos.runs.execute import (
    RUNS_FOLDER,
    Computed,
    Machine,
    Outcome,
    Planned,
    compare_recorded,
    manifest_of,
    publish_run,
    put_files,
)
from omphalos.runs.lookup import Run, ref_of, resolve_run
from omphalos.runs.method import put_method
from omphalos.runs.tables import verified_tables
from omphalos.screening.pipeline import JSON, PayloadFile
from omphalos.store.store import Store

CONFIG: Final = "config/query.json"
SCHEMA: Final = "omphalos.query-job/1"
PARENT: Final = "parent"
EARLIER: Final = "parent-before"
MAX_CONFIG: Final = 1 << 20


class NotRecordable(OmphalosError):
    """An answer cannot be recorded as a run."""

    kind = ErrorKind.USAGE
    id = "notRecordable"


class ParentMissing(OmphalosError):
    """A run that a derived run was asked of is not in this store."""

    kind = ErrorKind.INCOMPLETE
    id = "parentMissing"


class _Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The recorded question of a derived run."""

    schema: str
    query: dict[str, Any]
    parameters: dict[str, str | int]
    engine: EngineName
    rows: int


def is_derived(manifest: Manifest) -> bool:
    """Say whether a run is the answer to a query over others."""
    return any(item.role == PARENT for item in manifest.plan.inputs)


def asked_of(store: Store, run: Run) -> Run:
    """Return the run that holds tables: ``run`` itself, or the parent of a derived run.

    Raises:
        ParentMissing: the parent is not in this store.
    """
    return parents(store, run.manifest)[PARENT] if is_derived(run.manifest) else run


def parents(store: Store, manifest: Manifest) -> dict[str, Run]:
    """Return the parents of a derived run by role, each by the exact manifest that was recorded.

    Raises:
        ParentMissing: one of them is not in this store.
    """
    found = {}
    for item in manifest.plan.inputs:
        data = store.objects.read("blob", from_hex(item.blake3))
        oid = object_id("run", data)
        try:
            found[item.role] = resolve_run(store, to_hex(oid))
        except OmphalosError as error:
            raise ParentMissing(
                f"the run {item.source.removesuffix('.json')}, of which the query was asked, is not in this store",
                hint="fetch it from where it was recorded",
            ) from error
    return found


def record_query(
    store: Store,
    query: Query,
    values: Mapping[str, str | int],
    engine: EngineName,
    asked: Mapping[str, Run],
    limits: QueryLimits,
    machine: Machine,
) -> Outcome:
    """Execute a query over recorded runs and record the answer as a run of its own.

    Args:
        store: holds the runs, and will hold the new one.
        query: the query.
        values: every parameter (``Query.bind``).
        engine: ``duckdb`` or ``sqlite``.
        asked: the run that is asked under ``PARENT``, and for a query that compares two the other under ``EARLIER``.
        limits: rows and time; an answer with more rows is not recorded.
        machine: clock and environment.

    Raises:
        NotRecordable: the engine is a server, or rows would be left out.
        NotReproduced: the same question was recorded already and has another answer now; the recorded one stays.
        QueryFailed, QueryTimeout, TableChanged: as ``execute`` and ``verified_tables``.
    """
    if engine == "postgres":
        raise NotRecordable(
            "an answer of a PostgreSQL server cannot be recorded: nothing proves that its tables are those of the run",
            hint="ask with --engine duckdb or sqlite",
            undone="no run was recorded",
        )
    # The columns have an order, and the members of an object of strict JSON have none but that of their names.
    said = {**msgspec.to_builtins(query), "columns": [list(column) for column in query.columns.items()]}
    config = _Config(SCHEMA, said, dict(sorted(values.items())), engine, limits.rows)
    with building(store.root / RUNS_FOLDER) as place:
        inputs = _write_inputs(store, place.run, asked, config)
        started = machine.stopwatch()
        files = _answer(store, place.run, config, asked, limits)
        name = query.name.partition("/")[2].replace("_", "-")[:64]
        payload = [PayloadFile(CONFIG, "config", JSON), *files]
        payload += [PayloadFile(item.path, "input", JSON) for item in inputs]
        with store.objects.batch():
            computed: Computed = put_files(store, place.run, payload)
            method = put_method(store)
        configured = computed.stored[CONFIG].id
        identifier = plan_id(name, inputs, configured, method)
        plan = Plan(id=identifier.hex(), inputs=inputs, config=to_hex(configured), method=to_hex(method))
        planned = Planned(plan, run_id(name, identifier))
        recorded = store.refs.get(ref_of(planned.run_id))
        summary = {"rows": next(file.table.rows for file in files if file.table is not None)}
        if recorded is not None:
            compare_recorded(store, planned.run_id, recorded, computed.tree)
            directory = store.root / RUNS_FOLDER / planned.run_id
            return Outcome(planned.run_id, recorded, computed.tree, directory, True, summary)
        milliseconds = (machine.stopwatch() - started) // 1_000_000
        stages = [{"stage": "query", "milliseconds": milliseconds}]
        timings = strictjson.dump({"schema": "omphalos.timings/1", "stages": stages, "milliseconds": milliseconds})
        none = Reports(validation=None, matching=None, scoring=None, policy=None)
        manifest = manifest_of(store, name, planned, computed, machine, place, timings, none)
        return publish_run(store, planned.run_id, manifest, computed, place, summary)


def answer_again(store: Store, manifest: Manifest, run: Path, limits: QueryLimits) -> None:
    """Compute the payload of a derived run again in an empty folder, from its recorded question and its parents.

    Raises:
        ParentMissing: a parent is not in this store.
        NotRecordable: the recorded question is none.
        QueryFailed, QueryTimeout, TableChanged: as ``record_query``.
    """
    data = store.objects.read("blob", from_hex(manifest.plan.config))
    try:
        config = msgspec.convert(strictjson.parse(data, max_bytes=MAX_CONFIG), _Config)
    except msgspec.ValidationError as error:
        raise NotRecordable(f"the recorded question cannot be read: {error}") from error
    asked = parents(store, manifest)
    _write_inputs(store, run, asked, config)
    _answer(store, run, config, asked, replace(limits, rows=config.rows))


def _write_inputs(store: Store, run: Path, asked: Mapping[str, Run], config: _Config) -> tuple[PlanInput, ...]:
    """Write the recorded question and the manifests of the runs it is asked of; return the inputs of the plan."""
    (run / CONFIG).parent.mkdir(parents=True)
    (run / CONFIG).write_bytes(strictjson.dump(msgspec.to_builtins(config)))
    items = []
    for role, parent in asked.items():
        path = f"inputs/{role}/{parent.run_id}.json"
        (run / path).parent.mkdir(parents=True)
        (run / path).write_bytes(store.objects.read("run", parent.id))
        blob = store.objects.put_file(run / path)
        items.append(
            PlanInput(
                role=role,
                source=f"{parent.run_id}.json",
                path=path,
                format="manifest",
                size=blob.size,
                records=len(parent.manifest.artifacts),
                sha256=blob.sha256.hex(),
                blake3=to_hex(blob.id),
            )
        )
    return tuple(sorted(items, key=lambda item: (item.role, item.source, item.blake3)))


def _answer(
    store: Store, run: Path, config: _Config, asked: Mapping[str, Run], limits: QueryLimits
) -> list[PayloadFile]:
    """Execute the recorded question over the verified tables of its runs and write the files of the answer."""
    query = _query(config.query)
    with ExitStack() as stack:
        folder = stack.enter_context(verified_tables(store, asked[PARENT]))
        earlier = stack.enter_context(verified_tables(store, asked[EARLIER])) if EARLIER in asked else None
        answer = execute(query, config.parameters, Where(config.engine, folder, before=earlier), limits)
    if answer.truncated:
        raise NotRecordable(
            f"there are more than {limits.rows} rows, and half an answer is not recorded",
            hint="raise --rows, or narrow the question",
            undone="no run was recorded",
        )
    files = write_answer(run, query, config.parameters, config.engine, answer)
    return [PayloadFile(file.path, file.role, file.media_type, file.table) for file in files]


def _query(said: Mapping[str, Any]) -> Query:
    """Return a recorded query, held to the rules again: the record may have come from anywhere.

    Raises:
        NotRecordable: it is no query.
        QueryError: it says what no query may.
    """
    try:
        columns = msgspec.convert(said.get("columns"), tuple[tuple[str, Literal["text", "int"]], ...])
        query = msgspec.convert({**said, "columns": dict(columns)}, Query)
    except msgspec.ValidationError as error:
        raise NotRecordable(f"the recorded question cannot be read: {error}") from error
    check_select(query.sql, f"query {query.name}", FORBIDDEN | NOT_SHARED)
    if not is_query_name(query.name):
        raise NotRecordable("the recorded question has no name of the catalog")
    return query
