"""The stat cache saves reading and changes no answer."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from omphalos.store import statcache
from omphalos.store.objects import ObjectMissing
from omphalos.store.store import Store
from omphalos.store.trees import hash_directory, put_directory, walk
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
    real = os.read

    def read(fd: int, count: int) -> bytes:
        name = Path(f"/proc/self/fd/{fd}").readlink().name
        if len(name) < 4:
            seen.append(name)
        return real(fd, count)

    monkeypatch.setattr(os, "read", read)
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
    """A file touched less than two seconds before it was stored is read again."""
    monkeypatch.setattr(statcache, "RACY_NS", 2_000_000_000)
    put_directory(store, folder)
    reads.clear()
    put_directory(store, folder)
    assert set(reads) >= {"a", "b", "c", "f", "big"}


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
    value = statcache.encode(rows, 0)
    assert statcache.decode(value) is not None
    for end in range(len(value) - 3):
        assert statcache.decode(value[:end]) is None
    assert statcache.decode(b"\2" + value[1:]) is None
    assert statcache.decode(None) is None
