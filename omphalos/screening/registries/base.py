"""The one shape every registry takes: its tables, what is counted of them, and how a text in them looks.

Rules of this file: text is NFC with whitespace collapsed; a control character is never carried into a name; no float is
ever stored. Which country a word means is not known here: the caller passes ``country_code``.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa
from blake3 import blake3

CountryCode = Callable[[str], str | None]

ENTITY_TYPES: Final = ("person", "organization", "vessel", "aircraft", "unknown")
NAME_KINDS: Final = ("primary", "alias", "weak")

MAX_TEXT_CHARS: Final = 65_536
MAX_MARKS: Final = 30
EXCERPT_CHARS: Final = 200

_SPACES = re.compile(r"\s+")
# C0, DEL, C1 and surrogates, but for tab, line feed and carriage return, which collapse as whitespace.
_REFUSED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

_TEXT, _INT = "text", "int"

SCHEMAS: Final[Mapping[str, tuple[tuple[str, str, bool], ...]]] = {
    "registry": (
        ("entity_id", _TEXT, False),
        ("source", _TEXT, False),
        ("native_id", _TEXT, False),
        ("entity_type", _TEXT, False),
        ("name", _TEXT, False),
        ("country", _TEXT, True),
        ("countries", _TEXT, True),
        ("programs", _TEXT, True),
        ("listed_on", _TEXT, True),
        ("citation", _TEXT, True),
        ("remarks", _TEXT, True),
        ("record_hash", _TEXT, False),
    ),
    "registry_names": (
        ("entity_id", _TEXT, False),
        ("name_no", _INT, False),
        ("name_kind", _TEXT, False),
        ("name", _TEXT, False),
    ),
    "registry_addresses": (
        ("entity_id", _TEXT, False),
        ("address_no", _INT, False),
        ("address", _TEXT, True),
        ("city", _TEXT, True),
        ("country", _TEXT, True),
    ),
    "registry_identifiers": (
        ("entity_id", _TEXT, False),
        ("identifier_no", _INT, False),
        ("identifier_kind", _TEXT, False),
        ("value", _TEXT, False),
        ("country", _TEXT, True),
    ),
    "registry_relations": (
        ("entity_id", _TEXT, False),
        ("relation_no", _INT, False),
        ("relation", _TEXT, False),
        ("other_name", _TEXT, False),
        ("other_id", _TEXT, True),
    ),
    "registry_rejects": (
        ("source", _TEXT, False),
        ("file", _TEXT, False),
        ("row", _INT, False),
        ("field", _TEXT, True),
        ("reason", _TEXT, False),
        ("value", _TEXT, True),
    ),
}


@dataclass(frozen=True)
class FileCounts:
    """What became of the records of one input file: ``records == used + rejected``."""

    records: int
    used: int
    rejected: int


@dataclass(frozen=True)
class RegistryCounts:
    """Counts of one registry; every mapping is in key order.

    ``rejected`` counts reject rows by reason, those of a single field included; ``files`` accounts for whole records.
    """

    entities: int
    names: dict[str, int]
    addresses: int
    identifiers: int
    rejected: dict[str, int]
    files: dict[str, FileCounts]
    unknown_countries: dict[str, int]
    most_names: int

    def as_json(self) -> dict[str, Any]:
        """Return the counts as plain dicts and integers for a report."""
        return {
            "addresses": self.addresses,
            "entities": self.entities,
            "files": {
                name: {"records": one.records, "rejected": one.rejected, "used": one.used}
                for name, one in self.files.items()
            },
            "identifiers": self.identifiers,
            "most_names": self.most_names,
            "names": dict(self.names),
            "rejected": dict(self.rejected),
            "unknown_countries": dict(self.unknown_countries),
        }


Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class RegistryRecords:
    """One registry as six tables of columns (see ``SCHEMAS``), each sorted by its key."""

    source: str
    entities: Columns
    names: Columns
    addresses: Columns
    identifiers: Columns
    relations: Columns
    rejects: Columns
    counts: RegistryCounts

    def to_arrow(self) -> dict[str, Any]:
        """Return the six tables by name as ``pyarrow.Table`` with the schemas of ``SCHEMAS``."""
        parts = (self.entities, self.names, self.addresses, self.identifiers, self.relations, self.rejects)
        return {
            table: pa.Table.from_pydict(columns, schema=arrow_schema(table))
            for table, columns in zip(SCHEMAS, parts, strict=True)
        }


class RegistryReader(Protocol):
    """A reader of one published list format."""

    format: str

    def parts(self, path: Path) -> dict[str, Path]:
        """Return which files make up the source at ``path`` (a folder or a file), by the reader's own part names.

        Raises:
            RegistryFileError: when a needed file is missing or more than one could be meant.
        """

    def read(self, source: str, parts: dict[str, Path], country_code: CountryCode) -> RegistryRecords:
        """Read the files of one source.

        Args:
            source: the name that stands before the colon of every entity id.
            parts: the files by part name, as ``parts`` returns them.
            country_code: maps a country in words or codes to ISO 3166-1 alpha-2, or None.

        Raises:
            OmphalosError: a typed error for unreadable, damaged, ambiguous or empty input; nothing else.
        """


def arrow_schema(table: str) -> Any:
    """Return the ``pyarrow.Schema`` of one of the six tables."""
    kinds = {_TEXT: pa.string(), _INT: pa.int64()}
    return pa.schema([pa.field(name, kinds[kind], nullable=nullable) for name, kind, nullable in SCHEMAS[table]])


def canonical_json(value: object) -> bytes:
    """Return compact JSON with sorted keys as UTF-8: the bytes that ``record_hash`` is taken over."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def record_hash(value: object) -> str:
    """Return the BLAKE3 hex digest of the canonical JSON of a whole source record."""
    return blake3(canonical_json(value)).hexdigest()


def clean(text: str | None, cap: int = MAX_TEXT_CHARS) -> tuple[str | None, str | None]:
    """Return ``(text, None)`` in NFC with whitespace collapsed, ``(None, None)`` for nothing, or ``(None, reason)``.

    Reasons: ``controlCharacter`` (a C0 or C1 control other than tab and line ends, or half a surrogate pair),
    ``textTooLong`` (more than ``cap`` characters), ``tooManyMarks`` (over 30 combining marks in a row, the bound of the
    Stream-Safe Text Format, UAX #15 section 13: sorting longer runs takes quadratic time).
    """
    if text is None:
        return None, None
    if _REFUSED.search(text):
        return None, "controlCharacter"
    if not text.isascii() and _too_many_marks(text):
        return None, "tooManyMarks"
    tidy = _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip()
    if len(tidy) > cap:
        return None, "textTooLong"
    return tidy or None, None


def _too_many_marks(text: str) -> bool:
    run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run > MAX_MARKS:
            return True
    return False


def excerpt(text: str) -> str:
    """Return the first 200 characters of ``text`` in NFC, control characters kept, half surrogates replaced."""
    short = unicodedata.normalize("NFC", text[: 4 * EXCERPT_CHARS])[:EXCERPT_CHARS]
    return short.encode("utf-8", "replace").decode("utf-8")


def iso_date(text: str) -> str | None:
    """Return ``text`` when it is a calendar date 'YYYY-MM-DD', else None."""
    if len(text) != len("YYYY-MM-DD") or not text.isascii():
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def joined(values: Sequence[str]) -> str | None:
    """Return distinct ``values`` sorted and joined by ';' (a ';' inside a value becomes ','), or None for none."""
    parts = sorted({value.replace(";", ",") for value in values if value})
    return ";".join(parts) if parts else None
