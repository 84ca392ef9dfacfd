"""A flipped bit at every byte of a ref and of the log of deletions; for objects see tests/unit/store/test_fsck.py."""

from pathlib import Path

import pytest

from omphalos.store.fsck import fsck
from omphalos.store.gc import LogBroken, deletions, gc
from omphalos.store.store import Store
from omphalos.testing.damage import flip_bit


def test_every_flip_in_a_ref_is_found(tmp_path: Path) -> None:
    """Each flipped bit of a ref makes fsck name the ref, as malformed or as leading nowhere."""
    store = Store.init(tmp_path / "store")
    store.refs.set("tags/t", store.objects.put("blob", b"x"), old=None)
    path = store.root / "refs" / "tags" / "t"
    for at in range(path.stat().st_size):
        flip_bit(path, at, at % 8)
        (problem,) = fsck(store, workers=1).problems
        assert problem.id.value in ("refMalformed", "refDangling"), at
        assert "refs/tags/t" in problem.place or problem.needed_by == ["tags/t:"]
        flip_bit(path, at, at % 8)
    assert fsck(store, workers=1).problems == []


def test_every_flip_in_the_log_is_found(tmp_path: Path) -> None:
    """Each flipped bit of the log of deletions breaks its chain, but for the last line, which nothing follows."""
    store = Store.init(tmp_path / "store")
    for n in range(3):
        store.objects.put("blob", b"%d" % n)
    assert len(gc(store).freed) == 3
    path = store.root / "objects" / "deletions.log"
    followed = path.read_bytes().rstrip(b"\n").rindex(b"\n")
    for at in range(followed):
        flip_bit(path, at, at % 8)
        with pytest.raises(LogBroken):
            deletions(store)
        flip_bit(path, at, at % 8)
    assert len(deletions(store)) == 3
