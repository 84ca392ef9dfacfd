"""put --chunked and the setting chunk-above cut files, and every other verb treats them as it treats any."""

import io
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from omphalos.cli.config import bytes_of
from omphalos.format.ids import blob_id
from omphalos.store import chunked
from omphalos.store.store import Store

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Call

BIG = random.Random(3).randbytes(2 << 20)


def lists() -> list[str]:
    """Return the ids of the blobs that the store of the working directory keeps in chunks."""
    return [oid.hex() for oid in Store.find(Path.cwd()).objects.lists.scan()]


def test_put_chunked(call: "Call") -> None:
    """The id is that of the whole, cat and fsck do as ever, and another put without the flag stores nothing more."""
    assert call("init").code == 0
    Path("big").write_bytes(BIG)
    assert call("put", "--chunked", "big").out.split()[0] == blob_id(BIG).hex()
    assert lists() == [blob_id(BIG).hex()]
    assert call("put", "big").code == 0
    assert not list(Path("objects/large").iterdir())
    assert call("fsck").code == 0
    assert call("fsck", "--plain").code == 0


def test_the_setting(call: "Call", monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the size the setting says, and larger, are cut by put and tree, smaller ones are not."""
    assert call("init").code == 0
    Path("d").mkdir()
    Path("d/big").write_bytes(BIG)
    monkeypatch.setenv("OMPHALOS_CHUNK_ABOVE", "3MiB")
    assert call("tree", "d").code == 0
    assert lists() == []
    monkeypatch.setenv("OMPHALOS_CHUNK_ABOVE", "2MiB")
    for data, verb in ((BIG[::-1], ("tree", "d")), (BIG[1:] + b"x", ("put", "d/big"))):
        Path("d/big").write_bytes(data)
        assert call(*verb).code == 0
        assert blob_id(data).hex() in lists()
    monkeypatch.setenv("OMPHALOS_CHUNK_ABOVE", "2000000")
    assert call("tree", "d").code == 2


def test_too_large_to_chunk(call: "Call", monkeypatch: pytest.MonkeyPatch) -> None:
    """A file larger than a list can describe is refused by its size, before a byte is read, by put and by tree."""
    assert call("init").code == 0
    Path("d").mkdir()
    Path("d/huge").touch()
    os.truncate("d/huge", 448 * (1 << 30) + 1)
    real, read = os.read, list[int]()
    monkeypatch.setattr(os, "read", lambda fd, size: (read.append(fd), real(fd, size))[1])
    said = call("put", "--chunked", "d/huge", "--json")
    assert (said.code, said.failure["id"], said.out) == (2, "tooLargeToChunk", "")
    assert "'huge' has 481036337153 bytes, more than the 481036337152" in said.failure["message"]
    assert "without --chunked" in said.failure["hint"]
    assert said.failure["undone"] == "it was not stored"
    monkeypatch.setenv("OMPHALOS_CHUNK_ABOVE", "1TiB")
    assert call("put", "--chunked", "d/huge").code == 2
    monkeypatch.setenv("OMPHALOS_CHUNK_ABOVE", "2MiB")
    assert [call(*verb).code for verb in (("put", "d/huge"), ("tree", "d"))] == [2, 2]
    assert not read
    assert list(Store.find(Path.cwd()).objects.ids()) == []
    assert call("fsck").code == 0


def test_the_largest_that_is_cut(call: "Call", monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of exactly the limit is cut, one of a byte more is refused, and put as one file without the flag."""
    assert call("init").code == 0
    monkeypatch.setattr(chunked, "MAX_BLOB", len(BIG))
    Path("big").write_bytes(BIG)
    Path("more").write_bytes(BIG + b"x")
    assert call("put", "--chunked", "big").code == 0
    assert call("put", "--chunked", "more").code == 2
    assert call("put", "more").out.split()[0] == blob_id(BIG + b"x").hex()
    assert lists() == [blob_id(BIG).hex()]
    assert call("fsck").code == 0


def test_too_many_chunks(call: "Call", monkeypatch: pytest.MonkeyPatch) -> None:
    """Content that gives more chunks than a list can name is refused as soon as that is seen; no list is written."""
    assert call("init").code == 0
    monkeypatch.setattr(chunked, "MAX_CHUNKS", 3)
    Path("big").write_bytes(BIG)
    said = call("put", "--chunked", "big", "--json")
    assert (said.code, said.failure["id"]) == (2, "tooLargeToChunk")
    with Path("big").open("rb") as stream:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
        assert call("put", "--chunked", "--stdin").code == 2
    assert lists() == []
    assert call("put", "big").code == 0
    assert call("fsck").code == 0


def test_a_full_list_can_be_read() -> None:
    """A list of as many chunks as there may be is just short enough to be read."""
    one, two = (len(chunked.encode([chunked.Chunk(blob_id(b"x"), 1)] * count)) for count in (1, 2))
    row = two - one
    assert one + (chunked.MAX_CHUNKS - 1) * row <= chunked.MAX_LIST < one + chunked.MAX_CHUNKS * row


def test_sizes() -> None:
    """A size of a setting is what its unit says."""
    assert [bytes_of(text) for text in ("1MiB", "3GiB", "2TiB")] == [1 << 20, 3 << 30, 2 << 40]
