"""Build the marts from the tables of a run, test them, and say in one record what was built.

Rules of this file: seeds and models in the order of the plan, then every test; a mart that is kept leaves the engine as
soon as it is made, and what reads it afterwards reads what was kept; a test that fails with the severity
``warn`` is a finding, with ``error`` it ends the build. The record is the same bytes for the same tables and project,
whatever the time, threads or hash seed, and holds nothing of the machine. Every mart is held to its contract, whose
fingerprint proves key, order and kinds.
"""

import csv
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from omphalos.format import strictjson
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.tables.contract import load_contract
from omphalos.tables.fingerprint import FingerprintError, fingerprint
from omphalos.tables.write import TableFile
from omphalos.warehouse.engine import Engine, EngineError
from omphalos.warehouse.project import SOURCES, Plan, ProjectError

Keep: TypeAlias = Callable[[Engine, str], TableFile]
RECORD_SCHEMA: Final = "omphalos.report.warehouse/1"


class ModelFailed(OmphalosError):
    """A model cannot be built, or what was built breaks its contract."""

    kind = ErrorKind.NEGATIVE
    id = "modelFailed"


class TestFailed(OmphalosError):
    """A dbt test of severity error found rows."""

    __test__ = False  # no test case, whatever its name
    kind = ErrorKind.NEGATIVE
    id = "warehouseTestFailed"


@dataclass(frozen=True)
class TestResult:
    """What a dbt test found: how many rows break it."""

    __test__ = False
    name: str
    needs: tuple[str, ...]
    severity: str
    failures: int

    @property
    def status(self) -> str:
        """``pass``, or the severity of a test that found rows."""
        return self.severity if self.failures else "pass"


@dataclass(frozen=True)
class Built:
    """What a build made: the marts, the results of the tests, and the record (strict JSON)."""

    marts: Mapping[str, TableFile]
    tests: tuple[TestResult, ...]
    record: bytes

    @property
    def warnings(self) -> tuple[TestResult, ...]:
        """The tests of severity warn that found rows."""
        return tuple(test for test in self.tests if test.failures)


def load_sources(engine: Engine, tables: Mapping[str, Path]) -> None:
    """Give the engine the tables of a run.

    Args:
        engine: an empty engine.
        tables: the Parquet file of each source table.

    Raises:
        ProjectError: a source is missing.
        EngineError: a table cannot be loaded.
    """
    missing = [name for name in SOURCES if name not in tables]
    if missing:
        raise ProjectError(f"the run has no table {', '.join(missing)}", hint="it was made by an older version")
    for name in SOURCES:
        engine.load(name, load_contract(name), tables[name])


def build(engine: Engine, plan: Plan, project: Path, tables: Mapping[str, Path], keep: Keep | None = None) -> Built:
    """Build every model of ``plan`` on ``engine`` and run every test.

    Args:
        engine: an empty engine of the plan's target.
        plan: what to execute.
        project: the dbt project's folder, for the seeds.
        tables: the Parquet file of each source table.
        keep: takes each mart out of the engine, and leaves one of the same name and rows in it; by default a mart is
            only fingerprinted.

    Raises:
        ModelFailed: a model cannot be built or breaks its contract.
        TestFailed: a test of severity error found rows.
        EngineError: the engine failed otherwise.
        ProjectError: a source or seed is missing.
    """
    load_sources(engine, tables)
    kept: dict[str, TableFile] = {}
    for node in plan.nodes:
        if node.kind == "seed":
            columns, rows = read_seed(project / node.file)
            _guarded(plan, node.name, lambda n=node.name, c=columns, r=rows: engine.seed(n, c, r))
        elif node.kind == "model":
            is_kept = keep is not None and node.name in plan.marts
            table = node.materialized == "table" and not is_kept
            _guarded(plan, node.name, lambda n=node, t=table: engine.make(n.name, n.sql, table=t, slice_by=n.slice_by))
            if is_kept and keep is not None:
                # What breaks the contract is judged at the end: a test that fails says more of it.
                with suppress(FingerprintError):
                    _guarded(plan, node.name, lambda n=node: kept.update({n.name: keep(engine, n.name)}))
    failures = {node.name: _failures(engine, plan, node) for node in plan.nodes if node.kind == "test"}
    return examine(engine, plan, failures, keep, kept)


def examine(
    engine: Engine,
    plan: Plan,
    failures: Mapping[str, int],
    keep: Keep | None = None,
    kept: Mapping[str, TableFile] | None = None,
) -> Built:
    """Judge the tests, fingerprint the marts of a built warehouse, and write the record.

    Args:
        engine: holds every model of the plan.
        plan: what was executed.
        failures: for each test the number of rows that break it.
        keep: as ``build``.
        kept: the marts that were taken out already.

    Raises:
        TestFailed, ModelFailed: as ``build``.
    """
    tests = tuple(
        TestResult(node.name, node.needs, node.severity, failures[node.name])
        for node in plan.nodes
        if node.kind == "test"
    )
    broken = [test for test in tests if test.status == "error"]
    if broken:
        listed = "\n".join(f"{test.name}: {test.failures} rows of {', '.join(test.needs)}" for test in broken[:20])
        raise TestFailed(
            f"{len(broken)} of {len(tests)} warehouse tests failed, first {broken[0].name} on "
            f"{', '.join(broken[0].needs)}\n{listed}",
            hint="each test is a file or a line of yml in warehouse/",
            undone="no run was recorded",
        )
    done = kept or {}
    marts = {name: done.get(name) or _taken(engine, name, keep or _fingerprint) for name in plan.marts}
    return Built(marts, tests, _record(plan, tests, marts))


def read_seed(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of a seed, all text.

    Raises:
        ProjectError: the file is missing or ragged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            columns, *rows = list(csv.reader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise ProjectError(f"seed {path.name} cannot be read: {error}") from error
    if not rows or any(len(row) != len(columns) for row in rows):
        raise ProjectError(f"seed {path.name} has no rows, or rows of different lengths")
    return columns, rows


def _guarded(plan: Plan, name: str, make: Any) -> None:
    try:
        make()
    except EngineError as error:
        raise ModelFailed(
            f"model {name} cannot be built on {plan.target}: {error.message}",
            hint=f"the compiled text is in warehouse/compiled/{plan.target}.json",
            undone="no run was recorded",
        ) from error


def _failures(engine: Engine, plan: Plan, node: Any) -> int:
    try:
        return engine.count(node.sql)
    except EngineError as error:
        raise ModelFailed(
            f"test {node.name} of {', '.join(node.needs)} cannot be run on {plan.target}: {error.message}",
            undone="no run was recorded",
        ) from error


def _fingerprint(engine: Engine, name: str) -> TableFile:
    contract = load_contract(name)
    rows, digest = fingerprint(engine.batches(name, contract), contract)
    return TableFile(rows, contract.key, digest)


def _taken(engine: Engine, name: str, keep: Keep) -> TableFile:
    try:
        return keep(engine, name)
    except (FingerprintError, EngineError) as error:
        raise ModelFailed(
            f"mart {name} breaks its contract: {error.message}", hint=error.hint, undone="no run was recorded"
        ) from error


def _record(plan: Plan, tests: tuple[TestResult, ...], marts: Mapping[str, TableFile]) -> bytes:
    models: list[dict[str, Any]] = []
    for node in sorted((node for node in plan.nodes if node.kind != "test"), key=lambda node: node.name):
        model: dict[str, Any] = {
            "name": node.name,
            "materialized": node.materialized,
            "needs": list(node.needs),
            "sql_blake3": node.digest,
        }
        if node.name in marts:
            mart = marts[node.name]
            model |= {"rows": mart.rows, "key": list(mart.key), "fingerprint": mart.fingerprint}
        models.append(model)
    sql = {node.name: node.digest for node in plan.nodes if node.kind == "test"}
    results = [
        {
            "name": test.name,
            "needs": list(test.needs),
            "severity": test.severity,
            "status": test.status,
            "failures": test.failures,
            "sql_blake3": sql[test.name],
        }
        for test in tests
    ]
    return strictjson.dump(
        {
            "schema": RECORD_SCHEMA,
            "project": plan.project,
            "target": plan.target,
            "models": models,
            "tests": results,
            "warnings": sum(1 for test in tests if test.failures),
        }
    )
