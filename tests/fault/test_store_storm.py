"""Eight writers, a gc and a verifier at once, each a process: nothing is lost, nothing is found that is not there.

The suite does a fixed number of rounds; ``OMPHALOS_STORM_SECONDS=60`` goes on for that long instead.
"""

import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from omphalos.format.ids import ObjectId
from omphalos.store import index
from omphalos.store.closure import closure
from omphalos.store.fsck import fsck
from omphalos.store.gc import deletions, gc
from omphalos.store.objects import ObjectMissing
from omphalos.store.refs import ANY
from omphalos.store.store import Store
from omphalos.store.trees import put_directory, put_paths, walk

SECONDS = float(os.environ.get("OMPHALOS_STORM_SECONDS", "0"))
WRITERS = 8
ROUNDS = 12
LIMIT = 1500


def rounds(number: int) -> Iterator[int]:
    """Count as often as the suite does, or until the time is over."""
    end = time.monotonic() + SECONDS
    turn = 0
    while time.monotonic() < end if SECONDS else turn < number:
        yield turn
        turn += 1


def assert_whole(store: Store, tree: ObjectId, files: dict[str, bytes]) -> None:
    """Every file of a tree is there, with its bytes."""
    assert {path: store.objects.read("blob", oid) for path, _, oid in walk(store, tree)} == files


def writer(root: Path, me: int, count: Counter[str]) -> None:
    """Put trees that share objects with those of others, some as folders; name, check, move and delete refs."""
    rng = random.Random(me)
    folder = root.parent / f"source{me}"
    folder.mkdir()
    store = Store.open(root, pack_limit=LIMIT)
    for turn in rounds(ROUNDS):
        if rng.random() < 0.5:
            store = Store.open(root, pack_limit=LIMIT)
        files = {f"s{n}": b"%d" % n * 100 * n for n in rng.sample(range(12), 4)}
        files |= {f"d/{n}": b"%d of %d in %d" % (n, me, turn) for n in range(3)}
        files["d/large"] = b"%d" % rng.randrange(4) * 4000
        name = f"tags/w{me}-{rng.randrange(3)}"
        try:
            if turn % 3:
                with store.objects.batch():
                    blobs = {path: (len(data), store.objects.put("blob", data)) for path, data in files.items()}
                    tree, _ = put_paths(store, blobs)
            else:
                for path, data in files.items():
                    (folder / str(turn) / path).parent.mkdir(parents=True, exist_ok=True)
                    (folder / str(turn) / path).write_bytes(data)
                tree, _ = put_directory(store, folder / str(turn))
            store.refs.set(name, tree, old=ANY)
        except ObjectMissing:
            count["told that gc was faster"] += 1  # this instance looked before gc took it; a new one looks anew
            store = Store.open(root, pack_limit=LIMIT)
            continue
        assert_whole(store, tree, files)
        assert_whole(Store.open(root), tree, files)
        count["trees named"] += 1
        if rng.random() < 0.4:
            store.refs.delete(name, old=tree)
            count["refs deleted"] += 1


def until(done: int) -> Iterator[None]:
    """Go on until the writers are at their end, and once more."""
    while True:
        last = os.pread(done, 1, 0) != b""
        yield
        if last:
            return


def collector(root: Path, done: int, count: Counter[str]) -> None:
    for _ in until(done):
        report = gc(Store.open(root))
        count["collections"] += 1
        count["objects freed"] += len(report.freed)


def verifier(root: Path, done: int, count: Counter[str]) -> None:
    """Neither fsck nor a walk from a ref finds anything wrong at any time."""
    for _ in until(done):
        report = fsck(Store.open(root))
        assert report.problems == [], report.problems
        count["times verified"] += 1
        count["objects verified"] += report.objects


def start(work: Callable[[Counter[str]], None], log: Path) -> int:
    """Start a process that writes down what it counted, or how it failed."""
    pid = os.fork()
    if pid:
        return pid
    code, count = 1, Counter[str]()
    try:
        work(count)
        index.close_all()
        code = 0
    except BaseException:  # noqa: BLE001  # whatever it is, it is said
        log.with_suffix(".failed").write_text(traceback.format_exc())
    finally:
        log.write_text("\n".join(f"{number} {what}" for what, number in sorted(count.items())))
        os._exit(code)


def test_eight_writers_gc_and_a_verifier(tmp_path: Path) -> None:
    """Nothing named is ever lost, no verifier sees anything wrong, and at the end exactly what refs lead to is left."""
    root = tmp_path / "store"
    Store.init(root)
    flag = tmp_path / "done"
    flag.touch()
    done = os.open(flag, os.O_RDONLY)
    logs = tmp_path / "logs"
    logs.mkdir()
    writers = [start(lambda count, me=me: writer(root, me, count), logs / f"w{me}") for me in range(WRITERS)]  # type: ignore[misc]  # bound now
    others = [
        start(lambda count: collector(root, done, count), logs / "gc"),
        start(lambda count: verifier(root, done, count), logs / "fsck"),
    ]
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in writers]
    flag.write_bytes(b"x")
    ends += [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in others]
    os.close(done)
    failed = "\n".join(f"{path.stem}: {path.read_text()}" for path in sorted(logs.glob("*.failed")))
    assert ends == [0] * (WRITERS + 2), failed
    count: Counter[str] = Counter()
    for path in logs.iterdir():
        for line in path.read_text().splitlines():
            count[line.partition(" ")[2]] += int(line.partition(" ")[0])
    sys.stderr.write(f"{dict(sorted(count.items()))}\n")
    assert count["trees named"] >= WRITERS * ROUNDS // 2
    assert count["collections"]
    assert count["times verified"]

    store = Store.open(root)
    assert fsck(store).problems == []
    gc(store)
    gc(store)
    assert gc(store, dry_run=True).unreachable == []
    needed = set()
    for name in store.refs.list():
        oid = store.refs.get(name)
        assert oid is not None
        needed |= {met.id for met in closure(store.objects, oid, set())}
    assert set(Store.open(root).objects.ids()) == needed
    assert len(deletions(store)) >= count["objects freed"]
