"""The suite every store must pass: this project's own, and any other that wants to stand in for one.

Derive from ``StoreSuite``, say in ``make`` how an empty store comes to be, and let pytest collect the class. What the
suite needs of a store is ``Backend``; nothing else of it is touched. Rules of this file: it says what a store answers,
never how it keeps it; every expectation is a fixed value, never what the store itself computed.
"""

import contextlib
import hashlib
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

from omphalos.format.errors import OmphalosError
from omphalos.format.ids import KINDS, Kind, ObjectId, object_id
from omphalos.store.damage import KindMismatch, ObjectDamaged, ObjectMissing
from omphalos.store.refs import BadRefName, Expected, RefConflict

ABC: Final = ObjectId(
    bytes.fromhex("6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85")
)  # b3sum of "abc"
EMPTY: Final = ObjectId(bytes.fromhex("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"))
NOWHERE: Final = ObjectId(hashlib.sha256(b"nothing has this id").digest())
LARGE: Final = b"0123456789abcdef" * (3 << 16)  # 3 MiB
BAD_NAMES: Final = ("", "/a", "a/", "a//b", "../a", "tags/.hidden", "tags/a\n", "tags/a\\b", "tags/con", "tags/a:b")


class Objects(Protocol):
    """Objects under their ids."""

    def put(self, kind: Kind, data: bytes) -> ObjectId:
        """Store an object, durably; storing it again changes nothing."""

    def read(self, kind: Kind, oid: ObjectId) -> bytes:
        """Return an object's bytes, hashed again, or raise ``ObjectMissing``, ``ObjectDamaged`` or ``KindMismatch``."""

    def has(self, oid: ObjectId) -> bool:
        """Say whether an object is there; its bytes need not be checked."""

    def size(self, oid: ObjectId) -> int:
        """Return an object's size in bytes; ``ObjectMissing`` where there is none."""

    def ids(self) -> Iterable[ObjectId]:
        """Return every object, once, in ascending order."""


class Refs(Protocol):
    """Names that point at ids."""

    def get(self, name: str) -> ObjectId | None:
        """Return where a ref points; None where there is none."""

    def set(self, name: str, new: ObjectId, *, old: Expected) -> None:
        """Move a ref that points at ``old`` (None: does not exist); ``RefConflict`` where it does not."""

    def delete(self, name: str, *, old: Expected) -> None:
        """Take a ref away that points at ``old``; ``RefConflict`` where it does not."""

    def list(self, prefix: str = "") -> list[str]:
        """Return the refs whose names begin with ``prefix``, in byte order."""


class Backend(Protocol):
    """A store, as the suite sees it."""

    @property
    def objects(self) -> Objects:
        """Return its objects."""

    @property
    def refs(self) -> Refs:
        """Return its refs."""


@contextlib.contextmanager
def refused(*errors: type[OmphalosError]) -> Iterator[None]:
    """Demand that the block raises one of these."""
    try:
        yield
    except errors as problem:
        if not problem.message:
            raise AssertionError("an error without a message") from problem
        return
    raise AssertionError(f"nothing was raised, expected {' or '.join(error.__name__ for error in errors)}")


def equal(got: object, expected: object) -> None:
    """Demand that two values are the same."""
    if got != expected:
        raise AssertionError(f"got {got!r}, expected {expected!r}")


class StoreSuite:
    """Tests that pytest collects from a class derived from this one."""

    def make(self, folder: Path) -> Backend:
        """Return an empty store; ``folder`` is empty, and the store's own."""
        raise NotImplementedError

    def view(self, backend: Backend) -> Backend:
        """Return the store as another process would see it: a second instance, a read-only one, or a client."""
        return backend

    def damage(self, backend: Backend, oid: ObjectId) -> bool:
        """Flip a bit of an object's bytes where they are kept; False where a test cannot."""
        return False

    def test_known_ids(self, tmp_path: Path) -> None:
        """A blob's id is the BLAKE3 of its bytes, the empty one's too, and each kind has an id of its own."""
        store = self.make(tmp_path)
        equal(store.objects.put("blob", b"abc"), ABC)
        equal(store.objects.put("blob", b""), EMPTY)
        equal(len({store.objects.put(kind, b"\x90") for kind in KINDS}), len(KINDS))

    def test_what_was_put_is_there(self, tmp_path: Path) -> None:
        """Bytes of any size and content come back as they were, with their size, from another view of the store."""
        store = self.make(tmp_path)
        for data in (b"", b"abc", bytes(range(256)), b"\0" * 70_000, LARGE):
            oid = store.objects.put("blob", data)
            for seen in (store, self.view(store)):
                equal(seen.objects.read("blob", oid) == data, True)
                equal(seen.objects.size(oid), len(data))
                equal(seen.objects.has(oid), True)

    def test_put_again(self, tmp_path: Path) -> None:
        """Putting what is there gives the same id, and it is listed once."""
        store = self.make(tmp_path)
        equal({store.objects.put("blob", b"abc") for _ in range(3)}, {ABC})
        equal(list(self.view(store).objects.ids()), [ABC])

    def test_ids(self, tmp_path: Path) -> None:
        """Every object is listed once, in ascending order; an empty store lists none."""
        store = self.make(tmp_path)
        equal(list(self.view(store).objects.ids()), [])
        expected = sorted(object_id("blob", b"%d" % n) for n in range(100))
        for n in range(100):
            store.objects.put("blob", b"%d" % n)
        equal(list(self.view(store).objects.ids()), expected)

    def test_missing(self, tmp_path: Path) -> None:
        """What was never put is not there: no bytes, no size, and saying so is an error of its own."""
        store = self.make(tmp_path)
        store.objects.put("blob", b"abc")
        seen = self.view(store)
        equal(seen.objects.has(NOWHERE), False)
        for kind in KINDS:
            with refused(ObjectMissing):
                seen.objects.read(kind, NOWHERE)
        with refused(ObjectMissing):
            seen.objects.size(NOWHERE)

    def test_kinds(self, tmp_path: Path) -> None:
        """An object read as another kind than it was put as is refused as that."""
        store = self.make(tmp_path)
        for kind in KINDS:
            for data in (b"\x90", LARGE):
                oid = store.objects.put(kind, data)
                for other in KINDS:
                    if other != kind:
                        with refused(KindMismatch):
                            self.view(store).objects.read(other, oid)

    def test_damage(self, tmp_path: Path) -> None:
        """An object with a flipped bit is never handed out; the others are."""
        for number, data in enumerate((b"small", LARGE)):
            store = self.make(tmp_path / str(number))
            oid, other = store.objects.put("blob", data), store.objects.put("blob", b"other")
            if self.damage(store, oid):
                with refused(ObjectDamaged, ObjectMissing):
                    self.view(store).objects.read("blob", oid)
                equal(self.view(store).objects.read("blob", other), b"other")

    def test_puts_side_by_side(self, tmp_path: Path) -> None:
        """Four instances that put the same and other objects at once all succeed, and everything is there once."""
        store = self.make(tmp_path)
        failed: list[BaseException] = []

        def work(me: int, own: Backend) -> None:
            try:
                for n in range(20):
                    own.objects.put("blob", b"shared %d" % n)
                    own.objects.put("blob", b"%d of %d" % (n, me))
            except Exception as problem:  # noqa: BLE001  # told to the test
                failed.append(problem)

        threads = [threading.Thread(target=work, args=(me, self.writer(store))) for me in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(failed, [])
        every = {b"shared %d" % n for n in range(20)} | {b"%d of %d" % (n, me) for n in range(20) for me in range(4)}
        equal(list(self.view(store).objects.ids()), sorted(object_id("blob", data) for data in every))

    def writer(self, backend: Backend) -> Backend:
        """Return another instance that writes to the same store, for a thread of its own."""
        return backend

    def test_refs(self, tmp_path: Path) -> None:
        """A ref is nothing, points where it was set, moves, and is nothing again; names are listed in byte order."""
        store = self.make(tmp_path)
        equal((self.view(store).refs.get("tags/a"), self.view(store).refs.list()), (None, []))
        store.objects.put("blob", b"abc")
        store.objects.put("blob", b"")
        for name in ("tags/b", "tags/a", "runs/r-0123", "tags/a-b/c"):
            store.refs.set(name, ABC, old=None)
        store.refs.set("tags/a", EMPTY, old=ABC)
        seen = self.view(store)
        equal(seen.refs.list(), ["runs/r-0123", "tags/a", "tags/a-b/c", "tags/b"])
        equal(seen.refs.list("tags/a"), ["tags/a", "tags/a-b/c"])
        equal([seen.refs.get(name) for name in seen.refs.list("tags/")], [EMPTY, ABC, ABC])
        store.refs.delete("tags/a", old=EMPTY)
        equal((self.view(store).refs.get("tags/a"), len(self.view(store).refs.list())), (None, 3))

    def test_compare_and_swap(self, tmp_path: Path) -> None:
        """A ref moves, is made and is deleted only by who knows where it points; a refusal changes nothing."""
        store = self.make(tmp_path)
        store.objects.put("blob", b"abc")
        store.objects.put("blob", b"")
        with refused(RefConflict):
            store.refs.set("tags/a", ABC, old=EMPTY)
        equal(self.view(store).refs.get("tags/a"), None)
        store.refs.set("tags/a", ABC, old=None)
        for wrong in (None, EMPTY):
            with refused(RefConflict):
                store.refs.set("tags/a", EMPTY, old=wrong)
            with refused(RefConflict):
                store.refs.delete("tags/a", old=wrong)
        equal(self.view(store).refs.get("tags/a"), ABC)

    def test_names(self, tmp_path: Path) -> None:
        """Names in any script are kept as they are; what breaks a path rule is refused."""
        store = self.make(tmp_path)
        store.objects.put("blob", b"abc")
        names = ["tags/Ünïted", "tags/Общество", "tags/貿易", "tags/a b.c"]
        for name in names:
            store.refs.set(name, ABC, old=None)
        equal(self.view(store).refs.list("tags/"), sorted(names, key=str.encode))
        for name in BAD_NAMES:
            with refused(BadRefName):
                store.refs.set(name, ABC, old=None)
        equal(len(self.view(store).refs.list()), len(names))
