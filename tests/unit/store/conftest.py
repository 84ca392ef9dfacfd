"""Fixtures of the store's tests: an empty store, and manifests by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from omphalos.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store."""
    return Store.init(tmp_path / "store")


@pytest.fixture
def manifest() -> Callable[..., bytes]:
    """Return a function that writes a small manifest for a tree."""

    def write(
        tree: bytes,
        run_id: str = "demo-0123456789ab",
        created: str = "2026-01-02T03:04:05Z",
        control: list[dict[str, object]] | None = None,
    ) -> bytes:
        zero = "0" * 64
        document = {
            "schema": "omphalos.manifest/1",
            "run_id": run_id,
            "name": run_id.rpartition("-")[0],
            "created": created,
            "tool": {"name": "omphalos", "version": "0.1.0"},
            "plan": {"id": zero, "inputs": [], "config": zero, "method": zero},
            "environment": {
                "python": "3.11",
                "platform": "linux",
                "cpu_count": 2,
                "locale": "C",
                "timezone": "UTC",
                "packages": {},
            },
            "tree": tree.hex(),
            "merkle_root": zero,
            "artifacts": [],
            "control": control or [],
            "reports": {"validation": None, "matching": None, "scoring": None, "policy": None},
            "release": None,
        }
        return json.dumps(document, sort_keys=True, indent=2).encode() + b"\n"

    return write
