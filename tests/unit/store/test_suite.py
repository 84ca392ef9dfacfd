"""The public suite over every store of this project, and over stores that break a promise, which it must notice."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from omphalos.format.ids import ObjectId
from omphalos.store.durable import Disk
from omphalos.store.store import Store
from omphalos.testing.damage import flip
from omphalos.testing.suite import Backend, StoreSuite


class TestPacked(StoreSuite):
    """Small objects in segments, large ones as files; every view is a second instance."""

    limit = 64 * 1024

    def make(self, folder: Path) -> Store:
        return Store.init(folder, pack_limit=self.limit)

    def view(self, backend: Backend) -> Backend:
        assert isinstance(backend, Store)
        return Store.open(backend.root, pack_limit=self.limit)

    writer = view

    def damage(self, backend: Backend, oid: ObjectId) -> bool:
        assert isinstance(backend, Store)
        flip(backend, oid, byte=2)
        return True


class TestLoose(TestPacked):
    """Every object a file of its own."""

    limit = 0


class TestReadOnly(TestPacked):
    """Seen through a disk that takes no change."""

    def view(self, backend: Backend) -> Backend:
        class Fixed(Disk):
            def __getattribute__(self, name: str) -> Any:
                if name.startswith("_"):
                    return super().__getattribute__(name)
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        assert isinstance(backend, Store)
        return Store.open(backend.root, disk=Fixed())


class Forgetful(Store):
    """A store whose refs move whatever they pointed at."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        kept = self.refs.set
        self.refs.set = lambda name, new, *, old: kept(name, new, old=self.refs.get(name))  # type: ignore[method-assign]  # broken on purpose


def test_a_broken_store_is_noticed(tmp_path: Path) -> None:
    """A store without compare-and-swap, one that hands out damage, and one that forgets do not pass."""
    suite = StoreSuite()
    suite.make = Forgetful.init  # type: ignore[method-assign]  # the shortest way
    with pytest.raises(AssertionError, match="RefConflict"):
        suite.test_compare_and_swap(tmp_path / "a")
    store = Store.init(tmp_path / "b")
    store.objects.read = lambda kind, oid: b"made up"  # type: ignore[method-assign]  # broken on purpose
    suite.make = lambda folder: store  # type: ignore[method-assign]  # the shortest way
    with pytest.raises(AssertionError):
        suite.test_what_was_put_is_there(tmp_path / "b")
    with pytest.raises(AssertionError):
        suite.test_missing(tmp_path / "b")
