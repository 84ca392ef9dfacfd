"""Refs: compare-and-swap, names, and files that are not refs."""

import fcntl
import os
from pathlib import Path

import pytest

from omphalos.format.errors import ErrorKind
from omphalos.format.ids import ObjectId
from omphalos.store.refs import ANY, BadRefName, RefConflict, RefDamaged, RefLocked, RefStore
from omphalos.store.store import Store

A, B, C = (ObjectId(bytes([i]) * 32) for i in (1, 2, 3))


def test_a_ref_is_one_line(store: Store) -> None:
    """A ref file is 64 lower-case hex digits and a newline, under its own name."""
    store.refs.set("runs/demo-0123456789ab", A, old=None)
    assert (store.root / "refs/runs/demo-0123456789ab").read_bytes() == b"01" * 32 + b"\n"
    assert store.refs.get("runs/demo-0123456789ab") == A
    assert store.refs.get("runs/other") is None
    assert store.refs.get("runs") is None
    assert store.refs.get("runs/demo-0123456789ab/below") is None


def test_compare_and_swap(store: Store) -> None:
    """A ref moves only from where the caller thinks it is."""
    store.refs.set("tags/x", A, old=None)
    for wrong in (None, B):
        with pytest.raises(RefConflict) as caught:
            store.refs.set("tags/x", C, old=wrong)
        assert (caught.value.expected, caught.value.found) == (wrong, A)
        with pytest.raises(RefConflict):
            store.refs.delete("tags/x", old=wrong)
    assert store.refs.get("tags/x") == A
    with pytest.raises(RefConflict):
        store.refs.set("tags/new", B, old=A)
    store.refs.set("tags/x", B, old=A)
    store.refs.set("tags/x", C, old=ANY)
    assert store.refs.get("tags/x") == C
    store.refs.delete("tags/x", old=C)
    assert store.refs.get("tags/x") is None
    store.refs.delete("tags/x", old=ANY)
    store.refs.delete("tags/x", old=None)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/x",
        "x/",
        "a//b",
        "../x",
        "tags/..",
        "tags/../../x",
        "tags/.",
        ".lock",
        "tags/.hidden",
        "tags/a b ",
        "tags/x:y",
        "tags/x\n",
        "tags/\udcff",
        "tags\\x",
        "tags/" + "x" * 300,
        "tags/con",
    ],
)
def test_bad_names(store: Store, name: str) -> None:
    """A name that breaks the path rules or hides is refused by every call, and nothing is made."""
    for call in (
        lambda: store.refs.get(name),
        lambda: store.refs.set(name, A, old=ANY),
        lambda: store.refs.delete(name, old=ANY),
    ):
        with pytest.raises(BadRefName):
            call()
    assert list((store.root / "refs").iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"01" * 32,
        b"01" * 32 + b" ",
        b"01" * 32 + b"0",
        b"01" * 31 + b"\n",
        b"01" * 33 + b"\n",
        b"AB" * 32 + b"\n",
        b"01" * 32 + b"\r\n",
        b"01" * 32 + b"\n\n",
        b" " + b"01" * 31 + b"0\n",
        b"\xff" * 64 + b"\n",
        b"ref: tags/y\n",
    ],
)
def test_a_damaged_file_is_said_to_be_damaged(store: Store, content: bytes) -> None:
    """Any other content is RefDamaged on get and compare-and-swap, is listed, and can be replaced or deleted by ANY."""
    path = store.root / "refs" / "tags" / "x"
    path.parent.mkdir()
    path.write_bytes(content)
    for call in (lambda: store.refs.get("tags/x"), lambda: store.refs.set("tags/x", A, old=B)):
        with pytest.raises(RefDamaged) as caught:
            call()
        assert caught.value.kind is ErrorKind.NEGATIVE
    assert store.refs.list() == ["tags/x"]
    assert path.read_bytes() == content
    store.refs.set("tags/x", A, old=ANY)
    assert store.refs.get("tags/x") == A
    path.write_bytes(content)
    store.refs.delete("tags/x", old=ANY)
    assert store.refs.list() == []


@pytest.mark.parametrize("make", ["symlink", "fifo"])
def test_links_and_pipes_are_no_refs(store: Store, tmp_path: Path, make: str) -> None:
    """A link to a good ref file, or a pipe, is damage; reading it does not hang."""
    (tmp_path / "good").write_bytes(b"01" * 32 + b"\n")
    path = store.root / "refs" / "x"
    if make == "symlink":
        path.symlink_to(tmp_path / "good")
    else:
        os.mkfifo(path)
    with pytest.raises(RefDamaged):
        store.refs.get("x")


def test_list_is_in_byte_order_of_the_whole_name(store: Store) -> None:
    """Names come in byte order across folders, filtered by a prefix that need not end at a slash."""
    names = ["tags/a/b", "tags/a.b", "tags/a-b", "runs/z", "tags/Z", "tags/é"]
    for name in names:
        store.refs.set(name, A, old=None)
    assert store.refs.list() == sorted(names, key=os.fsencode)
    assert store.refs.list("tags/a") == ["tags/a-b", "tags/a.b", "tags/a/b"]
    assert store.refs.list("runs/") == ["runs/z"]
    assert store.refs.list("none/") == []


def test_a_ref_is_not_a_folder(store: Store) -> None:
    """A name cannot be a ref and a folder of refs; when the last ref in a folder goes, the name is free again."""
    store.refs.set("tags/a/b/c", A, old=None)
    with pytest.raises(BadRefName):
        store.refs.set("tags/a", B, old=None)
    with pytest.raises(BadRefName):
        store.refs.set("tags/a/b/c/d", B, old=None)
    store.refs.delete("tags/a/b/c", old=A)
    store.refs.set("tags/a", B, old=None)
    assert store.refs.list() == ["tags/a"]
    (store.root / "refs" / "tags" / "empty").mkdir()  # what a writer that died may leave
    store.refs.set("tags/empty", B, old=None)


def test_a_held_lock_is_reported(store: Store) -> None:
    """While another process holds the lock nothing moves, reading works, and the error says locked."""
    store.refs.set("tags/x", A, old=None)
    impatient = RefStore(store.root, lock_tries=2)
    fd = os.open(store.root / "refs" / ".lock", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        for call in (lambda: impatient.set("tags/x", B, old=A), lambda: impatient.delete("tags/x", old=A)):
            with pytest.raises(RefLocked) as caught:
                call()
            assert caught.value.kind is ErrorKind.LOCKED
        assert impatient.get("tags/x") == A
    finally:
        os.close(fd)
    impatient.set("tags/x", B, old=A)
    assert impatient.get("tags/x") == B


def test_leftovers_of_a_dead_writer_go(store: Store) -> None:
    """A temporary ref file whose writer is gone is no ref and is removed by the next move."""
    leftover = store.root / "refs" / ".new-0123456789abcdef"
    leftover.write_bytes(b"half")
    assert store.refs.list() == []
    store.refs.set("tags/x", A, old=None)
    assert not leftover.exists()
