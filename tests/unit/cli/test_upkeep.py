"""fsck finds and repairs, gc names before it frees, a hold keeps a run, and the index can be made anew."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omphalos.format.ids import from_hex
from omphalos.store.store import Store
from omphalos.testing import damage

Call = Callable[..., Any]


def test_a_sound_store_is_sound(call: Call, store: Path) -> None:
    """An untouched store has no problems, and every object and ref was looked at."""
    document = call("fsck", "--json").document

    assert (True, [], []) == (document["clean"], document["problems"], document["not_checked"])
    assert 2 == document["refs"]
    assert document["objects"] > 100


def test_damage_is_found_and_repaired(call: Call, store: Path, reference: Path) -> None:
    """A flipped bit is reported with the runs that need the object, and repaired from another store."""
    oid = call("cat", "latest:reports/scoring.json", "--json").document["id"]
    damage.flip(Store(store), from_hex(oid), 3)

    said = call("fsck", "--json")
    assert 1 == said.code
    (problem,) = said.document["problems"]
    assert "objectDamaged" == problem["id"]
    assert any("reports/scoring.json" in place for place in problem["needed_by"])
    assert 1 == call("fsck").code

    assert 0 == call("fsck", "--repair", "--from", str(reference)).code
    assert 0 == call("fsck").code
    assert 0 == call("verify", "latest").code


@pytest.mark.parametrize("source", ["run directory", "store", "remote"])
def test_a_run_that_is_gone_is_repaired(
    call: Call, store: Path, reference: Path, first: str, tmp_path: Path, source: str
) -> None:
    """A ref whose objects are all gone leads to a whole run again, out of its directory, a store, or a bare remote."""
    (other,) = {path.name for path in (store / "refs" / "runs").iterdir()} - {first}
    (store / "refs" / "runs" / other).unlink()
    shutil.copytree(store / "artifacts" / "runs" / first, tmp_path / "directory")
    (tmp_path / "remote" / "refs").mkdir(parents=True)
    shutil.copytree(reference / "objects" / "packs", tmp_path / "remote" / "objects" / "packs")
    shutil.copytree(reference / "objects" / "large", tmp_path / "remote" / "objects" / "large")
    for name in ("packs", "large", "index"):
        shutil.rmtree(store / "objects" / name)
    (store / "objects" / "large").mkdir()
    assert ["refDangling"] == [problem["id"] for problem in call("fsck", "--json").document["problems"]]

    place = {"run directory": tmp_path / "directory", "store": reference, "remote": tmp_path / "remote"}[source]
    assert 0 == call("fsck", "--repair", "--from", str(place)).code
    assert [] == call("fsck", "--json").document["problems"]
    said = call("verify", first)
    if source == "run directory":  # which holds everything but the code that made it
        assert ["  ERROR objectMissing method"] == [
            line.partition(":")[0] for line in said.out.splitlines() if "ERROR" in line
        ]
    else:
        assert 0 == said.code


def test_a_hold_needs_a_run(call: Call, store: Path) -> None:
    """A hold on a run that is not there is refused as not found."""
    assert 10 == call("hold", "add", "nosuchrun-0123456789ab").code
    assert 10 == call("hold", "release", "nosuchrun-0123456789ab").code


@pytest.mark.parametrize("argv", [["--repair"], ["--from", "."]])
def test_repair_needs_a_source(call: Call, store: Path, argv: list[str]) -> None:
    """Repair without a source, or a source without repair, is a usage error."""
    assert 2 == call("fsck", *argv).code


def test_gc_names_before_it_frees(call: Call, store: Path) -> None:
    """What no ref leads to is named without being touched, and freed only when that is asked for."""
    (store / "file").write_text("nobody needs this")
    oid = call("put", "file", "--json").document["files"][0]["id"]

    named = call("gc", "--json").document
    assert [oid] == [item["id"] for item in named["unreachable"]]
    assert 0 == call("cat", oid).code

    freed = call("gc", "--free", "--reason", "test", "--json").document
    assert [oid] == [item["id"] for item in freed["freed"]]
    assert 10 == call("cat", oid).code
    assert 0 == call("verify", "latest").code
    assert oid in (store / "objects" / "deletions.log").read_text()


def test_a_held_run_stays(call: Call, store: Path, first: str) -> None:
    """A run on hold cannot lose its ref, and nothing it leads to is freed, until the hold is released."""
    assert 0 == call("hold", "add", first).code
    assert [first] == call("hold", "list", "--json").document["runs"]
    oid = call("ref", "get", f"refs/runs/{first}", "--json").document["id"]

    assert 0 != call("ref", "delete", f"refs/runs/{first}", "--old", oid).code

    assert 0 == call("hold", "release", first).code
    assert [] == call("hold", "list", "--json").document["runs"]
    assert 0 == call("ref", "delete", f"refs/runs/{first}", "--old", oid).code


def test_the_index_can_be_made_anew(call: Call, store: Path) -> None:
    """After the index is gone everything is found again, and a rebuild says what it read."""
    shutil.rmtree(store / "objects" / "index", ignore_errors=True)

    assert {"segments", "objects"} <= set(call("index", "rebuild", "--json").document)
    assert 0 == call("fsck").code
    assert 0 == call("verify", "latest").code
