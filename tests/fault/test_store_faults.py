"""Faults under the store: a full or failing disk, a process killed at any call, lost power, racing writers."""

import errno
import os
import random
import resource
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from omphalos.format.errors import OmphalosError
from omphalos.format.ids import ObjectId, blob_id
from omphalos.store import chunking
from omphalos.store.checkout import checkout
from omphalos.store.durable import Disk, StoreFull, StoreIOError, StoreReadOnly
from omphalos.store.fsck import fsck
from omphalos.store.objects import ObjectMissing
from omphalos.store.refs import ANY, RefConflict
from omphalos.store.store import Store
from omphalos.store.trees import lookup, put_directory, put_paths, walk
from omphalos.testing.damage import lose

CALLS = sorted(name for name in vars(Disk) if not name.startswith("_"))
Hook = Callable[[str, tuple[object, ...]], None]


class Quick(Disk):
    """A disk that does not wait: what a killed process wrote stays in the page cache, synced or not."""

    def sync_data(self, fd: int) -> None:
        """Return at once."""

    def sync_folder(self, fd: int) -> None:
        """Return at once."""


def hooked(before: Hook) -> Disk:
    """Return a disk that tells ``before`` of every call that is about to change it."""

    class Hooked(Quick):
        pass

    for name in CALLS:

        def call(self: Disk, *args: object, _name: str = name) -> object:
            before(_name, args)
            return getattr(Quick, _name)(self, *args)

        setattr(Hooked, name, call)
    return Hooked()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a folder of three files, one of them in a folder of its own."""
    root = tmp_path / "source"
    for path, data in {"a.csv": b"a" * 3000, "d/b.csv": b"b" * 10, "d/empty": b""}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def record(root: Path, source: Path, disk: Disk) -> None:
    """Do what recording a run does: objects, then the run object, then the refs."""
    store = Store(root, disk=disk)
    with store.objects.batch():
        tree, _ = put_directory(store, source)
        run = store.objects.put("run", b"manifest of " + tree)
    store.refs.set("runs/r", run, old=None)
    store.refs.set("tags/t", tree, old=None)
    store.refs.delete("tags/old", old=None)


def assert_sound(root: Path) -> list[str]:
    """Every visible object is intact and every ref leads to objects that are all there; return the refs."""
    store = Store.open(root)
    for oid in store.objects.ids():
        store.objects.kind_of(oid)
    names = store.refs.list()
    for name in names:
        oid = store.refs.get(name)
        assert oid is not None
        if store.objects.kind_of(oid) == "run":
            oid = ObjectId(store.objects.read("run", oid).removeprefix(b"manifest of "))
        for _, size, blob in walk(store, oid):
            assert len(store.objects.read("blob", blob)) == size
    return names


def count_calls(tmp_path: Path, work: Callable[[Path, Disk], None]) -> int:
    """Return how many calls an undisturbed ``work`` makes."""
    seen: list[str] = []
    root = tmp_path / "counted"
    Store.init(root)
    work(root, hooked(lambda name, _: seen.append(name)))
    return len(seen)


def leftovers(root: Path) -> list[str]:
    """Return what lies in the quarantine."""
    folder = root / "objects" / "quarantine"
    return os.listdir(folder) if folder.is_dir() else []


def outcome(work: Callable[[], None]) -> OmphalosError | None:
    """Return the typed error ``work`` raises, if any."""
    try:
        work()
    except OmphalosError as problem:
        return problem
    return None


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreIOError), (errno.EROFS, StoreReadOnly)],
)
def test_any_call_may_fail(tmp_path: Path, source: Path, number: int, error: type[StoreIOError]) -> None:
    """Whichever call fails: a typed error (or none, where it did not matter), a sound store, and a repeat succeeds."""
    total = count_calls(tmp_path, lambda root, disk: record(root, source, disk))
    failed = 0
    for at in range(total):
        root = tmp_path / f"s{at}"
        Store.init(root)
        left = [at]

        def before(name: str, args: tuple[object, ...], left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise OSError(number, os.strerror(number))

        problem = outcome(partial(record, root, source, hooked(before)))
        if problem is not None:
            assert type(problem) is error
            assert problem.hint
            failed += 1
        assert_sound(root)
        store = Store.open(root)
        for name in ("runs/r", "tags/t"):
            oid = store.refs.get(name)
            if oid is not None:
                store.refs.delete(name, old=oid)
        record(root, source, Quick())
        assert assert_sound(root) == ["runs/r", "tags/t"]
        assert leftovers(root) == []
    assert failed > total * 3 // 4


@pytest.fixture
def in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file that is cut into a few chunks of up to 2,048 bytes."""
    monkeypatch.setattr(chunking, "MIN_CHUNK", 64)
    monkeypatch.setattr(chunking, "MAX_CHUNK", 2048)
    (tmp_path / "big").write_bytes(random.Random(2).randbytes(9000))
    return tmp_path / "big"


def record_cut(root: Path, file: Path, disk: Disk) -> None:
    """Put a file in chunks, twice: what is there already must not be promised before it is durable either."""
    for name in ("a", "b"):
        store = Store(root, disk=disk, pack_limit=100)
        with store.objects.batch():
            cut = store.objects.put_file(file, sha256=False, chunked=True)
            tree, _ = put_paths(store, {"big": (cut.size, cut.id)})
        store.refs.set(f"tags/{name}", tree, old=ANY)


def assert_cut(root: Path, file: Path) -> list[str]:
    """The store is sound, and what a ref leads to can be read whole; return the refs."""
    names = assert_sound(root)
    assert fsck(Store.open(root), workers=1).problems == []
    store = Store.open(root)
    for name in names:
        tree = store.refs.get(name)
        assert tree is not None
        assert store.objects.read("blob", lookup(store, tree, "big").id) == file.read_bytes()
    return names


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, StoreFull), (errno.EIO, StoreIOError)])
def test_any_call_of_a_chunked_put_may_fail(
    tmp_path: Path, in_chunks: Path, number: int, error: type[StoreIOError]
) -> None:
    """Whichever call fails while a file is put in chunks: a typed error, no list without its chunks, a repeat works."""
    total = count_calls(tmp_path, lambda root, disk: record_cut(root, in_chunks, disk))
    assert len(list(Store.open(tmp_path / "counted").objects.lists.scan())) == 1
    failed = 0
    for at in range(total):
        root = tmp_path / f"s{at}"
        Store.init(root)
        left = [at]

        def before(name: str, args: tuple[object, ...], left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise OSError(number, os.strerror(number))

        problem = outcome(partial(record_cut, root, in_chunks, hooked(before)))
        if problem is not None:
            assert type(problem) is error
            failed += 1
        assert_cut(root, in_chunks)
        record_cut(root, in_chunks, Quick())
        assert assert_cut(root, in_chunks) == ["tags/a", "tags/b"]
        assert leftovers(root) == []
    assert failed > total * 2 // 3


@pytest.mark.parametrize("torn", [False, True])
def test_a_chunked_put_killed_at_any_call(tmp_path: Path, in_chunks: Path, torn: bool) -> None:
    """Killed at any call of a chunked put, the last write whole or half done: no list without its chunks."""
    total = count_calls(tmp_path, lambda root, disk: record_cut(root, in_chunks, disk))
    assert total > 20
    for at in range(total):
        root = tmp_path / f"s{at}"
        Store.init(root)
        status = child(partial(record_cut, root, in_chunks, killer(at, torn)))
        assert status == -signal.SIGKILL
        assert assert_cut(root, in_chunks) in ([], ["tags/a"], ["tags/a", "tags/b"])
        record_cut(root, in_chunks, Quick())
        assert assert_cut(root, in_chunks) == ["tags/a", "tags/b"]
        assert leftovers(root) == []


def test_power_lost_at_a_list_of_chunks(tmp_path: Path, in_chunks: Path) -> None:
    """When a list can become visible, its chunks and the folder of their segment are on the disk; so is it at a ref."""
    root = tmp_path / "store"
    Store.init(root)
    model, seen = PowerModel(), list[str]()

    def before(name: str, args: tuple[object, ...]) -> None:
        model.before(name, args, root / "refs", lambda: seen.append("ref"))
        if name == "rename" and "chunked" in Path(str(args[1])).parts:
            seen.append("list")
            assert not {path for path in model.loose if "packs" in path.parts}
            segments = [path.stat() for path in (root / "objects" / "packs").iterdir()]
            assert sum(segment.st_size for segment in segments) > in_chunks.stat().st_size  # all chunks are written
            assert not {segment.st_ino for segment in segments} & model.dirty  # and synced
        elif name == "rename" and (root / "refs") in Path(str(args[1])).parents:
            assert not {
                path for path in model.loose if (root / "objects") in path.parents and "quarantine" not in path.parts
            }

    record_cut(root, in_chunks, hooked(before))
    assert seen == ["list", "ref", "ref"]


def test_small_writes_lose_nothing(tmp_path: Path, source: Path) -> None:
    """A disk that takes one byte at a time stores the same objects."""

    class Slow(Disk):
        def write(self, fd: int, data: bytes | memoryview) -> int:
            return os.write(fd, bytes(data[:1]))

    Store.init(tmp_path / "slow")
    record(tmp_path / "slow", source, Slow())
    Store.init(tmp_path / "plain")
    record(tmp_path / "plain", source, Disk())
    assert assert_sound(tmp_path / "slow") == ["runs/r", "tags/t"]
    slow, plain = Store.open(tmp_path / "slow"), Store.open(tmp_path / "plain")
    assert list(slow.objects.ids()) == list(plain.objects.ids())


def child(work: Callable[[], None]) -> int:
    """Run ``work`` in a child process and return its exit status (negative: the signal)."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killer(at: int, torn: bool) -> Disk:
    """Return a disk whose process dies by SIGKILL at call number ``at``; ``torn`` first writes half the bytes."""
    left = [at]

    def before(name: str, args: tuple[object, ...]) -> None:
        left[0] -= 1
        if left[0] == -1:
            if torn and name == "write":
                fd, data = args
                assert isinstance(fd, int)
                assert isinstance(data, bytes | memoryview)
                os.write(fd, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

    return hooked(before)


@pytest.mark.parametrize("torn", [False, True])
def test_killed_at_any_call(tmp_path: Path, source: Path, torn: bool) -> None:
    """A process killed at any call that changes the disk leaves a sound store, and the next one clears up after it."""
    total = count_calls(tmp_path, lambda root, disk: record(root, source, disk))
    assert total > 25
    for at in range(total):
        root = tmp_path / f"s{at}"
        Store.init(root)
        status = child(partial(record, root, source, killer(at, torn)))
        assert status == -signal.SIGKILL
        names = assert_sound(root)
        assert names in ([], ["runs/r"], ["runs/r", "tags/t"])
        store = Store.open(root)
        for name in names:
            store.refs.delete(name, old=store.refs.get(name))
        record(root, source, Quick())
        assert assert_sound(root) == ["runs/r", "tags/t"]
        assert leftovers(root) == []
        assert sorted(os.listdir(root / "refs")) == [".lock", "runs", "tags"]


def test_init_killed_at_any_call(tmp_path: Path) -> None:
    """A store whose making was cut short is made whole by making it again."""
    for at in range(20):
        root = tmp_path / f"s{at}"
        status = child(lambda root=root, at=at: Store.init(root / "deep", disk=killer(at, torn=False)) and None)  # type: ignore[misc,func-returns-value]
        Store.init(root / "deep").objects.put("blob", b"x")
        if status == 0:
            return
    pytest.fail("making a store takes more calls than expected")


@pytest.mark.parametrize(("sync", "calls"), [(False, 9), (True, 15)])
def test_checkout_killed_at_any_call(tmp_path: Path, source: Path, sync: bool, calls: int) -> None:
    """A checkout killed at any call shows the whole destination or none, and the next one leaves nothing else there."""
    root = tmp_path / "store"
    tree, _ = put_directory(Store.init(root), source)
    for at in range(200):
        place = tmp_path / f"p{at}"
        status = child(
            lambda place=place, at=at: (
                checkout(Store(root, disk=killer(at, torn=True)), tree, place / "d", sync=sync) and None
            )
        )  # type: ignore[misc,func-returns-value]
        if (place / "d").exists():
            assert sorted(p.name for p in (place / "d").rglob("*")) == ["a.csv", "b.csv", "d", "empty"]
            assert (place / "d" / "a.csv").read_bytes() == b"a" * 3000
        checkout(Store.open(root), tree, place / "d")
        if status == 0:
            assert at > calls
            return
        assert status == -signal.SIGKILL
        (place / "d").rename(place / "first")
        checkout(Store.open(root), tree, place / "d")
        assert sorted(os.listdir(place)) == ["d", "first"]
    pytest.fail("a small checkout takes more calls than expected")


class PowerModel:
    """What survives when the power goes, in the worst case a POSIX file system allows.

    File bytes survive only if synced after the last write, a name only if its folder was synced after the name was
    made. A rename onto a ref may survive at once, without any sync.
    """

    def __init__(self) -> None:
        self.dirty: set[int] = set()  # inodes with bytes not synced
        self.loose: set[Path] = set()  # names whose folder was not synced since

    @staticmethod
    def folder_of(fd: object) -> Path:
        return Path(f"/proc/self/fd/{fd}").readlink()

    def place(self, path: object, at: object = None) -> Path:
        return Path(str(path)) if at is None else self.folder_of(at) / str(path)

    def before(self, name: str, args: tuple[object, ...], below: Path, on_name: Callable[[], None]) -> None:
        if name == "write":
            self.dirty.add(os.fstat(args[0]).st_ino)  # type: ignore[arg-type]  # a descriptor
        elif name == "sync_data":
            self.dirty.discard(os.fstat(args[0]).st_ino)  # type: ignore[arg-type]  # a descriptor
        elif name == "make_folder":
            self.loose.add(self.place(*args))
        elif name == "rename":
            source, target, *at = args
            assert self.place(source, *at).stat().st_ino not in self.dirty, "a name for bytes that are not on the disk"
            final = self.place(target, *at)
            if below in final.parents:
                on_name()
            self.loose.add(final)
        elif name == "sync_folder":
            folder = self.folder_of(args[0])
            self.loose = {path for path in self.loose if path.parent != folder}


def test_power_lost_at_a_ref(tmp_path: Path, source: Path) -> None:
    """When a ref can become visible, every object below it and every folder on the way to it is on the disk."""
    root = tmp_path / "store"
    Store.init(root)
    model, refs_seen = PowerModel(), []

    def on_ref() -> None:
        refs_seen.append(1)
        lost = [path for path in model.loose if (root / "objects") in path.parents and "quarantine" not in path.parts]
        assert lost == []

    record(root, source, hooked(lambda name, args: model.before(name, args, root / "refs", on_ref)))
    assert len(refs_seen) == 2
    assert {path for path in model.loose if "quarantine" not in path.parts} == set()


def test_power_lost_at_a_checkout(tmp_path: Path, source: Path) -> None:
    """When a new destination can become visible, all of its files and folders are on the disk; then it is too."""
    store = Store.init(tmp_path / "store")
    tree, _ = put_directory(store, source)
    model, seen = PowerModel(), []
    out = tmp_path / "out"

    def on_name() -> None:
        seen.append({path for path in model.loose if len(path.relative_to(out).parts) > 1})

    disk = hooked(lambda name, args: model.before(name, args, out, on_name))
    checkout(Store(store.root, disk=disk), tree, out / "d", sync=True)
    assert seen[-1] == set()
    assert out / "d" not in model.loose
    assert out not in model.loose


def test_power_lost_after_a_put_of_what_was_there(tmp_path: Path) -> None:
    """A put that finds its file in place waits for the folder all the same: the other writer may not have."""
    root = tmp_path / "store"
    first = Store.init(root, pack_limit=0)
    synced: list[Path] = []

    def before(name: str, args: tuple[object, ...]) -> None:
        if name == "sync_folder":
            synced.append(PowerModel.folder_of(args[0]))

    with first.objects.batch():
        oid = first.objects.put("blob", b"x")
        Store(root, disk=hooked(before), pack_limit=0).objects.put("blob", b"x")
    large = root / "objects" / "large"
    assert {large, large / oid.hex()[:2]} <= set(synced)


@pytest.mark.parametrize("limit", [0, 100])
def test_a_batch_syncs_once(tmp_path: Path, limit: int) -> None:
    """Many objects in one batch cost one fsync per folder and segment, at the end."""
    Store.init(tmp_path).objects.put("blob", b"before")
    calls: list[str] = []
    store = Store(tmp_path, disk=hooked(lambda name, _: calls.append(name)), pack_limit=limit)
    with store.objects.batch():
        ids = [store.objects.put("blob", b"%d" % i) for i in range(300)]
        during = calls.count("sync_folder"), calls.count("sync_data")
    folders, files = calls.count("sync_folder") - during[0], calls.count("sync_data") - during[1]
    assert (folders, files) == ((0, 1) if limit else (len({oid[0] for oid in ids}) + 1, 0))


@pytest.mark.parametrize("limit", [0, 10_000])
def test_a_real_limit(tmp_path: Path, source: Path, limit: int) -> None:
    """Past the real file size limit of a process a put fails typed, a smaller one works, and nothing partial shows."""
    root = tmp_path / "store"
    Store.init(root)

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        store = Store.open(root, pack_limit=limit)
        store.objects.put("blob", b"s" * 4000)
        with pytest.raises(StoreFull):
            store.objects.put("blob", b"l" * 4097)

    assert child(work) == 0
    assert len(list(Store.open(root).objects.ids())) == 1
    assert_sound(root)


def test_a_sweep_spares_the_living(tmp_path: Path) -> None:
    """A temporary file of a process at work survives another process's sweep; after its death it goes."""
    root = tmp_path / "store"
    Store.init(root, pack_limit=0).objects.put("blob", b"first")
    quarantine = root / "objects" / "quarantine"
    ready, go = os.pipe(), os.pipe()

    def before(name: str, args: tuple[object, ...]) -> None:
        if name == "sync_data":
            os.write(ready[1], b"x")
            os.read(go[0], 1)

    pid = os.fork()
    if pid == 0:
        try:
            Store(root, disk=hooked(before), pack_limit=0).objects.put("blob", b"slow")
        finally:
            os._exit(0)
    try:
        os.read(ready[0], 1)
        Store.open(root, pack_limit=0).objects.put("blob", b"other")
        assert len(os.listdir(quarantine)) == 1
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for fd in (*ready, *go):
            os.close(fd)
    assert len(os.listdir(quarantine)) == 1
    Store.open(root, pack_limit=0).objects.put("blob", b"another")
    assert os.listdir(quarantine) == []


def number(value: int) -> ObjectId:
    return ObjectId(value.to_bytes(32, "big"))


def test_racing_increments(tmp_path: Path) -> None:
    """Four processes that each add one to a ref thirty times by compare-and-swap lose no increment."""
    root = tmp_path / "store"
    Store.init(root).refs.set("tags/n", number(0), old=None)

    def work() -> None:
        refs = Store.open(root).refs
        for _ in range(30):
            while True:
                now = refs.get("tags/n")
                assert now is not None
                try:
                    refs.set("tags/n", number(int.from_bytes(now, "big") + 1), old=now)
                except RefConflict:
                    continue
                break

    assert race([work] * 4) == [0] * 4
    assert Store.open(root).refs.get("tags/n") == number(120)


def test_racing_creation_has_one_winner(tmp_path: Path) -> None:
    """Of several processes that create the same ref exactly one wins each time, and the ref is the winner's."""
    root = tmp_path / "store"
    Store.init(root)

    def attempt(name: str, mine: int) -> None:
        try:
            Store.open(root).refs.set(name, number(mine), old=None)
        except RefConflict:
            os._exit(3)

    for turn in range(8):
        name = f"runs/r{turn}"
        statuses = race([partial(attempt, name, mine) for mine in range(4)])
        assert sorted(statuses) == [0, 3, 3, 3]
        assert Store.open(root).refs.get(name) == number(statuses.index(0))


def race(works: list[Callable[[], None]]) -> list[int]:
    """Start one child per work, let all go at once, and return their exit statuses in order."""
    gate = os.pipe()
    pids = []
    for work in works:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(gate[1])
                os.read(gate[0], 1)
                work()
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    os.close(gate[0])
    os.close(gate[1])  # every child reads the end of file now
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def test_racing_puts_of_one_folder(tmp_path: Path, source: Path) -> None:
    """Several processes that put and check out the same folder side by side all succeed and leave a sound store."""
    root = tmp_path / "store"
    Store.init(root)

    def work(place: int) -> None:
        store = Store.open(root)
        tree, _ = put_directory(store, source)
        checkout(store, tree, tmp_path / "out" / str(place))

    assert race([lambda place=place: work(place) for place in range(4)]) == [0] * 4  # type: ignore[misc]
    assert sorted(os.listdir(tmp_path / "out")) == ["0", "1", "2", "3"]
    assert leftovers(root) == []
    assert_sound(root)


def test_a_reader_is_told_what_is_missing(tmp_path: Path, source: Path) -> None:
    """A store that lost an object is not sound: the check used in this file notices."""
    root = tmp_path / "store"
    Store.init(root)
    record(root, source, Disk())
    lose(Store.open(root), blob_id(b"a" * 3000))
    with pytest.raises((ObjectMissing, OmphalosError)):
        assert_sound(root)
