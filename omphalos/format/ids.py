"""Object ids: 32 bytes that name bytes of one kind.

Rules of this file: an id is BLAKE3 over the plain bytes of an object. A blob's id is the plain hash, so ``b3sum FILE``
prints it. A tree node and a run manifest are hashed in derive-key mode with a context of their own (BLAKE3 paper,
section 6.2), so that a blob which happens to hold a tree's bytes has another id. As text an id is 64 lower-case hex
digits; nothing else is accepted.
"""

from typing import Final, Literal, NewType

from blake3 import blake3

from omphalos.format.errors import ErrorKind, OmphalosError

Kind = Literal["blob", "tree", "run"]
ObjectId = NewType("ObjectId", bytes)

KINDS: Final[tuple[Kind, ...]] = ("blob", "tree", "run")
TREE_CONTEXT: Final = "omphalos 2026-11-22 tree node v1"
RUN_CONTEXT: Final = "omphalos 2026-11-22 run manifest v1"
ID_BYTES: Final = 32
HEX_DIGITS: Final = 64
SHORT_DIGITS: Final = 12
MIN_PREFIX_DIGITS: Final = 6

_HEX = frozenset("0123456789abcdef")


class IdError(OmphalosError):
    """A text is not an object id."""

    kind = ErrorKind.USAGE
    id = "badObjectId"


def hasher(kind: Kind) -> blake3:
    """Return a fresh incremental BLAKE3 hasher for objects of ``kind``."""
    if kind == "blob":
        return blake3()
    return blake3(derive_key_context=TREE_CONTEXT if kind == "tree" else RUN_CONTEXT)


def object_id(kind: Kind, data: bytes | memoryview) -> ObjectId:
    """Return the id of ``data`` as an object of ``kind``."""
    state = hasher(kind)
    state.update(data)
    return ObjectId(state.digest())


def blob_id(data: bytes | memoryview) -> ObjectId:
    """Return the id of a blob: plain BLAKE3 of its bytes."""
    return ObjectId(blake3(data).digest())


def to_hex(oid: bytes) -> str:
    """Return an id as 64 lower-case hex digits."""
    return oid.hex()


def from_hex(text: str) -> ObjectId:
    """Parse 64 lower-case hex digits.

    Raises:
        IdError: for anything else, upper case included.
    """
    if len(text) != HEX_DIGITS or not _HEX.issuperset(text):
        raise IdError("not an object id: expected 64 lower-case hex digits")
    return ObjectId(bytes.fromhex(text))


def is_prefix(text: str) -> bool:
    """Say whether ``text`` may stand for an id: 6 to 64 lower-case hex digits."""
    return MIN_PREFIX_DIGITS <= len(text) <= HEX_DIGITS and _HEX.issuperset(text)
