"""Strict JSON: the subset of I-JSON (RFC 7493) that every reader understands alike.

Rules of this file: UTF-8 without byte order mark or carriage return; no key twice in an object; numbers are integers
from 0 to 2^53-1 written plainly; no lone surrogate; nesting up to 64; one value and nothing behind it. What ``parse``
lets through means the same in any language, and what ``dump`` writes is the one spelling of a value. Unicode
noncharacters are let through, because names of parties may hold them.

Order of judgement, so that independent verifiers agree on the finding: length; then byte order mark, UTF-8 and carriage
returns of the whole text; then the first fault in the order of the text, a repeated key counting where it stands the
second time, a surrogate where its string starts, nesting at the bracket that is one too many.

The scanner is a loop over regular expressions that never backtrack, so time and memory are linear in the input.
"""

import re
from typing import Final

import msgspec

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]

MAX_INT: Final = 2**53 - 1
MAX_DEPTH: Final = 64

_STRING = r'"((?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+)"'
_KEY: Final = re.compile(rf"[ \t\n]*+{_STRING}[ \t\n]*+(:?)").match
_VALUE: Final = re.compile(
    rf"[ \t\n]*+(?:{_STRING}|(-?(?:[0-9][0-9.eE+-]*+|Infinity)|NaN)|([\[{{])|(true|false|null))"
).match
_NEXT: Final = re.compile(r"[ \t\n]*+([,\]}]?)").match
_END: Final = re.compile(r"[ \t\n]*+").fullmatch
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII).fullmatch
_LITERALS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}


class JsonError(OmphalosError):
    """A text is not strict JSON, or a value has none; ``finding`` says which rule was broken, ``offset`` where.

    ``offset`` counts characters from the start of the text (0 for a value that was to be written).
    """

    kind = ErrorKind.NEGATIVE
    id = "badJson"

    def __init__(self, finding: FindingId, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.finding = finding
        self.offset = offset


def parse(data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> Json:
    """Parse strict JSON.

    Args:
        data: the whole text.
        max_bytes: the longest text the caller is ready to hold about ten times in memory.
        max_depth: how many arrays and objects may stand inside each other.

    Raises:
        JsonError: with the exact finding.
    """
    if len(data) > max_bytes:
        raise JsonError(FindingId.JSON_TOO_LARGE, f"the JSON is longer than {max_bytes} bytes")
    if data[:3] == b"\xef\xbb\xbf":
        raise JsonError(FindingId.JSON_ENCODING, "the JSON starts with a byte order mark")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise JsonError(FindingId.JSON_ENCODING, "the JSON is not valid UTF-8", error.start) from None
    if "\r" in text:
        raise JsonError(FindingId.JSON_ENCODING, "the JSON holds a carriage return", text.index("\r"))
    value, pos = _scan(text, max_depth)
    if _END(text, pos) is None:
        raise JsonError(FindingId.JSON_ENCODING, "there is text after the value", pos)
    return value


def _scan(text: str, max_depth: int) -> tuple[Json, int]:
    """Read the first value of ``text`` and return it and the position behind it."""
    stack: list[list[Json] | dict[str, Json]] = []
    keys: list[str] = []  # one per object on the stack, outermost first: the key whose value is being read
    pos = 0
    while True:
        match = _VALUE(text, pos)
        if match is None:
            raise JsonError(FindingId.JSON_SYNTAX, "a value is expected here", pos)
        start, pos, group = pos, match.end(), match.lastindex
        value: Json
        if group == 1:
            value = _string(match.group(1), start)
        elif group == 2:
            value = _integer(match.group(2), start)
        elif group == 4:
            value = _LITERALS[match.group(4)]
        else:
            if len(stack) >= max_depth:
                raise JsonError(FindingId.JSON_ENCODING, f"the JSON is nested deeper than {max_depth}", start)
            value = [] if match.group(3) == "[" else {}
            # Only a container that holds something is opened; an empty one is a value like any other.
            after = _NEXT(text, pos)
            closing = "]" if isinstance(value, list) else "}"
            if after is not None and after.group(1) == closing:
                pos = after.end()
            else:
                stack.append(value)
                if isinstance(value, dict):
                    key, pos = _key(text, pos, value)
                    keys.append(key)
                continue
        # A value is complete: put it in its place, and close every container that ends here.
        while True:
            if not stack:
                return value, pos
            top = stack[-1]
            if isinstance(top, list):
                top.append(value)
                closing = "]"
            else:
                top[keys[-1]] = value
                closing = "}"
            after = _NEXT(text, pos)
            mark = after.group(1) if after is not None else ""
            if after is not None and mark == ",":
                pos = after.end()
                if isinstance(top, dict):
                    keys[-1], pos = _key(text, pos, top)
                break
            if after is None or mark != closing:
                raise JsonError(FindingId.JSON_SYNTAX, f"a comma or {closing} is expected here", pos)
            pos = after.end()
            value = stack.pop()
            if isinstance(value, dict):
                keys.pop()


def _key(text: str, pos: int, into: dict[str, Json]) -> tuple[str, int]:
    match = _KEY(text, pos)
    if match is None:
        raise JsonError(FindingId.JSON_SYNTAX, "a key is expected here", pos)
    key = _string(match.group(1), pos)
    if key in into:
        raise JsonError(FindingId.JSON_DUPLICATE_KEY, "an object has the same key twice", pos)
    if not match.group(2):
        raise JsonError(FindingId.JSON_SYNTAX, "a colon is expected here", match.end())
    return key, match.end()


def _string(raw: str, start: int) -> str:
    if "\\" not in raw:
        return raw
    try:
        return msgspec.json.decode(f'"{raw}"'.encode(), type=str)
    except msgspec.DecodeError:  # the escapes are well formed, so it can only be a surrogate without its twin
        raise JsonError(FindingId.JSON_ENCODING, "a string holds a lone surrogate", start) from None


def _integer(raw: str, start: int) -> int:
    if _INTEGER(raw) is None or int(raw) > MAX_INT:
        raise JsonError(FindingId.JSON_NUMBER, "a number is not a plain integer from 0 to 2^53-1", start)
    return int(raw)


def dump(value: object) -> bytes:
    """Return the one readable spelling: keys in code point order, two-space indent, one newline at the end.

    Escapes in text are those that JSON demands and no others: ``\\"``, ``\\\\``, ``\\b \\f \\n \\r \\t``, and
    ``\\u00xx`` in lower case for the remaining control characters below U+0020.

    Raises:
        JsonError: if ``value`` holds anything ``parse`` would not give back: a float, a negative or large integer, a
            key that is not text, a lone surrogate, another type.
    """
    return msgspec.json.format(compact(value), indent=2) + b"\n"


def compact(value: object) -> bytes:
    """Return the one short spelling: as ``dump``, without any space or newline.

    Raises:
        JsonError: as ``dump``.
    """
    _check(value)
    try:
        return msgspec.json.encode(value, order="sorted")
    except UnicodeEncodeError:
        raise JsonError(FindingId.JSON_ENCODING, "text with a lone surrogate cannot be written") from None


def _check(value: object) -> None:
    """Refuse a value that has no strict JSON; without recursion, level by level."""
    level: list[object] = [value]
    depth = 0
    while level:
        deeper: list[object] = []
        for item in level:
            kind = type(item)
            if kind is str or item is None or kind is bool:
                continue
            if isinstance(item, int) and kind is int:
                if not 0 <= item <= MAX_INT:
                    raise JsonError(FindingId.JSON_NUMBER, "an integer is outside 0 to 2^53-1")
            elif kind is float:
                raise JsonError(FindingId.JSON_NUMBER, "a float cannot be written")
            elif isinstance(item, dict | list | tuple) and kind in (dict, list, tuple):
                if depth == MAX_DEPTH:
                    raise JsonError(FindingId.JSON_ENCODING, f"the value is nested deeper than {MAX_DEPTH}")
                if isinstance(item, dict) and not all(type(key) is str for key in item):
                    raise JsonError(FindingId.JSON_SYNTAX, "a key is not text")
                deeper.extend(item.values() if isinstance(item, dict) else item)
            else:
                raise JsonError(FindingId.JSON_SYNTAX, f"a value of type {kind.__name__} cannot be written")
        level = deeper
        depth += 1
