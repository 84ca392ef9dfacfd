"""A store is made, opened and found; what cannot be written says so with a hint."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from omphalos.format.errors import ErrorKind
from omphalos.format.ids import object_id
from omphalos.format.manifest import ManifestError
from omphalos.format.tree import EMPTY_TREE
from omphalos.store.durable import StoreReadOnly
from omphalos.store.objects import ObjectMissing
from omphalos.store.store import Store, StoreMissing
from omphalos.store.trees import put_paths


def test_init_is_idempotent(tmp_path: Path) -> None:
    """Making a store twice keeps its objects; parents are made."""
    root = tmp_path / "a" / "b"
    oid = Store.init(root).objects.put("blob", b"x")
    assert Store.init(root).objects.has(oid)
    assert Store.open(root).objects.read("blob", oid) == b"x"
    assert sorted(os.listdir(root)) == ["objects", "refs"]


def test_find_looks_upward(tmp_path: Path) -> None:
    """The nearest store above is found; a folder that only looks like a git folder is not one."""
    Store.init(tmp_path)
    inner = tmp_path / "x" / "y"
    (inner / "objects").mkdir(parents=True)
    (inner / "refs").mkdir()
    assert Store.find(inner).root == tmp_path
    Store.init(tmp_path / "x")
    assert Store.find(inner / "objects").root == tmp_path / "x"


def test_no_store(tmp_path: Path) -> None:
    """Where there is no store the error says not found and how to make one."""
    for call in (Store.open, Store.find):
        with pytest.raises(StoreMissing) as caught:
            call(tmp_path)
        assert caught.value.kind is ErrorKind.NOT_FOUND
        assert "init" in caught.value.hint


def test_put_run(store: Store, manifest: Callable[..., bytes]) -> None:
    """A valid manifest whose tree is there becomes a run object; anything else is refused and not stored."""
    data = manifest(EMPTY_TREE)
    with pytest.raises(ObjectMissing):
        store.put_run(data)
    put_paths(store, {})
    assert store.put_run(data) == object_id("run", data)
    assert store.objects.read("run", object_id("run", data)) == data
    before = list(store.objects.ids())
    for bad in (b"", b"{}", data[:-1], data.replace(b"demo", b"DEMO", 1).replace(b"{", b"{ ", 1)):
        with pytest.raises(ManifestError):
            store.put_run(bad)
    assert list(store.objects.ids()) == before


def succeeds_without_rights(work: Callable[[], None]) -> bool:
    """Run ``work`` in a child process that is not root, and say whether it raised nothing."""
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_read_only_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who may not write reads everything, and gets StoreReadOnly with a hint from every write."""
    tree, _ = put_paths(store, {"f": (1, store.objects.put("blob", b"x"))})
    store.refs.set("tags/x", tree, old=None)
    (store.root / "refs" / ".lock").chmod(0o444)
    for folder, _, _ in os.walk(store.root):
        Path(folder).chmod(0o555)
    monkeypatch.chdir(store.root)  # a child that is not root need not pass through the folders above

    def work() -> None:
        other = Store.open(Path())
        assert other.objects.read("tree", tree)
        assert other.refs.get("tags/x") == tree
        for call in (
            lambda: other.objects.put("blob", b"new"),
            lambda: other.refs.set("tags/y", tree, old=None),
            lambda: other.refs.delete("tags/x", old=tree),
            lambda: Store.init(Path("inner")),
        ):
            with pytest.raises(StoreReadOnly) as caught:
                call()
            assert "read-only" in caught.value.hint

    try:
        assert succeeds_without_rights(work)
    finally:
        for folder, _, _ in os.walk(store.root):
            Path(folder).chmod(0o755)
