"""gc frees what no ref leads to and nothing else, logs it, and respects writers and holds."""

import os
from pathlib import Path

import pytest

from omphalos.format.ids import ObjectId
from omphalos.store.gc import GcBusy, GcRefused, LogBroken, NoRunToHold, _alone, deletions, gc, hold, holds, release
from omphalos.store.objects import ObjectMissing
from omphalos.store.refs import RefHeld
from omphalos.store.store import Store
from omphalos.store.trees import put_directory, put_paths, walk
from omphalos.testing.damage import lose


def folder(root: Path, name: str, count: int = 5) -> Path:
    for n in range(count):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / f"{n}").write_bytes(f"{name}{n}".encode() * (20_000 if n == 0 else 1))
    return root / name


def everything(store: Store, tree: ObjectId) -> int:
    return sum(len(store.objects.read("blob", oid)) for _, _, oid in walk(store, tree))


@pytest.fixture
def two(tmp_path: Path) -> tuple[Store, ObjectId, ObjectId]:
    """Return a store with a kept and an unreachable tree; one object of each is large."""
    store = Store.init(tmp_path / "store")
    keep, _ = put_directory(store, folder(tmp_path, "keep"))
    drop, _ = put_directory(store, folder(tmp_path, "drop"))
    store.refs.set("tags/keep", keep, old=None)
    return store, keep, drop


def test_frees_what_nothing_leads_to(two: tuple[Store, ObjectId, ObjectId]) -> None:
    """A dry run names what gc then frees; the rest is whole; the log names every object; the next gc finds nothing."""
    store, keep, drop = two
    ids = set(store.objects.ids())
    plan = gc(store, dry_run=True)
    assert set(store.objects.ids()) == ids
    report = gc(store)
    assert report.freed == plan.unreachable == report.unreachable
    assert len(report.freed) == 6
    assert report.deferred == []
    for other in (store, Store.open(store.root)):
        assert set(other.objects.ids()) == ids - {oid for oid, _ in report.freed}
        assert everything(other, keep) == 20_000 * 5 + 20
        with pytest.raises(ObjectMissing):
            everything(other, drop)
    assert [(row["id"], row["size"]) for row in deletions(store)] == [(oid.hex(), n) for oid, n in report.freed]
    assert gc(store).freed == []
    assert not list((store.root / "objects" / "trash").iterdir())
    for path in (store.root / "objects" / "index").iterdir():
        path.unlink()
    assert set(Store.open(store.root).objects.ids()) == ids - {oid for oid, _ in report.freed}
    assert report.document()["freed_bytes"] == sum(size for _, size in report.freed)


def test_a_writer_at_work_defers(two: tuple[Store, ObjectId, ObjectId], tmp_path: Path) -> None:
    """While a writer that began before lives nothing is freed, and what it then names is there; afterwards it goes."""
    store, _, drop = two
    store.objects.end_lease()
    writer = Store.open(store.root)
    assert put_directory(writer, tmp_path / "drop")[0] == drop
    report = gc(Store.open(store.root))
    assert (report.freed, report.leases, len(report.deferred)) == ([], 1, 6)
    writer.refs.set("tags/drop", drop, old=None)
    del writer
    assert gc(Store.open(store.root)).freed == []
    assert everything(store, drop) == 20_000 * 5 + 20
    store.refs.delete("tags/drop", old=drop)
    assert len(gc(Store.open(store.root)).freed) == 6


def test_a_put_resurrects(two: tuple[Store, ObjectId, ObjectId], tmp_path: Path) -> None:
    """What is condemned and put again is whole after the sweep, whether it was a record or a file."""
    store, _, drop = two
    store.objects.end_lease()
    blocker = Store.open(store.root)
    blocker.objects.begin()
    gc(Store.open(store.root))
    writer = Store.open(store.root)
    put_directory(writer, tmp_path / "drop")
    writer.refs.set("tags/again", drop, old=None)
    blocker.objects.end_lease()
    report = gc(Store.open(store.root))
    assert report.unreachable == []
    assert everything(Store.open(store.root), drop) == 20_000 * 5 + 20


def test_a_writer_that_stays_defers_again(two: tuple[Store, ObjectId, ObjectId]) -> None:
    """Gc after gc frees nothing while the writer that was there when the set was written is still at work."""
    store, _, _ = two
    store.objects.end_lease()
    writer = Store.open(store.root)
    writer.objects.begin()
    for _ in range(3):
        report = gc(Store.open(store.root))
        assert (report.freed, len(report.deferred), report.leases) == ([], 6, 1)
    writer.objects.end_lease()
    assert len(gc(Store.open(store.root)).freed) == 6


def test_what_is_put_again_waits_for_its_ref(two: tuple[Store, ObjectId, ObjectId], tmp_path: Path) -> None:
    """What is condemned and put again stays while its writer is at work, also before a ref leads to it."""
    store, _, drop = two
    store.objects.end_lease()
    blocker = Store.open(store.root)
    blocker.objects.begin()
    gc(Store.open(store.root))
    writer = Store.open(store.root)
    put_directory(writer, tmp_path / "drop")
    blocker.objects.end_lease()
    assert gc(Store.open(store.root)).freed == []
    writer.refs.set("tags/again", drop, old=None)
    assert everything(Store.open(store.root), drop) == 20_000 * 5 + 20


def test_older_condemned_go_beside_a_new_writer(two: tuple[Store, ObjectId, ObjectId]) -> None:
    """Writers that began after the set was written do not keep gc from sweeping it."""
    store, _, _ = two
    store.objects.end_lease()
    old = Store.open(store.root)
    old.objects.begin()
    assert len(gc(Store.open(store.root)).deferred) == 6
    new = Store.open(store.root)
    new.objects.begin()
    old.objects.end_lease()
    assert len(gc(Store.open(store.root)).freed) == 6


def test_a_ref_to_what_was_taken_is_refused(two: tuple[Store, ObjectId, ObjectId]) -> None:
    """Who put objects, lost its lease, and names them after gc took them, hears so; the ref is not made."""
    store, _, drop = two
    other = Store.open(store.root)
    other.objects.begin()
    other.objects.end_lease()
    store.objects.end_lease()
    assert len(gc(Store.open(store.root)).freed) == 6
    with pytest.raises(ObjectMissing):
        other.refs.set("tags/late", drop, old=None)
    assert other.refs.get("tags/late") is None


def test_a_hold(store: Store, tmp_path: Path) -> None:
    """A run on hold keeps its ref and its objects; released, both can go."""
    run = store.objects.put("run", b"not read here")
    store.refs.set("runs/r-000000000000", run, old=None)
    assert hold(store, "r-000000000000") == run
    assert holds(store) == ["r-000000000000"]
    with pytest.raises(RefHeld):
        store.refs.delete("runs/r-000000000000", old=run)
    with pytest.raises(RefHeld):
        store.refs.set("runs/r-000000000000", ObjectId(bytes(32)), old=run)
    assert store.objects.has(run)
    release(store, "r-000000000000")
    store.refs.delete("runs/r-000000000000", old=run)
    assert [oid for oid, _ in gc(store).freed] == [run]
    with pytest.raises(NoRunToHold):
        hold(store, "r-000000000000")


def test_a_damaged_store_is_left_alone(two: tuple[Store, ObjectId, ObjectId]) -> None:
    """Where a tree that a ref leads to is missing nothing is freed."""
    store, keep, _ = two
    before = set(store.objects.ids())
    lose(store, keep)
    with pytest.raises(GcRefused):
        gc(store)
    assert before - set(store.objects.ids()) == {keep}


def test_one_gc_at_a_time(store: Store) -> None:
    """A second gc is refused while one runs."""
    with _alone(store), pytest.raises(GcBusy):
        gc(store)


def test_shared_objects_stay(store: Store) -> None:
    """An object in a kept and in a dropped tree stays."""
    with store.objects.batch():
        shared, own = store.objects.put("blob", b"shared"), store.objects.put("blob", b"own")
        keep, _ = put_paths(store, {"a": (6, shared)})
        put_paths(store, {"a": (6, shared), "b": (3, own)})
    store.refs.set("tags/keep", keep, old=None)
    freed = {oid for oid, _ in gc(store).freed}
    assert own in freed
    assert shared not in freed
    assert everything(store, keep) == 6


@pytest.mark.parametrize("change", ["edit", "remove", "swap"])
def test_the_log_is_a_chain(two: tuple[Store, ObjectId, ObjectId], change: str) -> None:
    """A line of the log that was edited, taken out or moved is found."""
    store, _, _ = two
    gc(store)
    path = store.root / "objects" / "deletions.log"
    lines = path.read_bytes().splitlines(keepends=True)
    if change == "edit":
        lines[2] = lines[2].replace(b"unreachable", b"unreachablE")
    elif change == "remove":
        del lines[1]
    else:
        lines[0], lines[1] = lines[1], lines[0]
    path.write_bytes(b"".join(lines))
    with pytest.raises(LogBroken):
        deletions(store)


def test_no_lease_is_left(store: Store) -> None:
    """A store that goes away leaves no lease."""
    other = Store.open(store.root)
    other.objects.put("blob", b"x")
    assert len(os.listdir(store.root / "objects" / "leases")) == 1
    del other
    assert os.listdir(store.root / "objects" / "leases") == []
