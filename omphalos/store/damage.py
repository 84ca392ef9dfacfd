"""What can be wrong with an object that is asked for: it is not there, not its bytes, or of another kind."""

from typing import ClassVar

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId
from omphalos.format.ids import SHORT_DIGITS, Kind, ObjectId
from omphalos.store.index import Place
from omphalos.store.loose import place_of


class ObjectMissing(OmphalosError):
    """The store does not hold an object."""

    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    id: ClassVar[str] = FindingId.OBJECT_MISSING.value

    def __init__(self, oid: ObjectId) -> None:
        super().__init__(
            f"no object {oid.hex()[:SHORT_DIGITS]} in this store", hint="fetch it from a remote or a bundle that has it"
        )
        self.oid = oid


class ObjectDamaged(OmphalosError):
    """The bytes under an id are not the bytes it names.

    ``got`` is the id they have as what they were asked for, None where they are no regular file, no whole record or no
    list of chunks (``folder`` is ``chunked`` then).
    """

    kind: ClassVar[ErrorKind] = ErrorKind.NEGATIVE
    id: ClassVar[str] = FindingId.OBJECT_DAMAGED.value

    def __init__(
        self, expected: ObjectId, got: ObjectId | None, place: Place | None = None, *, folder: str = "large"
    ) -> None:
        if place is None:
            what = f"its file {_said(got, 'is not a regular file')}"
            if folder != "large":
                what = f"its list of chunks {_said(got, 'is not sound')}"
            where = place_of(expected, folder)
            hint = f"move {where} elsewhere as evidence, then put the original content again or fetch it"
        else:
            what = f"its record {_said(got, 'is not whole')}"
            hint = (
                f"it lies in objects/packs/{place.segment} at byte {place.offset}; "
                "put the original content again or fetch it"
            )
        super().__init__(
            f"object {expected.hex()[:SHORT_DIGITS]} is damaged: {what}",
            hint=hint,
            undone="nothing that depends on it was written",
        )
        self.expected = expected
        self.got = got


def _said(got: ObjectId | None, nothing: str) -> str:
    return f"hashes to {got.hex()[:SHORT_DIGITS]}" if got is not None else nothing


class KindMismatch(OmphalosError):
    """An object is intact, but of another kind than was asked for."""

    kind: ClassVar[ErrorKind] = ErrorKind.NEGATIVE
    id: ClassVar[str] = FindingId.TYPE_MISMATCH.value

    def __init__(self, oid: ObjectId, expected: Kind, got: Kind) -> None:
        super().__init__(f"object {oid.hex()[:SHORT_DIGITS]} is a {got}, not a {expected}")
        self.oid = oid
        self.expected = expected
        self.got = got
