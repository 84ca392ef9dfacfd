"""What a process does while a fault is put under it: ``acts.py ACT FOLDER`` (no test; run by ``test_store_calls.py``).

``prepare(act, folder)`` makes what the act begins with: ``folder/store``, and what else it needs. The act says on
stdout what it was promised, one line each and unbuffered: ``ref NAME ID``, ``gone NAME``, ``done``. It ends with 0, or
with 3 after a typed error; anything else is a defect.
"""

import contextlib
import io
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

from omphalos.format.errors import OmphalosError
from omphalos.format.ids import blob_id
from omphalos.store import index, packs, streamed
from omphalos.store.checkout import checkout
from omphalos.store.fsck import from_store, fsck, rebuild_index
from omphalos.store.gc import gc
from omphalos.store.refs import ANY
from omphalos.store.store import Store
from omphalos.store.trees import put_directory, put_paths
from omphalos.testing.damage import flip, lose

LIMIT = 2000  # what is larger is a file of its own
streamed.COPY_ABOVE, streamed._WINDOW = 5000, 4096  # and what is larger than this is copied by the kernel, in windows
FILES = {
    "a.csv": b"a" * 700,
    "d/b.csv": b"b" * 10,
    "d/empty": b"",
    "large.bin": b"large " * 2000,
    "d/2.bin": b"2" * 3000,
}
BIG = random.Random(7).randbytes(700_000)
EDITED = BIG[:300_000] + b"inserted" + BIG[300_000:]


def say(*words: str) -> None:
    for _ in range(2):  # the fault may meet this call; it is not about stdout
        with contextlib.suppress(OSError):
            os.write(1, (" ".join(words) + "\n").encode())
            return


def opened(folder: Path) -> Store:
    return Store.open(folder / "store", pack_limit=LIMIT)


def write_source(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (folder / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "source" / path).write_bytes(data)


def set_ref(store: Store, name: str, oid: bytes) -> None:
    store.refs.set(name, oid, old=ANY)  # type: ignore[arg-type]  # an id
    say("ref", name, oid.hex())


def put_files(store: Store, files: dict[str, bytes]) -> bytes:
    with store.objects.batch():
        return put_paths(store, {path: (len(data), store.objects.put("blob", data)) for path, data in files.items()})[0]


def _put(folder: Path) -> None:
    store = opened(folder)
    tree, _ = put_directory(store, folder / "source")
    set_ref(store, "tags/new", tree)
    set_ref(store, "tags/old", tree)
    store.refs.delete("tags/gone", old=ANY)
    say("gone", "tags/gone")


def _before_put(folder: Path) -> None:
    store = opened(folder)
    for name in ("old", "gone"):
        set_ref(store, f"tags/{name}", put_files(store, {"x": name.encode(), "a.csv": FILES["a.csv"]}))
    write_source(folder, FILES)


def _gc(folder: Path) -> None:
    """Condemn while a writer is at work, sweep when it is gone, unlink: all three phases."""
    store, other = opened(folder), opened(folder)
    other.objects.begin()
    gc(store)
    other.objects.end_lease()
    gc(store)
    gc(store)


def _before_gc(folder: Path) -> None:
    packs.SEAL_BYTES = 3000  # type: ignore[misc]  # several segments
    store = opened(folder)
    for turn in range(4):
        data = {f"{turn}": b"%d" % turn * 600, "large": b"%d" % turn * 4000, "shared": b"shared" * 50}
        tree = put_files(store, data)
        if turn % 2:
            set_ref(store, f"tags/{turn}", tree)


def _chunk(folder: Path) -> None:
    """Cut a file that shares chunks with one that is there, then a stream that shares chunks with both."""
    store = opened(folder)
    with store.objects.batch():
        new = store.objects.put_file(folder / "source" / "big", sha256=False, chunked=True)
        tree, _ = put_paths(store, {"big": (new.size, new.id)})
    set_ref(store, "tags/new", tree)
    third = store.objects.put_stream(io.BytesIO(EDITED + b"end"), chunked=True)
    set_ref(store, "tags/old", put_paths(store, {"big": (third.size, third.id)})[0])


def _before_chunk(folder: Path) -> None:
    store = opened(folder)
    old = store.objects.put_stream(io.BytesIO(BIG), chunked=True)
    set_ref(store, "tags/old", put_paths(store, {"big": (old.size, old.id)})[0])
    write_source(folder, {"big": EDITED})


def _before_unchunk(folder: Path) -> None:
    """Two blobs share chunks, and one of them is needed no more."""
    _before_chunk(folder)
    _chunk(folder)
    store = opened(folder)
    store.refs.delete("tags/new", old=ANY)


def _repair(folder: Path) -> None:
    good = Store.open(folder / "good")
    report = fsck(opened(folder), repair=[from_store(good)])
    if not report.clean:
        raise AssertionError(report.problems)


def _before_repair(folder: Path) -> None:
    write_source(folder, FILES)
    for name in ("good", "store"):
        store = Store.init(folder / name, pack_limit=LIMIT)
        set_ref(store, "tags/t", put_directory(store, folder / "source")[0])
        index.close_all()
    store = opened(folder)
    flip(store, blob_id(FILES["a.csv"]))
    flip(store, blob_id(FILES["large.bin"]), 17)
    lose(store, blob_id(FILES["d/2.bin"]))


def _rebuild(folder: Path) -> None:
    rebuild_index(opened(folder))
    rebuild_index(opened(folder))


def _checkout(folder: Path) -> None:
    store = opened(folder)
    tree = store.refs.get("tags/t")
    if tree is None:
        raise AssertionError
    checkout(store, tree, folder / "new")
    say("done")
    checkout(store, tree, folder / "linked", link=True)
    checkout(store, tree, folder / "there", force=True)


def _before_checkout(folder: Path) -> None:
    store = opened(folder)
    set_ref(store, "tags/t", put_files(store, FILES))
    (folder / "there").mkdir()
    (folder / "there" / "a.csv").write_bytes(b"other")
    (folder / "there" / "mine").write_bytes(b"mine")


def _seal(folder: Path) -> None:
    packs.SEAL_BYTES = 4000  # type: ignore[misc]  # some records
    store = opened(folder)
    for turn in range(3):
        set_ref(store, f"tags/{turn}", put_files(store, {f"{n}": b"%d %d" % (turn, n) * 300 for n in range(4)}))


def _before_seal(folder: Path) -> None:
    """A segment with a torn end is what the act finds."""
    store = opened(folder)
    set_ref(store, "tags/t", put_files(store, {"a": b"a" * 900}))
    index.close_all()
    (path,) = (folder / "store" / "objects" / "packs").iterdir()
    with path.open("ab") as stream:
        stream.write(b"\xf1omp\1\0")


ACTS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "put": (_before_put, _put),
    "chunk": (_before_chunk, _chunk),
    "gc": (_before_gc, _gc),
    "unchunk": (_before_unchunk, _gc),
    "repair": (_before_repair, _repair),
    "rebuild": (_before_gc, _rebuild),
    "checkout": (_before_checkout, _checkout),
    "seal": (_before_seal, _seal),
}


def prepare(act: str, folder: Path) -> None:
    """Make what an act begins with, and close it."""
    before = packs.SEAL_BYTES
    folder.mkdir()
    Store.init(folder / "store")
    try:
        ACTS[act][0](folder)
    finally:
        packs.SEAL_BYTES = before  # type: ignore[misc]  # as it was
        index.close_all()


if __name__ == "__main__":
    try:
        ACTS[sys.argv[1]][1](Path(sys.argv[2]))
    except OmphalosError as problem:
        say("typed", problem.id)
        sys.exit(3)
