"""A small, true manifest that tests change in one place each."""

import hashlib
from collections.abc import Callable

import msgspec
import pytest

from omphalos.format.ids import blob_id, from_hex
from omphalos.format.manifest import SCHEMA, Artifact, Environment, Manifest, Plan, PlanInput, Reports, Tool
from omphalos.format.merkle import artifacts_root
from omphalos.format.plan import plan_id, run_id
from omphalos.format.tree import root_of

NAME = "daily"


def artifact(path: str, data: bytes, role: str = "export", **table: object) -> Artifact:
    """Return the artifact that ``data`` would be."""
    return Artifact(
        path=path,
        role=role,
        media_type="text/csv",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        blake3=blob_id(data).hex(),
        **table,  # type: ignore[arg-type]  # tests pass the optional members of tables
    )


def sealed(artifacts: list[Artifact], control: list[Artifact] | None = None) -> Manifest:
    """Return a manifest over ``artifacts`` in which every recomputed member is true."""
    artifacts = sorted(artifacts, key=lambda a: a.path)
    inputs = tuple(
        sorted(
            (
                PlanInput(a.role, a.path.rpartition("/")[2], a.path, "csv", a.size, 3, a.sha256, a.blake3)
                for a in artifacts
                if a.path.startswith("inputs/")
            ),
            key=lambda i: (i.role, i.source, i.blake3),
        )
    )
    config = next(a.blake3 for a in artifacts if a.role == "config")
    plan = plan_id(NAME, inputs, from_hex(config), from_hex("22" * 32))
    return Manifest(
        schema=SCHEMA,
        run_id=run_id(NAME, plan),
        name=NAME,
        created="2026-11-22T10:00:00Z",
        tool=Tool("omphalos", "0.1.0"),
        plan=Plan(plan.hex(), inputs, config, "22" * 32),
        environment=Environment("3.11.7", "linux-x86_64", 2, "C.UTF-8", "UTC", {"sqlite": "3.45.1", "duckdb": "1.5.5"}),
        tree=root_of((a.path, a.size, from_hex(a.blake3)) for a in artifacts).id.hex(),
        merkle_root=artifacts_root(artifacts).hex(),
        artifacts=tuple(artifacts),
        control=tuple(control or ()),
        reports=Reports(validation="reports/validation.json", matching=None, scoring=None, policy=None),
        release=None,
    )


@pytest.fixture
def good() -> Manifest:
    """Return a manifest in which everything holds."""
    return sealed(
        [
            artifact("config.json", b"{}\n", "config"),
            artifact("inputs/feed/shipments.csv", b"a,b\n1,2\n", "feed"),
            artifact("inputs/registry/list.csv", b"name\nNordwind Trading\n", "registry"),
            artifact("reports/validation.json", b"{}\n \n", "report"),
            artifact("tables/matches.csv", b"k\n1\n", "table", rows=1, key=("k",), fingerprint="ab" * 32),
        ],
        [artifact("control/log.jsonl", b"{}\n{}\n", "log")],
    )


@pytest.fixture
def change(good: Manifest) -> Callable[..., Manifest]:
    """Return a function that gives the good manifest with some members replaced."""

    def replace(**members: object) -> Manifest:
        return msgspec.structs.replace(good, **members)

    return replace
