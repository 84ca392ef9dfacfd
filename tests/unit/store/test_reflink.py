"""Checkout by shared blocks: where the file system can, verified like a copy; where it cannot, a copy or an error."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omphalos.format.ids import ObjectId
from omphalos.store.checkout import ReflinkImpossible, checkout
from omphalos.store.durable import Disk
from omphalos.store.objects import ObjectDamaged
from omphalos.store.store import Store
from omphalos.store.trees import put_paths
from omphalos.testing.damage import flip

LARGE = os.urandom(1 << 20) * 4
FILES = {"large": LARGE, "sub/large": LARGE[: 1 << 20], "small": b"small"}


class Cloning(Disk):
    """A disk whose clones are copies, or fail."""

    def __init__(self, problem: int = 0) -> None:
        self.problem = problem

    def clone(self, source: int, target: int) -> None:
        if self.problem:
            raise OSError(self.problem, os.strerror(self.problem))
        os.sendfile(target, source, 0, os.fstat(source).st_size)


def put(store: Store) -> tuple[ObjectId, dict[str, ObjectId]]:
    with store.objects.batch():
        ids = {path: store.objects.put("blob", data) for path, data in FILES.items()}
        return put_paths(store, {path: (len(FILES[path]), oid) for path, oid in ids.items()})[0], ids


def content(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("there", [False, True])
def test_cloned(tmp_path: Path, there: bool) -> None:
    """Large objects are cloned, small ones copied, into a new folder or one that is there; all are read-only."""
    store = Store.init(tmp_path / "store", disk=Cloning())
    tree, _ = put(store)
    if there:
        (tmp_path / "out").mkdir()
    counts = checkout(store, tree, tmp_path / "out", reflink="always")
    assert (counts.files, counts.cloned, counts.linked) == (3, 2, 0)
    assert content(tmp_path / "out") == FILES
    assert (tmp_path / "out" / "large").stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("problem", [errno.EOPNOTSUPP, errno.EXDEV, errno.ENOTTY, errno.EINVAL])
def test_where_it_cannot(tmp_path: Path, problem: int) -> None:
    """Where blocks cannot be shared, auto copies and always is refused with nothing left."""
    store = Store.init(tmp_path / "store", disk=Cloning(problem))
    tree, _ = put(store)
    with pytest.raises(ReflinkImpossible):
        checkout(store, tree, tmp_path / "no", reflink="always")
    assert sorted(os.listdir(tmp_path)) == ["store"]
    assert checkout(store, tree, tmp_path / "out", reflink="auto").cloned == 0
    assert content(tmp_path / "out") == FILES


def test_damage_is_not_cloned(tmp_path: Path) -> None:
    """A damaged object is found although its bytes never pass through this process."""
    store = Store.init(tmp_path / "store", disk=Cloning())
    tree, ids = put(store)
    flip(store, ids["large"])
    with pytest.raises(ObjectDamaged):
        checkout(store, tree, tmp_path / "out", reflink="always")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def btrfs(tmp_path: Path, need_tool: Callable[[str], str]) -> Iterator[Path]:
    """A folder on a file system that can share blocks, made in a file; skips where nobody may mount one."""
    mkfs = need_tool("mkfs.btrfs")
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    image, folder = tmp_path / "image", tmp_path / "mounted"
    folder.mkdir()
    with image.open("wb") as stream:
        stream.truncate(128 << 20)
    subprocess.run([mkfs, "-q", str(image)], check=True, capture_output=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("a file system in a file cannot be mounted here")
    try:
        yield folder
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", str(folder)], check=True, capture_output=True)


def test_on_btrfs(btrfs: Path) -> None:
    """On btrfs files cost no space, and writing into one leaves the object and the other copy alone."""
    store = Store.init(btrfs / "store")
    tree, _ = put(store)
    os.sync()
    before = os.statvfs(btrfs).f_bfree * os.statvfs(btrfs).f_frsize
    for name in ("one", "two"):
        assert checkout(store, tree, btrfs / name, reflink="always").cloned == 2
    os.sync()
    assert before - os.statvfs(btrfs).f_bfree * os.statvfs(btrfs).f_frsize < len(LARGE)
    (btrfs / "one" / "large").chmod(0o644)
    with (btrfs / "one" / "large").open("r+b") as stream:
        stream.write(b"changed")
    assert content(btrfs / "two") == FILES
    assert checkout(store, tree, btrfs / "three", reflink="always").cloned == 2
