"""Segments and index under fault: torn ends, a lost, cut or flipped index, a small map, writers and gc side by side."""

import os
import shutil
import traceback
from pathlib import Path

import pytest

from omphalos.format.ids import ObjectId, blob_id
from omphalos.store import index, packs
from omphalos.store.fsck import fsck
from omphalos.store.gc import GcBusy, gc
from omphalos.store.objects import ObjectMissing
from omphalos.store.packs import SEALED_NAME
from omphalos.store.store import Store
from omphalos.store.trees import put_directory, put_paths, walk

DATA = [b"%d" % n * 20 for n in range(50)]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Return a store with fifty records, closed."""
    store = Store.init(tmp_path / "store")
    with store.objects.batch():
        for data in DATA:
            store.objects.put("blob", data)
    return store.root


def segment(root: Path) -> Path:
    (path,) = (root / "objects" / "packs").iterdir()
    return path


def assert_answers(root: Path) -> None:
    """Every object is read, sized, listed and found as if nothing had happened, and a missing one is missing."""
    store = Store.open(root)
    for data in DATA:
        assert store.objects.read("blob", blob_id(data)) == data
        assert store.objects.size(blob_id(data)) == len(data)
        assert store.objects.has(blob_id(data))
        assert store.objects.find_prefix(blob_id(data).hex()[:8]) == [blob_id(data)]
    assert list(store.objects.ids()) == sorted(map(blob_id, DATA))
    with pytest.raises(ObjectMissing):
        store.objects.read("blob", blob_id(b"none"))


@pytest.mark.parametrize("kind", ["deleted", "garbage", "empty", "cut", "folder"])
def test_a_lost_index_changes_no_answer(filled: Path, kind: str) -> None:
    """An index that is gone, garbage, empty, cut off or a folder is made again, and every answer is the same."""
    data = filled / "objects" / "index" / "data.mdb"
    if kind == "deleted":
        shutil.rmtree(data.parent)
    elif kind == "folder":
        data.unlink()
        data.mkdir()
    else:
        size, whole = data.stat().st_size, data.read_bytes()
        data.unlink()  # this process has the old one mapped; the damaged one is met when it is opened
        data.write_bytes({"garbage": b"x" * size, "empty": b"", "cut": whole[: size // 2]}[kind])
    assert_answers(filled)
    assert_answers(filled)


def test_a_torn_end_is_cut_off(filled: Path) -> None:
    """Wherever the last record was cut, the others are there, fsck is clean, and the next writer goes on there."""
    whole = segment(filled).read_bytes()
    last = len(DATA[-1]) + 48
    for cut in range(1, last, 7):
        segment(filled).write_bytes(whole[:-cut])
        assert fsck(Store.open(filled)).problems == []
        store = Store.open(filled)
        assert not store.objects.has(blob_id(DATA[-1]))
        store.objects.put("blob", DATA[-1])
        assert segment(filled).read_bytes() == whole
    assert_answers(filled)


def test_garbage_is_passed_over(filled: Path) -> None:
    """Garbage after the records is never cut off: another segment is begun, and fsck reports the garbage."""
    first = segment(filled)
    with first.open("ab") as stream:
        stream.write(b"\xf1omp garbage " * 10)
    before = first.read_bytes()
    store = Store.open(filled)
    store.objects.put("blob", b"new")
    assert first.read_bytes() == before
    assert store.objects.read("blob", blob_id(b"new")) == b"new"
    assert [problem.place for problem in fsck(store).problems] == [f"objects/packs/{first.name} at {len(before) - 130}"]
    assert_answers_with = Store.open(filled)
    assert sorted(assert_answers_with.objects.ids()) == sorted([*map(blob_id, DATA), blob_id(b"new")])


def test_a_record_inside_an_object_is_no_object(tmp_path: Path) -> None:
    """The bytes of a record, stored as an object, do not make the object they pose as."""
    from omphalos.store.records import header

    store = Store.init(tmp_path / "s")
    inner = blob_id(b"inner")
    store.objects.put("blob", b"..." + header(0, 5, inner) + b"inner")
    for _ in range(2):
        assert not Store.open(store.root).objects.has(inner)
        shutil.rmtree(store.root / "objects" / "index")


def test_sealing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full segment is sealed under the hash of its bytes, read-only, and everything is found before and after."""
    monkeypatch.setattr(packs, "SEAL_BYTES", 500)
    store = Store.init(tmp_path / "s")
    for data in DATA:
        store.objects.put("blob", data)
    sealed = [path for path in (store.root / "objects" / "packs").iterdir() if SEALED_NAME.fullmatch(path.name)]
    assert len(sealed) > 3
    for path in sealed:
        assert path.name == f"{blob_id(path.read_bytes()).hex()}.pack"
        assert path.stat().st_mode & 0o777 == 0o444
    assert_answers(store.root)
    shutil.rmtree(store.root / "objects" / "index")
    assert_answers(store.root)


def test_a_full_map_grows(tmp_path: Path) -> None:
    """An index whose map is far too small takes everything."""
    small = index.Index(tmp_path / "i", 1 << 16)
    place = index.Place("0" * 16 + ".open", 1, 2, 0, damaged=False)
    for turn in range(20):
        small.update([index.Entry(blob_id(b"%d-%d" % (turn, n)), place) for n in range(500)], sizes={place.segment: 1})
    assert sum(1 for _ in small.items()) == 10_000


def writer(root: Path, me: int, turns: int) -> None:
    """Put trees, name some; every named one must be whole at once."""
    for turn in range(turns):
        store = Store.open(root)
        with store.objects.batch():
            files = {}
            for n in range(5):
                data = b"%d %d" % ((me + turn) % 3 if n % 2 else me * 1000 + turn, n)
                files[f"d/{n}"] = (len(data), store.objects.put("blob", data))
            tree, _ = put_paths(store, files)
        name = f"tags/w{me}-{turn % 2}"
        if turn % 3:
            store.refs.set(name, tree, old=store.refs.get(name))
        elif store.refs.get(name) is not None:
            store.refs.delete(name, old=store.refs.get(name))
        for _, size, oid in walk(store, tree) if turn % 3 else ():
            assert len(store.objects.read("blob", oid)) == size


def collector(root: Path, turns: int) -> None:
    for _ in range(turns):
        try:
            gc(Store.open(root))
        except GcBusy:
            continue


def checker(root: Path, turns: int) -> None:
    for _ in range(turns):
        store = Store.open(root)
        for name in store.refs.list("tags/"):
            oid = store.refs.get(name)
            if oid is not None:
                store.objects.has(oid)


def test_writers_gc_and_a_reader(tmp_path: Path) -> None:
    """Four writers, a gc and a reader side by side: no named tree loses a file, and afterwards only named ones stay."""
    root = tmp_path / "s"
    Store.init(root)
    works = [lambda me=me: writer(root, me, 25) for me in range(4)]  # type: ignore[misc]  # bound now
    pids = []
    for work in (*works, lambda: collector(root, 30), lambda: checker(root, 20)):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                work()
                code = 0
            except BaseException:  # noqa: BLE001  # whatever it is, it is said
                traceback.print_exc()
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * len(pids)
    store = Store.open(root)
    assert fsck(store).problems == []
    gc(store)
    gc(store)
    needed: set[ObjectId] = set()
    for name in store.refs.list():
        oid = store.refs.get(name)
        assert oid is not None
        needed |= {blob for _, _, blob in walk(store, oid)} | {oid}
    left = set(Store.open(root).objects.ids())
    assert needed <= left
    assert len(left) <= len(needed) + len(store.refs.list())  # and the inner nodes


def test_one_folder_from_two_processes(tmp_path: Path) -> None:
    """Two processes that put the same folder at once both get its tree, and the store is clean."""
    (tmp_path / "src").mkdir()
    for n in range(50):
        (tmp_path / "src" / f"{n}").write_bytes(b"%d" % n)
    Store.init(tmp_path / "s")
    pid = os.fork()
    if not pid:
        code = 1
        try:
            put_directory(Store.open(tmp_path / "s"), tmp_path / "src")
            code = 0
        finally:
            os._exit(code)
    tree, _ = put_directory(Store.open(tmp_path / "s"), tmp_path / "src")
    assert os.waitpid(pid, 0)[1] == 0
    assert fsck(Store.open(tmp_path / "s")).problems == []
    assert len(list(walk(Store.open(tmp_path / "s"), tree))) == 50
