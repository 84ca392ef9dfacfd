"""Closed, versioned JSON documents other than the manifest: read strictly, by one order of steps.

Rules of this file: strict JSON; then the version; then keys the schema does not know; then types and forms; then the
one spelling. Each step is asked only if those before found nothing, so that independent readers agree on the finding.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from omphalos.format import strictjson
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId

T = TypeVar("T", bound=msgspec.Struct)
# Which class the objects under each member belong to; a tuple means a list of them.
Members = Mapping[type, Mapping[str, type | tuple[type]]]


class ClosedError(OmphalosError):
    """Bytes are not a document of a closed schema; ``findings`` says why: one, or both that unknown keys can bring."""

    kind = ErrorKind.NEGATIVE
    id = "badDocument"

    def __init__(self, findings: tuple[FindingId, ...], message: str) -> None:
        super().__init__(message)
        self.findings = findings


def decode_closed(
    data: bytes, of: type[T], *, schema: str, members: Members, max_bytes: int, malformed: FindingId
) -> T:
    """Read a document.

    Args:
        data: its bytes.
        of: its class.
        schema: the only value of its member ``schema``.
        members: which classes the objects in it belong to.
        max_bytes: the longest it may be.
        malformed: the finding for types and forms.

    Raises:
        ClosedError: for anything ``encode_closed`` would not have written.
    """
    try:
        value = strictjson.parse(data, max_bytes=max_bytes)
    except strictjson.JsonError as error:
        raise ClosedError((error.finding,), f"{error.message}, at {error.offset}") from None
    if isinstance(value, dict):
        version = value.get("schema")
        if isinstance(version, str) and version != schema:
            raise ClosedError((FindingId.MANIFEST_VERSION,), f"this reader knows {schema}")
        unknown = sorted(set(unknown_keys(value, of, members)))
        if unknown:
            raise ClosedError(tuple(unknown), "a key is not in the schema")
    try:
        read = msgspec.convert(value, of)
    except msgspec.ValidationError as error:
        raise ClosedError((malformed,), str(error)) from None
    if encode_closed(read) != data:
        raise ClosedError((FindingId.MANIFEST_NOT_CANONICAL,), "keys sorted, two-space indent, one newline at the end")
    return read


def encode_closed(value: msgspec.Struct) -> bytes:
    """Return the one spelling of a document.

    Raises:
        JsonError: text in it holds a lone surrogate.
    """
    try:
        return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"
    except UnicodeEncodeError:
        raise strictjson.JsonError(FindingId.JSON_ENCODING, "text with a lone surrogate cannot be written") from None


def unknown_keys(value: Any, of: type, members: Members) -> Iterator[FindingId]:
    """Yield a finding for every key that the schema does not know, wherever it stands."""
    if not isinstance(value, dict):
        return
    known = set(of.__struct_fields__)  # type: ignore[attr-defined]  # every class of ``members`` is a Struct
    for key in value.keys() - known:
        yield FindingId.JSON_KEY_CASE if key.casefold() in known else FindingId.JSON_UNKNOWN_FIELD
    for name, kind in members.get(of, {}).items():
        inner = value.get(name)
        if isinstance(kind, type):
            yield from unknown_keys(inner, kind, members)
        elif isinstance(inner, list):
            for item in inner:
                yield from unknown_keys(item, kind[0], members)
