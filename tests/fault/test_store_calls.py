"""Faults under every system call that changes a disk, as strace injects them: a kill at each, and an error of each.

What ``acts.py`` does is done once to number its calls, and then once for each call with the fault at that call; LMDB's
calls are among them. The sample of the suite is one call of each kind, the same ones each time;
``OMPHALOS_FAULTS_ALL=1`` takes every one.
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from omphalos.format.ids import ObjectId
from omphalos.store import index
from omphalos.store.closure import closure
from omphalos.store.fsck import fsck
from omphalos.store.gc import deletions, gc
from omphalos.store.leases import held
from omphalos.store.store import Store

SCRIPT = Path(__file__).with_name("acts.py")
_spec = importlib.util.spec_from_file_location("acts", SCRIPT)
assert _spec is not None
assert _spec.loader is not None
acts = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(acts)
ACTS, FILES, prepare = acts.ACTS, acts.FILES, acts.prepare

ALL = os.environ.get("OMPHALOS_FAULTS_ALL") == "1"
ROOT = Path(__file__).resolve().parents[2]
CHANGING = (
    "write", "pwrite64", "writev", "pwritev", "fdatasync", "fsync", "msync", "ftruncate", "openat", "mkdir", "mkdirat",
    "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "rmdir", "fchmod", "flock", "utimensat",
    "sendfile",
)  # fmt: skip
WRITING = (
    "write", "pwrite64", "writev", "pwritev", "fdatasync", "fsync", "ftruncate", "openat", "mkdir", "mkdirat", "rename",
    "renameat", "link", "linkat", "sendfile",
)  # fmt: skip
FAILING = {"ENOSPC": WRITING, "EIO": (*WRITING, "unlink", "unlinkat", "fchmod")}
KINDS = {
    "append": ("write", "sendfile"), "index": ("pwrite64", "writev", "pwritev", "ftruncate", "msync"),
    "sync": ("fdatasync", "fsync"), "rename": ("rename", "renameat", "renameat2", "link", "linkat"),
    "unlink": ("unlink", "unlinkat", "rmdir"),
}  # fmt: skip
KIND_OF = {call: kind for kind, calls in KINDS.items() for call in calls}  # the rest, making and locking, is one kind
LINE = re.compile(r"^(\d+) +(\w+)\((.*)")


@pytest.fixture(scope="module")
def strace(need_tool: Callable[[str], str]) -> str:
    return need_tool("strace")


def act(strace: str, name: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Do one act under strace."""
    command = [strace, "-f", "-qq", "-e", "signal=none", "-e", f"trace={','.join(CHANGING)}", *more]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    return subprocess.run(
        [*command, sys.executable, str(SCRIPT), name, str(folder)],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def points(strace: str, name: str, before: Path, scratch: Path) -> list[tuple[str, int]]:
    """Return each call of an undisturbed act that changes a disk: its name, and its number in its thread."""
    shutil.copytree(before, scratch / "counted")
    done = act(strace, name, scratch / "counted", "-o", str(scratch / "log"))
    assert done.returncode == 0, done.stderr
    count: Counter[tuple[str, str]] = Counter()
    found: dict[tuple[str, int], None] = {}
    for line in (scratch / "log").read_text(errors="replace").splitlines():
        match = LINE.match(line)
        if match is not None:
            count[match[1], match[2]] += 1
            if match[2] != "openat" or "O_CREAT" in match[3]:
                found[match[2], count[match[1], match[2]]] = None
    assert len(found) > 20
    return list(found)


def sample(found: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return one point of each kind of call, from early for the first kind to late for the last, or all of them."""
    if ALL:
        return found
    kinds = sorted({KIND_OF.get(call, "other") for call, _ in found})
    some = []
    for turn, kind in enumerate(kinds, 1):
        these = [point for point in found if KIND_OF.get(point[0], "other") == kind]
        some.append(these[len(these) * turn // (len(kinds) + 1)])
    return some


def promises(said: str) -> dict[str, str | None]:
    """Return what the act was promised last of each ref."""
    found: dict[str, str | None] = {}
    for line in said.splitlines():
        word, *rest = line.split(" ")
        if word == "ref":
            found[rest[0]] = rest[1]
        elif word == "gone":
            found[rest[0]] = None
    return found


def state(folder: Path) -> dict[str, tuple[str, frozenset[ObjectId]]]:
    """Return every ref with what it leads to, all of which must be readable."""
    store = Store.open(folder / "store")
    found = {}
    for name in store.refs.list():
        oid = store.refs.get(name)
        assert oid is not None
        met = list(closure(store.objects, oid, set()))
        assert [m.problem for m in met if m.problem] == []
        for m in met:
            store.objects.check(m.id, m.kind)
        found[name] = oid.hex(), frozenset(m.id for m in met)
    return found


def leftovers(folder: Path) -> list[str]:
    """Return what no process should leave behind for good."""
    found = [path for path in folder.rglob("*") if path.name.startswith((".new-", ".omphalos-checkout-"))]
    quarantine = folder / "store" / "objects" / "quarantine"
    found += [path for path in quarantine.glob("*") if not path.name.startswith("damaged-")]
    return [str(path.relative_to(folder)) for path in found]


def judge(name: str, before: dict[str, tuple[str, frozenset[ObjectId]]], folder: Path, said: str) -> None:
    """After the fault: the store is sound, nothing a ref led to is gone, and what was promised is there."""
    report = fsck(Store.open(folder / "store"))
    if name != "repair":
        assert report.problems == []
        now = state(folder)
        for ref, promised in promises(said).items():
            assert (now[ref][0] if ref in now else None) == promised, ref
        for ref in before.keys() - promises(said).keys():
            assert ref in now or name == "put"
    deletions(Store.open(folder / "store"))
    assert held(folder / "store" / "objects" / "leases") == []
    for dest in ("new", "linked"):
        if (folder / dest).exists():
            assert sorted(
                str(p.relative_to(folder / dest)) for p in (folder / dest).rglob("*") if p.is_file()
            ) == sorted(FILES)
    assert "done" not in said or (folder / "new").is_dir()


def again(name: str, folder: Path) -> int:
    """Do an act in a child process, without a fault, and return how it ended."""
    index.close_all()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            ACTS[name][1](folder)
            index.close_all()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def finish(name: str, folder: Path, after: dict[str, tuple[str, frozenset[ObjectId]]]) -> None:
    """The act, done again without a fault, ends as it does undisturbed, and nothing of the fault is left."""
    assert again(name, folder) == 0
    assert fsck(Store.open(folder / "store")).problems == []
    assert state(folder) == after
    assert leftovers(folder) == []
    if name in ("gc", "unchunk"):
        store = Store.open(folder / "store")
        gc(store)
        gc(store)
        assert {oid for _, below in after.values() for oid in below} == set(store.objects.ids())
    index.close_all()


def all_of(strace: str, name: str, tmp_path: Path, faults: list[tuple[str, int, str]], kill: bool) -> Counter[int]:
    """Do an act once for each fault; return how often it ended how."""
    prepare(name, tmp_path / "before")
    whole = name != "repair"
    before = state(tmp_path / "before") if whole else {}
    index.close_all()
    shutil.copytree(tmp_path / "before", tmp_path / "plain")
    assert again(name, tmp_path / "plain") == 0
    after = state(tmp_path / "plain")
    index.close_all()
    ends: Counter[int] = Counter()
    for call, number, fault in faults:
        folder = tmp_path / "now"
        shutil.copytree(tmp_path / "before", folder)
        done = act(strace, name, folder, "-o", os.devnull, "-e", f"inject={call}:{fault}:when={number}")
        try:
            assert done.returncode in ((0, 3, -signal.SIGKILL) if kill else (0, 3)), done.stderr
            ends[done.returncode] += 1
            judge(name, before, folder, done.stdout)
            finish(name, folder, after)
        except BaseException as problem:
            problem.add_note(f"{name}: {call} number {number}: {fault}: exit {done.returncode}: {done.stdout}")
            raise
        index.close_all()
        shutil.rmtree(folder)
    return ends


@pytest.mark.parametrize("name", ACTS)
def test_killed_at_every_call(strace: str, tmp_path: Path, name: str) -> None:
    """Killed at any call that changes a disk: fsck is clean, every ref resolves, what was promised is there."""
    prepare(name, tmp_path / "counting")
    found = sample(points(strace, name, tmp_path / "counting", tmp_path))
    assert len(found) > 3
    ends = all_of(strace, name, tmp_path, [(call, number, "signal=KILL") for call, number in found], kill=True)
    assert ends[-signal.SIGKILL] > 0.8 * len(found)


@pytest.mark.parametrize("error", FAILING)
@pytest.mark.parametrize("name", ACTS)
def test_an_error_at_every_call(strace: str, tmp_path: Path, name: str, error: str) -> None:
    """A full or failing disk at any call: a typed error or success, a sound store, and doing it again succeeds."""
    prepare(name, tmp_path / "counting")
    found = [p for p in points(strace, name, tmp_path / "counting", tmp_path) if p[0] in FAILING[error]]
    faults = [(call, number, f"error={error}") for call, number in sample(found)]
    ends = all_of(strace, name, tmp_path, faults, kill=False)
    assert ends[3] > 0 or not ALL
