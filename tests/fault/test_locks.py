"""Locks of dead processes are in nobody's way; locks of living ones are waited for as the documentation says."""

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from omphalos.cli.main import run
from omphalos.format.ids import ObjectId, blob_id
from omphalos.store import guard, index, refs
from omphalos.store.fsck import fsck
from omphalos.store.gc import gc
from omphalos.store.store import Store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a store with one named object and one that gc would free, closed."""
    store = Store.init(tmp_path / "store")
    store.refs.set("tags/t", store.objects.put("blob", b"keep"), old=None)
    store.objects.put("blob", b"drop")
    store.objects.end_lease()
    index.close_all()
    return store.root


@contextmanager
def holder(work: Callable[[], object]) -> Iterator[int]:
    """Let another process do something, and keep it alive in the block; it is killed at the end."""
    ready = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            work()
            os.write(ready[1], b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(ready[1])
    try:
        assert os.read(ready[0], 1) == b"x"
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready[0])


def lock(path: Path, folder: bool = False) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY if folder else os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def take_all(root: Path) -> None:
    """Take every lock there is: refs, gc, index, segments, a lease, and files on their way in."""
    lock(root / "refs" / ".lock")
    lock(root / "objects" / "gc.lock")
    lock(root / "objects" / "index", folder=True)
    for path in (root / "objects" / "packs").iterdir():
        lock(path)
    for name in ("objects/leases/" + "0" * 16, "objects/quarantine/" + "1" * 16, "refs/.new-" + "2" * 16):
        (root / name).parent.mkdir(exist_ok=True)
        os.write(lock(root / name), b"half")


def test_locks_of_the_dead_are_no_obstacle(root: Path) -> None:
    """After a process that held every lock was killed all verbs work at once, and its leftovers go."""
    with holder(lambda: take_all(root)):
        pass
    store = Store.open(root)
    new = store.objects.put("blob", b"n" * 70_000)
    store.refs.set("tags/new", new, old=None)
    store.objects.end_lease()
    assert [oid for oid, _ in gc(store).freed] == [blob_id(b"drop")]
    assert fsck(store, workers=1).problems == []
    assert not store.objects.catalog.index().in_memory
    assert os.listdir(root / "objects" / "leases") == os.listdir(root / "objects" / "quarantine") == []
    assert sorted(os.listdir(root / "refs")) == [".lock", "tags"]


def test_a_held_lock_is_told_within_bounds(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """While a process holds the refs a ref cannot be moved, while one holds gc there is no other: exit 11."""
    monkeypatch.setattr(refs, "_LOCK_PAUSE_SECONDS", 0)
    oid = blob_id(b"keep").hex()
    with holder(lambda: lock(root / "refs" / ".lock")):
        assert run(["ref", "set", "refs/tags/new", oid, "--store", str(root), "--json"]) == 11
        assert '"id":"refLocked"' in capfd.readouterr().err
        assert run(["ref", "get", "refs/tags/t", "--store", str(root)]) == 0
        assert run(["gc", "--free", "--store", str(root), "--json"]) == 11
        assert '"id":"refLocked"' in capfd.readouterr().err
    with holder(lambda: lock(root / "objects" / "gc.lock")):
        assert run(["gc", "--free", "--store", str(root), "--json"]) == 11
        assert '"id":"gcBusy"' in capfd.readouterr().err
        assert run(["gc", "--store", str(root)]) == 0
    store = Store.open(root)
    assert store.refs.list() == ["tags/t"]
    assert set(store.objects.ids()) == {blob_id(b"keep"), blob_id(b"drop")}


def test_a_held_segment_and_lease_are_gone_around(root: Path) -> None:
    """While a process holds the only open segment a put begins another; while it holds a lease gc frees nothing."""
    (segment,) = (root / "objects" / "packs").iterdir()
    with holder(lambda: (lock(segment), lock(root / "objects" / "leases" / ("0" * 16)))):
        store = Store.open(root)
        store.objects.put("blob", b"more")
        assert len(list((root / "objects" / "packs").iterdir())) == 2
        store.objects.end_lease()
        report = gc(store)
        assert (report.freed, report.leases) == ([], 1)
    assert {oid for oid, _ in gc(Store.open(root)).freed} == {blob_id(b"drop"), blob_id(b"more")}


def test_a_held_index_file_is_made_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a process keeps the index's file locked another takes its place."""
    monkeypatch.setattr(guard, "_LOCK_TRIES", 3)
    with holder(lambda: lock(root / "objects" / "index" / "data.mdb")):
        store = Store.open(root)
        assert set(store.objects.ids()) == {blob_id(b"keep"), blob_id(b"drop")}
        assert not store.objects.catalog.index().in_memory


def test_a_held_index_is_given_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a process keeps the index's folder locked reading and writing go on without it, and gc refuses."""
    monkeypatch.setattr(guard, "_LOCK_TRIES", 3)
    with holder(lambda: lock(root / "objects" / "index", folder=True)):
        assert run(["gc", "--free", "--store", str(root)]) == 3
        store = Store.open(root)
        assert store.objects.read("blob", blob_id(b"keep")) == b"keep"
        new = store.objects.put("blob", b"new")
        store.refs.set("tags/new", new, old=None)
        assert store.objects.catalog.index().in_memory
        assert Store.open(root).objects.read("blob", ObjectId(new)) == b"new"
    store = Store.open(root)
    assert set(store.objects.ids()) == {blob_id(b"keep"), blob_id(b"drop"), new}
    assert not store.objects.catalog.index().in_memory
