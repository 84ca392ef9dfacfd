"""The golden run, committed in this checkout's own objects/ and refs/, is sound and what the method still computes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omphalos.format.ids import from_hex, to_hex
from omphalos.format.manifest import decode_manifest
from omphalos.store.store import Store
from omphalos.store.treediff import diff_trees

ROOT = Path(__file__).resolve().parents[2]
MAX_BYTES = 3_000_000
AGENTS = {
    "go": "agents/go/omphalos-verify/bin/omphalos-verify",
    "rust": "agents/rust/omphalos-verify/target/release/omphalos-verify",
}
# Read before the suite's own fixture clears the environment of this project's variables.
ALL_REQUIRED = os.environ.get("OMPHALOS_TEST_ALL") == "1"
NAMED = {name: os.environ.get(f"OMPHALOS_VERIFY_{name.upper()}") for name in AGENTS}


def _listed(*folders: str) -> list[str]:
    """Return the files that git holds below folders of the checkout."""
    command = ["git", "ls-files", "-z", "--", *folders]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("this is no git checkout")
    return [name for name in done.stdout.split("\0") if name]


def _copy(names: list[str], to: Path) -> Path:
    for name in names:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, to / name)
    return to


def _python(*argv: str, folder: Path, package: Path = ROOT) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, *argv],
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONPATH": str(package), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        timeout=300,
        check=False,
    )


def _document(*argv: str, folder: Path) -> Any:
    done = _python("-m", "omphalos", *argv, "--json", folder=folder)
    assert 0 == done.returncode, done.stderr.decode()
    return msgspec.json.decode(done.stdout)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds what git holds of objects/ and refs/, and nothing else; not to be changed."""
    return _copy(_listed("objects", "refs"), tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def evidence(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory that ``checkout golden`` makes."""
    folder = tmp_path_factory.mktemp("evidence") / "golden"
    assert 0 < _document("checkout", "golden", str(folder), folder=golden)["files"]
    return folder


def test_it_is_small() -> None:
    """All that git holds of the golden run is at most 3 MB."""
    assert MAX_BYTES >= sum((ROOT / name).stat().st_size for name in _listed("objects", "refs"))


def test_nothing_else_is_committed(golden: Path) -> None:
    """The committed objects are exactly what the golden tag leads to, and fsck finds them sound."""
    sound = _document("fsck", folder=golden)
    assert sound["clean"]
    assert [] == _document("gc", folder=golden)["unreachable"]
    tag = (golden / "refs" / "tags" / "golden").read_text()
    (run,) = (golden / "refs" / "runs").iterdir()
    assert tag == run.read_text()


def test_it_verifies_in_the_store(golden: Path) -> None:
    """``omphalos verify golden`` is positive, deep checks included."""
    assert {"verified"} == {
        check["verdict"] for check in _document("verify", "golden", "--deep", folder=golden)["checks"]
    }


@pytest.mark.parametrize("agent", [None, *AGENTS])
def test_its_run_directory_verifies(agent: str | None, evidence: Path) -> None:
    """The checked-out golden run verifies with the package and with each verifier in another language."""
    if agent is None:
        done = _python("-m", "omphalos", "verify", str(evidence), folder=evidence)
    else:
        done = subprocess.run([_agent(agent), "verify-run", evidence], capture_output=True, timeout=60, check=False)
    assert 0 == done.returncode, done.stdout.decode()


@pytest.mark.parametrize("agent", list(AGENTS))
def test_its_store_verifies(agent: str, golden: Path) -> None:
    """The committed store verifies with each verifier in another language, without an index."""
    done = subprocess.run([_agent(agent), "verify-store", golden], capture_output=True, timeout=60, check=False)
    assert 0 == done.returncode, done.stdout.decode() + done.stderr.decode()


def _agent(name: str) -> Path:
    program = Path(NAMED[name] or ROOT / AGENTS[name])
    if not program.is_file():
        (pytest.fail if ALL_REQUIRED else pytest.skip)(f"the {name} verifier is not built")
    return program


def test_the_method_still_gives_its_tree(golden: Path, tmp_path: Path) -> None:
    """A fresh execution of the small reference job has the golden tree; only ``scripts/golden REASON`` moves it."""
    made = _document("run", "--scale", "small", folder=tmp_path)
    store = Store.open(golden)
    run = from_hex((golden / "refs" / "tags" / "golden").read_text().strip())
    recorded = from_hex(decode_manifest(store.objects.read("run", run)).tree)
    if to_hex(recorded) != made["tree"]:
        with store.objects.batch():
            _adopt(store, Store.open(tmp_path), from_hex(made["tree"]))
        changes = [f"{change.change} {change.path}" for change in diff_trees(store, recorded, from_hex(made["tree"]))]
        pytest.fail(f"the method gives another tree; if that is meant, scripts/golden moves it: {changes}")


def _adopt(store: Store, other: Store, tree: Any) -> None:
    """Copy the nodes of a tree, so that two trees can be compared in one store."""
    from omphalos.store.closure import closure

    for met in closure(other.objects, tree, set()):
        if met.kind == "tree":
            store.objects.put("tree", other.objects.read("tree", met.id))


def test_one_command_moves_it(tmp_path: Path) -> None:
    """After a change of method the command replaces the run, says why in the changelog, and keeps changed contracts."""
    folder = _copy(_listed("omphalos", "warehouse", "sql", "scripts", "objects", "refs"), tmp_path / "checkout")
    for name in (".gitignore", "CHANGELOG.md"):
        shutil.copyfile(ROOT / name, folder / name)
    before = (folder / "refs" / "tags" / "golden").read_text()
    (old,) = [path.name for path in (folder / "refs" / "runs").iterdir()]

    still = _python("scripts/golden.py", str(folder), "no reason", folder=folder, package=folder)
    assert "nothing moved" in still.stdout.decode(), still.stderr.decode()
    assert before == (folder / "refs" / "tags" / "golden").read_text()

    reference = folder / "omphalos" / "screening" / "reference.py"
    smaller = reference.read_text("utf-8").replace('"small": (500, 100)', '"small": (450, 90)')
    assert smaller != reference.read_text("utf-8")
    reference.write_text(smaller, "utf-8")
    contract = folder / "warehouse" / "contracts" / "parties.toml"
    prior = contract.read_bytes()
    contract.write_bytes(prior + b"# changed\n")
    moved = _python("scripts/golden.py", str(folder), "fewer shipments", folder=folder, package=folder)

    assert 0 == moved.returncode, moved.stderr.decode()
    (new,) = [path.name for path in (folder / "refs" / "runs").iterdir()]
    assert old != new
    changelog = (folder / "CHANGELOG.md").read_text("utf-8")
    assert f"- {new}, tree " in changelog
    assert "fewer shipments (before: " in changelog
    snapshots = folder / ".legacy_snapshots"
    assert prior == (snapshots / old / "warehouse" / "contracts" / "parties.toml").read_bytes()
    assert 1 == len([path for path in snapshots.rglob("*") if path.is_file()])
    (pack,) = (folder / "objects" / "packs").iterdir()
    assert f"!/objects/packs/{pack.name}\n" in (folder / ".gitignore").read_text("utf-8")
    assert f"!/refs/runs/{old}\n" not in (folder / ".gitignore").read_text("utf-8")
    assert [] == _document("gc", folder=folder)["unreachable"]
