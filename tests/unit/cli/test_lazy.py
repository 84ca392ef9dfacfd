"""omphalos starts light: help and the store verbs load none of the libraries that compute."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("pandas", "numpy", "pyarrow", "duckdb", "dbt", "rapidfuzz", "adbc_driver_manager", "anyascii", "rich")
# How many modules a start may load, a bare interpreter's included: a stand-in for the time it takes that is the same on
# a busy machine. Help loads about 145, a verb of the store about 200.
HELP_MODULES = 170
STORE_MODULES = 240
PROBE = """
import json, sys
from omphalos.cli.main import run
try:
    code = int(run(sys.argv[1:]))
finally:
    sys.stdout.flush()
    top = sorted({name.partition(".")[0] for name in sys.modules})
    print(json.dumps({"code": code, "top": top, "count": len(sys.modules)}), file=sys.stderr)
"""


def start(folder: Path, *argv: str) -> tuple[int, set[str], int, str]:
    """Run one command in a fresh interpreter: exit code, top-level modules loaded, how many modules, stdout."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *argv], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stderr, done.stdout
    report = json.loads(done.stderr.splitlines()[-1])
    return report["code"], set(report["top"]), report["count"], done.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, one file and one folder in it."""
    folder = tmp_path_factory.mktemp("store")
    (folder / "data").mkdir()
    (folder / "data" / "file.txt").write_text("a shipment\n")
    assert start(folder, "init")[0] == 0
    return folder


def test_the_probe_sees_a_heavy_import(tmp_path: Path) -> None:
    """The probe of this file reports a heavy library where one is loaded."""
    code = PROBE.replace("import json, sys", "import json, sys, rapidfuzz", 1)
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "rapidfuzz" in json.loads(done.stderr.splitlines()[-1])["top"]


HELP = (
    ["--help"],
    ["--version"],
    ["init", "--help"],
    ["run", "--help"],
    ["verify", "--help"],
    ["certify", "--help"],
    ["backfill"],
)
STORE = (
    ["init"],
    ["log"],
    ["hash", "data"],
    ["put", "data/file.txt"],
    ["tree", "data"],
    ["ref", "list"],
    ["verify", "latest"],
    ["checkout", "latest"],
    ["diff", "latest", "latest~1"],
    ["status"],
)


@pytest.mark.parametrize("argv", HELP, ids=" ".join)
def test_help_is_light(tmp_path: Path, argv: list[str]) -> None:
    """Help and the version load no library that computes, and few modules at all."""
    code, top, count, _ = start(tmp_path, *argv)
    assert code in (0, 2)
    assert sorted(top & set(HEAVY)) == []
    assert count <= HELP_MODULES


@pytest.mark.parametrize("argv", STORE, ids=" ".join)
def test_store_verbs_are_light(store: Path, argv: list[str]) -> None:
    """A verb of the store loads no library that computes, and few modules at all."""
    code, top, count, _ = start(store, *argv)
    assert code in (0, 2, 10)
    assert sorted(top & set(HEAVY)) == []
    assert count <= STORE_MODULES


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that holds one run."""
    folder = tmp_path_factory.mktemp("recorded")
    code, top, _, _ = start(folder, "run", "--scale", "small")
    assert code == 0
    assert "duckdb" in top
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "argv",
    [
        ["verify", "latest"],
        ["log"],
        ["show", "latest"],
        ["status", "latest"],
        ["compare", "latest", "latest"],
        ["diff", "latest", "latest"],
        ["checkout", "latest", "again"],
    ],
    ids=" ".join,
)
def test_checking_a_run_is_light(recorded: Path, argv: list[str]) -> None:
    """Verifying, showing, comparing and checking out a recorded run loads nothing of what computed it."""
    code, top, count, _ = start(recorded, *argv)
    assert code == 0
    assert sorted(top & set(HEAVY)) == []
    assert count <= STORE_MODULES


def test_reading_an_object_stays_light(store: Path) -> None:
    """Printing a stored object loads no library that computes."""
    object_id = start(store, "put", "data/file.txt")[3].split()[0]
    code, top, _, text = start(store, "cat", object_id)
    assert (code, text) == (0, "a shipment\n")
    assert sorted(top & set(HEAVY)) == []


def test_help_does_not_even_load_the_store(tmp_path: Path) -> None:
    """The list of verbs is printed from a table, without importing a single verb."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "omphalos", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert done.returncode == 0
    assert "omphalos.cli.main" in loaded
    assert sorted(name for name in loaded if name.startswith(("omphalos.store", "omphalos.runs"))) == []
