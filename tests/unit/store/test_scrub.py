"""Segments read in pieces give what one reader gives, wherever they are cut and whatever is damaged."""

import contextlib
import errno
import itertools
import os
import signal
from pathlib import Path

import pytest

from omphalos.format.ids import blob_id
from omphalos.store import scrub
from omphalos.store.fsck import fsck
from omphalos.store.records import SEGMENT_MAGIC, header
from omphalos.store.store import Store
from omphalos.testing.damage import flip, flip_bit

INNER = b"inside"
LOOKALIKE = SEGMENT_MAGIC + header(0, len(INNER), blob_id(INNER)) + INNER
DATA = [b"%d" % n * (n * 7 % 50) for n in range(30)] + [LOOKALIKE] + [b"%d" % n * 40 for n in range(30, 50)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store with one segment of small records, one of them holding a segment of its own."""
    store = Store.init(tmp_path / "s")
    with store.objects.batch():
        for data in DATA:
            store.objects.put("blob", data)
    return store


def pipes() -> set[str]:
    """Return the pipes that this process has open."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{name}"))  # noqa: PTH115  # beside the other uses of os
    return {place for place in found if place.startswith("pipe:")}


def found(shares: list[scrub.Share]) -> tuple[int, int, list[object], list[object]]:
    return (
        sum(share.objects for share in shares),
        sum(share.bytes for share in shares),
        [bad for share in shares for bad in share.bad],
        [gap for share in shares for gap in share.gaps],
    )


def pieces(name: str, cuts: list[int], size: int) -> list[scrub.Piece]:
    edges = [0, *cuts, size]
    return [scrub.Piece(name, a, b) for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize("damage", ["none", "content", "header", "several"])
def test_wherever_it_is_cut(store: Store, damage: str) -> None:
    """Counts, bad records and gaps are the same for every place of one cut, also inside a look-alike record."""
    ((name, size),) = scrub.units(store)
    if damage in ("content", "several"):
        flip(store, blob_id(DATA[9]))
    if damage in ("header", "several"):
        place = store.objects.catalog.locate(blob_id(DATA[20]), thorough=True)
        assert place is not None
        flip_bit(store.objects.catalog.packs.folder / name, place.offset + 9)
    whole = found(scrub._read(store, [scrub.Piece(name, 0, size)], mapped=False))
    assert len(whole[2]) == (damage in ("content", "several"))
    assert len(whole[3]) == (damage in ("header", "several"))
    for cut in range(1, size, 7):
        shares = scrub._read(store, pieces(name, [cut], size), mapped=False)
        assert found(scrub._joined(store, [(name, size)], shares)) == whole, cut


@pytest.mark.parametrize("tokens", [1, 3, 1000])
def test_processes_share_one_segment(store: Store, monkeypatch: pytest.MonkeyPatch, tokens: int) -> None:
    """A segment is cut into pieces that meet, and all of it is read, each piece once, by any number of processes."""
    monkeypatch.setattr(scrub, "_PIECE", 64)
    monkeypatch.setattr(scrub, "_TOKENS", tokens)
    ((name, size),) = scrub.units(store)
    for workers in (1, 2, 3, 5):
        parts = scrub._cut([(name, size)], workers)
        assert len(parts) == (1 if workers == 1 else -(-size // 64))
        assert [piece.start for piece in parts[1:]] == [piece.end for piece in parts[:-1]]
        assert (parts[0].start, parts[-1].end) == (0, size)
        assert fsck(store, workers=workers).objects == len(set(DATA))


def test_pieces_are_handed_out_once() -> None:
    """Whoever asks, and however often, gets what nobody else got; together they get all."""
    for count in (1, 999, 1000, 1001, 5000):
        with contextlib.ExitStack() as stack:
            queue = scrub._queue(stack)
            readers = [scrub._taken(queue, count) for _ in range(3)]
            found = [number for numbers in itertools.zip_longest(*readers) for number in numbers if number is not None]
        assert sorted(found) == list(range(count))


def test_a_large_file_that_is_cut_while_it_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process that maps large files dies, they are read again, and the damage is found."""
    store = Store.init(tmp_path / "s")
    good = store.objects.put("blob", b"g" * (2 << 20))
    cut = store.objects.put("blob", b"c" * (2 << 20))
    monkeypatch.setattr(scrub, "_MAPPED", 1)
    real = scrub._kind_of

    def dies(fd: int, oid: bytes, mapped: bool) -> int:
        if mapped:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(fd, oid, mapped)  # type: ignore[arg-type]  # an id is bytes

    monkeypatch.setattr(scrub, "_kind_of", dies)
    path = store.objects.loose.path(cut)
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.truncate(1 << 20)
    report = fsck(store)
    assert [problem.object for problem in report.problems] == [cut.hex()]
    assert report.objects == 2
    assert good != cut


@pytest.mark.parametrize("where", ["meanwhile", "fork"])
def test_no_reader_outlives_an_error(store: Store, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """When something fails while other processes read, they are ended and waited for, and no descriptor stays open."""
    monkeypatch.setattr(scrub, "_PIECE", 256)
    real, forks = os.fork, list[int]()

    def fork() -> int:
        if where == "fork" and forks:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        forks.append(real())
        return forks[-1]

    def fail() -> None:
        raise KeyboardInterrupt

    before = pipes()
    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises((KeyboardInterrupt, OSError)):
        scrub.read_all(store, scrub.units(store), 3, fail)
    assert forks
    assert pipes() <= before
    for pid in forks:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
