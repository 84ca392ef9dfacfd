"""Canonical msgpack: the one encoding of everything that is hashed and is not a file.

Rules of this file: four kinds of value only (array, text, unsigned integer up to 2^64-1, bytes) and exactly one
encoding of each: the shortest header that holds it (msgpack specification, "str", "bin", "array" and "int" formats).
The decoder accepts what the encoder writes and nothing else, so an id over these bytes cannot have two spellings. It
reads without recursion and never allocates by a claimed length: five bytes that claim four billion items are refused
because the data cannot hold them.
"""

from collections.abc import Sequence
from typing import Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId

Value = Sequence["Value"] | str | int | bytes

MAX_DEPTH: Final = 64
MAX_ITEMS: Final = 2**20
MAX_UINT: Final = 2**64 - 1

# Per header byte: number of length bytes, the smallest length that needs them.
_UINT = {0xCC: (1, 0x80), 0xCD: (2, 0x100), 0xCE: (4, 0x10000), 0xCF: (8, 0x100000000)}
_STR = {0xD9: (1, 32), 0xDA: (2, 0x100), 0xDB: (4, 0x10000)}
_BIN = {0xC4: (1, 0), 0xC5: (2, 0x100), 0xC6: (4, 0x10000)}
_ARRAY = {0xDC: (2, 16), 0xDD: (4, 0x10000)}


class CanonicalError(OmphalosError):
    """Bytes are not canonical msgpack, or a value has no canonical msgpack.

    ``finding`` says which rule was broken; ``offset`` is the byte where it showed (0 when encoding).
    """

    kind = ErrorKind.NEGATIVE
    id = "notCanonical"

    def __init__(self, finding: FindingId, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.finding = finding
        self.offset = offset


def encode(value: Value, *, max_depth: int = MAX_DEPTH) -> bytes:
    """Return the canonical msgpack of ``value``.

    Raises:
        CanonicalError: for any other type (``bool`` included), an integer outside 0 … 2^64-1, text with a lone
            surrogate, or arrays nested deeper than ``max_depth``.
    """
    out: list[bytes] = []
    _encode_into(out, value, max_depth)
    return b"".join(out)


def _encode_into(out: list[bytes], value: object, depth_left: int) -> None:
    kind = type(value)
    if kind is str:
        try:
            raw = value.encode()  # type: ignore[attr-defined]  # narrowed by exact type, which mypy does not follow
        except UnicodeEncodeError:
            raise CanonicalError(FindingId.NOT_UTF8, "text with a lone surrogate cannot be encoded") from None
        out.append(_header(len(raw), 0xA0, 32, _STR))
        out.append(raw)
    elif isinstance(value, int) and kind is int:
        if not 0 <= value <= MAX_UINT:
            raise CanonicalError(FindingId.MSGPACK_SYNTAX, f"integer out of range: {value.bit_length()} bits")
        out.append(_header(value, 0, 0x80, _UINT))
    elif isinstance(value, bytes) and kind is bytes:
        out.append(_header(len(value), 0, 0, _BIN))
        out.append(value)
    elif isinstance(value, list | tuple) and kind in (list, tuple):
        if depth_left == 0:
            raise CanonicalError(FindingId.OVERSIZE_LENGTH, "arrays are nested too deep")
        out.append(_header(len(value), 0x90, 16, _ARRAY))
        for item in value:
            _encode_into(out, item, depth_left - 1)
    else:
        raise CanonicalError(FindingId.MSGPACK_SYNTAX, f"a value of type {kind.__name__} has no canonical msgpack")


def _header(length: int, fix: int, fix_limit: int, forms: dict[int, tuple[int, int]]) -> bytes:
    """Return the shortest header: one byte below ``fix_limit``, else the first form with enough length bytes."""
    if length < fix_limit:
        return bytes((fix | length,))
    for byte, (width, _) in forms.items():
        if length >> (8 * width) == 0:
            return bytes((byte,)) + length.to_bytes(width, "big")
    raise CanonicalError(FindingId.OVERSIZE_LENGTH, "longer than msgpack can say")


def decode(data: bytes, *, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> Value:
    """Decode one canonical value; arrays become lists.

    Args:
        data: all bytes of the value; one byte more is refused.
        max_depth: how many arrays may stand inside each other.
        max_items: how many values there may be in all, arrays counted.

    Raises:
        CanonicalError: for anything that ``encode`` would not have written.
    """
    top: list[Value] = []
    stack: list[tuple[list[Value], int]] = [(top, 1)]
    pos, end, items = 0, len(data), 0
    while stack:
        target, wanted = stack[-1]
        if len(target) == wanted:
            stack.pop()
            continue
        if pos >= end:
            raise CanonicalError(FindingId.TRUNCATED, "the data ends inside a value", pos)
        byte = data[pos]
        start, pos, items = pos, pos + 1, items + 1
        if items > max_items:
            raise CanonicalError(FindingId.OVERSIZE_LENGTH, "more values than allowed", start)
        if byte < 0x80:
            target.append(byte)
        elif byte in _UINT:
            number, pos = _length(data, start, _UINT[byte])
            target.append(number)
        elif 0xA0 <= byte <= 0xBF or byte in _STR:
            length, pos = (byte & 0x1F, pos) if byte <= 0xBF else _length(data, start, _STR[byte])
            raw = _take(data, start, pos, length)
            pos += length
            try:
                target.append(raw.decode())
            except UnicodeDecodeError:
                raise CanonicalError(FindingId.NOT_UTF8, "text is not valid UTF-8", start) from None
        elif byte in _BIN:
            length, pos = _length(data, start, _BIN[byte])
            target.append(_take(data, start, pos, length))
            pos += length
        elif 0x90 <= byte <= 0x9F or byte in _ARRAY:
            length, pos = (byte & 0x0F, pos) if byte <= 0x9F else _length(data, start, _ARRAY[byte])
            # Every item takes at least one byte and one of the values still allowed: a larger claim is a lie or a bomb.
            if length > end - pos or length > max_items - items:
                raise CanonicalError(FindingId.OVERSIZE_LENGTH, "an array claims more items than there can be", start)
            if len(stack) > max_depth:
                raise CanonicalError(FindingId.OVERSIZE_LENGTH, "arrays are nested too deep", start)
            inner: list[Value] = []
            target.append(inner)
            stack.append((inner, length))
        else:
            raise CanonicalError(FindingId.MSGPACK_SYNTAX, f"the header {byte:02x} is not of this format", start)
    if pos != end:
        raise CanonicalError(FindingId.TRAILING_GARBAGE, "there are bytes after the value", pos)
    return top[0]


def _length(data: bytes, start: int, form: tuple[int, int]) -> tuple[int, int]:
    """Return the number after the header at ``start`` and the position behind it."""
    width, least = form
    pos = start + 1 + width
    if pos > len(data):
        raise CanonicalError(FindingId.TRUNCATED, "the data ends inside a length", start)
    number = int.from_bytes(data[start + 1 : pos], "big")
    if number < least:
        raise CanonicalError(FindingId.MSGPACK_NOT_CANONICAL, "a header is longer than it needs to be", start)
    return number, pos


def _take(data: bytes, start: int, pos: int, length: int) -> bytes:
    if length > len(data) - pos:
        raise CanonicalError(FindingId.OVERSIZE_LENGTH, "a length goes beyond the data", start)
    return bytes(data[pos : pos + length])
