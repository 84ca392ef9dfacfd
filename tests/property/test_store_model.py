"""The store against plain dictionaries: any sequence of calls gives what the dictionaries say."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from omphalos.format.ids import KINDS, Kind, ObjectId, object_id
from omphalos.format.tree import build_tree
from omphalos.store import index
from omphalos.store.checkout import checkout, status
from omphalos.store.durable import Disk
from omphalos.store.fsck import rebuild_index
from omphalos.store.gc import gc, hold, release
from omphalos.store.objects import KindMismatch, ObjectMissing
from omphalos.store.refs import ANY, HOLDS, RefConflict, RefHeld
from omphalos.store.store import Store
from omphalos.store.treediff import diff_trees
from omphalos.store.trees import hash_directory, lookup, put_directory, put_paths, walk

DATA = st.binary(max_size=3)
NAMES = st.sampled_from(["tags/a", "tags/b", "runs/r", "runs/a"])
PARTS = st.sampled_from(["a", "b", "a.b", "a-b", "B0", "é", "zz"])
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


class Quick(Disk):
    """A disk that does not wait; power is not lost here."""

    def sync_data(self, fd: int) -> None:
        """Return at once."""

    def sync_folder(self, fd: int) -> None:
        """Return at once."""


def without_clashes(files: dict[str, bytes]) -> dict[str, bytes]:
    """Drop files that stand where another file needs a folder."""
    return {path: data for path, data in files.items() if not any(p.startswith(path + "/") for p in files)}


FILES = st.dictionaries(PATHS, DATA, max_size=8).map(without_clashes)


def put(store: Store, files: dict[str, bytes]) -> ObjectId:
    return put_paths(store, {path: (len(data), store.objects.put("blob", data)) for path, data in files.items()})[0]


class StoreMachine(RuleBasedStateMachine):
    """Puts, refs and reopening, in any order."""

    @initialize()
    def start(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.store = Store.init(self.root, disk=Quick())
        self.objects: dict[ObjectId, tuple[Kind, bytes]] = {}
        self.refs: dict[str, ObjectId] = {}

    def teardown(self) -> None:
        if hasattr(self, "root"):
            shutil.rmtree(self.root)

    @rule(kind=st.sampled_from(KINDS), data=DATA)
    def put(self, kind: Kind, data: bytes) -> None:
        oid = self.store.objects.put(kind, data)
        assert oid == object_id(kind, data)
        self.objects[oid] = (kind, data)

    @rule(files=FILES)
    def put_tree(self, files: dict[str, bytes]) -> None:
        tree = put(self.store, files)
        self.objects.update((object_id("blob", data), ("blob", data)) for data in files.values())
        assert {path: self.objects[oid][1] for path, _, oid in walk(self.store, tree)} == files
        todo = [tree]
        while todo:
            node = todo.pop()
            self.objects[node] = ("tree", self.store.objects.read("tree", node))
            inner = {path.partition("/")[0] for path, _, _ in walk(self.store, node) if "/" in path}
            todo += [lookup(self.store, node, name).id for name in inner]

    @rule(name=NAMES, data=DATA, old=st.one_of(st.none(), DATA))
    def set_ref(self, name: str, data: bytes, old: bytes | None) -> None:
        expected = None if old is None else object_id("blob", old)
        new = object_id("blob", data)
        if self.refs.get(name) == expected:
            self.store.refs.set(name, new, old=expected)
            self.refs[name] = new
        else:
            with pytest.raises(RefConflict):
                self.store.refs.set(name, new, old=expected)

    @rule(name=NAMES)
    def move_ref(self, name: str) -> None:
        now = self.refs.get(name)
        new = object_id("blob", b"" if now is None else now)
        self.store.refs.set(name, new, old=now)
        self.refs[name] = new

    @rule(name=NAMES)
    def delete_ref(self, name: str) -> None:
        self.store.refs.delete(name, old=self.refs.pop(name, None))

    @rule(kind=st.sampled_from(KINDS), data=DATA)
    def put_by_another_process(self, kind: Kind, data: bytes) -> None:
        pid = os.fork()
        if not pid:
            code = 1
            try:
                Store.open(self.root, disk=Quick()).objects.put(kind, data)
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        self.objects[object_id(kind, data)] = (kind, data)

    @rule()
    def rebuild(self) -> None:
        rebuild_index(self.store)

    @rule()
    def lose_the_index(self) -> None:
        shutil.rmtree(self.root / "objects" / "index", ignore_errors=True)

    @rule()
    def reopen(self) -> None:
        self.store = Store.open(self.root, disk=Quick())

    @rule(kind=st.sampled_from(KINDS), data=DATA)
    def read(self, kind: Kind, data: bytes) -> None:
        for other in KINDS:
            oid = object_id(other, data)
            if oid not in self.objects:
                with pytest.raises(ObjectMissing):
                    self.store.objects.read(kind, oid)
            elif other == kind:
                assert self.store.objects.read(kind, oid) == data
            else:
                with pytest.raises(KindMismatch):
                    self.store.objects.read(kind, oid)

    @invariant()
    def same(self) -> None:
        if hasattr(self, "root"):
            assert list(self.store.objects.ids()) == sorted(self.objects)
            assert {name: self.store.refs.get(name) for name in self.store.refs.list()} == self.refs


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=30, stateful_step_count=20)

LIMIT = 500
SIZED = st.sampled_from([b"", b"a", b"bb", b"c" * 400, b"large" * 200, b"larger" * 200])
SIZED_FILES = st.dictionaries(PATHS, SIZED, max_size=4).map(without_clashes)
NAMED = st.sampled_from(["tags/a", "tags/b", "runs/a", "runs/b"])


class GcMachine(RuleBasedStateMachine):
    """Folders, refs, holds and gc, with or without a second process at work: what stays is what the model says."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.root = self.folder / "store"
        Store.init(self.root)
        self.reopen()
        self.objects: set[ObjectId] = set()
        self.below: dict[ObjectId, set[ObjectId]] = {}  # a tree's id, with all that it leads to
        self.files: dict[ObjectId, dict[str, bytes]] = {}
        self.refs: dict[str, ObjectId] = {}
        self.writer: tuple[int, int, ObjectId] | None = None

    def teardown(self) -> None:
        if hasattr(self, "root"):
            self.kill_the_writer()
            shutil.rmtree(self.folder)

    def note(self, files: dict[str, bytes]) -> ObjectId:
        """Put a tree into the model, all of it computed from its files."""
        nodes = build_tree((path, len(data), object_id("blob", data)) for path, data in files.items())
        tree = nodes[-1].id
        self.below[tree] = {node.id for node in nodes} | {object_id("blob", data) for data in files.values()}
        self.files[tree] = files
        self.objects |= self.below[tree]
        return tree

    def needed(self) -> set[ObjectId]:
        return {oid for tree in self.refs.values() for oid in self.below[tree]}

    def kept(self) -> set[ObjectId]:
        return self.needed() | (self.below[self.writer[2]] if self.writer else set())

    @rule()
    def reopen(self) -> None:
        self.store = Store.open(self.root, disk=Quick(), pack_limit=LIMIT)

    @rule(files=SIZED_FILES)
    def put_folder(self, files: dict[str, bytes]) -> None:
        shutil.rmtree(self.folder / "in", ignore_errors=True)
        for path, data in files.items():
            (self.folder / "in" / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / "in" / path).write_bytes(data)
        (self.folder / "in").mkdir(exist_ok=True)
        assert put_directory(self.store, self.folder / "in") == (self.note(files), sum(map(len, files.values())))

    @rule(name=NAMED, number=st.integers(0, 9))
    def name_a_tree(self, name: str, number: int) -> None:
        there = sorted(tree for tree, below in self.below.items() if below <= self.objects)
        if there:
            self.move(name, there[number % len(there)])

    @rule(name=NAMED)
    def delete_ref(self, name: str) -> None:
        self.move(name, None)

    def is_held(self, name: str) -> bool:
        return name.startswith("runs/") and HOLDS + name.removeprefix("runs/") in self.refs

    def move(self, name: str, tree: ObjectId | None) -> None:
        refs, old = self.store.refs, self.refs.get(name)
        if self.is_held(name):
            with pytest.raises(RefHeld):
                refs.delete(name, old=old) if tree is None else refs.set(name, tree, old=old)
        elif tree is None:
            refs.delete(name, old=old)
            self.refs.pop(name, None)
        else:
            refs.set(name, tree, old=old)
            self.refs[name] = tree

    @rule(run=st.sampled_from(["a", "b"]))
    def hold(self, run: str) -> None:
        if "runs/" + run in self.refs:
            self.refs[HOLDS + run] = hold(self.store, run)

    @rule(run=st.sampled_from(["a", "b"]))
    def release(self, run: str) -> None:
        release(self.store, run)
        self.refs.pop(HOLDS + run, None)

    @rule(number=st.integers(0, 9), link=st.booleans())
    def check_out(self, number: int, link: bool) -> None:
        there = sorted(tree for tree, below in self.below.items() if below <= self.objects)
        if there:
            tree, dest = there[number % len(there)], self.folder / "out"
            checkout(self.store, tree, dest, link=link)
            found = {path.relative_to(dest).as_posix(): path.read_bytes() for path in dest.rglob("*") if path.is_file()}
            shutil.rmtree(dest)
            assert found == self.files[tree]

    @rule(files=SIZED_FILES)
    def start_a_writer(self, files: dict[str, bytes]) -> None:
        """Let another process put a tree and stay; its lease keeps the tree although nothing names it."""
        if self.writer is not None:
            return
        ready, go = os.pipe(), os.pipe()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                os.close(go[1])
                store = Store.open(self.root, disk=Quick(), pack_limit=LIMIT)
                os.write(ready[1], put(store, files))
                name = os.read(go[0], 100).decode()
                store.refs.set(name, object_id("tree", store.objects.read("tree", self.note(files))), old=ANY)
                index.close_all()
                code = 0
            finally:
                os._exit(code)
        os.close(go[0])
        os.close(ready[1])
        assert os.read(ready[0], 32) == self.note(files)
        os.close(ready[0])
        self.writer = pid, go[1], self.note(files)

    @rule(name=st.sampled_from(["tags/a", "tags/b"]))
    def let_the_writer_name_its_tree(self, name: str) -> None:
        if self.writer is not None:
            (pid, go, tree), self.writer = self.writer, None
            os.write(go, name.encode())
            os.close(go)
            assert os.waitpid(pid, 0)[1] == 0
            self.refs[name] = tree

    @rule()
    def kill_the_writer(self) -> None:
        if self.writer is not None:
            (pid, go, _), self.writer = self.writer, None
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(go)

    @rule()
    def dry_run(self) -> None:
        report = gc(self.store, dry_run=True)
        assert [oid for oid, _ in report.unreachable] == sorted(self.objects - self.needed())
        assert report.freed == []

    @rule()
    def free(self) -> None:
        report = gc(self.store)
        freed = {oid for oid, _ in report.freed}
        assert [oid for oid, _ in report.unreachable] == sorted(self.objects - self.needed())
        assert freed | set(report.deferred) == self.objects - self.needed()
        assert report.leases == (self.writer is not None)
        if self.writer is None:
            assert report.deferred == []
        assert not freed & self.kept()
        self.objects -= freed

    @rule()
    def rebuild(self) -> None:
        rebuild_index(self.store)

    @rule()
    def lose_the_index(self) -> None:
        shutil.rmtree(self.root / "objects" / "index", ignore_errors=True)

    @invariant()
    def same(self) -> None:
        if hasattr(self, "root"):
            assert list(self.store.objects.ids()) == sorted(self.objects)
            assert {name: self.store.refs.get(name) for name in self.store.refs.list()} == self.refs
            assert self.kept() <= self.objects


TestGcMachine = GcMachine.TestCase
TestGcMachine.settings = settings(max_examples=80, stateful_step_count=25)


@settings(max_examples=60)
@given(a=FILES, b=FILES)
def test_trees_and_folders_agree(
    tmp_path_factory: pytest.TempPathFactory, a: dict[str, bytes], b: dict[str, bytes]
) -> None:
    """Walk, checkout, hash and status agree on any files, and the diff of two trees is that of the dictionaries."""
    root = tmp_path_factory.mktemp("s")
    store = Store.init(root, disk=Quick())
    first, second = put(store, a), put(store, b)
    assert [path for path, _, _ in walk(store, first)] == sorted(a)
    checkout(store, first, root / "out")
    assert hash_directory(root / "out")[0] == first
    assert status(store, first, root / "out") == []
    states = {entry.path: entry.state for entry in status(store, second, root / "out")}
    expected = {p: "added" for p in a if p not in b} | {p: "removed" for p in b if p not in a}
    expected |= {p: "modified" for p in a if p in b and a[p] != b[p]}
    assert states == expected
    changed = list(diff_trees(store, first, second))
    assert [c.path for c in changed] == sorted(c.path for c in changed)
    swapped = {c.path for c in changed if c.change == "typechange"}
    plain = {c.path: c.change for c in changed if c.change != "typechange"}
    opposite = {"added": "removed", "removed": "added", "modified": "modified"}
    assert plain == {p: opposite[state] for p, state in expected.items() if p not in swapped}
    assert all((p in a) != (p in b) for p in swapped)
    shutil.rmtree(root)
