"""The dbt project as omphalOS sees it: its files, their digest, and the plan that dbt compiled from them.

Rules of this file: a plan belongs to the project whose digest it carries and to no other; nodes stand in the order in
which they are built, ties broken by name, so that the same project gives the same plan; a plan is strict JSON, read
with a closed schema.
"""

import graphlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from blake3 import blake3

from omphalos.format import strictjson
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.shipped import shipped

Target = Literal["duckdb", "sqlite", "postgres"]
TARGETS: Final[tuple[Target, ...]] = ("duckdb", "sqlite", "postgres")
PLAN_SCHEMA: Final = "omphalos.warehouse.plan/2"
SOURCES: Final = (
    "trade_feed",
    "parties",
    "shipment_parties",
    "registry",
    "registry_names",
    "registry_addresses",
    "registry_identifiers",
    "entity_matches",
    "entity_scores",
    "review",
    "shipment_flags",
)
_FOLDERS: Final = ("data-tests", "macros", "models", "seeds")
_SUFFIXES: Final = frozenset({".sql", ".yml", ".csv"})
_MAX_PLAN: Final = 16 * 2**20


class ProjectError(OmphalosError):
    """The dbt project or its compiled plan cannot be used."""

    kind = ErrorKind.USAGE
    id = "warehouseProject"


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that dbt builds or tests.

    ``name`` is the relation of a seed or model, or the name of a test; ``sql`` its compiled text (empty for a seed);
    ``needs`` the relations it reads; ``severity`` is empty but for tests; ``slice_by`` is the column by which a model
    may be made in parts, or empty (``engine.Engine.make``).
    """

    name: str
    kind: Literal["seed", "model", "test"]
    materialized: Literal["seed", "view", "table", "test"]
    needs: tuple[str, ...]
    severity: Literal["", "warn", "error"]
    file: str
    sql: str
    slice_by: str = ""

    @property
    def digest(self) -> str:
        """BLAKE3 of the compiled SQL."""
        return str(blake3(self.sql.encode()).hexdigest())


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that one build executes: seeds and models in order of need, then the tests by name."""

    schema: str
    project: str
    target: Target
    nodes: tuple[Node, ...]

    @property
    def marts(self) -> tuple[str, ...]:
        """The names of the marts, in order of name."""
        return tuple(
            sorted(node.name for node in self.nodes if node.kind == "model" and node.file.startswith("models/marts/"))
        )

    def encode(self) -> bytes:
        """Return the plan as strict JSON."""
        return strictjson.dump(msgspec.to_builtins(self))


def project_folder() -> Path:
    """Return the folder of the shipped dbt project."""
    return shipped("warehouse")


def project_files(project: Path) -> dict[str, Path]:
    """Return the files that determine what dbt compiles: path within the project, and where it lies."""
    files = {"dbt_project.yml": project / "dbt_project.yml"}
    for folder in _FOLDERS:
        for path in sorted((project / folder).rglob("*")):
            if path.suffix in _SUFFIXES and path.is_file():
                files[path.relative_to(project).as_posix()] = path
    return files


def project_digest(project: Path) -> str:
    """Return BLAKE3 over the paths and contents of the project's files, as hex.

    Raises:
        ProjectError: a file of it cannot be read.
    """
    state = blake3()
    for name, path in sorted(project_files(project).items()):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ProjectError(f"the dbt project cannot be read: {name}: {error.strerror}") from error
        state.update(strictjson.compact([name, len(data), blake3(data).hexdigest()]))
    return str(state.hexdigest())


def plan_path(project: Path, target: Target) -> Path:
    """Return where the compiled plan of a target is shipped."""
    return project / "compiled" / f"{target}.json"


def decode_plan(data: bytes, *, where: str) -> Plan:
    """Read a plan.

    Raises:
        ProjectError: the bytes are no plan of this version.
    """
    try:
        plan = msgspec.convert(strictjson.parse(data, max_bytes=_MAX_PLAN), Plan)
    except (strictjson.JsonError, msgspec.ValidationError) as error:
        raise ProjectError(f"{where} is no compiled warehouse plan: {error}", hint=_REFRESH) from error
    if plan.schema != PLAN_SCHEMA:
        raise ProjectError(f"{where} has the schema {plan.schema!r}, not {PLAN_SCHEMA}", hint=_REFRESH)
    return plan


_REFRESH: Final = "'omphalos warehouse compile' makes it anew from the project"


def shipped_plan(project: Path, target: Target) -> Plan | None:
    """Return the plan that ships with the project, or None where there is none for the project as it is now.

    Raises:
        ProjectError: the shipped plan is damaged.
    """
    path = plan_path(project, target)
    if not path.is_file():
        return None
    plan = decode_plan(path.read_bytes(), where=f"compiled/{path.name}")
    if plan.target != target:
        raise ProjectError(f"compiled/{path.name} is for the target {plan.target}", hint=_REFRESH)
    return plan if plan.project == project_digest(project) else None


def make_plan(compiled: Iterable[Mapping[str, Any]], project: str, target: Target) -> Plan:
    """Return the plan of compiled nodes, each a mapping with the members of ``Node``.

    Raises:
        ProjectError: a node is malformed, or the models need each other in a circle.
    """
    try:
        nodes = [msgspec.convert(node, Node) for node in compiled]
    except msgspec.ValidationError as error:
        raise ProjectError(f"dbt compiled something unknown: {error}") from error
    relations = {node.name: node for node in nodes if node.kind != "test"}
    order = graphlib.TopologicalSorter(
        {name: sorted(need for need in node.needs if need in relations) for name, node in relations.items()}
    )
    try:
        order.prepare()
    except graphlib.CycleError as error:
        raise ProjectError(f"models need each other in a circle: {error.args[1]}") from error
    built: list[Node] = []
    while order.is_active():
        ready = sorted(order.get_ready())
        built += [relations[name] for name in ready]
        order.done(*ready)
    tests = sorted((node for node in nodes if node.kind == "test"), key=lambda node: node.name)
    return Plan(PLAN_SCHEMA, project, target, (*built, *tests))
