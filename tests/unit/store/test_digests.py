"""Status and hashing of a folder read what changed, and only that; the cache can be wrong about nothing it trusts."""

import os
import shutil
from pathlib import Path

import pytest

from omphalos.format.ids import ObjectId
from omphalos.store import digests, statcache
from omphalos.store.checkout import StatusEntry, checkout, status
from omphalos.store.store import Store
from omphalos.store.trees import DirectoryRefused, hash_directory, put_directory

FILES = {"a/x": b"first", "a/y": b"second", "b/c/z": b"third", "top": b"fourth"}


@pytest.fixture
def folder(store: Store, tmp_path: Path) -> tuple[ObjectId, Path]:
    """Return a tree and a checkout of it that no cache knows."""
    for path, data in FILES.items():
        (tmp_path / "src" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / path).write_bytes(data)
    tree, _ = put_directory(store, tmp_path / "src")
    checkout(store, tree, tmp_path / "out")
    return tree, tmp_path / "out"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that gets the name of each file that is read."""
    found: list[str] = []
    real = digests.read_source

    def read(fd: int, name: str) -> object:
        found.append(name)
        return real(fd, name)

    monkeypatch.setattr(digests, "read_source", read)
    monkeypatch.setattr(statcache, "RACY_NS", -(10**12))  # files written this moment are trusted
    return found


def test_an_unchanged_checkout_is_not_read_again(store: Store, folder: tuple[ObjectId, Path], reads: list[str]) -> None:
    """The second status, and a hash of the folder after it, read nothing and say the same."""
    tree, out = folder
    assert status(store, tree, out) == []
    assert sorted(reads) == sorted(FILES)
    reads.clear()
    assert status(Store.open(store.root), tree, out) == []
    assert hash_directory(out, store)[0] == tree
    assert reads == []
    assert hash_directory(out)[0] == tree  # without a store there is no cache
    assert sorted(reads) == sorted(FILES)


def test_only_what_changed_is_read(store: Store, folder: tuple[ObjectId, Path], reads: list[str]) -> None:
    """A file written in place with the same size and mtime is read again and found, and its neighbours are not."""
    tree, out = folder
    status(store, tree, out)
    reads.clear()
    path = out / "a" / "x"
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"FIRST")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (out / "new").write_bytes(b"new")
    (out / "top").unlink()
    expected = [StatusEntry("a/x", "modified"), StatusEntry("new", "added"), StatusEntry("top", "removed")]
    assert status(store, tree, out) == expected
    assert reads == ["a/x"]
    reads.clear()
    assert status(store, tree, out) == expected
    assert reads == []


def test_files_of_this_moment_are_not_trusted(
    store: Store, folder: tuple[ObjectId, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git's rule: a file touched just before it was hashed is hashed again, whatever its stat."""
    tree, out = folder
    assert status(store, tree, out) == []
    read: list[str] = []
    real = digests.read_source
    monkeypatch.setattr(digests, "read_source", lambda fd, name: (read.append(name), real(fd, name))[1])
    assert status(store, tree, out) == []
    assert sorted(read) == sorted(FILES)


def test_a_put_after_a_status_stores(store: Store, tmp_path: Path, reads: list[str]) -> None:
    """An id that only a status knows is no reason for a put to believe that the store holds the object."""
    source = tmp_path / "src"
    source.mkdir()
    (source / "f").write_bytes(b"never stored")
    empty = put_directory(store, tmp_path / "none")[0] if (tmp_path / "none").mkdir() is None else None
    assert empty is not None
    assert status(store, empty, source) == [StatusEntry("f", "added")]
    tree = hash_directory(source, store)[0]
    assert put_directory(store, source)[0] == tree
    checkout(store, tree, tmp_path / "out")
    assert (tmp_path / "out" / "f").read_bytes() == b"never stored"


def test_names_are_judged_although_a_status_met_them(store: Store, tmp_path: Path, reads: list[str]) -> None:
    """A folder that a status put into the cache is judged when it is stored."""
    source, other = tmp_path / "src", tmp_path / "other"
    source.mkdir()
    other.mkdir()
    (source / "a:b").write_bytes(b"x")
    (other / "f").write_bytes(b"f")
    tree, _ = put_directory(store, other)
    (source / "f").write_bytes(b"f")
    assert [entry.path for entry in status(store, tree, source)] == ["a:b"]
    with pytest.raises(DirectoryRefused):
        put_directory(store, source)


def test_without_an_index(store: Store, folder: tuple[ObjectId, Path], reads: list[str]) -> None:
    """Where the cache is gone everything is read, and the answer is the same."""
    tree, out = folder
    status(store, tree, out)
    root = store.root
    shutil.rmtree(root / "objects" / "index")
    reads.clear()
    assert status(Store.open(root), tree, out) == []
    assert sorted(reads) == sorted(FILES)
