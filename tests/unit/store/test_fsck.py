"""fsck finds every damage, says whom it concerns, deletes nothing, and repairs from elsewhere."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from omphalos.format.ids import ObjectId, blob_id
from omphalos.format.tree import TreeEntry, encode_tree
from omphalos.store import packs, scrub
from omphalos.store.fsck import FsckReport, from_folder, from_store, fsck, rebuild_index
from omphalos.store.objects import PACK_LIMIT
from omphalos.store.store import Store
from omphalos.store.trees import put_directory, walk
from omphalos.testing.damage import flip, flip_bit, lose

FILES = {"a": b"first", "d/b": b"second", "big": b"L" * 70_000, "empty": b""}


@pytest.fixture
def filled(tmp_path: Path) -> tuple[Store, ObjectId]:
    """Return a store with one tree, named by a tag."""
    for path, data in FILES.items():
        (tmp_path / "src" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / path).write_bytes(data)
    store = Store.init(tmp_path / "store")
    tree, _ = put_directory(store, tmp_path / "src")
    store.refs.set("tags/t", tree, old=None)
    return store, tree


def ids(report: FsckReport) -> set[tuple[str, str]]:
    return {(problem.id.value, problem.object) for problem in report.problems}


def test_a_good_store_is_clean(filled: tuple[Store, ObjectId]) -> None:
    """Everything is counted once and nothing is found."""
    report = fsck(filled[0])
    assert (report.problems, report.clean, report.refs) == ([], True, 1)
    assert report.objects == 6
    assert report.document()["clean"] is True


@pytest.mark.parametrize("path", ["a", "d/b", "big"])
@pytest.mark.parametrize("quarantine", [False, True])
def test_damage_names_refs_and_paths(filled: tuple[Store, ObjectId], path: str, quarantine: bool) -> None:
    """A flipped bit gives one finding with the ref and path; quarantine keeps the bytes and changes no finding."""
    store, _ = filled
    oid = blob_id(FILES[path])
    flip(store, oid)
    report = fsck(store, quarantine=quarantine)
    assert not report.clean
    named = [p for p in report.problems if p.object == oid.hex() and f"tags/t:{path}" in p.needed_by]
    assert len(named) == 1
    assert named[0].id.value in ("objectDamaged", "objectMissing")
    assert len(report.quarantined) == quarantine
    for kept in report.quarantined:
        assert (store.root / kept).is_file()
    left = fsck(Store.open(store.root))
    assert ids(left) == {("objectMissing" if quarantine else "objectDamaged", oid.hex())}


@pytest.mark.parametrize("path", ["a", "big", ""])
def test_repair(filled: tuple[Store, ObjectId], tmp_path: Path, path: str) -> None:
    """What is damaged or missing (a tree too, and what it hid) comes back from another store or a folder."""
    store, tree = filled
    other = Store.init(tmp_path / "other")
    put_directory(other, tmp_path / "src")
    if path:
        flip(store, blob_id(FILES[path]))
    else:
        lose(store, tree)
        lose(store, blob_id(FILES["a"]))
    report = fsck(store, repair=[from_store(other)])
    assert report.problems
    assert all(problem.repaired for problem in report.problems)
    assert fsck(Store.open(store.root)).problems == []
    if path:
        flip(store, blob_id(FILES[path]))
        assert fsck(store, repair=[from_folder(tmp_path / "src")]).clean
        assert fsck(Store.open(store.root)).problems == []
    assert {p: store.objects.read("blob", oid) for p, _, oid in walk(store, tree)} == FILES


def test_a_missing_object(filled: tuple[Store, ObjectId]) -> None:
    """A blob that is gone is named with its path; a ref to nothing is a dangling ref."""
    store, _ = filled
    lose(store, blob_id(FILES["big"]))
    store.refs.set("tags/none", blob_id(b"never"), old=None)
    (store.root / "refs" / "tags" / "bad").write_bytes(b"junk")
    report = fsck(store)
    assert {(p.id.value, p.object[:6]) for p in report.problems} == {
        ("objectMissing", blob_id(FILES["big"]).hex()[:6]),
        ("refDangling", blob_id(b"never").hex()[:6]),
        ("refMalformed", ""),
    }


@pytest.mark.parametrize("limit", [0, PACK_LIMIT])
def test_kinds_are_checked(store: Store, limit: int) -> None:
    """A blob named as a folder, and a tree named as a file, are found."""
    store = Store.open(store.root, pack_limit=limit)
    blob = store.objects.put("blob", b"\x90")
    node = encode_tree([TreeEntry("f", "blob", 1, blob)])
    inner = store.objects.put("tree", node)
    liar = encode_tree([TreeEntry("x", "blob", len(node), inner), TreeEntry("y", "tree", 1, blob)])
    tree = store.objects.put("tree", liar)
    store.refs.set("tags/t", tree, old=None)
    found = {(p.id.value, tuple(p.needed_by)) for p in fsck(store).problems}
    assert found == {("typeMismatch", ("tags/t:x",)), ("typeMismatch", ("tags/t:y/",))}


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    """One flipped bit at any byte of any object or ref of a small store is found, whatever the index knows."""
    store = Store.init(tmp_path / "s")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "f").write_bytes(b"x")
    tree, _ = put_directory(store, tmp_path / "src")
    with store.objects.batch():
        big = store.objects.put("blob", b"y" * 70)
    loose = Store.open(store.root, pack_limit=0)
    loose.objects.put("blob", b"z" * 9)
    store.refs.set("tags/t", tree, old=None)
    store.refs.set("tags/b", big, old=None)
    del store, loose
    files = [p for p in (tmp_path / "s").rglob("*") if p.is_file() and "index" not in p.parts and p.stat().st_size]
    assert len(files) == 4
    count = 0
    for path in files:
        for at in range(path.stat().st_size):
            flip_bit(path, at, at % 8)
            report = fsck(Store(tmp_path / "s"), workers=1)
            assert not report.clean, (path, at)
            flip_bit(path, at, at % 8)
            shutil.rmtree(tmp_path / "s" / "objects" / "index", ignore_errors=True)
            count += 1
    assert count > 300
    assert fsck(Store(tmp_path / "s")).problems == []


def test_budget(filled: tuple[Store, ObjectId]) -> None:
    """Small budgets, one after the other, get round to everything, and say what they left out."""
    store, _ = filled
    left = [frozenset(fsck(store, budget=1).not_checked) for _ in range(3)]
    assert all(left)
    assert not frozenset.intersection(*left)
    assert fsck(store, budget=10**9).not_checked == []


@pytest.mark.parametrize("wrong", ["ref", "record", "file"])
def test_a_budget_gets_round_although_something_stays_wrong(filled: tuple[Store, ObjectId], wrong: str) -> None:
    """A malformed ref, or damage nobody has mended, does not keep small budgets at the same units for ever."""
    store, _ = filled
    if wrong == "ref":
        (store.root / "refs" / "tags" / "bad").write_text("no id")
    else:
        flip(store, blob_id(FILES["a" if wrong == "record" else "big"]))
    reports = [fsck(store, budget=1) for _ in range(3)]
    assert not frozenset.intersection(*(frozenset(report.not_checked) for report in reports))
    assert not all(report.clean for report in reports)


def test_gc_frees_a_file_while_fsck_lists(filled: tuple[Store, ObjectId], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or list that goes away between being listed and being looked at is nobody's damage, and no failure."""
    store, _ = filled
    with store.objects.batch():
        extra = store.objects.put("blob", b"E" * 70_000)
    real = os.scandir

    def vanishing(place: Path) -> object:
        found = real(place)
        if extra.hex()[:2] == Path(place).name:
            entries = list(found)
            store.objects.loose.path(extra).unlink(missing_ok=True)
            return contextlib.nullcontext(entries)
        return found

    monkeypatch.setattr(scrub.os, "scandir", vanishing)
    assert fsck(store).problems == []


def test_a_segment_is_sealed_while_fsck_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage in an open segment is found although a writer seals it, under another name, before it is read."""
    store = Store.init(tmp_path / "store")
    oid = store.objects.put("blob", b"first" * 9)
    flip(store, oid)
    list_units = scrub.units

    def units(store: Store) -> list[tuple[str, int]]:
        listed = list_units(store)
        monkeypatch.setattr(packs, "SEAL_BYTES", 1)
        Store(store.root).objects.put("blob", b"second")
        assert [name for name, _ in listed] != [name for name, _ in list_units(store)]
        return listed

    monkeypatch.setattr(scrub, "units", units)
    report = fsck(store)
    assert ids(report) == {("objectDamaged", oid.hex())}
    assert report.objects == 2


def test_the_index_is_made_anew(filled: tuple[Store, ObjectId]) -> None:
    """A rebuilt index knows every record that is intact, and answers as before."""
    store, tree = filled
    assert rebuild_index(store) == {"segments": 1, "objects": 5}
    assert fsck(store).problems == []
    (store.root / "objects" / "index" / "data.mdb").write_bytes(b"garbage" * 1000)
    report = fsck(Store.open(store.root))
    assert report.clean
    assert {p: Store.open(store.root).objects.read("blob", oid) for p, _, oid in walk(store, tree)} == FILES
