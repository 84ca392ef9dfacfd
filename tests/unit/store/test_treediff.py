"""Differences of trees: each changed path once, in order, without opening what is equal."""

import pytest

from omphalos.store.store import Store
from omphalos.store.treediff import diff_trees
from omphalos.store.trees import put_paths


def put(store: Store, files: dict[str, bytes]) -> bytes:
    return put_paths(store, {path: (len(data), store.objects.put("blob", data)) for path, data in files.items()})[0]


def changes(store: Store, a: dict[str, bytes], b: dict[str, bytes]) -> list[tuple[str, str]]:
    return [(c.path, c.change) for c in diff_trees(store, put(store, a), put(store, b))]


def test_changes(store: Store) -> None:
    """Added, removed, modified and type-changed paths come in byte order, with both entries."""
    a = {"a/x": b"1", "a/y": b"2", "a.b": b"3", "same/z": b"4", "swap": b"5", "gone/f": b"6"}
    b = {"a/x": b"1", "a/y": b"22", "a.b": b"33", "same/z": b"4", "swap/in": b"7", "new/f": b"8"}
    assert changes(store, a, b) == [
        ("a.b", "modified"),
        ("a/y", "modified"),
        ("gone/f", "removed"),
        ("new/f", "added"),
        ("swap", "typechange"),
        ("swap/in", "added"),
    ]
    assert changes(store, b, a)[-2:] == [("swap", "typechange"), ("swap/in", "removed")]
    found = next(c for c in diff_trees(store, put(store, a), put(store, b)) if c.path == "swap")
    assert found.old is not None
    assert found.new is not None
    assert (found.old.kind, found.new.kind) == ("blob", "tree")


def test_order_across_files_and_folders(store: Store) -> None:
    """A folder's paths stand where a slash sorts, after names with a dot or a dash."""
    after = {"a/x": b"1", "a.b": b"1", "a-b": b"1", "a0": b"1"}
    assert [path for path, _ in changes(store, {}, after)] == sorted(after)


def test_equal_trees_are_not_opened(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal roots read nothing; an equal folder inside different roots is not read."""
    a, b = put(store, {"same/z": b"1", "f": b"1"}), put(store, {"same/z": b"1", "f": b"2"})
    read: list[bytes] = []
    real = store.objects.read
    monkeypatch.setattr(store.objects, "read", lambda kind, oid: (read.append(oid), real(kind, oid))[1])
    assert list(diff_trees(store, a, a)) == []
    assert read == []
    assert len(list(diff_trees(store, a, b))) == 1
    assert read == [a, b]
