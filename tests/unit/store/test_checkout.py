"""Checkout: the tree's files, verified, or nothing; and what differs from them afterwards."""

import contextlib
import errno
import os
import stat
from pathlib import Path

import pytest

from omphalos.format.findings import FindingId
from omphalos.format.ids import ObjectId, blob_id
from omphalos.format.tree import TreeEntry, TreeError, encode_tree
from omphalos.store.checkout import PARTIAL_PREFIX, CheckoutConflict, CheckoutCounts, StatusEntry, checkout, status
from omphalos.store.durable import Disk
from omphalos.store.objects import KindMismatch, ObjectDamaged, ObjectMissing
from omphalos.store.store import Store
from omphalos.store.trees import PathMissing, hash_directory, put_paths
from omphalos.testing.damage import flip, lose

FILES = {"a/x.csv": b"x" * 5000, "a/b/deep": b"deep", "z": b"", "z.txt": b"zed"}
SIZE = sum(map(len, FILES.values()))


def put(store: Store, files: dict[str, bytes]) -> ObjectId:
    return put_paths(store, {path: (len(data), store.objects.put("blob", data)) for path, data in files.items()})[0]


def pipes() -> set[str]:
    """Return the pipes that this process has open."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{name}"))  # noqa: PTH115  # beside the other uses of os
    return {place for place in found if place.startswith("pipe:")}


def content(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def damage(store: Store, data: bytes, bad: bytes | None) -> None:
    """Put other bytes in an object's place, as a file, or none at all."""
    oid = blob_id(data)
    lose(store, oid)
    if bad is not None:
        path = store.objects.loose.path(oid)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bad)


@pytest.mark.parametrize("link", [False, True])
def test_fresh(store: Store, tmp_path: Path, link: bool) -> None:
    """A new destination, parents included, holds exactly the tree, read-only, with nothing left beside it."""
    tree = put(store, FILES)
    dest = tmp_path / "runs" / "r1"
    linked = len(FILES) if link else 0
    assert checkout(store, tree, dest, link=link) == CheckoutCounts(len(FILES), linked, SIZE, 0)
    assert content(dest) == FILES
    assert hash_directory(dest) == (tree, SIZE)
    assert os.listdir(dest.parent) == ["r1"]
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o444 for p in dest.rglob("*") if p.is_file())
    assert status(store, tree, dest) == []
    assert ((dest / "z.txt").stat().st_nlink > 1) == link


@pytest.mark.parametrize("bad", [None, "d/009", "d/600"])
def test_many_files(store: Store, tmp_path: Path, bad: str | None) -> None:
    """Enough files for two processes arrive whole; damage in either half fails with its reason and leaves nothing."""
    files = {f"d/{n:03d}": b"%d" % n for n in range(700)} | {"e/x": b"x"}
    tree = put(store, files)
    if bad is None:
        counts = checkout(store, tree, tmp_path / "d")
        assert (counts.files, counts.bytes) == (701, sum(map(len, files.values())))
        assert content(tmp_path / "d") == files
    else:
        flip(store, blob_id(files[bad]))
        with pytest.raises(ObjectDamaged):
            checkout(store, tree, tmp_path / "d")
        assert os.listdir(tmp_path) == ["store"]


def test_subpath(store: Store, tmp_path: Path) -> None:
    """A folder of the tree becomes the destination, a file becomes the file of that name; a missing path is missing."""
    tree = put(store, FILES)
    checkout(store, tree, tmp_path / "a", subpath="a")
    assert content(tmp_path / "a") == {"x.csv": FILES["a/x.csv"], "b/deep": b"deep"}
    checkout(store, tree, tmp_path / "new" / "one.txt", subpath="a/b/deep")
    assert content(tmp_path / "new") == {"one.txt": b"deep"}
    checkout(store, tree, tmp_path / "new" / "two.txt", subpath="z.txt")
    assert (tmp_path / "new" / "two.txt").read_bytes() == b"zed"
    with pytest.raises(PathMissing):
        checkout(store, tree, tmp_path / "b", subpath="a/none")
    assert not (tmp_path / "b").exists()


def test_into_a_folder_that_exists(store: Store, tmp_path: Path) -> None:
    """Missing files are written, equal ones kept, others left alone; differing ones stop everything unless forced."""
    tree = put(store, FILES)
    dest = tmp_path / "d"
    (dest / "a").mkdir(parents=True)
    (dest / "z.txt").write_bytes(b"zed")
    (dest / "mine").write_bytes(b"mine")
    assert checkout(store, tree, dest) == CheckoutCounts(3, 0, SIZE - 3, 1)
    assert content(dest) == FILES | {"mine": b"mine"}
    (dest / "z.txt").write_bytes(b"ZED")
    (dest / "a" / "b" / "deep").unlink()
    with pytest.raises(CheckoutConflict) as caught:
        checkout(store, tree, dest)
    assert caught.value.paths == ["z.txt"]
    assert not (dest / "a" / "b" / "deep").exists()
    assert checkout(store, tree, dest, force=True) == CheckoutCounts(2, 0, 7, 2)
    assert content(dest) == FILES | {"mine": b"mine"}


@pytest.mark.parametrize("link", [False, True])
def test_force_does_not_write_through_links(store: Store, tmp_path: Path, link: bool) -> None:
    """A differing file with a second name elsewhere is replaced by name; the other name keeps its bytes."""
    tree = put(store, FILES)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    (tmp_path / "d").mkdir()
    os.link(other, tmp_path / "d" / "z")
    checkout(store, tree, tmp_path / "d", force=True, link=link)
    assert other.read_bytes() == b"other"
    assert content(tmp_path / "d") == FILES


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("what", ["link to file", "link to folder", "folder", "fifo", "file for folder"])
def test_what_is_in_the_way_is_never_replaced(store: Store, tmp_path: Path, what: str, force: bool) -> None:
    """A link, folder or special file in place of a file or folder stops the checkout, forced or not; nothing leaks."""
    tree = put(store, FILES)
    dest, outside = tmp_path / "d", tmp_path / "outside"
    dest.mkdir()
    outside.mkdir()
    (outside / "f").write_bytes(b"keep")
    if what == "link to file":
        (dest / "z").symlink_to(outside / "f")
    elif what == "link to folder":
        (dest / "a").symlink_to(outside)
    elif what == "folder":
        (dest / "z").mkdir()
    elif what == "fifo":
        os.mkfifo(dest / "z")
    else:
        (dest / "a").write_bytes(b"file")
    before = sorted(os.listdir(dest))
    with pytest.raises(CheckoutConflict):
        checkout(store, tree, dest, force=force)
    assert sorted(os.listdir(dest)) == before
    assert content(outside) == {"f": b"keep"}


def test_the_destination_may_not_be_a_link_or_file(store: Store, tmp_path: Path) -> None:
    """A link (dangling or not) or a file as the destination is refused."""
    tree = put(store, FILES)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    (tmp_path / "file").write_bytes(b"")
    for name in ("link", "dangling", "file"):
        with pytest.raises(CheckoutConflict):
            checkout(store, tree, tmp_path / name)
    assert content(tmp_path / "real") == {}
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("bad", [b"DEEP", b"", None])
def test_damage_leaves_no_half_checkout(store: Store, tmp_path: Path, bad: bytes | None, link: bool) -> None:
    """A bad or missing blob is found while writing: a new destination does not appear, an old one keeps its file."""
    tree = put(store, FILES)
    damage(store, b"deep", bad)
    with pytest.raises((ObjectDamaged, ObjectMissing)):
        checkout(store, tree, tmp_path / "d", link=link)
    assert sorted(os.listdir(tmp_path)) == ["store"]
    old = tmp_path / "old" / "a" / "b"
    old.mkdir(parents=True)
    (old / "deep").write_bytes(b"old!")
    with pytest.raises((ObjectDamaged, ObjectMissing)):
        checkout(store, tree, tmp_path / "old", force=True, link=link)
    assert content(old) == {"deep": b"old!"}


def msgpack_node(name: bytes, oid: bytes, size: int = 4, kind: int = 0) -> bytes:
    return b"\x91\x94" + bytes([0xA0 + len(name)]) + name + bytes([kind, size]) + b"\xc4\x20" + oid


@pytest.mark.parametrize("name", [b"..", b".", b"", b"../x", b"/etc", b"a/b", b"a\\b", b".omphalos", b"x\x00y", b"nul"])
@pytest.mark.parametrize("deep", [False, True])
def test_hostile_trees_write_nothing(store: Store, tmp_path: Path, name: bytes, deep: bool) -> None:
    """A tree object, validly hashed, with a name that leads elsewhere is refused before the first byte is written."""
    blob = store.objects.put("blob", b"evil")
    tree = store.objects.put("tree", msgpack_node(name, blob))
    if deep:
        tree = store.objects.put("tree", msgpack_node(b"d", tree, kind=1))
    with pytest.raises(TreeError):
        checkout(store, tree, tmp_path / "d")
    (tmp_path / "e").mkdir()
    with pytest.raises(TreeError):
        checkout(store, tree, tmp_path / "e", force=True)
    assert sorted(os.listdir(tmp_path)) == ["e", "store"]
    assert os.listdir(tmp_path / "e") == []


@pytest.mark.parametrize("link", [False, True])
def test_a_tree_that_lies_about_a_blob(store: Store, tmp_path: Path, link: bool) -> None:
    """A wrong size, or a tree named as a file, is refused and leaves nothing."""
    blob = store.objects.put("blob", b"abc")
    liar = store.objects.put("tree", encode_tree([TreeEntry("f", "blob", 4, blob)]))
    with pytest.raises(TreeError) as caught:
        checkout(store, liar, tmp_path / "d", link=link)
    assert caught.value.finding is FindingId.SIZE_MISMATCH
    inner = encode_tree([TreeEntry("f", "blob", 3, blob)])
    confused = encode_tree([TreeEntry("g", "blob", len(inner), store.objects.put("tree", inner))])
    with pytest.raises(KindMismatch):
        checkout(store, store.objects.put("tree", confused), tmp_path / "d", link=link)
    assert os.listdir(tmp_path) == ["store"]


def test_leftovers_of_dead_checkouts_go(store: Store, tmp_path: Path) -> None:
    """What a checkout that died left beside or inside a destination goes with the next one; other names stay."""
    tree = put(store, FILES)
    beside = tmp_path / (PARTIAL_PREFIX + "0" * 16)
    beside.mkdir()
    (beside / "half").write_bytes(b"x")
    checkout(store, tree, tmp_path / "d")
    inside = tmp_path / "d" / "a" / (PARTIAL_PREFIX + "0" * 16)
    inside.write_bytes(b"half")
    keep = tmp_path / "d" / "a" / (PARTIAL_PREFIX + "notes")
    keep.write_bytes(b"mine")
    (tmp_path / "d" / "a" / "x.csv").unlink()
    checkout(store, tree, tmp_path / "d")
    assert (beside.exists(), inside.exists(), keep.exists()) == (False, False, True)


def test_status(store: Store, tmp_path: Path) -> None:
    """Status names what was added, removed, modified (same size too) or is special, in byte order, names escaped."""
    tree = put(store, FILES)
    dest = tmp_path / "d"
    checkout(store, tree, dest)
    (dest / "z.txt").unlink()
    (dest / "z.txt").write_bytes(b"ZED")
    (dest / "a" / "x.csv").unlink()
    (dest / "new" / "f").parent.mkdir()
    (dest / "new" / "f").write_bytes(b"")
    (dest / "empty").mkdir()
    (dest / "z").unlink()
    (dest / "z").symlink_to("z.txt")
    Path(os.fsdecode(os.fsencode(dest) + b"/\xff")).write_bytes(b"")
    assert status(store, tree, dest) == [
        StatusEntry("a/x.csv", "removed"),
        StatusEntry("empty/", "added"),
        StatusEntry("new/f", "added"),
        StatusEntry("z", "special"),
        StatusEntry("z.txt", "modified"),
        StatusEntry("\\udcff", "added"),
    ]


def test_a_sweep_between_mkdir_and_open(store: Store, tmp_path: Path) -> None:
    """A checkout whose fresh folder another process swept before it could be locked starts again."""
    taken: list[Path] = []

    class Swept(Disk):
        def make_folder(self, path: str | Path, at: int | None = None) -> None:
            super().make_folder(path, at)
            if PARTIAL_PREFIX in str(path) and not taken:
                taken.append(Path(path))
                Path(path).rmdir()

    tree = put(store, FILES)
    checkout(Store(store.root, disk=Swept()), tree, tmp_path / "d")
    assert len(taken) == 1
    assert content(tmp_path / "d") == FILES


def test_no_second_process(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be made, many files are written by one, and no descriptor stays open."""
    files = {f"d/{n:03d}": b"%d" % n for n in range(600)}
    tree = put(store, files)

    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    before = pipes()
    monkeypatch.setattr(os, "fork", fork)
    assert checkout(store, tree, tmp_path / "d").files == 600
    assert content(tmp_path / "d") == files
    assert pipes() <= before


def test_an_interrupt_ends_both_processes(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout that is interrupted does not wait for the other process to write its half, and leaves nothing."""
    tree = put(store, {f"d/{n:03d}": b"%d" % n for n in range(600)})
    ours, theirs = os.pipe()
    parent = os.getpid()

    class Stuck(Disk):
        def create(self, path: str | Path, at: int | None = None, mode: int = 0o600) -> int:
            if os.getpid() == parent:
                raise KeyboardInterrupt
            os.read(ours, 1)  # for ever, unless it is ended
            return super().create(path, at, mode)

    try:
        with pytest.raises(KeyboardInterrupt):
            checkout(Store(store.root, disk=Stuck()), tree, tmp_path / "out" / "d")
    finally:
        os.close(ours)
        os.close(theirs)
    assert os.listdir(tmp_path / "out") == []
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("force", [False, True])
def test_what_appears_meanwhile_is_not_replaced(store: Store, tmp_path: Path, link: bool, force: bool) -> None:
    """A file that another process makes after the destination was looked at keeps its bytes, even with force."""
    tree = put(store, FILES)
    dest = tmp_path / "d"
    dest.mkdir()
    (dest / "z").write_bytes(b"differs" if force else b"")

    class Meeting(Disk):
        def link(self, source: str | Path, target: str, at: int, source_at: int | None = None) -> None:
            if target == "z.txt":
                (dest / "z.txt").write_bytes(b"mine")
            super().link(source, target, at, source_at)

    with pytest.raises(CheckoutConflict, match=r"in the way: z\.txt$") as caught:
        checkout(Store(store.root, disk=Meeting()), tree, dest, link=link, force=force)
    assert "appeared meanwhile" in caught.value.hint
    assert (dest / "z.txt").read_bytes() == b"mine"
    assert [name for name in os.listdir(dest) if name.startswith(PARTIAL_PREFIX)] == []
    (dest / "z.txt").unlink()
    assert checkout(store, tree, dest, link=link).files == 1
    assert content(dest) == FILES
    assert (dest / "a" / "x.csv").stat().st_nlink == (2 if link else 1)


def test_a_file_system_without_hard_links(store: Store, tmp_path: Path) -> None:
    """Where a name cannot be given by a link it is given by a rename, and the files are the same."""
    tree = put(store, FILES)
    (tmp_path / "d").mkdir()

    class NoLinks(Disk):
        def link(self, source: str | Path, target: str, at: int, source_at: int | None = None) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    for way in (False, True):
        assert checkout(Store(store.root, disk=NoLinks()), tree, tmp_path / "d", link=way, force=True).linked == 0
        assert content(tmp_path / "d") == FILES
        (tmp_path / "d" / "a" / "x.csv").unlink()


def test_names_that_a_sweep_would_take(store: Store, tmp_path: Path) -> None:
    """A tree with a name that is kept for files on their way in is refused; what only looks like one is nobody's."""
    kept = PARTIAL_PREFIX + "0123456789abcdef"
    for path in (kept, f"a/{kept}", f"{kept}/a"):
        with pytest.raises(CheckoutConflict, match="omphalos-checkout"):
            checkout(store, put(store, {path: b"x"}), tmp_path / "d")
        assert not (tmp_path / "d").exists()
    mine = tmp_path / (PARTIAL_PREFIX + "notes")
    mine.mkdir()
    (mine / "f").write_bytes(b"mine")
    tree = put(store, {PARTIAL_PREFIX + "notes": b"x", "y": b"y"})
    checkout(store, tree, tmp_path / "d")
    (tmp_path / "d" / "y").unlink()
    checkout(store, tree, tmp_path / "d")
    assert status(store, tree, tmp_path / "d") == []
    assert (mine / "f").read_bytes() == b"mine"
