"""Objects as files: what goes in comes out, or a typed error says why not."""

import errno
import hashlib
import io
import os
import stat
from pathlib import Path

import pytest
from blake3 import blake3

from omphalos.format.errors import ErrorKind
from omphalos.format.ids import IdError, ObjectId, blob_id, object_id
from omphalos.format.tree import EMPTY_TREE_BYTES
from omphalos.store import sources, streamed
from omphalos.store.durable import StoreIOError
from omphalos.store.objects import (
    KindMismatch,
    ObjectDamaged,
    ObjectMissing,
    SourceChanged,
    SourceUnreadable,
    SpecialFile,
)
from omphalos.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store that keeps every object as a file."""
    return Store.init(tmp_path / "store", pack_limit=0)


def object_file(store: Store, oid: bytes) -> Path:
    return store.root / "objects" / "large" / oid.hex()[:2] / oid.hex()[2:]


def replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("data", [b"", b"x", b"abc" * 100_000])
def test_round_trip(store: Store, data: bytes) -> None:
    """What is put is read back under the id that b3sum prints, from a read-only file of exactly these bytes."""
    oid = store.objects.put("blob", data)
    assert oid == blake3(data).digest()
    assert store.objects.read("blob", oid) == data
    assert store.objects.size(oid) == len(data)
    assert object_file(store, oid).read_bytes() == data
    assert stat.S_IMODE(object_file(store, oid).stat().st_mode) == 0o444


def test_put_again_changes_nothing(store: Store) -> None:
    """A second put of the same bytes leaves the same file in place."""
    oid = store.objects.put("blob", b"data")
    before = object_file(store, oid).stat()
    assert store.objects.put("blob", b"data") == oid
    assert Store.open(store.root, pack_limit=0).objects.put("blob", b"data") == oid
    after = object_file(store, oid).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_kinds_never_meet(store: Store) -> None:
    """The same bytes as blob, tree and run are three objects, each readable as its own kind alone."""
    ids = {kind: store.objects.put(kind, EMPTY_TREE_BYTES) for kind in ("blob", "tree", "run")}
    assert len(set(ids.values())) == 3
    for kind, oid in ids.items():
        assert store.objects.kind_of(oid) == kind
        for other in ids:
            if other == kind:
                assert store.objects.read(other, oid) == EMPTY_TREE_BYTES
            else:
                with pytest.raises(KindMismatch) as caught:
                    store.objects.read(other, oid)
                assert (caught.value.expected, caught.value.got, caught.value.id) == (other, kind, "typeMismatch")


def test_every_flipped_bit_is_found(store: Store) -> None:
    """Whatever single bit of an object's file is flipped, read, copy_to and kind_of say that it is damaged."""
    data = b"shipment,importer\n"
    oid = store.objects.put("blob", data)
    for place in range(len(data) * 8):
        bad = bytearray(data)
        bad[place // 8] ^= 1 << (place % 8)
        replace(object_file(store, oid), bytes(bad))
        with pytest.raises(ObjectDamaged) as caught:
            store.objects.read("blob", oid)
        assert caught.value.expected == oid
        assert caught.value.got == blob_id(bytes(bad))
        assert caught.value.kind is ErrorKind.NEGATIVE
        assert str(object_file(store, oid).relative_to(store.root)) in caught.value.hint
        with pytest.raises(ObjectDamaged):
            store.objects.kind_of(oid)
        with Path(os.devnull).open("wb") as sink, pytest.raises(ObjectDamaged):
            store.objects.copy_to(oid, sink.fileno())


@pytest.mark.parametrize("bad", [b"", b"dat", b"data "])
def test_wrong_length_is_found_and_mended_by_a_put(store: Store, bad: bytes) -> None:
    """An object file that was cut, emptied or grew is damaged, and putting the right bytes again mends it."""
    oid = store.objects.put("blob", b"data")
    replace(object_file(store, oid), bad)
    with pytest.raises(ObjectDamaged):
        store.objects.read("blob", oid)
    store.objects.put("blob", b"data")
    assert store.objects.read("blob", oid) == b"data"


@pytest.mark.parametrize("make", ["symlink", "fifo", "folder"])
def test_what_is_no_regular_file_is_damage(store: Store, tmp_path: Path, make: str) -> None:
    """An object replaced by a link (even to the right bytes), a pipe or a folder is damaged; reading does not hang."""
    oid = store.objects.put("blob", b"data")
    path = object_file(store, oid)
    path.unlink()
    if make == "symlink":
        (tmp_path / "elsewhere").write_bytes(b"data")
        path.symlink_to(tmp_path / "elsewhere")
    elif make == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert not store.objects.has(oid)
    with pytest.raises(ObjectDamaged) as caught:
        store.objects.read("blob", oid)
    assert caught.value.got is None


def test_missing(store: Store) -> None:
    """An object that is not there is said to be missing, by every way of reading."""
    oid = blob_id(b"never stored")
    assert not store.objects.has(oid)
    for call in (store.objects.size, store.objects.open, store.objects.kind_of):
        with pytest.raises(ObjectMissing) as caught:
            call(oid)
        assert caught.value.kind is ErrorKind.NOT_FOUND
    with pytest.raises(ObjectMissing):
        store.objects.read("blob", oid)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 20_000])
def test_put_file_streams(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A file of any length around the buffer's gives the id and the SHA-256 of its bytes, as a file and as a stream."""
    monkeypatch.setattr(sources, "BUFFER_BYTES", 4096)
    for name, value in (("COPY_ABOVE", 5000), ("_WINDOW", 4096), ("_HASH_BYTES", 1000)):
        monkeypatch.setattr(streamed, name, value)
    data = bytes(i * 7 % 251 for i in range(size))
    (tmp_path / "f").write_bytes(data)
    for stored in (store.objects.put_file(tmp_path / "f"), store.objects.put_stream(io.BytesIO(data))):
        assert stored.id == blob_id(data)
        assert stored.size == size
        assert stored.sha256 == hashlib.sha256(data).digest()
    assert store.objects.read("blob", blob_id(data)) == data
    with (tmp_path / "copy").open("wb") as sink:
        assert store.objects.copy_to(blob_id(data), sink.fileno()) == size
    assert (tmp_path / "copy").read_bytes() == data
    assert list((store.root / "objects" / "quarantine").iterdir()) == []


def test_copy_to_refuses_another_kind(store: Store) -> None:
    """A tree object is not copied out as if it were a file."""
    oid = store.objects.put("tree", EMPTY_TREE_BYTES)
    with Path(os.devnull).open("wb") as sink, pytest.raises(KindMismatch):
        store.objects.copy_to(oid, sink.fileno())


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file be copied by the kernel, 64 bytes at a time."""
    for name, value in (("COPY_ABOVE", 0), ("_WINDOW", 64), ("_HASH_BYTES", 50)):
        monkeypatch.setattr(streamed, name, value)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EIO])
@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.usefixtures("windows")
def test_where_the_kernel_does_not_copy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, readable: bool
) -> None:
    """A file is read and written where the kernel cannot copy it; a failure is said of the side that fails."""
    data = bytes(range(250))
    (tmp_path / "f").write_bytes(data)

    def refuse(*_: object) -> int:
        raise OSError(number, "no")

    monkeypatch.setattr(os, "sendfile", refuse)
    if not readable:
        monkeypatch.setattr(os, "pread", refuse)
    if readable and number != errno.EIO:
        stored = store.objects.put_file(tmp_path / "f")
        assert stored == (blob_id(data), 250, hashlib.sha256(data).digest())
        assert store.objects.read("blob", stored.id) == data
        return
    with pytest.raises(StoreIOError if readable else SourceUnreadable):
        store.objects.put_file(tmp_path / "f")
    assert list(store.objects.ids()) == []
    assert list((store.root / "objects" / "quarantine").iterdir()) == []


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.usefixtures("windows")
def test_what_is_hashed_is_the_copy(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: bool) -> None:
    """A copy that somebody writes to before it is hashed has the id of what is in it; one that is cut is an error."""
    (tmp_path / "f").write_bytes(b"a" * 60)
    real = os.sendfile

    def send(fd: int, source: int, at: int, count: int) -> int:
        sent = real(fd, source, at, count)
        if cut:
            os.ftruncate(fd, 10)
        else:
            os.pwrite(fd, b"b", 5)
        return sent

    monkeypatch.setattr(os, "sendfile", send)
    if cut:
        with pytest.raises(StoreIOError):
            store.objects.put_file(tmp_path / "f")
        assert list(store.objects.ids()) == []
        return
    stored = store.objects.put_file(tmp_path / "f")
    assert stored.id == blob_id(b"aaaaab" + b"a" * 54)
    store.objects.check(stored.id, "blob")


@pytest.mark.parametrize("change", ["grow", "shrink", "touch", "rewrite"])
@pytest.mark.usefixtures("windows")
def test_a_file_that_changes_while_it_is_copied_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The same as when it is read: an error, and nothing is stored."""
    path = tmp_path / "f"
    path.write_bytes(b"a" * 200)
    os.utime(path, (1, 1))
    real, calls = os.sendfile, list[int]()

    def send(fd: int, source: int, at: int, count: int) -> int:
        sent = real(fd, source, at, count)
        calls.append(count)
        if len(calls) == 2:
            alter(path, change)
        return sent

    monkeypatch.setattr(os, "sendfile", send)
    with pytest.raises(SourceChanged) as caught:
        store.objects.put_file(path)
    assert caught.value.id == "toctou"
    assert list(store.objects.ids()) == []
    assert list((store.root / "objects" / "quarantine").iterdir()) == []


def alter(path: Path, change: str) -> None:
    """Do something to a file of 200 bytes with an mtime of 1 that a reader must notice."""
    if change == "grow":
        with path.open("ab") as more:
            more.write(b"b" * 50)
    elif change == "shrink":
        os.truncate(path, 100)
    elif change == "touch":
        os.utime(path, (2, 2))
    else:
        with path.open("r+b") as same:
            same.write(b"b" * 200)
        os.utime(path, (1, 1))  # the size and mtime of before; only ctime tells


@pytest.mark.parametrize("change", ["grow", "shrink", "touch", "rewrite"])
def test_a_file_that_changes_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """A file that grows, shrinks, or is written in place between two reads is an error, and nothing is stored."""
    monkeypatch.setattr(sources, "BUFFER_BYTES", 64)
    path = tmp_path / "f"
    path.write_bytes(b"a" * 200)
    os.utime(path, (1, 1))
    real, calls = os.read, []

    def read(fd: int, count: int) -> bytes:
        data = real(fd, count)
        calls.append(count)
        if len(calls) == 2:
            alter(path, change)
        return data

    monkeypatch.setattr(os, "read", read)
    with pytest.raises(SourceChanged) as caught:
        store.objects.put_file(path)
    monkeypatch.undo()
    assert caught.value.id == "toctou"
    assert list(store.objects.ids()) == []
    assert list((store.root / "objects" / "quarantine").iterdir()) == []


def test_put_file_takes_regular_files_only(store: Store, tmp_path: Path) -> None:
    """A pipe or a folder is refused without waiting, and a missing file is unreadable."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(SpecialFile):
            store.objects.put_file(path)
    with pytest.raises(SourceUnreadable):
        store.objects.put_file(tmp_path / "missing")


def test_listing_and_prefixes(store: Store) -> None:
    """ids() is sorted and complete, find_prefix finds by 6 to 64 digits, and foreign files are passed over."""
    put = sorted(store.objects.put("blob", b"%d" % i) for i in range(300))
    large = store.root / "objects" / "large"
    (large / "zz").mkdir()
    (large / "README").write_text("x")
    (large / put[0].hex()[:2] / "notes.txt").write_text("x")
    assert list(store.objects.ids()) == put
    for oid in put[:20]:
        assert store.objects.find_prefix(oid.hex()[:6]) == [o for o in put if o.hex().startswith(oid.hex()[:6])]
        assert store.objects.find_prefix(oid.hex()) == [oid]
    assert store.objects.find_prefix("00" * 32) == []
    for bad in ("", "abcde", "ABCDEF", "xyzxyz", "../../", "0" * 65):
        with pytest.raises(IdError):
            store.objects.find_prefix(bad)


def test_find_prefix_sees_all_that_share_it(store: Store) -> None:
    """Two objects whose ids begin alike are both found."""
    folder = store.root / "objects" / "large" / "ab"
    folder.mkdir()
    ids = [ObjectId(bytes.fromhex("abcdef" + end * 58)) for end in "07"]
    for oid in ids:
        object_file(store, oid).write_bytes(b"")
    assert store.objects.find_prefix("abcdef") == ids
    assert store.objects.find_prefix("abcdef7") == ids[1:]


def test_batches_nest_and_survive_an_error(store: Store) -> None:
    """Inside a batch objects can be read at once; an error ends the batch and the next one works."""
    with store.objects.batch():
        oid = store.objects.put("blob", b"one")
        with store.objects.batch():
            assert store.objects.read("blob", oid) == b"one"
    with pytest.raises(KeyError), store.objects.batch():
        {}[store.objects.put("blob", b"two")]
    assert store.objects.read("blob", store.objects.put("blob", b"two")) == b"two"
    assert object_id("blob", b"two") in set(store.objects.ids())
