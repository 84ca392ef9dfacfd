"""Checkouts by hard link: files that nobody wrote to are linked unread, anything else is made anew."""

import os
from pathlib import Path

import pytest

from omphalos.format.ids import ObjectId, blob_id
from omphalos.store import gc
from omphalos.store.checkout import checkout
from omphalos.store.fsck import fsck
from omphalos.store.links import VERIFIED_NS, Links
from omphalos.store.objects import ObjectDamaged, ObjectStore
from omphalos.store.store import Store
from omphalos.store.trees import put_paths
from omphalos.testing.damage import flip

SMALL, LARGE = b"small" * 10, b"L" * 70_000
FILES = {"d/small": SMALL, "large": LARGE}


@pytest.fixture
def tree(store: Store) -> ObjectId:
    """Return a tree with a small and a large file."""
    blobs = {path: (len(data), store.objects.put("blob", data)) for path, data in FILES.items()}
    return put_paths(store, blobs)[0]


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_nobody_wrote_to_is_not_read_again(
    store: Store, tree: ObjectId, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second checkout by hard link opens no object and hashes none."""
    assert checkout(store, tree, tmp_path / "a", link=True).linked == 2

    def never(*_: object) -> None:
        raise AssertionError("an object was read")

    monkeypatch.setattr(ObjectStore, "check", never)
    monkeypatch.setattr(ObjectStore, "copy_to", never)
    monkeypatch.setattr(Links, "make", never)
    assert checkout(store, tree, tmp_path / "b", link=True).linked == 2
    assert content(tmp_path / "b") == FILES
    assert (tmp_path / "a" / "d" / "small").samefile(tmp_path / "b" / "d" / "small")


@pytest.mark.parametrize("same_size", [False, True])
def test_a_file_that_was_written_to_is_made_anew(store: Store, tree: ObjectId, tmp_path: Path, same_size: bool) -> None:
    """Who writes into a linked small file changes that checkout alone: the next one gets the right bytes."""
    checkout(store, tree, tmp_path / "a", link=True)
    path = tmp_path / "a" / "d" / "small"
    path.chmod(0o644)
    path.write_bytes(b"X" * len(SMALL) if same_size else b"other")
    path.chmod(0o444)
    assert checkout(store, tree, tmp_path / "b", link=True).linked == 2
    assert content(tmp_path / "b") == FILES
    assert fsck(store).clean


def test_a_large_object_that_was_written_to_is_refused(store: Store, tree: ObjectId, tmp_path: Path) -> None:
    """A large file is the object itself: after it was written to it is damaged, and nothing is checked out."""
    checkout(store, tree, tmp_path / "a", link=True)
    flip(store, blob_id(LARGE), 5)
    with pytest.raises(ObjectDamaged):
        checkout(store, tree, tmp_path / "b", link=True)
    assert sorted(os.listdir(tmp_path)) == ["a", "store"]


def test_an_older_large_object_is_hashed_and_linked(store: Store, tree: ObjectId, tmp_path: Path) -> None:
    """A large object that does not bear the time of a verified one is linked after it was hashed."""
    path = store.objects.loose.path(blob_id(LARGE))
    assert path.stat().st_mtime_ns == VERIFIED_NS
    os.utime(path)
    assert checkout(store, tree, tmp_path / "a", link=True).linked == 2


def test_the_files_are_a_cache(store: Store, tree: ObjectId, tmp_path: Path) -> None:
    """Readers and fsck do not look into the files for links, and an object that was freed loses its file."""
    checkout(store, tree, tmp_path / "a", link=True)
    path = Links(store.disk, store.root / "objects" / "links").place(blob_id(SMALL))
    assert path.read_bytes() == SMALL
    path.chmod(0o644)
    path.write_bytes(b"nonsense")
    assert store.objects.read("blob", blob_id(SMALL)) == SMALL
    assert fsck(store).clean
    store.objects.end_lease()
    gc.gc(store)
    gc.gc(store)
    assert not store.objects.has(blob_id(SMALL))
    assert not path.exists()
