"""Verify a whole store from its files alone: segments, large files, refs, and what the refs lead to.

Rules of this file: ``docs/format/store.md``, "Verifying a store". The index is not opened, nothing is repaired, no lock
is taken, and links are never followed. ``fsck`` is for the store's owner; this answers as the verifiers in other
languages do, by the same words.
"""

import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from omphalos.format.findings import FindingId
from omphalos.format.ids import KINDS, Kind, hasher, object_id
from omphalos.format.manifest import MAX_BYTES, ManifestError, decode_manifest
from omphalos.format.paths import MAX_COMPONENTS, check_path, refusing
from omphalos.format.tree import TreeError, decode_tree
from omphalos.runs.filecheck import NoSuchThing
from omphalos.runs.verdict import Findings, Verdict
from omphalos.store.chunked import MAX_LIST, ChunkList
from omphalos.store.chunked import decode as decode_list
from omphalos.store.folders import FILE_FLAGS, FOLDER_FLAGS
from omphalos.store.records import HEADER_BYTES, MAX_RECORD, RECORD_MAGIC, SEGMENT_MAGIC, Reader, parse, scan_reader

BUFFER: Final = 1 << 20
REF_BYTES: Final = 65
_SEGMENT = re.compile(rb"[0-9a-f]{16}\.open|[0-9a-f]{64}\.pack")
_SHARD = re.compile(rb"[0-9a-f]{2}")
_LARGE = re.compile(rb"[0-9a-f]{62}")
_REF = re.compile(rb"[0-9a-f]{64}\n")


class _Known:
    """An object that is there: its kind, its length, and where its bytes are (file, offset)."""

    __slots__ = ("kind", "offset", "place", "size")

    def __init__(self, kind: Kind, size: int, place: str, offset: int) -> None:
        self.kind = kind
        self.size = size
        self.place = place
        self.offset = offset


def verify_store(path: str | Path) -> Verdict:
    """Verify the store at ``path``.

    Raises:
        NoSuchThing: there is no store.
    """
    text = os.fspath(path)
    text = text.rstrip("/") or text[:1]
    found = Findings()
    subject = text.rsplit("/", 1)[-1]
    try:
        mode = os.lstat(text).st_mode
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            found.unread(".")
            return found.verdict(subject, None, 0, 0)
        raise NoSuchThing(f"no store: {text}", hint="name a folder that holds objects and refs") from error
    if stat.S_ISLNK(mode):
        found.add(FindingId.SYMLINK_ENTRY, ".", "the store itself is a symbolic link")
        return found.verdict(subject, None, 0, 0)
    if not all(_is_folder(f"{text}/{name}") for name in ("objects", "objects/large", "refs")):
        raise NoSuchThing(f"no store: {text}", hint="a store holds the folders objects/large and refs")
    try:
        root = os.open(text, FOLDER_FLAGS)
    except OSError:
        found.unread(".")
        return found.verdict(subject, None, 0, 0)
    try:
        check = _Check(root, found)
        check.segments()
        check.files()
        check.lists()
        check.refs()
        check.closures()
    finally:
        os.close(root)
    return found.verdict(subject, None, check.count, check.bytes)


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except PermissionError:
        return True  # it cannot be looked up, which is said later
    except OSError:
        return False


class _Check:
    """One look at a store."""

    def __init__(self, root: int, found: Findings) -> None:
        self._root = root
        self._found = found
        self._known: dict[bytes, _Known] = {}
        self._refs: list[tuple[str, bytes]] = []
        self._sums: dict[bytes, int | None] = {}  # of tree nodes that were read
        self._dark = False  # something below ``objects`` could not be read
        self.count = 0
        self.bytes = 0

    # -- what lies there

    def _list(self, path: str) -> Iterator[tuple[bytes, int]]:
        """Yield name and mode of the entries of a folder below the store, in order; none where it is gone."""
        try:
            descriptor = self._folder(path)
        except FileNotFoundError:
            return
        except OSError:
            self._unread(path)
            return
        try:
            with os.scandir(descriptor) as entries:
                names = sorted(os.fsencode(entry.name) for entry in entries)
            for name in names:
                try:
                    yield name, os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
                except FileNotFoundError:
                    continue
                except OSError:
                    self._unread(f"{path}/{_shown(name)}")
        except OSError:
            self._unread(path)
        finally:
            os.close(descriptor)

    def _folder(self, path: str) -> int:
        at = os.dup(self._root)
        for part in os.fsencode(path).split(b"/"):
            try:
                inner = os.open(part, FOLDER_FLAGS, dir_fd=at)
            finally:
                os.close(at)
            at = inner
        return at

    def _open(self, path: str) -> int | None:
        """Open a file below the store; None where it is gone or cannot be read, which is said."""
        above, _, name = path.rpartition("/")
        try:
            folder = self._folder(above)
            try:
                descriptor = os.open(os.fsencode(name), FILE_FLAGS, dir_fd=folder)
            finally:
                os.close(folder)
        except FileNotFoundError:
            return None
        except OSError:
            self._unread(path)
            return None
        return descriptor

    def _unread(self, path: str) -> None:
        self._found.unread(path)
        self._dark |= path.startswith("objects")

    def _plain(self, path: str, mode: int) -> bool:
        """Say whether something that should be a file is one; if not, say what it is."""
        if stat.S_ISLNK(mode):
            self._found.add(FindingId.SYMLINK_ENTRY, path)
        elif not stat.S_ISREG(mode):
            self._found.add(FindingId.SPECIAL_FILE, path)
        return stat.S_ISREG(mode)

    def segments(self) -> None:
        """Read every segment."""
        for name, mode in self._list("objects/packs"):
            if _SEGMENT.fullmatch(name) is None:
                continue
            path = f"objects/packs/{name.decode()}"
            descriptor = self._open(path) if self._plain(path, mode) else None
            if descriptor is None:
                continue
            try:
                self._segment(path, scan_reader(descriptor), os.fstat(descriptor).st_size)
            except OSError:
                self._unread(path)
            finally:
                os.close(descriptor)

    def _segment(self, path: str, reader: Reader, end: int) -> None:
        head = bytes(reader.at(0, min(end, len(SEGMENT_MAGIC))))
        if head != SEGMENT_MAGIC and head and not (path.endswith(".open") and SEGMENT_MAGIC.startswith(head)):
            self._found.add(FindingId.OBJECT_DAMAGED, f"{path}@0", "not the beginning of a segment")
        at = len(SEGMENT_MAGIC)
        while at < end:
            claim = _claim(reader, at, end)
            if claim is not None and at + HEADER_BYTES + claim[1] <= end:
                kind, length, _ = claim
                if kind >= len(KINDS):
                    self._found.add(FindingId.KIND_UNKNOWN, f"{path}@{at}", f"kind {kind}")
                else:
                    self._record(path, at, reader, claim)
                at += HEADER_BYTES + length
                continue
            start, at = at, _next(reader, at + 1, end)
            if at < end or not (path.endswith(".open") and _is_torn(reader, start, end, claim)):
                self._found.add(FindingId.OBJECT_DAMAGED, f"{path}@{start}", f"{at - start} bytes are no record")

    def _record(self, path: str, at: int, reader: Reader, claim: tuple[int, int, bytes]) -> None:
        kind, length, oid = claim
        self.count += 1
        self.bytes += length
        if object_id(KINDS[kind], reader.at(at + HEADER_BYTES, length)) == oid:
            self._known.setdefault(oid, _Known(KINDS[kind], length, path, at + HEADER_BYTES))
        else:
            self._found.add(FindingId.OBJECT_DAMAGED, f"{path}@{at}", oid.hex()[:12])

    def files(self) -> None:
        """Read every large file."""
        for path, oid in self._named("objects/large"):
            self._file(path, oid)

    def _named(self, above: str) -> Iterator[tuple[str, bytes]]:
        """Yield path and id of every file named like an object in the shards of a folder."""
        for shard, mode in self._list(above):
            if _SHARD.fullmatch(shard) is None:
                continue
            folder = f"{above}/{shard.decode()}"
            if stat.S_ISLNK(mode):
                self._found.add(FindingId.SYMLINK_ENTRY, folder)
            elif stat.S_ISDIR(mode):
                for name, inner in self._list(folder):
                    path = f"{folder}/{_shown(name)}"
                    if _LARGE.fullmatch(name) is not None and self._plain(path, inner):
                        yield path, bytes.fromhex((shard + name).decode())

    def _file(self, path: str, oid: bytes) -> None:
        descriptor = self._open(path)
        if descriptor is None:
            return
        try:
            size, states = 0, [hasher(kind) for kind in KINDS]
            left = os.fstat(descriptor).st_size
            while left and (chunk := os.read(descriptor, min(BUFFER, left))):
                size += len(chunk)
                left -= len(chunk)
                for state in states:
                    state.update(chunk)
        except OSError:
            self._unread(path)
            return
        finally:
            os.close(descriptor)
        self.count += 1
        self.bytes += size
        for kind, state in zip(KINDS, states, strict=True):
            if state.digest() == oid:
                self._known.setdefault(oid, _Known(kind, size, path, 0))
                return
        self._found.add(FindingId.OBJECT_DAMAGED, path)

    def lists(self) -> None:
        """Read every list of chunks, and hash each blob out of its chunks; a list is no chunk of another."""
        found: dict[bytes, _Known] = {}
        for path, oid in self._named("objects/chunked"):
            data = self._list_bytes(path)
            if data is None:
                continue
            listed = decode_list(data)
            if listed is None:
                self._found.add(FindingId.OBJECT_DAMAGED, path, "no list of chunks")
                continue
            got = self._joined(listed)
            if got == oid:
                found[oid] = _Known("blob", listed.size, path, 0)
            elif got is not None:
                self._found.add(FindingId.OBJECT_DAMAGED, path, f"the chunks are {got.hex()[:12]}")
        for oid, there in found.items():
            self._known.setdefault(oid, there)

    def _list_bytes(self, path: str) -> bytes | None:
        descriptor = self._open(path)
        if descriptor is None:
            return None
        try:
            with os.fdopen(descriptor, "rb") as stream:
                size = os.fstat(descriptor).st_size
                data = stream.read(size) if size <= MAX_LIST else b""
        except OSError:
            self._unread(path)
            return None
        self.count += 1
        self.bytes += size
        return data

    def _joined(self, listed: ChunkList) -> bytes | None:
        """Return the id of a blob made of its chunks; None where one is not there, or cannot be read."""
        state = hasher("blob")
        for oid, length in listed.chunks:
            there = self._known.get(oid)
            if there is None or there.kind != "blob" or there.size != length:
                return None
            try:
                state.update(self._bytes(there))
            except OSError:
                self._unread(there.place)
                return None
        return state.digest()

    # -- refs and what they lead to

    def refs(self, below: str = "", depth: int = 1) -> None:
        """Read every ref."""
        for raw, mode in self._list(f"refs/{below}".rstrip("/")):
            if raw.startswith(b"."):
                continue
            name = below + os.fsdecode(raw)
            path = "refs/" + _shown(os.fsencode(name))
            if stat.S_ISDIR(mode):
                if depth >= MAX_COMPONENTS:
                    self._found.add(FindingId.REF_MALFORMED, path, "folders too deep")
                else:
                    self.refs(f"{name}/", depth + 1)
            elif not stat.S_ISREG(mode) or not _is_name(name):
                self._found.add(FindingId.REF_MALFORMED, path)
            else:
                self._ref(name, path)

    def _ref(self, name: str, path: str) -> None:
        descriptor = self._open(f"refs/{name}")
        if descriptor is None:
            return
        try:
            data = os.read(descriptor, REF_BYTES + 1)
        except OSError:
            self._unread(path)
            return
        finally:
            os.close(descriptor)
        if _REF.fullmatch(data):
            self._refs.append((name, bytes.fromhex(data[:64].decode())))
        else:
            self._found.add(FindingId.REF_MALFORMED, path)

    def closures(self) -> None:
        """Follow every ref, each object once for each kind it is wanted as and each size it is said to have."""
        todo: list[tuple[bytes, Kind, int | None]] = []
        for name, oid in self._refs:
            there = self._known.get(oid)
            if there is None:
                if not self._dark:
                    self._found.add(FindingId.REF_DANGLING, f"refs/{name}", oid.hex()[:12])
                continue
            todo.append((oid, there.kind, None))
            if name.startswith("runs/") and name.count("/") == 1:
                if there.kind != "run":
                    self._found.add(FindingId.TYPE_MISMATCH, f"refs/{name}", f"it names a {there.kind}")
                else:
                    self._run_ref(name, oid, there)
        seen = set[tuple[bytes, Kind, int | None]]()
        read = set[bytes]()
        while todo:
            wanted = todo.pop()
            if wanted not in seen:
                seen.add(wanted)
                self._want(*wanted, todo, read)

    def _run_ref(self, name: str, oid: bytes, there: _Known) -> None:
        try:
            manifest = decode_manifest(self._bytes(there)) if there.size <= MAX_BYTES else None
        except (ManifestError, OSError):
            return  # said when it is followed
        if manifest is not None and manifest.run_id != name.removeprefix("runs/"):
            self._found.add(FindingId.REF_MISMATCH, f"refs/{name}", f"the manifest says {manifest.run_id}")

    def _want(
        self, oid: bytes, kind: Kind, size: int | None, todo: list[tuple[bytes, Kind, int | None]], read: set[bytes]
    ) -> None:
        """Judge one object that is wanted, and note what it wants."""
        there, path = self._known.get(oid), oid.hex()
        if there is None:
            if not self._dark:
                self._found.add(FindingId.OBJECT_MISSING, path)
        elif there.kind != kind:
            self._found.add(FindingId.TYPE_MISMATCH, path, f"a {there.kind}, wanted as a {kind}")
        elif kind == "blob":
            if size not in (None, there.size):
                self._found.add(FindingId.SIZE_MISMATCH, path, f"{there.size} bytes, {size} expected")
        elif kind == "tree":
            self._tree(oid, there, size, todo)
        elif oid not in read:
            read.add(oid)
            self._run(oid, there, todo)

    def _tree(self, oid: bytes, there: _Known, size: int | None, todo: list[tuple[bytes, Kind, int | None]]) -> None:
        if oid not in self._sums:  # a node is read once, whatever sizes are claimed for it
            self._sums[oid] = self._node(oid.hex(), there, todo)
        total = self._sums[oid]
        if size is not None and total is not None and size != total:
            self._found.add(FindingId.SIZE_MISMATCH, oid.hex(), f"{total} bytes, {size} expected")

    def _node(self, path: str, there: _Known, todo: list[tuple[bytes, Kind, int | None]]) -> int | None:
        """Read a tree node, note what it wants, and return the sum of its sizes; None if it is none."""
        if there.size > MAX_BYTES:
            self._found.add(FindingId.OVERSIZE_LENGTH, path)
            return None
        try:
            entries = decode_tree(self._bytes(there))
        except TreeError as error:
            self._found.add(error.finding, path, error.message)
            return None
        except OSError:
            self._unread(there.place)
            return None
        todo.extend((entry.id, entry.kind, entry.size) for entry in entries)
        return sum(entry.size for entry in entries)

    def _run(self, oid: bytes, there: _Known, todo: list[tuple[bytes, Kind, int | None]]) -> None:
        path = oid.hex()
        if there.size > MAX_BYTES:
            self._found.add(FindingId.JSON_TOO_LARGE, path)
            return
        try:
            manifest = decode_manifest(self._bytes(there))
        except ManifestError as error:
            for finding in error.findings:
                self._found.add(finding.id, path, finding.detail)
            return
        except OSError:
            self._unread(there.place)
            return
        todo.append((bytes.fromhex(manifest.tree), "tree", None))
        todo.extend((bytes.fromhex(file.blake3), "blob", file.size) for file in manifest.control)
        method = bytes.fromhex(manifest.plan.method)
        if method in self._known:
            todo.append((method, "tree", None))

    def _bytes(self, there: _Known) -> bytes:
        """Read a small object again; it was hashed when it was found."""
        descriptor = self._open(there.place)
        if descriptor is None:
            raise FileNotFoundError(there.place)
        try:
            data = bytearray()
            while len(data) < there.size:
                chunk = os.pread(descriptor, there.size - len(data), there.offset + len(data))
                if not chunk:
                    break
                data += chunk
            return bytes(data)
        finally:
            os.close(descriptor)


def _is_name(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return not refusing(check_path(name))


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _claim(reader: Reader, at: int, end: int) -> tuple[int, int, bytes] | None:
    """Return (kind, length, id) of the header at an offset, of whatever kind; None if there is none."""
    data = bytes(reader.at(at, min(HEADER_BYTES, end - at)))
    record = parse(data)
    if record is not None:
        return record.kind, record.length, bytes(record.id)
    return _foreign(data)


def _foreign(data: bytes) -> tuple[int, int, bytes] | None:
    """Return the claim of a header whose kind alone is not known; it is passed over as a whole, and said."""
    if len(data) < HEADER_BYTES or data[5] < len(KINDS):
        return None
    known = bytearray(data)  # the same header as one of a kind that is known
    known[5] = 0
    known[-4:] = zlib.crc32(known[:-4]).to_bytes(4, "little")
    record = parse(bytes(known)) if zlib.crc32(data[:-4]).to_bytes(4, "little") == data[-4:] else None
    return (data[5], record.length, bytes(record.id)) if record is not None else None


def _next(reader: Reader, start: int, end: int) -> int:
    """Return the next offset where an intact record of a known kind begins, or the end."""
    at = start
    while at + HEADER_BYTES <= end:
        data = bytes(reader.at(at, min(BUFFER, end - at)))
        place = data.find(RECORD_MAGIC)
        if place < 0:
            at += max(1, len(data) - len(RECORD_MAGIC) + 1)
            continue
        at += place
        record = parse(reader.at(at, min(HEADER_BYTES, end - at)), at)
        if record is not None and record.end <= end:
            body = reader.at(at + HEADER_BYTES, record.length)
            if object_id(KINDS[record.kind], body) == record.id:
                return at
        at += 1
    return end


def _is_torn(reader: Reader, at: int, end: int, claim: tuple[int, int, bytes] | None) -> bool:
    """Say whether what reaches to the end can be what a killed writer left."""
    if claim is not None and claim[0] < len(KINDS):
        return True
    data = bytes(reader.at(at, min(end - at, MAX_RECORD)))
    if end - at < HEADER_BYTES and data[: len(RECORD_MAGIC)] == RECORD_MAGIC[: len(data)]:
        return True
    return end - at <= MAX_RECORD and not data.strip(b"\0")
