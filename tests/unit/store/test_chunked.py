"""Chunked blobs: whole when read, cheap when changed, damage found and named, kept and freed with what needs them."""

import hashlib
import io
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omphalos.format.ids import ObjectId, blob_id
from omphalos.format.tree import TreeEntry, encode_tree
from omphalos.runs.verify_store import verify_store
from omphalos.store import chunked, chunking
from omphalos.store.checkout import checkout
from omphalos.store.chunked import Chunk, decode, encode
from omphalos.store.closure import closure
from omphalos.store.durable import Disk, StoreIOError
from omphalos.store.fsck import FsckReport, from_folder, from_store, fsck, rebuild_index
from omphalos.store.gc import GcRefused, gc
from omphalos.store.objects import KindMismatch, ObjectDamaged, ObjectMissing
from omphalos.store.store import Store
from omphalos.store.trees import put_directory, walk
from omphalos.testing.damage import flip, lose

MIB = 1 << 20
PAGE = Path(__file__).parents[3] / "docs" / "format" / "store.md"
BIG = random.Random(1).randbytes(3 * MIB)
EDITED = BIG[:MIB] + b"inserted" * 1000 + BIG[MIB:]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make chunks of 64 to 2,048 bytes."""
    monkeypatch.setattr(chunking, "MIN_CHUNK", 64)
    monkeypatch.setattr(chunking, "MAX_CHUNK", 2048)
    monkeypatch.setattr(chunking, "_FIRST_FROM", np.uint64((1 << 64) - (1 << 61)))


@pytest.fixture
def big(store: Store, tmp_path: Path) -> tuple[Store, ObjectId]:
    """Return a store with a tree of one chunked blob, ``d/big``, and the blob's id; the tag ``t`` names the tree."""
    (tmp_path / "src" / "d").mkdir(parents=True)
    (tmp_path / "src" / "d" / "big").write_bytes(BIG)
    store.objects.chunk_above = MIB
    tree, _ = put_directory(store, tmp_path / "src")
    store.refs.set("tags/t", tree, old=None)
    return store, blob_id(BIG)


def used(store: Store) -> int:
    """Return how many bytes of objects a store holds, in records, files and lists."""
    folders = ("packs", "large", "chunked")
    return sum(p.stat().st_size for name in folders for p in (store.root / "objects" / name).rglob("*") if p.is_file())


def cut(data: bytes, piece: int = 1 << 30) -> list[bytes]:
    cutter = chunking.Cutter()
    return [
        *(chunk for at in range(0, len(data), piece) for chunk in cutter.feed(data[at : at + piece])),
        *cutter.finish(),
    ]


def found(report: FsckReport) -> list[tuple[str, str]]:
    return [(problem.id.value, problem.object) for problem in report.problems]


# ── cutting ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sizes_of_chunks() -> None:
    """Every chunk but the last has 64 KiB to 1 MiB, the average of random bytes is near 256 KiB, nothing is lost."""
    data = random.Random(7).randbytes(48 * MIB)
    chunks = cut(data)
    assert b"".join(chunks) == data
    sizes = [len(chunk) for chunk in chunks]
    assert all(64 * 1024 <= size <= MIB for size in sizes[:-1])
    assert 200 * 1024 < sum(sizes) / len(sizes) < 320 * 1024


@pytest.mark.parametrize("piece", [1, 100_003, MIB, 5 * MIB])
def test_cuts_do_not_depend_on_pieces(piece: int) -> None:
    """The same bytes are cut at the same places however they arrive."""
    data = BIG if piece > 1 else BIG[:1000]
    assert cut(data, piece) == cut(data)


def test_what_repeats_is_cut_at_the_most() -> None:
    """Bytes that repeat one another are no cut at every place: each makes chunks of 1 MiB, which are all the same."""
    for byte in range(256):
        assert [len(chunk) for chunk in cut(bytes([byte]) * (2 * MIB + 5))] == [MIB, MIB, 5]


@pytest.mark.usefixtures("small_chunks")
def test_many_candidates_end_at_the_same_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many places are judged at a time changes nothing."""
    data = BIG[: MIB // 4]
    before = cut(data)
    monkeypatch.setattr(chunking, "_FEW", 3)
    monkeypatch.setattr(chunking, "_BLOCK", 100)
    monkeypatch.setattr(chunking, "_SLICE", 1000)
    assert cut(data) == before
    assert len(before) > 100


# ── putting and reading ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_chunked_blob_is_a_blob(big: tuple[Store, ObjectId], tmp_path: Path) -> None:
    """Read, streamed, copied, listed and found by prefix it is what was put, by this instance and another."""
    store, oid = big
    assert not store.objects.loose.has(oid)
    assert len(store.objects.chunks_of(oid)) > 5
    rebuild_index(store)
    for one in (store, Store.open(store.root)):
        assert one.objects.read("blob", oid) == BIG
        assert one.objects.has(oid)
        assert one.objects.size(oid) == len(BIG)
        assert one.objects.kind_of(oid) == "blob"
        assert oid in list(one.objects.ids())
        assert one.objects.find_prefix(oid.hex()[:8]) == [oid]
        with one.objects.open(oid) as stream:
            stream.seek(MIB - 3)
            assert stream.read(9) == BIG[MIB - 3 : MIB + 6]
            stream.seek(-5, os.SEEK_END)
            assert stream.read() == BIG[-5:]
            stream.seek(0)
            assert stream.read() == BIG
        with (tmp_path / "copy").open("wb") as copy:
            assert one.objects.copy_to(oid, copy.fileno()) == len(BIG)
        assert (tmp_path / "copy").read_bytes() == BIG
        for kind in ("tree", "run"):
            with pytest.raises(KindMismatch):
                one.objects.read(kind, oid)  # type: ignore[arg-type]  # of a list of two


@pytest.mark.usefixtures("small_chunks")
@given(
    seed=st.integers(0, 1 << 16),
    size=st.integers(0, 20_000),
    edits=st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 50), st.binary(max_size=300)), max_size=3),
)
@settings(max_examples=30, deadline=None)
def test_any_edit_comes_back(
    tmp_path_factory: pytest.TempPathFactory, seed: int, size: int, edits: list[tuple[int, int, bytes]]
) -> None:
    """A file and its edited version come back exactly, digests included, whatever was shared between them."""
    store = Store.init(tmp_path_factory.mktemp("chunks") / "s", pack_limit=100)
    first = random.Random(seed).randbytes(size)
    second = first
    for at, gone, new in edits:
        second = second[:at] + new + second[at + gone :]
    for data in (first, second, first):
        stored = store.objects.put_stream(io.BytesIO(data), chunked=True)
        assert (stored.id, stored.size, stored.sha256) == (blob_id(data), len(data), hashlib.sha256(data).digest())
    for one in (store, Store.open(store.root)):
        assert [one.objects.read("blob", blob_id(data)) for data in (first, second)] == [first, second]
    store.objects.end_lease()
    assert fsck(store).problems == []
    assert verify_store(store.root).findings == ()


def test_an_edit_costs_what_it_changes(store: Store) -> None:
    """Bytes inserted in the middle cost the chunks around them and a list; putting again costs nothing."""
    store.objects.put_stream(io.BytesIO(BIG), chunked=True)
    before = used(store)
    assert len(BIG) < before < len(BIG) + 4096
    store.objects.put_stream(io.BytesIO(EDITED), chunked=True)
    after = used(store)
    assert after - before < 2 * MIB
    again = Store.open(store.root)
    for data in (BIG, EDITED):
        again.objects.put_stream(io.BytesIO(data), chunked=True)
        again.objects.put_stream(io.BytesIO(data))
        again.objects.put("blob", data)
    assert used(store) == after
    assert again.objects.read("blob", blob_id(EDITED)) == EDITED


def test_what_is_there_whole_is_not_stored_again(store: Store, tmp_path: Path) -> None:
    """A file that the store has as one file is not cut, and one of the same size that it has not is."""
    store.objects.put("blob", BIG)
    before = used(store)
    (tmp_path / "same").write_bytes(BIG)
    stored = store.objects.put_file(tmp_path / "same", chunked=True)
    assert (stored.id, stored.sha256) == (blob_id(BIG), hashlib.sha256(BIG).digest())
    assert used(store) == before
    (tmp_path / "other").write_bytes(BIG[::-1])
    assert store.objects.put_file(tmp_path / "other", chunked=True).id == blob_id(BIG[::-1])
    assert used(store) > before + len(BIG)
    assert store.objects.chunks_of(blob_id(BIG[::-1]))


def test_from_which_size_files_are_cut(store: Store, tmp_path: Path) -> None:
    """Files of ``chunk_above`` bytes and more are cut, smaller ones and those of a store without it are not."""
    (tmp_path / "f").write_bytes(BIG)
    store.objects.put_file(tmp_path / "f")
    assert not list(store.objects.lists.scan())
    store.objects.chunk_above = len(BIG)
    (tmp_path / "f").write_bytes(BIG[1:])
    store.objects.put_file(tmp_path / "f")
    assert not list(store.objects.lists.scan())
    (tmp_path / "f").write_bytes(EDITED)
    oid = store.objects.put_file(tmp_path / "f").id
    assert list(store.objects.lists.scan()) == [oid]


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 70_000])
def test_a_single_chunk_is_the_blob_itself(store: Store, size: int) -> None:
    """What is no larger than one chunk is a record and needs no list."""
    data = BIG[:size] if size < 66_000 else bytes(size)
    oid = store.objects.put_stream(io.BytesIO(data), chunked=True).id
    assert store.objects.read("blob", oid) == data
    assert not (store.root / "objects" / "chunked").exists()
    assert list(store.objects.loose.scan()) == []


def test_only_cutting_loads_numpy(tmp_path: Path) -> None:
    """Reading and checking a store that holds a chunked blob loads no numpy; cutting does."""
    store = Store.init(tmp_path / "s")
    oid = store.objects.put_stream(io.BytesIO(BIG), chunked=True).id
    store.refs.set("tags/t", oid, old=None)
    store.objects.end_lease()
    program = (
        "import sys; from pathlib import Path; from omphalos.store.store import Store;"
        "from omphalos.store.fsck import fsck;"
        f"s = Store.open(Path({str(store.root)!r})); oid = s.refs.get('tags/t');"
        f"assert len(s.objects.read('blob', oid)) == {len(BIG)};"
        "assert fsck(s).clean; s.objects.put('blob', b'x' * 70000); assert 'numpy' not in sys.modules;"
        "import io; s.objects.put_stream(io.BytesIO(bytes(3000000)), chunked=True); assert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("how", [{}, {"link": True}, {"reflink": "auto"}])
@pytest.mark.parametrize("there", [False, True])
def test_checkout(big: tuple[Store, ObjectId], tmp_path: Path, how: dict[str, Any], there: bool) -> None:
    """A checkout in any mode, into a new folder or one that exists, writes a file of its own with the right bytes."""
    store, oid = big
    root = store.refs.get("tags/t")
    assert root is not None
    if there:
        (tmp_path / "out").mkdir()
    checkout(store, root, tmp_path / "out", **how)
    assert (tmp_path / "out" / "d" / "big").read_bytes() == BIG
    assert (tmp_path / "out" / "d" / "big").stat().st_nlink == 1
    assert not list((store.root / "objects").glob("l*/*/*"))
    flip(store, store.objects.chunks_of(oid)[-1].id)
    with pytest.raises(ObjectDamaged):
        checkout(store, root, tmp_path / "again", **how)
    assert not (tmp_path / "again").exists()


# ── lists ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_any_change_of_a_list_is_seen() -> None:
    """A list is read back; with any bit flipped, any byte cut off or added it is none."""
    good = encode([Chunk(blob_id(b"a"), 1), Chunk(blob_id(b"bc"), 2)])
    assert decode(good) == chunked.ChunkList(3, (Chunk(blob_id(b"a"), 1), Chunk(blob_id(b"bc"), 2)))
    for at in range(len(good) * 8):
        bad = bytearray(good)
        bad[at // 8] ^= 1 << at % 8
        assert decode(bytes(bad)) is None
    for size in range(len(good)):
        assert decode(good[:size]) is None
    assert decode(good + b"\0") is None


def test_the_page_shows_a_list() -> None:
    """The list on the format page is the one the code writes."""
    shown = re.search(r"```vector list\n([0-9a-f]+)\n```", PAGE.read_text("utf-8"))
    assert shown
    assert bytes.fromhex(shown[1]) == encode([Chunk(blob_id(b"abc"), 3), Chunk(blob_id(b"d"), 1)])
    assert blob_id(b"abcd").hex() in PAGE.read_text("utf-8")


@pytest.mark.parametrize(
    ("chunks", "size"),
    [
        ([], 0),
        ([Chunk(blob_id(b""), 0)], 0),
        ([Chunk(blob_id(b"a"), MIB + 1)], MIB + 1),
        ([Chunk(blob_id(b"a"), 1)], 2),
    ],
)
def test_lists_that_mean_nothing(chunks: list[Chunk], size: int) -> None:
    """No chunks, an empty one, one longer than a record, and a sum that is not the size make no list."""
    from blake3 import blake3

    data = encode(chunks)[:-32]
    data = data[:16] + size.to_bytes(8, "little") + data[24:]
    assert decode(data + blake3(data).digest()) is None


@pytest.mark.parametrize("target", ["itself", "another list"])
def test_a_list_is_no_chunk(store: Store, target: str) -> None:
    """A list that names itself or another list as a chunk is never followed: the blob is not there."""
    other = store.objects.put_stream(io.BytesIO(BIG), chunked=True).id
    oid = blob_id(b"nothing has this")
    part = oid if target == "itself" else other
    with store.objects.batch():
        store.objects.begin()
        store.objects.put_list(oid, encode([Chunk(part, MIB), Chunk(part, MIB)]))
        assert not store.objects.present(oid, 2 * MIB)
    store.refs.set("tags/t", oid, old=None)
    assert not store.objects.has(oid)
    with pytest.raises(ObjectMissing):
        store.objects.read("blob", oid)
    assert ("refDangling", oid.hex()) in found(fsck(store))
    assert [(f.id.value, f.path) for f in verify_store(store.root).findings] == [("refDangling", "refs/tags/t")]


# ── damage ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("quarantine", [False, True])
def test_a_damaged_list_is_found(big: tuple[Store, ObjectId], quarantine: bool) -> None:
    """A flipped bit in a list is one finding that names blob, place, ref and path; reading says it too; gc stops."""
    store, oid = big
    flip(store, oid, 100)
    place = f"objects/chunked/{oid.hex()[:2]}/{oid.hex()[2:]}"
    assert not store.objects.has(oid)
    with pytest.raises(ObjectDamaged) as caught:
        store.objects.read("blob", oid)
    assert place in (caught.value.hint or "")
    assert [(f.id.value, f.path) for f in verify_store(store.root).findings] == [
        ("objectDamaged", place),
        ("objectMissing", oid.hex()),
    ]
    with pytest.raises(GcRefused):
        gc(store)
    report = fsck(store, quarantine=quarantine)
    named = [p for p in report.problems if p.object == oid.hex() and p.place == place]
    assert [p.id.value for p in named] == ["objectDamaged"]
    assert "tags/t:d/big" in [path for p in report.problems for path in p.needed_by if p.object == oid.hex()]
    assert len(report.quarantined) == quarantine
    assert (store.root / place).exists() is not quarantine


def test_a_damaged_chunk_is_found(big: tuple[Store, ObjectId]) -> None:
    """A flipped bit in a chunk names the chunk, its record, and the path of the blob that needs it."""
    store, oid = big
    chunk = store.objects.chunks_of(oid)[2]
    flip(store, chunk.id, 5)
    for read in (lambda: store.objects.read("blob", oid), lambda: store.objects.kind_of(oid)):
        with pytest.raises(ObjectDamaged) as caught:
            read()
        assert caught.value.expected == chunk.id
    with pytest.raises(ObjectDamaged), store.objects.open(oid) as stream:
        stream.read()
    report = fsck(store)
    assert found(report) == [("objectDamaged", chunk.id.hex())]
    assert report.problems[0].needed_by == ["tags/t:d/big"]
    findings = [f.id.value for f in verify_store(store.root).findings]
    assert findings == ["objectDamaged", "objectMissing"]


def test_a_missing_chunk_is_found(big: tuple[Store, ObjectId]) -> None:
    """Without one of its chunks the blob is not there, and both are named."""
    store, oid = big
    chunk = store.objects.chunks_of(oid)[2]
    lose(store, chunk.id)
    again = Store.open(store.root)
    assert not again.objects.has(oid)
    with pytest.raises(ObjectMissing):
        again.objects.size(oid)
    with pytest.raises(ObjectMissing), Path(os.devnull).open("wb") as sink:
        again.objects.copy_to(oid, sink.fileno())
    missing = {p.object for p in fsck(again).problems if p.id.value == "objectMissing"}
    assert missing == {oid.hex(), chunk.id.hex()}


@pytest.mark.parametrize("damage", ["list", "chunk", "lost list", "lost chunk", "wrong list"])
@pytest.mark.parametrize("source", ["store", "chunked store", "folder"])
def test_repair(big: tuple[Store, ObjectId], tmp_path: Path, damage: str, source: str) -> None:
    """What is damaged or missing of a chunked blob comes back from a store, whole or cut, or a folder of files."""
    store, oid = big
    other = Store.init(tmp_path / "other")
    other.objects.put_stream(io.BytesIO(BIG), chunked=source == "chunked store")
    chunk = store.objects.chunks_of(oid)[2].id
    if damage == "wrong list":
        with store.objects.batch():
            store.objects.begin()
            store.objects.put_list(oid, encode(store.objects.chunks_of(oid)[::-1]))
        assert [(f.id.value) for f in verify_store(store.root).findings] == ["objectDamaged", "objectMissing"]
    else:
        (lose if "lost" in damage else flip)(store, oid if "list" in damage else chunk)
    report = fsck(store, repair=[from_folder(tmp_path / "src") if source == "folder" else from_store(other)])
    assert report.problems
    assert [problem for problem in report.problems if not problem.repaired] == []
    again = Store.open(store.root)
    assert again.objects.read("blob", oid) == BIG
    assert fsck(again).problems == []
    assert verify_store(store.root).findings == ()


def test_a_budget_counts_the_whole_blob(big: tuple[Store, ObjectId]) -> None:
    """A budget that is used up by the segments leaves the list unchecked, and says so; next time it comes first."""
    store, oid = big
    place = f"objects/chunked/{oid.hex()[:2]}/{oid.hex()[2:]}"
    seen = [fsck(store, budget=1).not_checked for _ in range(2)]
    assert [place in one for one in seen].count(False) == 1


def test_a_size_that_is_not_the_blobs(store: Store) -> None:
    """A tree that gives a chunked blob another size is told so by both checkers."""
    oid = store.objects.put_stream(io.BytesIO(BIG), chunked=True).id
    tree = store.objects.put("tree", encode_tree([TreeEntry("big", "blob", 7, oid)]))
    store.refs.set("tags/t", tree, old=None)
    assert found(fsck(store)) == [("sizeMismatch", oid.hex())]
    assert [(f.id.value, f.path) for f in verify_store(store.root).findings] == [("sizeMismatch", oid.hex())]


# ── gc, and writers that die ───────────────────────────────────────────────────────────────────────────────────────


def test_gc_keeps_what_a_list_needs(big: tuple[Store, ObjectId], tmp_path: Path) -> None:
    """The chunks of a blob that a ref leads to stay; those of another go with its list, but for what both share."""
    store, oid = big
    other = store.objects.put_stream(io.BytesIO(EDITED), chunked=True).id
    shared = {chunk.id for chunk in store.objects.chunks_of(oid)}
    alone = {chunk.id for chunk in store.objects.chunks_of(other)} - shared
    assert alone
    plan = gc(store, dry_run=True)
    report = gc(store)
    assert {freed for freed, _ in report.freed} == {other, *alone}
    assert report.freed == plan.unreachable
    assert report.document()["freed_bytes"] < 2 * MIB
    for one in (store, Store.open(store.root)):
        assert one.objects.read("blob", oid) == BIG
        assert not one.objects.has(other)
        assert other not in list(one.objects.ids())
    assert fsck(store).problems == []
    store.refs.delete("tags/t", old=store.refs.get("tags/t"))
    assert {oid, *shared} <= {freed for freed, _ in gc(store).freed}
    assert list(store.objects.ids()) == []


def test_a_put_brings_back_what_was_condemned(big: tuple[Store, ObjectId]) -> None:
    """While another writer keeps gc from freeing, a put of condemned chunks saves them, and the next gc frees none."""
    store, _ = big
    data = BIG[::-1]
    oid = store.objects.put_stream(io.BytesIO(data), chunked=True).id
    store.objects.end_lease()
    waiting = Store.open(store.root)
    waiting.objects.begin()
    assert oid in gc(store).deferred
    writer = Store.open(store.root)
    with writer.objects.batch():
        writer.objects.begin()
        assert not writer.objects.present(oid, len(data))
    assert writer.objects.put_stream(io.BytesIO(data), chunked=True).id == oid
    writer.refs.set("tags/kept", oid, old=None)
    for one in (waiting, writer):
        one.objects.end_lease()
    for _ in range(2):
        gc(store)
        assert Store.open(store.root).objects.read("blob", oid) == data
    assert fsck(Store.open(store.root)).problems == []


def test_a_ref_is_refused_if_a_chunk_is_gone(store: Store) -> None:
    """A writer whose chunk gc has taken since it looked cannot move a ref to the blob."""
    oid = store.objects.put_stream(io.BytesIO(BIG), chunked=True).id
    lose(store, store.objects.chunks_of(oid)[1].id)
    store.objects.catalog.ask(lambda index: index.update(bump=True))
    with pytest.raises(ObjectMissing):
        store.refs.set("tags/t", oid, old=None)


def test_the_closure_names_each_chunk(big: tuple[Store, ObjectId]) -> None:
    """A chunked blob is followed by its chunks, once, with its path; one that stands whole by none."""
    store, oid = big
    root = store.refs.get("tags/t")
    assert root is not None
    met = [(m.path, m.id) for m in closure(store.objects, root, set()) if m.path == "d/big"]
    assert met == [("d/big", oid), *(("d/big", chunk.id) for chunk in store.objects.chunks_of(oid))]
    with store.objects.loose.incoming() as incoming:
        incoming.write(BIG)
        store.objects.loose.admit(incoming, oid)
    assert [m.id for m in closure(store.objects, root, set()) if m.path == "d/big"] == [oid]
    assert [path for path, _, _ in walk(store, root)] == ["d/big"]


class Dies(Disk):
    """A disk that ends the writer at the n-th call of one kind."""

    def __init__(self, call: str, count: int) -> None:
        self.call, self.left = call, count

    def _count(self, name: str) -> None:
        if name == self.call:
            self.left -= 1
            if self.left <= 0:
                raise OSError(5, "input/output error")


def _dying(name: str) -> Callable[..., object]:
    def method(self: Dies, *args: object, **more: object) -> object:
        self._count(name)
        return getattr(Disk, name)(self, *args, **more)

    return method


for _name in ("write", "sync_data", "rename", "sync_folder", "set_mode", "create"):
    setattr(Dies, _name, _dying(_name))


@pytest.mark.parametrize("call", ["write", "sync_data", "rename", "sync_folder", "set_mode", "create"])
def test_a_writer_that_fails_leaves_nothing_half(tmp_path: Path, call: str) -> None:
    """Wherever a put ends early, no list is visible without its chunks, and the next put is whole."""
    Store.init(tmp_path / "s")
    for number in range(1, 30):
        done = True
        try:
            Store.open(tmp_path / "s", disk=Dies(call, number)).objects.put_stream(io.BytesIO(BIG), chunked=True)
        except StoreIOError:
            done = False
        again = Store.open(tmp_path / "s")
        for oid in again.objects.lists.scan():
            assert again.objects.read("blob", oid) == BIG
        assert done <= again.objects.has(blob_id(BIG))
        assert fsck(again).problems == []
        assert verify_store(tmp_path / "s").findings == ()
        if done:
            break
        for folder in ("packs", "chunked"):
            for path in sorted((tmp_path / "s" / "objects" / folder).rglob("*")):
                if path.is_file():
                    path.unlink()
    assert done
    assert number > 1


@pytest.fixture
def lists(big: tuple[Store, ObjectId]) -> Path:
    """Return where the list of the blob lies."""
    return big[0].objects.lists.path(big[1])


@pytest.mark.parametrize("what", ["link", "folder", "huge"])
def test_what_is_no_file_is_no_list(big: tuple[Store, ObjectId], lists: Path, what: str) -> None:
    """A link, a folder and a file too long for a list are found in its place, and nothing hangs or fills memory."""
    store, oid = big
    lists.unlink()
    if what == "link":
        lists.symlink_to("/dev/zero")
    elif what == "folder":
        lists.mkdir()
    else:
        with lists.open("wb") as stream:
            stream.truncate(1 << 40)
    assert not store.objects.has(oid)
    words = {"link": "symlinkEntry", "folder": "specialFile", "huge": "objectDamaged"}
    findings = verify_store(store.root).findings
    assert [f.id.value for f in findings] == sorted([words[what], "objectMissing"])
    assert not fsck(store).clean
