"""Reader of the United Nations Security Council consolidated list (``un-xml``).

Source: the UN's published XML (``CONSOLIDATED_LIST`` of ``INDIVIDUALS`` and ``ENTITIES``), read by ``elements.py``.

Rules of this file: the reference number is the native id; FIRST to FOURTH_NAME are joined as they stand; a low-quality
alias is weak. The publisher puts several spellings into one field ("A; B", "native (A; B)", "native (Latin)", "original
script: X"); each spelling becomes a name of its own, and nothing is translated or rearranged.
"""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from omphalos.screening.registries.builder import Builder, Draft, Origin, RawAddress, RawIdentifier, RawName
from omphalos.screening.registries.elements import Layout, Node, parse_records
from omphalos.screening.registries.onefile import OneFileReader
from omphalos.screening.registries.sources import read_bytes

_LAYOUT: Final = Layout(
    root="CONSOLIDATED_LIST",
    records=frozenset({("INDIVIDUALS", "INDIVIDUAL"), ("ENTITIES", "ENTITY")}),
    depth=3,
    what="the consolidated list as XML",
)
_NAME_FIELDS: Final = ("FIRST_NAME", "SECOND_NAME", "THIRD_NAME", "FOURTH_NAME")
_KINDS: Final = (("passport", "passport"), ("pasaporte", "passport"), ("passeport", "passport"))
_SCRIPT_NOTE = re.compile(r"(?:original script|in \w+ script)\s*:\s*(.+)", re.IGNORECASE | re.DOTALL)
_ZONED_DATE = re.compile(r"([0-9-]{10})(?:Z|[+-][0-9]{2}:[0-9]{2})")
_LETTERED = re.compile(r"\s[b-z]\)\s")
_SCRIPT_MARK = "(original script)"


class UnReader(OneFileReader):
    """Reads the one XML file of the list."""

    format = "un-xml"
    suffix = ".xml"
    what = "XML file of the consolidated list"

    def fill(self, builder: Builder, path: Path) -> None:
        """Read the file; see ``OneFileReader.fill``."""
        records = parse_records(read_bytes(path), path.name, _LAYOUT)
        builder.saw(path.name, len(records))
        for row, record in enumerate(records, start=1):
            builder.add(_draft(Origin(path.name, row), record))


def _split_outside(text: str) -> list[str]:
    """Split at semicolons that stand outside parentheses."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        if character == "(":
            depth += 1
        elif character == ")":
            depth = max(0, depth - 1)
        elif character == ";" and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _is_latin(text: str) -> bool:
    return all(unicodedata.name(one, "").startswith("LATIN") for one in text if one.isalpha())


def spellings(text: str) -> list[str]:
    """Return the names one field of the list holds, in order, each as filed (see the module's rules)."""
    found: list[str] = []
    for part in _split_outside(_LETTERED.sub(";", text)):
        name = part.strip()
        at = name.find(" (")
        outer, inner = (name[:at], name[at + 2 : -1]) if at > 0 and name.endswith(")") else (name, "")
        if inner and (";" in inner or _SCRIPT_NOTE.fullmatch(inner)):
            found.append(outer)
            found += [_unmarked(one) for one in inner.split(";")]
        elif inner and _is_latin(inner) and not _is_latin(outer):
            found += [outer, inner]
        else:
            found.append(name)
    return [name.strip() for name in found if name.strip()]


def _unmarked(text: str) -> str:
    tidy = text.replace(_SCRIPT_MARK, "").strip()
    note = _SCRIPT_NOTE.fullmatch(tidy)
    return note[1] if note else tidy


def _primary(record: Node) -> list[str]:
    """Return the primary name and whatever further names the publisher put into the same fields."""
    whole = " ".join(part for part in (record.get(name) for name in _NAME_FIELDS) if part)
    if record.tag == "ENTITY":
        pieces = [piece.strip() for part in _split_outside(whole) for piece in part.split(" / ")]
        return [piece for piece in pieces if piece] or [""]
    return [whole]


def _alias_kind(quality: str) -> str:
    return "weak" if quality.strip().lower() == "low" else "alias"


def _address(record: Node, origin: Origin) -> RawAddress | None:
    parts = [record.get(name) for name in ("STREET", "STATE_PROVINCE", "ZIP_CODE")]
    city, country, note = record.get("CITY"), record.get("COUNTRY"), record.get("NOTE")
    text = ", ".join(part for part in parts if part)
    if not (text or city or country):
        return None
    if note:
        text = f"{text} ({note})" if text else f"({note})"
    return RawAddress(text or None, city or None, country or None, origin)


def _day(text: str) -> str | None:
    """Return the day of an ``xs:date``, whose time zone ("2015-07-01-04:00") says nothing about the listing."""
    zoned = _ZONED_DATE.fullmatch(text)
    return zoned[1] if zoned else text or None


def _documents(record: Node, origin: Origin) -> Iterator[RawIdentifier]:
    for document in record.all("INDIVIDUAL_DOCUMENT"):
        number = document.get("NUMBER")
        if number:
            kind = (document.get("TYPE_OF_DOCUMENT") or document.get("TYPE_OF_DOCUMENT2")).lower()
            slug = next((slug for word, slug in _KINDS if word in kind), "national-id" if kind else "document")
            country = document.get("ISSUING_COUNTRY") or document.get("COUNTRY_OF_ISSUE")
            yield RawIdentifier(slug, number, country or None, origin)


def _born(record: Node) -> str:
    parts = [record.get("DATE") or record.get("YEAR")]
    if record.get("FROM_YEAR"):
        parts = [f"between {record.get('FROM_YEAR')} and {record.get('TO_YEAR')}"]
    if record.get("TYPE_OF_DATE").upper() == "APPROXIMATELY":
        parts.insert(0, "approximately")
    return " ".join(part for part in parts if part)


def _remarks(record: Node) -> str | None:
    shown: list[tuple[str, list[str]]] = [
        ("Title", record.values("TITLE")),
        ("Designation", record.values("DESIGNATION")),
        ("Gender", [record.get("GENDER")]),
        ("Born", [_born(one) for one in record.all("INDIVIDUAL_DATE_OF_BIRTH")]),
        (
            "Place of birth",
            [
                ", ".join(part for part in (one.get(name) for name in ("CITY", "STATE_PROVINCE", "COUNTRY")) if part)
                for one in record.all("INDIVIDUAL_PLACE_OF_BIRTH")
            ],
        ),
    ]
    parts = [f"{label}: {value}" for label, values in shown for value in values if value]
    parts += [child.text for child in record.children if child.tag.startswith("COMMENTS") and child.text]
    return "; ".join(parts) or None


def _draft(origin: Origin, record: Node) -> Draft:
    primary, *further = _primary(record)
    names = [RawName("alias", one, Origin(origin.file, origin.row, "FIRST_NAME")) for one in further]
    at_script = Origin(origin.file, origin.row, "NAME_ORIGINAL_SCRIPT")
    names += [RawName("alias", one, at_script) for one in spellings(record.get("NAME_ORIGINAL_SCRIPT"))]
    for alias in record.all(f"{record.tag}_ALIAS"):
        kind = _alias_kind(alias.get("QUALITY"))
        at_alias = Origin(origin.file, origin.row, f"{record.tag}_ALIAS")
        names += [RawName(kind, one, at_alias) for one in spellings(alias.get("ALIAS_NAME"))]
        note = _SCRIPT_NOTE.fullmatch(alias.get("NOTE"))
        if note:
            names += [RawName(kind, one, at_alias) for one in spellings(note[1])]
    at_address = Origin(origin.file, origin.row, f"{record.tag}_ADDRESS")
    found = [_address(one, at_address) for one in record.all(f"{record.tag}_ADDRESS")]
    return Draft(
        origin=origin,
        native_id=record.get("REFERENCE_NUMBER") or record.get("DATAID"),
        entity_type="person" if record.tag == "INDIVIDUAL" else "organization",
        name=primary,
        content=record.as_json(),
        countries=record.values("NATIONALITY"),
        programs=[record.get("UN_LIST_TYPE")],
        listed_on=_day(record.get("LISTED_ON")),
        citation=record.get("REFERENCE_NUMBER") or None,
        remarks=_remarks(record),
        names=names,
        addresses=[one for one in found if one is not None],
        identifiers=list(_documents(record, Origin(origin.file, origin.row, "INDIVIDUAL_DOCUMENT"))),
    )
