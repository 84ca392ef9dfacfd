"""Mapped pages are given back, and nothing else changes."""

import mmap
import os
from pathlib import Path

import pytest

from omphalos.format.ids import blob_id
from omphalos.store import index, resident
from omphalos.store.resident import give_back
from omphalos.store.store import Store

SIZE = 4 << 20


def mapped_kib(path: Path) -> int:
    """Return how much of a file's mapping is in this process's memory."""
    found, here = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
        if "-" in line.split(" ")[0]:
            here = line.endswith(str(path))
        elif here and line.startswith("Rss:"):
            found += int(line.split()[1])
    return found


def test_pages_are_given_back(tmp_path: Path) -> None:
    """What was looked at counts no more, and is there when it is looked at again; other mappings stay."""
    path, other = tmp_path / "a file", tmp_path / "other"
    for one in (path, other):
        one.write_bytes(os.urandom(SIZE))
    with path.open("rb") as stream, other.open("rb") as second:
        with (
            mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as view,
            mmap.mmap(second.fileno(), 0, prot=mmap.PROT_READ) as more,
        ):
            before = bytes(view), bytes(more)
            assert mapped_kib(path) == mapped_kib(other) == SIZE // 1024
            give_back(stream.fileno())
            assert mapped_kib(path) == 0
            assert mapped_kib(other) == SIZE // 1024
            assert (bytes(view), bytes(more)) == before
        give_back(stream.fileno())


def test_the_index_gives_back_what_a_large_change_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After many entries were written the index takes next to no memory, and knows them all."""
    monkeypatch.setattr(index, "_MANY", 1000)
    store = Store.init(tmp_path / "s")
    data = store.root / "objects" / "index" / "data.mdb"
    blobs = [(blob_id(b"%d" % n), b"%d" % n) for n in range(20_000)]
    for part in (blobs[:10_000], blobs[10_000:]):
        with store.objects.batch():
            store.objects.begin()
            store.objects.put_blobs(part)
    assert mapped_kib(data) < data.stat().st_size // 1024 // 4
    assert len(list(store.objects.ids())) == len(blobs)
    assert mapped_kib(data) > data.stat().st_size // 1024 // 4


def test_where_it_cannot_be_said_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a list of mappings there is no error."""

    def refuse(*_: object) -> str:
        raise OSError(2, "no")

    monkeypatch.setattr(resident.Path, "readlink", refuse)
    with (tmp_path / "f").open("wb") as stream:
        give_back(stream.fileno())
