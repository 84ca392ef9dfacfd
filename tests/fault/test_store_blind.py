"""Who cannot see the index on disk, or looks while gc writes to it: nothing goes that a ref or a lease keeps."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omphalos.format.ids import ObjectId, blob_id
from omphalos.store import index
from omphalos.store.durable import StoreIOError
from omphalos.store.fsck import from_store, fsck
from omphalos.store.gc import deletions, gc
from omphalos.store.guard import DATA_NAME, Guard
from omphalos.store.index import Index, IndexUnusable
from omphalos.store.objects import ObjectMissing
from omphalos.store.store import Store
from omphalos.store.trees import put_directory, put_paths, walk
from omphalos.testing.damage import flip, flip_bit, lose

FILES = {"a": b"a" * 100, "b": b"b" * 70_000}


def put(store: Store, files: dict[str, bytes]) -> ObjectId:
    with store.objects.batch():
        return put_paths(store, {path: (len(data), store.objects.put("blob", data)) for path, data in files.items()})[0]


def assert_whole(root: Path, tree: ObjectId, files: dict[str, bytes]) -> None:
    store = Store.open(root)
    assert {path: store.objects.read("blob", oid) for path, _, oid in walk(store, tree)} == files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a store with a tree that is named and one that is not."""
    store = Store.init(tmp_path / "store")
    store.refs.set("tags/keep", put(store, {"k": b"keep", "l": b"l" * 70_000}), old=None)
    put(store, FILES)
    return store.root


def condemned(root: Path) -> None:
    """Let gc condemn what is not named, beside a writer that is gone afterwards."""
    blocker = Store.open(root)
    blocker.objects.begin()
    assert len(gc(Store.open(root)).deferred) == 3
    blocker.objects.end_lease()


def before(monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> None:
    """Do something just before gc writes the next condemned set."""
    kept: Any = Index.condemn

    def condemn(self: Index, oids: list[ObjectId]) -> object:
        monkeypatch.setattr(Index, "condemn", kept)
        work()
        return kept(self, oids)

    monkeypatch.setattr(Index, "condemn", condemn)


def test_a_writer_that_looks_while_gc_condemns_is_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that took its lease and looked just before the set was written keeps what it found until it is done."""
    blocker, writer = Store.open(root), Store.open(root)
    blocker.objects.begin()
    trees: list[ObjectId] = []
    before(monkeypatch, lambda: trees.append(put(writer, FILES)))
    assert len(gc(Store.open(root)).deferred) == 3
    blocker.objects.end_lease()
    assert gc(Store.open(root)).freed == []
    writer.refs.set("tags/new", trees[0], old=None)
    assert_whole(root, trees[0], FILES)


def test_what_is_put_again_while_gc_marks_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a writer put again between gc's first look and its set is not freed as condemned long ago."""
    condemned(root)
    writer = Store.open(root)
    trees: list[ObjectId] = []
    before(monkeypatch, lambda: trees.append(put(writer, FILES)))
    assert gc(Store.open(root)).freed == []
    writer.refs.set("tags/new", trees[0], old=None)
    assert_whole(root, trees[0], FILES)


def test_a_writer_without_the_index_names_nothing_that_is_gone(root: Path) -> None:
    """A writer whose index is in memory, and so did not see the set, hears of what gc took before a ref names it."""
    writer = Store.open(root)
    writer.objects.catalog._opened = lambda: Index(None)  # type: ignore[method-assign]  # as where it cannot be opened
    condemned(root)
    tree = put(writer, FILES)
    assert len(gc(Store.open(root)).freed) == 3
    with pytest.raises(ObjectMissing):
        writer.refs.set("tags/new", tree, old=None)
    assert writer.refs.get("tags/new") is None
    tree = put(Store.open(root), FILES)
    writer.refs.set("tags/new", tree, old=None)
    assert_whole(root, tree, FILES)


def test_a_reader_from_before_the_first_segment_writes_safely(tmp_path: Path) -> None:
    """An instance that looked when there was no index yet, and puts what gc has condemned since, keeps it."""
    large = b"x" * 70_000
    store = Store.init(tmp_path / "store")
    store.objects.put("blob", large)
    store.objects.end_lease()
    writer = Store.open(store.root)
    assert not writer.objects.has(blob_id(b"none"))
    blocker = Store.open(store.root)
    blocker.objects.begin()
    assert len(gc(Store.open(store.root)).deferred) == 1
    blocker.objects.end_lease()
    assert writer.objects.put("blob", large) == blob_id(large)
    gc(Store.open(store.root))
    writer.refs.set("tags/t", blob_id(large), old=None)
    assert Store.open(store.root).objects.read("blob", blob_id(large)) == large


def test_gc_refuses_where_no_index_can_be_kept(root: Path) -> None:
    """Where a file stands in place of the index gc changes nothing and says why; a dry run works."""
    index.close_all()
    for path in (root / "objects" / "index").iterdir():
        path.unlink()
    (root / "objects" / "index").rmdir()
    (root / "objects" / "index").write_bytes(b"")
    files = sorted(path for path in root.rglob("*") if path.is_file())
    with pytest.raises(StoreIOError, match="the index cannot be written") as caught:
        gc(Store.open(root))
    assert caught.value.hint
    assert sorted(path for path in root.rglob("*") if path.is_file() and path.name != "gc.lock") == files
    assert len(gc(Store.open(root), dry_run=True).unreachable) == 3


@pytest.mark.parametrize("call", ["condemn", "note_leases", "sweep", "while_condemned"])
def test_gc_stops_where_the_index_is_lost(root: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """A disk that is full from when gc writes to the index ends it; nothing is lost, and the next gc frees."""
    everything = set(Store.open(root).objects.ids())

    def fail(*_: object) -> None:
        raise IndexUnusable("mdb_txn_commit: no space left on device")

    with monkeypatch.context() as patch:
        kept: Any = getattr(Index, call)

        def full(self: Index, *args: object) -> object:
            patch.setattr(index, "_open", fail)
            if not self.in_memory:
                fail()
            return kept(self, *args)

        patch.setattr(Index, call, full)
        with pytest.raises(StoreIOError, match="the index cannot be written"):
            gc(Store.open(root))
    assert set(Store.open(root).objects.ids()) == everything
    assert fsck(Store.open(root), workers=1).problems == []
    assert len(gc(Store.open(root)).freed) == 3
    assert len(Store.open(root).refs.list()) == 1
    assert len(deletions(Store.open(root))) >= 3


def files_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("place", ["meta page", "a place", "the end"])
def test_repair_does_not_map_the_index_of_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A source whose index has a flipped bit under a sum that agrees repairs all the same; its files stay closed."""
    (tmp_path / "in" / "d").mkdir(parents=True)
    for path, data in {"a": b"a" * 100, "d/b": b"b" * 70_000, "d/c": b"c"}.items():
        (tmp_path / "in" / path).write_bytes(data)
    for name in ("good", "bad"):
        store = Store.init(tmp_path / name)
        store.refs.set("tags/t", put_directory(store, tmp_path / "in")[0], old=None)
        index.close_all()
    folder = tmp_path / "good" / "objects" / "index"
    data = (folder / DATA_NAME).read_bytes()
    at = {"meta page": 40, "a place": data.index(blob_id(b"c")) + 40, "the end": len(data) - 5}[place]
    flip_bit(folder / DATA_NAME, at, 6)
    guard = Guard(folder)
    guard.fd = os.open(folder / DATA_NAME, os.O_RDONLY)
    guard._record()
    guard.drop()
    before = files_of(tmp_path / "good")

    bad = Store.open(tmp_path / "bad")
    flip(bad, blob_id(b"a" * 100))
    flip(bad, blob_id(b"b" * 70_000), 5)
    lose(bad, blob_id(b"c"))
    opened: list[Path] = []
    kept: Any = index._open

    def watched(folder: Path, size: int) -> object:
        opened.append(folder)
        return kept(folder, size)

    monkeypatch.setattr(index, "_open", watched)
    report = fsck(bad, repair=[from_store(Store.open(tmp_path / "good"))], workers=1)
    assert report.clean
    wanted = {blob_id(b"a" * 100), blob_id(b"b" * 70_000), blob_id(b"c")}
    assert {problem.object for problem in report.problems if problem.object} == {oid.hex() for oid in wanted}
    assert set(opened) == {tmp_path / "bad" / "objects" / "index"}
    assert files_of(tmp_path / "good") == before
    assert fsck(Store.open(tmp_path / "bad"), workers=1).problems == []
