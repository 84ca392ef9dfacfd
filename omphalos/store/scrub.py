"""Reading every object once: what fsck hashes, by several processes.

Segments are cut into pieces, and whichever process is free takes the next one. Where a piece begins inside a segment
its reader searches for the first intact record, and says where it began; the reader of the piece before goes on to the
first record behind the cut, and says where it ended. If the two differ (damage there, or a segment stored inside an
object), the segment is read again from end to end. Large files are mapped and hashed by a process of its own, so that a
file that is cut while it is mapped ends that process and not fsck; what such a process leaves undone is read again
without mapping.

Rules of this file: nothing is changed; what is found does not depend on how many processes read, or on the index.
"""

import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
from blake3 import blake3

from omphalos.format.errors import OmphalosError
from omphalos.format.ids import KINDS, ObjectId, from_hex, hasher
from omphalos.store.damage import ObjectDamaged
from omphalos.store.records import Gap, hop_reader, intact_run, is_intact, next_record, scan
from omphalos.store.sources import BUFFER_BYTES
from omphalos.store.store import Store

LISTS: Final = "chunked/"
_BLOCK: Final = 5 << 18  # a whole record fits; what is hashed is still in the processor's cache
_PIECE: Final = 4 << 20  # a segment is not cut into smaller ones
_TOKEN: Final = 4
_TOKENS: Final = 1000  # what fits into the smallest pipe there is
_MAPPED: Final = 1 << 20  # smaller files are read


class Piece(NamedTuple):
    """What is read in one go: a part of a segment, or a folder of large files (``name`` without a dot)."""

    name: str
    start: int
    end: int


class Share(msgspec.Struct):
    """What was found in one piece: counts, bad records and files, gaps, and the kinds of files that are no blobs.

    ``number`` is that of the piece, ``began`` and ``ended`` are where the first record begins and the last one ends;
    ``gone`` says that the segment was no longer there.
    """

    name: str = ""
    number: int = 0
    began: int = 0
    ended: int = 0
    gone: bool = False
    objects: int = 0
    bytes: int = 0
    bad: list[tuple[str, str, int, int]] = msgspec.field(default_factory=list)  # id, place, offset, kind
    gaps: list[tuple[str, int, int, bool]] = msgspec.field(default_factory=list)
    kinds: dict[str, int] = msgspec.field(default_factory=dict)


def units(store: Store) -> list[tuple[str, int]]:
    """Return what can be read by itself, with its size: each segment, and each folder of large files."""
    found = list(store.objects.catalog.packs.listing().items())
    large = store.objects.loose.folder
    for number in sorted(store.objects.loose.shards()):
        size = 0
        with os.scandir(large / f"{number:02x}") as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # freed this moment
                    size += entry.stat(follow_symlinks=False).st_size
        found.append((f"{number:02x}", size))
    return found


def lists(store: Store) -> list[tuple[str, int]]:
    """Return every blob that is kept as a list of chunks, by the place of the list, with the bytes to read for it."""
    found = []
    for oid in store.objects.lists.scan():
        try:
            listed = store.objects.lists.load(oid)
        except (OmphalosError, OSError):
            listed = None
        found.append((f"{LISTS}{oid.hex()[:2]}/{oid.hex()[2:]}", listed.size if listed is not None else 0))
    return found


def read_lists(store: Store, names: list[str]) -> Share:
    """Hash blobs as wholes out of their chunks; bad is a list that is none, or whose chunks are another blob.

    Where a chunk is missing or damaged nothing is said here: damage was found where the chunk lies, and what is missing
    is, like the blob, no object that a ref may lead to.
    """
    share = Share(LISTS)
    for name in names:
        oid = from_hex(name.removeprefix(LISTS).replace("/", ""))
        try:
            listed = store.objects.lists.load(oid)
            if listed is None:
                continue  # freed since
            with contextlib.suppress(FileNotFoundError):  # freed this moment
                share.bytes += os.lstat(store.objects.lists.path(oid)).st_size
            share.objects += 1
            good = store.objects.hash_list(listed) == oid
        except (ObjectDamaged, OSError) as problem:
            good = isinstance(problem, ObjectDamaged) and problem.expected != oid
        except OmphalosError:
            continue
        if not good:
            share.bad.append((oid.hex(), name, 0, 0))
    return share


def read_all(store: Store, chosen: list[tuple[str, int]], workers: int, meanwhile: Callable[[], None]) -> list[Share]:
    """Read units with so many processes; return what was found, in the order of the units.

    Args:
        store: the store.
        chosen: the units, with their sizes.
        workers: how many processes read.
        meanwhile: what this process does while the others read; it reads less for it.

    Raises:
        OSError: something cannot be read.
    """
    segments = [unit for unit in chosen if "." in unit[0]]
    folders = [Piece(name, 0, 0) for name, _ in chosen if "." not in name]
    pieces = _cut(segments, workers)
    helpers = min(workers, len(pieces)) - 1
    children: list[tuple[int, int]] = []
    mapped: tuple[int, int] | None = None
    try:
        with contextlib.ExitStack() as stack:
            queue = _queue(stack) if helpers > 0 else -1
            for _ in range(helpers):
                children.append(_start(store, pieces, _taken(queue, len(pieces)), mapped=False))
            if folders and workers > 1:
                mapped = _start(store, folders, None, mapped=True)
                children.append(mapped)
            meanwhile()
            found = _read(store, pieces, _taken(queue, len(pieces)) if helpers > 0 else None, mapped=False)
        while children and children[0] != mapped:
            shares = _finish(*children.pop(0))
            if shares is None:
                raise OSError(5, "a process that was checking the store ended early")
            found += shares
        done = _joined(store, segments, found)
        shares = _finish(*children.pop()) if children else None
    finally:
        for pid, fd in children:  # after an error nobody waits for what they find
            os.kill(pid, signal.SIGKILL)
            _finish(pid, fd)
    return done + (shares if shares is not None else _read(store, folders, mapped=False))


def read_moved(store: Store, known: set[str], shares: list[Share], workers: int) -> list[Share]:
    """Return what is in segments that appeared while others went: one that is sealed or rewritten has another name.

    ``known`` are the units that were listed. A segment that went without another one appearing was freed.

    Raises:
        OSError: something cannot be read.
    """
    moved: list[Share] = []
    known = set(known)
    while any(share.gone for share in shares):
        fresh = [unit for unit in store.objects.catalog.packs.listing().items() if unit[0] not in known]
        known.update(name for name, _ in fresh)
        shares = read_all(store, fresh, workers, lambda: None)
        moved += shares
    return moved


def _cut(segments: list[tuple[str, int]], workers: int) -> list[Piece]:
    """Return what is read in one go, in the order on disk: whole segments where one process reads them all."""
    total = sum(size for _, size in segments)
    step = _PIECE if workers > 1 else max(1, total)
    return [Piece(name, at, min(at + step, end)) for name, end in segments for at in range(0, max(1, end), step)]


def _queue(stack: contextlib.ExitStack) -> int:
    """Return a pipe that holds so many tokens, each of which the kernel gives to one of the processes that ask."""
    ours, theirs = os.pipe()
    stack.callback(os.close, ours)
    with os.fdopen(theirs, "wb") as stream:
        stream.write(b"".join(number.to_bytes(_TOKEN, "little") for number in range(_TOKENS)))
    return ours


def _taken(queue: int, count: int) -> Iterator[int]:
    """Yield the numbers below ``count`` that this process is to do, as it asks for them."""
    each = -(-count // _TOKENS)
    while token := os.read(queue, _TOKEN):
        first = int.from_bytes(token, "little") * each
        yield from range(first, min(first + each, count))


def _joined(store: Store, segments: list[tuple[str, int]], found: list[Share]) -> list[Share]:
    """Return the shares of each segment, read again from end to end where its pieces do not meet."""
    of: dict[str, list[Share]] = {}
    for share in sorted(found, key=lambda share: share.number):
        of.setdefault(share.name, []).append(share)
    done: list[Share] = []
    for name, size in segments:
        shares = of.get(name, [])
        if any(one.ended != other.began for one, other in itertools.pairwise(shares)):
            shares = _read(store, [Piece(name, 0, size)], mapped=False)
        done += shares
    return done


def _start(store: Store, pieces: list[Piece], take: Iterable[int] | None, *, mapped: bool) -> tuple[int, int]:
    ours, theirs = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(ours)
        os.close(theirs)
        raise
    if pid:
        os.close(theirs)
        return pid, ours
    code = 1
    try:
        os.close(ours)
        data = msgspec.msgpack.encode(_read(store, pieces, take, mapped=mapped))
        with os.fdopen(theirs, "wb") as stream:
            stream.write(data)
        code = 0
    finally:
        os._exit(code)


def _finish(pid: int, fd: int) -> list[Share] | None:
    """Return what a process found; None if it did not come to its end."""
    with os.fdopen(fd, "rb") as stream:
        data = stream.read()
    if os.waitpid(pid, 0)[1]:
        return None
    return msgspec.msgpack.decode(data, type=list[Share])


def _read(store: Store, pieces: list[Piece], take: Iterable[int] | None = None, *, mapped: bool) -> list[Share]:
    """Read pieces, all or those whose numbers are handed out."""
    found: list[Share] = []
    for number in take if take is not None else range(len(pieces)):
        piece = pieces[number]
        share = Share(piece.name, number)
        if "." in piece.name:
            _read_segment(store, piece, share)
        else:
            _read_folder(store, piece.name, share, mapped)
        found.append(share)
    return found


def _read_segment(store: Store, piece: Piece, share: Share) -> None:
    try:
        fd = store.objects.catalog.packs.open(piece.name)
    except FileNotFoundError:
        share.gone = True
        return
    try:
        size, at = os.fstat(fd).st_size, piece.start
        if at:
            first = next_record(hop_reader(fd), at, size)
            at = first.offset if first is not None else size
        share.began = at
        end = min(piece.end, size)
        buffer = bytearray(_BLOCK)
        while at < end:
            got = os.preadv(fd, [buffer], at) if at else 0
            count, total, used = intact_run(memoryview(buffer)[:got], end - at)
            share.objects += count
            share.bytes += total
            at += used
            if not used:
                at = _look_closer(fd, piece.name, at, size, share)
        share.ended = at
    finally:
        os.close(fd)


def _look_closer(fd: int, name: str, at: int, size: int, share: Share) -> int:
    """Judge the one record, or what is none, where the fast way stopped; return where to go on."""
    gaps: list[Gap] = []
    reader = hop_reader(fd)
    record = next(scan(reader, at, size, gaps), None)
    share.gaps += [(name, gap.start, gap.end, gap.torn and name.endswith(".open")) for gap in gaps]
    if record is None:
        return size
    share.objects += 1
    share.bytes += record.length
    if not is_intact(reader, record):
        share.bad.append((record.id.hex(), name, record.offset, record.kind))
    return record.end


def _read_folder(store: Store, shard: str, share: Share, mapped: bool) -> None:
    loose = store.objects.loose
    found = []
    for oid in loose.scan(shard):
        with contextlib.suppress(FileNotFoundError):
            found.append((os.lstat(loose.path(oid)).st_ino, oid))
    for _, oid in sorted(found):
        share.objects += 1
        kind = -1
        with contextlib.suppress(OSError):
            fd = loose.open(oid)
            if fd is None:
                continue
            try:
                share.bytes += os.fstat(fd).st_size
                kind = _kind_of(fd, oid, mapped)
            finally:
                os.close(fd)
        if kind < 0:
            share.bad.append((oid.hex(), str(loose.path(oid).relative_to(loose.folder)), 0, 0))
        elif kind:
            share.kinds[oid.hex()] = kind


def _kind_of(fd: int, oid: ObjectId, mapped: bool) -> int:
    size = os.fstat(fd).st_size
    if mapped and size >= _MAPPED:
        state = blake3(max_threads=blake3.AUTO)
        state.update_mmap(f"/proc/self/fd/{fd}")
        if state.digest() == oid:
            return 0
    for number, kind in enumerate(KINDS):
        os.lseek(fd, 0, os.SEEK_SET)
        state, left = hasher(kind), size
        while chunk := os.read(fd, min(BUFFER_BYTES, left + 1)):
            left = max(0, left - len(chunk))
            state.update(chunk)
        if state.digest() == oid:
            return number
    return -1
