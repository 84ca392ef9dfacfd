"""The stat cache saves reading and changes no answer."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from omphalos.format.ids import blob_id
from omphalos.store import folders, intake, statcache
from omphalos.store.leases import Moment
from omphalos.store.objects import ObjectMissing, SourceChanged
from omphalos.store.store import Store
from omphalos.store.trees import DirectoryRefused, hash_directory, put_directory, walk
from omphalos.testing.damage import lose

FILES = {"a": b"1", "d/b": b"2", "d/c": b"3" * 100, "d/e/f": b"4", "big": b"5" * 70_000}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of files that count as old enough to be trusted at once."""
    monkeypatch.setattr(statcache, "RACY_NS", -(10**9))
    root = tmp_path / "d"
    for path, data in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return the names of the source files that were read."""
    seen: list[str] = []
    real, send = os.read, os.sendfile

    def note(fd: int) -> None:
        name = Path(f"/proc/self/fd/{fd}").readlink().name
        if len(name) < 4:
            seen.append(name)

    def read(fd: int, count: int) -> bytes:
        note(fd)
        return real(fd, count)

    def sendfile(out: int, fd: int, offset: int | None, count: int) -> int:
        note(fd)
        return send(out, fd, offset, count)

    monkeypatch.setattr(os, "read", read)
    monkeypatch.setattr(os, "sendfile", sendfile)
    yield seen
    monkeypatch.undo()


def test_an_unchanged_folder_is_not_read(store: Store, folder: Path, reads: list[str]) -> None:
    """The second put of a folder reads no file; the third, after one file changed, reads that one."""
    first = put_directory(store, folder)
    assert set(reads) == {"a", "b", "c", "f", "big"}
    reads.clear()
    assert put_directory(Store.open(store.root), folder) == first
    assert reads == []
    (folder / "d" / "b").write_bytes(b"9")
    second = put_directory(Store.open(store.root), folder)
    assert set(reads) == {"b"}
    reads.clear()
    assert second == hash_directory(folder) != first
    assert {path: store.objects.read("blob", oid) for path, _, oid in walk(store, second[0])} == FILES | {"d/b": b"9"}


def test_a_fresh_file_is_not_trusted(
    store: Store, folder: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file touched just before it was stored is read again."""
    for name in ("RACY_NS", "FINE_NS"):
        monkeypatch.setattr(statcache, name, 10**12)
    put_directory(store, folder)
    reads.clear()
    put_directory(store, folder)
    assert set(reads) >= {"a", "b", "c", "f", "big"}


NOW = 1_795_000_000_123_456_789


@pytest.mark.parametrize(
    ("age", "other_age", "device", "trusted"),
    [
        (150_000_000, 150_000_000, 5, True),
        (150_000_000, 10**12, 5, True),
        (50_000_000, 150_000_000, 5, False),
        (10**12, 50_000_000, 5, False),
        (0, 0, 5, False),
        (-5_000_000_000, -5_000_000_000, 5, False),
        (150_000_000, 150_000_000, 6, False),  # not the clock that said what time it is
        (2_100_000_000, 2_100_000_000, 6, True),
        (1_123_456_789, 150_000_000, 5, False),  # whole seconds: the grain may be one, or two
        (150_000_000, 523_456_789, 5, False),
        (2_123_456_789, 2_123_456_789, 5, True),
    ],
)
def test_the_racy_rule(age: int, other_age: int, device: int, trusted: bool) -> None:
    """A stat is trusted if its times are older than the clock may lag; coarse times, and another clock's, by far."""
    row = folders.STAT.pack(1, NOW - age, NOW - other_age, 9, device)
    value = statcache.encode(statcache.Rows(1, b"a", row, bytes(32), b"\1"), Moment(NOW, 5))
    found = statcache.decode(value)
    assert found is not None
    assert found.stats == (row if trusted else bytes(len(row)))


@pytest.mark.parametrize("grain", [1, 10_000_000, 1_000_000_000])
def test_a_change_in_the_same_tick_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grain: int) -> None:
    """A file rewritten with the same size around the moment it is stored is stored as it is, on coarse clocks too."""

    def coarse(seen: os.stat_result) -> bytes:
        size, mtime, ctime, *rest = folders.STAT.unpack(real(seen))
        return folders.STAT.pack(size, mtime // grain * grain, ctime // grain * grain, *rest)

    real = folders.packed_stat
    for module in (folders, intake):
        monkeypatch.setattr(module, "packed_stat", coarse)
    source = tmp_path / "d"
    source.mkdir()
    store = Store.init(tmp_path / "s")
    for number in range(40):
        (source / "x").write_bytes(b"%06d" % number)
        put_directory(store, source)
        for _ in range(number * 30):  # let some time pass, less than a tick to several
            os.getppid()
        (source / "x").write_bytes(b"%06d" % (number + 500_000))
        again = Store.open(store.root)
        assert put_directory(again, source) == hash_directory(source)
        assert again.objects.has(blob_id(b"%06d" % (number + 500_000)))


def test_a_time_far_away_is_no_obstacle(store: Store, folder: Path) -> None:
    """A file with a time that 64 bits of nanoseconds cannot hold, where the file system can, is stored like others."""
    os.utime(folder / "a", ns=(0, 2**63))
    assert put_directory(store, folder) == put_directory(store, folder) == hash_directory(folder, store)


@pytest.mark.parametrize("failing", ["", "fork", "child", "wait"])
def test_two_processes_survey_as_one_does(folder: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """A folder with many files is seen the same by two processes, and by one where the other cannot be had."""

    def survey() -> list[tuple[list[str], bytes, list[str]]]:
        fd = folders.open_root(folder)
        try:
            todo, found = [folders.survey(fd)], []
            while todo:
                one = todo.pop()
                found.append((one.names, one.stats, list(one.folders)))
                todo += one.folders.values()
            return found
        finally:
            os.close(fd)

    (folder / "empty" / "e").mkdir(parents=True)
    expected = survey()
    assert [len(stats) // folders.STAT.size for _, stats, _ in expected] == [len(names) for names, _, _ in expected]
    monkeypatch.setattr(folders, "_WORTH_FORKING", 1)
    real, looks, parent = folders._stats, list[int](), os.getpid()

    def stats(fd: int, names: list[str], path: str) -> bytes:
        looks.append(len(names))
        if failing == "child" and os.getpid() != parent:
            raise OSError(5, "no")
        return real(fd, names, path)

    def refuse(*_: object) -> int:
        raise ChildProcessError if failing == "wait" else BlockingIOError(11, "no")

    monkeypatch.setattr(folders, "_stats", stats)
    if failing in ("fork", "wait"):
        monkeypatch.setattr(os, {"fork": "fork", "wait": "waitpid"}[failing], refuse)
    assert survey() == expected
    assert sum(looks) == (len(FILES) if failing else len(FILES) // 2)


@pytest.mark.parametrize("least", [1, 10**6])
def test_what_is_refused_meanwhile_ends_the_survey(folder: Path, monkeypatch: pytest.MonkeyPatch, least: int) -> None:
    """A name that is refused while another process looks at the files is an error, and that process is waited for."""
    monkeypatch.setattr(folders, "_WORTH_FORKING", least)
    (folder / "nul.txt").write_bytes(b"")
    store = Store.init(folder.parent / "s")
    real, started = os.fork, list[int]()

    def fork() -> int:
        started.append(real())
        return started[-1]

    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises(DirectoryRefused):
        put_directory(store, folder)
    assert list(store.objects.ids()) == []
    assert len(started) == (least == 1)
    for pid in started:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    (folder / "nul.txt").unlink()
    assert put_directory(store, folder) == hash_directory(folder)


def test_what_is_no_file_any_more_is_a_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that became a link, or went, between the listing and the look at it is refused."""
    real = folders._look
    for change in (lambda path: path.symlink_to("b"), lambda path: None):

        def look(*arguments: Any, change: Callable[[Path], None] = change) -> None:
            with contextlib.suppress(FileNotFoundError):
                (folder / "a").unlink()
                change(folder / "a")
            real(*arguments)

        monkeypatch.setattr(folders, "_look", look)
        with pytest.raises(SourceChanged, match="'a'"):
            hash_directory(folder)
        monkeypatch.setattr(folders, "_look", real)
        (folder / "a").unlink(missing_ok=True)
        (folder / "a").write_bytes(b"1")


@pytest.mark.parametrize("change", ["same size", "mtime restored", "replaced", "renamed", "removed", "added"])
def test_every_change_is_seen(store: Store, folder: Path, change: str) -> None:
    """Whatever is done to a cached folder, a put gives the id that hashing everything gives."""
    put_directory(store, folder)
    path = folder / "d" / "b"
    before = path.stat()
    if change == "replaced":
        (folder / "n").write_bytes(b"7")
        os.utime(folder / "n", ns=(before.st_atime_ns, before.st_mtime_ns))
        (folder / "n").rename(path)
    elif change == "renamed":
        path.rename(folder / "d" / "z")
    elif change == "removed":
        path.unlink()
    elif change == "added":
        (folder / "d" / "a").write_bytes(b"")
    else:
        path.write_bytes(b"7")
        if change == "mtime restored":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert put_directory(Store.open(store.root), folder) == hash_directory(folder)


@pytest.mark.parametrize("gone", ["large", "segment", "index"])
def test_what_went_is_stored_again(store: Store, folder: Path, gone: str) -> None:
    """Where a file, a segment or the index went since, the next put stores the folder again, whole."""
    tree, _ = put_directory(store, folder)
    if gone == "large":
        lose(store, next(oid for path, _, oid in walk(store, tree) if path == "big"))
    elif gone == "segment":
        for path in (store.root / "objects" / "packs").iterdir():
            path.unlink()
        with pytest.raises(ObjectMissing):
            list(walk(Store.open(store.root), tree))
    else:
        for path in (store.root / "objects" / "index").iterdir():
            path.unlink()
    again = Store.open(store.root)
    assert put_directory(again, folder)[0] == tree
    assert {path: again.objects.read("blob", oid) for path, _, oid in walk(again, tree)} == FILES


def test_a_value_that_is_no_value_says_nothing() -> None:
    """Cut or foreign values are passed over."""
    rows = statcache.Rows(1, b"a\0b", bytes(80), bytes(64), b"\1\1")
    value = statcache.encode(rows, Moment(0, 0))
    assert statcache.decode(value) is not None
    for end in range(len(value) - 3):
        assert statcache.decode(value[:end]) is None
    assert statcache.decode(b"\2" + value[1:]) is None
    assert statcache.decode(None) is None
