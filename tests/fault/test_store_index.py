"""The file of the index under fault: no flipped bit of it changes an answer or ends the process that maps it.

``OMPHALOS_FAULTS_ALL=1`` flips every byte instead of a sample.
"""

import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omphalos.format.ids import ObjectId, blob_id
from omphalos.store import guard, index, statcache
from omphalos.store.gc import gc
from omphalos.store.guard import DATA_NAME, NAMES, SUM_NAME, Guard
from omphalos.store.index import IndexUnusable
from omphalos.store.store import Store
from omphalos.store.trees import put_directory, walk
from omphalos.testing.damage import flip_bit

ALL = os.environ.get("OMPHALOS_FAULTS_ALL") == "1"
DATA = [b"%d" % n * 20 for n in range(50)]
IDS = sorted(map(blob_id, DATA))


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Path]:
    """Return a store with fifty records and a stat cache, which no process has open."""
    store = Store.init(tmp_path / "store")
    with store.objects.batch():
        for data in DATA:
            store.objects.put("blob", data)
    index.close_all()
    yield store.root
    index.close_all()


def folder(root: Path) -> Path:
    return root / "objects" / "index"


def files(root: Path) -> dict[str, bytes]:
    return {name: (folder(root) / name).read_bytes() for name in NAMES}


def restore(root: Path, saved: dict[str, bytes]) -> None:
    index.close_all()
    for name, data in saved.items():
        (folder(root) / name).unlink(missing_ok=True)
        (folder(root) / name).write_bytes(data)


def assert_answers(root: Path) -> None:
    store = Store.open(root)
    for data in DATA[::7]:
        assert store.objects.read("blob", blob_id(data)) == data
        assert store.objects.has(blob_id(data))
    assert list(store.objects.ids()) == IDS
    assert not store.objects.has(blob_id(b"none"))


def child(work: object) -> int:
    """Run ``work`` in a child that leaves without ending in order; return its exit status."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()  # type: ignore[operator]  # a function of no arguments
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_bit_changes_no_answer(filled: Path, name: str) -> None:
    """Whichever byte of the index has a flipped bit, every answer is the same and the process lives."""
    saved = files(filled)
    size = len(saved[name])
    step = 1 if ALL or size < 100 else 211
    for at in range(0, size, step):
        restore(filled, saved)
        flip_bit(folder(filled) / name, at, at % 8)
        assert_answers(filled)


def test_every_flip_is_seen(filled: Path) -> None:
    """Each single flipped bit of a byte of the data file, and of the sum itself, is seen before anything is mapped."""
    for name in (DATA_NAME, SUM_NAME):
        path = folder(filled) / name
        for at in range(0, path.stat().st_size, 1 if ALL or name == SUM_NAME else 17):
            flip_bit(path, at, at % 8)
            checked = Guard(folder(filled))
            checked.fd = os.open(folder(filled) / DATA_NAME, os.O_RDONLY)
            assert not checked._is_whole()
            checked.drop()
            flip_bit(path, at, at % 8)


@pytest.mark.parametrize("cut", [1, 4096, 20_000])
def test_a_cut_file_is_made_again(filled: Path, cut: int) -> None:
    """A data file that lost its end, whether it has a sum or not, is made again."""
    path = folder(filled) / DATA_NAME
    os.truncate(path, path.stat().st_size - cut)
    assert_answers(filled)
    index.close_all()
    os.truncate(path, path.stat().st_size - cut)
    (folder(filled) / SUM_NAME).unlink()
    assert_answers(filled)


def test_a_flip_in_the_stat_cache_gives_no_other_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder put again after a flip in what the index remembers of it has the same tree, and that is there."""
    monkeypatch.setattr(statcache, "RACY_NS", -(10**12))  # files written this moment are trusted
    source = tmp_path / "source"
    source.mkdir()
    for n in range(20):
        (source / f"{n}.csv").write_bytes(b"%d" % n)
    root = tmp_path / "store"
    tree, _ = put_directory(Store.init(root), source)
    index.close_all()
    saved = files(root)
    found = [match.start() for match in re.finditer(re.escape(tree), saved[DATA_NAME])]
    assert len(found) > 1  # in the table of objects, and in the cache as the folder's node
    for byte in found:
        restore(root, saved)
        flip_bit(folder(root) / DATA_NAME, byte, 3)
        store = Store.open(root)
        assert put_directory(store, source)[0] == tree
        store.objects.check(ObjectId(tree), "tree")
    index.close_all()


def test_a_killed_user_costs_the_index_and_nothing_else(filled: Path) -> None:
    """After a process that wrote to the index was killed it is made again from the segments."""

    def work() -> None:
        store = Store.open(filled)
        store.objects.put("blob", b"one more")
        os.kill(os.getpid(), signal.SIGKILL)

    assert child(work) == -signal.SIGKILL
    store = Store.open(filled)
    assert sorted([*IDS, blob_id(b"one more")]) == list(store.objects.ids())
    assert not (folder(filled) / SUM_NAME).exists()  # it went with the index it was of


def test_an_index_nobody_changed_keeps_its_sum(filled: Path) -> None:
    """Processes that only read, killed or not, leave data and sum as they are: the next one need make nothing anew."""
    before = [(folder(filled) / name).stat().st_ino for name in (DATA_NAME, SUM_NAME)]
    assert child(lambda: assert_answers(filled)) == 0
    assert_answers(filled)
    index.close_all()
    assert before == [(folder(filled) / name).stat().st_ino for name in (DATA_NAME, SUM_NAME)]


def test_the_last_of_several_writes_the_sum(filled: Path) -> None:
    """A process that leaves while another still has the index open records nothing; the last one does."""
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            store = Store.open(filled)
            assert list(store.objects.ids()) == IDS
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            store.objects.put("blob", b"by the other")
            index.close_all()
            code = 0
        finally:
            os._exit(code)
    os.read(ready[0], 1)
    recorded = (folder(filled) / SUM_NAME).read_bytes()
    Store.open(filled).objects.put("blob", b"by this one")
    data = (folder(filled) / DATA_NAME).stat().st_ino
    index.close_all()
    assert (folder(filled) / SUM_NAME).read_bytes() == recorded
    os.write(go[1], b"x")
    assert os.waitpid(pid, 0)[1] == 0
    for fd in (*ready, *go):
        os.close(fd)
    assert (folder(filled) / SUM_NAME).read_bytes() != recorded
    assert len(list(Store.open(filled).objects.ids())) == len(IDS) + 2
    assert (folder(filled) / DATA_NAME).stat().st_ino == data


def test_deleted_while_it_is_open(filled: Path) -> None:
    """A process whose index is deleted under it records no sum for the one that another made instead."""
    assert_answers(filled)
    shutil.rmtree(folder(filled))
    assert child(lambda: (assert_answers(filled), index.close_all())) == 0
    recorded = (folder(filled) / SUM_NAME).read_bytes()
    index.close_all()
    assert (folder(filled) / SUM_NAME).read_bytes() == recorded
    assert_answers(filled)


def test_a_file_made_and_deleted_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that never holds still is given up, in memory, after a bounded number of tries."""
    monkeypatch.setattr(guard, "_ROUNDS", 5)
    monkeypatch.setattr(Guard, "is_current", lambda self: False)
    with pytest.raises(IndexUnusable):
        index.Index(tmp_path)
    store = Store.init(tmp_path / "s")
    assert store.objects.read("blob", store.objects.put("blob", b"x")) == b"x"


def test_a_writer_whose_index_was_deleted_loses_nothing_to_gc(tmp_path: Path) -> None:
    """A writer that looked before the index was deleted, and puts what gc has condemned since, names a whole tree."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(b"a" * 100)
    root = tmp_path / "store"
    first = Store.init(root)
    tree, _ = put_directory(first, source)
    first.objects.end_lease()
    writer = Store.open(root)
    assert writer.objects.has(tree)
    shutil.rmtree(folder(root))
    other = Store.open(root)
    other.objects.begin()
    assert tree in gc(Store.open(root)).deferred
    put_directory(writer, source)
    other.objects.end_lease()
    gc(Store.open(root))
    writer.refs.set("tags/t", tree, old=None)
    assert [path for path, _, oid in walk(Store.open(root), tree) if Store.open(root).objects.read("blob", oid)] == [
        "a"
    ]
    index.close_all()


def test_the_map_grows_while_others_read(tmp_path: Path) -> None:
    """A reader in this process that is met by a change of the map's size goes on, and the index is not thrown away."""
    folder = tmp_path / "index"
    folder.mkdir()
    first, second = index.Index(folder, map_bytes=1 << 17), index.Index(folder)
    known = folder.joinpath("data.mdb").stat().st_ino
    places = [index.Entry(blob_id(b"%d" % n), index.Place("s", n, 1, 0, damaged=False)) for n in range(9000)]
    for start in range(0, 9000, 1000):
        first.update(places[start : start + 1000], sizes={"s": start})
        walk = second.items()
        met = [next(walk)]
        first._grow()
        assert [entry.id for entry in (*met, *walk)] == sorted(entry.id for entry in places[: start + 1000])

        def meanwhile(txn: Any, tries: list[int] = []) -> int:  # noqa: B006  # counted over the calls of one test
            tries.append(1)
            if len(tries) % 2:
                thread = threading.Thread(target=first._grow)
                thread.start()
                thread.join()
            return sum(1 for _ in txn.cursor(second._db[b"objects"]))

        assert second._run(meanwhile) == start + 1000
    assert folder.joinpath("data.mdb").stat().st_ino == known
    first.close()
    second.close()


def test_a_write_is_not_met_by_a_change_of_the_size(tmp_path: Path) -> None:
    """A reader that must change the map's size waits for the writer of its process, and neither fails."""
    folder = tmp_path / "index"
    folder.mkdir()
    first, second = index.Index(folder), index.Index(folder)
    started, problems = threading.Event(), list[BaseException]()

    def grow() -> None:
        started.set()
        try:
            second._grow()
        except BaseException as problem:  # noqa: BLE001  # to be said by the test
            problems.append(problem)

    thread = threading.Thread(target=grow)

    def work(txn: Any) -> bool:
        thread.start()
        started.wait()
        return bool(txn.put(b"k", b"v", db=first._db[b"meta"]))

    assert first._run(work, write=True)
    thread.join()
    assert problems == []
    first.close()
    second.close()
