"""put --chunked and the setting chunk-above cut files, and every other verb treats them as it treats any."""

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from omphalos.cli.config import bytes_of
from omphalos.format.ids import blob_id
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


def test_sizes() -> None:
    """A size of a setting is what its unit says."""
    assert [bytes_of(text) for text in ("1MiB", "3GiB", "2TiB")] == [1 << 20, 3 << 30, 2 << 40]
