"""The bytes of a bundle: its index, the one header each member has, and what is wrong with any other.

Rules of this file: ``docs/format/bundle.md``. A bundle has one spelling, so a header is compared, not interpreted: only
what says best why it is refused is looked into. The index is a closed, versioned schema like the manifest's.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from omphalos.format.closed import decode_closed, encode_closed
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import Finding, FindingId
from omphalos.format.manifest import Digest, Text
from omphalos.format.paths import check_path, check_path_bytes, refusing
from omphalos.format.strictjson import MAX_INT

SCHEMA: Final = "omphalos.bundle/1"
INDEX: Final = "bundle.json"
BLOCK: Final = 512
MAX_INDEX: Final = 1 << 26
MAX_MEMBER: Final = (1 << 33) - 1
MAX_MANIFESTS: Final = 1 << 28
MAX_NODES: Final = 1 << 26
MAX_STATEMENT: Final = 1 << 20
MAX_ATTESTATIONS: Final = 256
FOLDERS: Final = ("manifests", "nodes", "payload", "statements")
END: Final = bytes(2 * BLOCK)

_MEMBER = re.compile(r"(manifests|nodes|payload|statements)/[0-9a-f]{64}", re.ASCII)
_OCTAL = re.compile(rb"[0-7]+")
_TYPES: Final = {
    b"1": FindingId.HARDLINK_ENTRY,
    b"2": FindingId.SYMLINK_ENTRY,
    b"5": FindingId.DIR_EXTRA,
    b"x": FindingId.ARCHIVE_ESCAPE,
    b"g": FindingId.ARCHIVE_ESCAPE,
    b"L": FindingId.ARCHIVE_ESCAPE,
    b"K": FindingId.ARCHIVE_ESCAPE,
}


class Attestation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a run's ``attestations/``: its name there, and the blob id of its bytes."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    id: Digest


class BundledRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run in the bundle; ``run`` is the id of its run object."""

    run_id: Text
    run: Digest
    attestations: tuple[Attestation, ...]


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member after the index."""

    name: str
    size: Annotated[int, Meta(ge=0, le=MAX_INT)]
    sha256: Digest


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``bundle.json``."""

    schema: Literal["omphalos.bundle/1"]
    runs: Annotated[tuple[BundledRun, ...], Meta(min_length=1)]
    members: tuple[Member, ...]


class ArchiveError(OmphalosError):
    """A structural fault of a bundle: ``finding`` at ``path`` ends its reading."""

    kind = ErrorKind.NEGATIVE
    id = "badBundle"

    def __init__(self, finding: FindingId, path: str, message: str = "") -> None:
        super().__init__(message)
        self.finding = finding
        self.path = path


def decode_index(data: bytes) -> Index:
    """Read the index; what it says is for ``check_index``.

    Raises:
        ClosedError: with the exact findings.
    """
    return decode_closed(
        data,
        Index,
        schema=SCHEMA,
        members={Index: {"runs": (BundledRun,), "members": (Member,)}, BundledRun: {"attestations": (Attestation,)}},
        max_bytes=MAX_INDEX,
        malformed=FindingId.MANIFEST_SCHEMA,
    )


def encode_index(index: Index) -> bytes:
    """Return the bytes of ``bundle.json``."""
    return encode_closed(index)


def check_index(index: Index) -> list[Finding]:
    """Return everything that is wrong with what the index says, in order."""
    found = [*_check_members(index), *_check_attestations(index)]
    lists = [[m.name for m in index.members], [run.run_id for run in index.runs]]
    lists += [[item.name for item in run.attestations] for run in index.runs]
    for names in lists:
        if any(a == b for a, b in itertools.pairwise(names)):
            found.append(Finding(FindingId.DUPLICATE_ENTRY, INDEX))
        elif any(a > b for a, b in itertools.pairwise(names)):
            found.append(Finding(FindingId.UNSORTED, INDEX))
    there = {member.name for member in index.members}
    for run in index.runs:
        wanted = [f"manifests/{run.run}", *(f"statements/{item.id}" for item in run.attestations)]
        found += [Finding(FindingId.OBJECT_MISSING, name) for name in wanted if name not in there]
    return sorted(set(found))


def _check_members(index: Index) -> Iterator[Finding]:
    sums = dict.fromkeys(FOLDERS, 0)
    for member in index.members:
        if _MEMBER.fullmatch(member.name) is None:
            yield Finding(FindingId.ARCHIVE_ESCAPE, INDEX, "a member is in none of the folders of a bundle")
            continue
        folder = member.name.split("/", 1)[0]
        sums[folder] += member.size
        if member.size > (MAX_STATEMENT if folder == "statements" else MAX_MEMBER):
            yield Finding(FindingId.OVERSIZE_LENGTH, INDEX)
    total = sum(member.size for member in index.members)
    if sums["manifests"] > MAX_MANIFESTS or sums["nodes"] > MAX_NODES or total > MAX_INT:
        yield Finding(FindingId.OVERSIZE_LENGTH, INDEX)


def _check_attestations(index: Index) -> Iterator[Finding]:
    for run in index.runs:
        if len(run.attestations) > MAX_ATTESTATIONS:
            yield Finding(FindingId.OVERSIZE_LENGTH, INDEX)
        for item in run.attestations:
            broken = refusing(check_path(item.name))
            if not item.name.endswith(".json"):
                yield Finding(FindingId.MANIFEST_SCHEMA, INDEX)
            if broken:
                yield Finding(broken[0], INDEX)
            elif "/" in item.name:
                yield Finding(FindingId.PATH_SLASH, INDEX)


def header(name: str, size: int) -> bytes:
    """Return the header of a member.

    Raises:
        ValueError: the name is longer than 100 bytes, or the size has more than 11 octal digits.
    """
    raw = name.encode()
    if len(raw) > 100 or not 0 <= size <= MAX_MEMBER:
        raise ValueError(f"no header for {name!r} of {size} bytes")
    data = bytearray(BLOCK)
    data[: len(raw)] = raw
    data[100:124] = b"0000644\x00" + b"0000000\x00" * 2
    data[124:148] = b"%011o\x00" % size + b"00000000000\x00"
    data[148:156] = b" " * 8
    data[156:157] = b"0"
    data[257:265] = b"ustar\x0000"
    data[329:345] = b"0000000\x00" * 2
    data[148:156] = b"%06o\x00 " % sum(data)
    return bytes(data)


def padding(size: int) -> int:
    """Return how many zero bytes follow a member of ``size`` bytes."""
    return -size % BLOCK


def read_header(data: bytes, expected: str, size: int | None, place: Mapping[str, int]) -> int:
    """Judge the header of the expected member; return the member's size.

    Args:
        data: what was read where a header is due, 512 bytes or fewer.
        expected: the name of the member that is due.
        size: its size by the index; None for the index itself.
        place: the place of every member in the index, by name.

    Raises:
        ArchiveError: it is not the one header of this member.
    """
    if len(data) < BLOCK:
        raise ArchiveError(FindingId.TRUNCATED, expected, "the file ends where a header is due")
    if not any(data):
        raise ArchiveError(FindingId.FILE_MISSING, expected, "the archive ends before it")
    total = sum(data) - sum(data[148:156]) + 8 * ord(" ")
    if data[257:262] != b"ustar" or data[148:154] != b"%06o" % total:
        raise ArchiveError(FindingId.ARCHIVE_MALFORMED, expected, "no header of a member")
    kind = data[156:157]
    if kind in (b"1", b"2"):
        raise ArchiveError(_TYPES[kind], expected)
    if kind in (b"x", b"g", b"L", b"K") or data[345]:
        raise ArchiveError(FindingId.ARCHIVE_ESCAPE, expected, "a name in two parts, or another header's")
    if kind != b"0":
        raise ArchiveError(_TYPES.get(kind, FindingId.SPECIAL_FILE), expected)
    raw = data[:100].split(b"\0", 1)[0]
    if refusing(check_path_bytes(raw)):
        raise ArchiveError(FindingId.ARCHIVE_ESCAPE, expected, "the member has a bad name")
    name = raw.decode()
    if name != expected:
        raise _misplaced(name, expected, place)
    if size is None:
        digits = data[124:135]
        claim = int(digits, 8) if _OCTAL.fullmatch(digits) else 0
        if claim > MAX_INDEX:
            raise ArchiveError(FindingId.JSON_TOO_LARGE, expected, f"{claim} bytes")
    else:
        claim = size
        if data[124:136] != b"%011o\x00" % claim:
            raise ArchiveError(FindingId.SIZE_MISMATCH, expected, "the header and the index differ")
    if data != header(expected, claim):
        raise ArchiveError(FindingId.ARCHIVE_MALFORMED, expected, "not in the one spelling")
    return claim


def _misplaced(name: str, expected: str, place: Mapping[str, int]) -> ArchiveError:
    """Return what it means that another member stands where one is expected."""
    if expected == INDEX:
        return ArchiveError(FindingId.MANIFEST_MISSING, INDEX, "the first member is another")
    if name == INDEX or place.get(name, len(place)) < place[expected]:
        return ArchiveError(FindingId.DUPLICATE_ENTRY, name)
    if name in place:
        return ArchiveError(FindingId.FILE_MISSING, expected, "members that come later stand in its place")
    return ArchiveError(FindingId.FILE_EXTRA, name, "not in the index")
