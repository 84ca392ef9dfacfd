"""Faults under a large file that the kernel copies into the store."""

import errno
import os
from pathlib import Path

import pytest

from omphalos.format.errors import OmphalosError
from omphalos.format.ids import blob_id
from omphalos.store import streamed
from omphalos.store.durable import Disk, StoreFull, StoreIOError
from omphalos.store.store import Store

CALLS = sorted(name for name in vars(Disk) if not name.startswith("_"))
DATA = bytes(range(256)) * 80


def failing(at: int, number: int, seen: list[str]) -> Disk:
    """Return a disk whose call number ``at`` fails (-1: none does), and that notes the calls."""

    class Failing(Disk):
        pass

    for name in CALLS:

        def call(self: Disk, *args: object, _name: str = name) -> object:
            seen.append(_name)
            if len(seen) - 1 == at:
                raise OSError(number, os.strerror(number))
            return None if _name.startswith("sync") else getattr(Disk, _name)(self, *args)

        setattr(Failing, name, call)
    return Failing()


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, StoreFull), (errno.EIO, StoreIOError)])
def test_any_call_of_a_copy_may_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[StoreIOError]
) -> None:
    """Whichever call fails: a typed error, or the file is there whole; no leftovers, and a repeat succeeds."""
    for name, value in (("COPY_ABOVE", 0), ("_WINDOW", 4096), ("_SYNC_BYTES", 4096)):
        monkeypatch.setattr(streamed, name, value)
    (tmp_path / "large").write_bytes(DATA)

    def put(root: Path, at: int = -1) -> tuple[list[str], OmphalosError | None]:
        seen: list[str] = []
        try:
            store = Store(root, disk=failing(at, number, seen), pack_limit=1000)
            assert store.objects.put_file(tmp_path / "large").id == blob_id(DATA)
        except OmphalosError as problem:
            return seen, problem
        return seen, None

    Store.init(tmp_path / "counted")
    calls, _ = put(tmp_path / "counted")
    assert calls.count("copy") == calls.count("start_sync") == 5
    failed = 0
    for at in range(len(calls)):
        root = tmp_path / f"s{at}"
        Store.init(root)
        _, problem = put(root, at)
        assert problem is None or type(problem) is error
        failed += problem is not None
        assert set(Store.open(root).objects.ids()) <= {blob_id(DATA)}
        assert put(root)[1] is None
        assert Store.open(root).objects.read("blob", blob_id(DATA)) == DATA
        assert os.listdir(root / "objects" / "quarantine") == []
    assert failed >= len(calls) - calls.count("start_sync") - 2  # advice may be refused
