"""Reader of omphalOS's own plain list of entities (``entities-csv``): a header, one entity a row, UTF-8.

For house watchlists and for lists that no reader knows yet. Columns: ``entity_id`` and ``name`` are needed;
entity_type, aliases, weak_aliases, country, addresses, identifiers, programs, listed_on and remarks may be left out, in
any order. ``|`` separates several values in one cell; an identifier is ``kind:value``; the first country is primary.

Rules of this file: a column nobody knows is an error, since its values would be lost in silence.
"""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from omphalos.screening.registries.base import ENTITY_TYPES
from omphalos.screening.registries.builder import Builder, Draft, Origin, RawAddress, RawIdentifier, RawName
from omphalos.screening.registries.onefile import OneFileReader, header_of, records_of
from omphalos.screening.registries.sources import (
    RegistryDamagedError,
    csv_rows,
    decode,
    read_bytes,
)

COLUMNS: Final = (
    "entity_id",
    "entity_type",
    "name",
    "aliases",
    "weak_aliases",
    "country",
    "addresses",
    "identifiers",
    "programs",
    "listed_on",
    "remarks",
)
NEEDED: Final = ("entity_id", "name")
_KIND = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class PlainReader(OneFileReader):
    """Reads the one CSV file of a plain list."""

    format = "entities-csv"
    suffix = ".csv"
    what = "CSV file of entities"

    def fill(self, builder: Builder, path: Path) -> None:
        """Read the file; see ``OneFileReader.fill``."""
        text, _ = decode(read_bytes(path), path.name)
        rows = csv_rows(text, path.name)
        header = _header(next(rows, []), path.name)
        for row, record in records_of(builder, path.name, header, rows):
            builder.add(_draft(builder, Origin(path.name, row), record))


def _header(cells: list[str], file: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    for name in names:
        if name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known columns: {', '.join(COLUMNS)}"
            raise RegistryDamagedError(f"{file}: the header names an unknown column {name[:80]!r}", hint=hint)
    if len(set(names)) != len(names):
        raise RegistryDamagedError(f"{file}: the header names a column twice", hint="keep one of them")
    return header_of(names, NEEDED, file, f"the first line must name {' and '.join(NEEDED)}")


def _draft(builder: Builder, origin: Origin, cells: dict[str, str]) -> Draft:
    def at(column: str) -> Origin:
        return Origin(origin.file, origin.row, column)

    def several(column: str) -> list[str]:
        return [one.strip() for one in cells.get(column, "").split("|") if one.strip()]

    entity_type = cells.get("entity_type", "").strip() or "unknown"
    if entity_type not in ENTITY_TYPES:
        builder.reject(at("entity_type"), "entityTypeUnknown", entity_type)
        entity_type = "unknown"
    identifiers = []
    for one in several("identifiers"):
        kind, colon, value = one.partition(":")
        if colon and value.strip() and _KIND.fullmatch(kind.strip()):
            identifiers.append(RawIdentifier(kind.strip(), value, None, at("identifiers")))
        else:
            builder.reject(at("identifiers"), "identifierUnreadable", one)
    return Draft(
        origin=origin,
        native_id=cells["entity_id"],
        entity_type=entity_type,
        name=cells["name"],
        content=cells,
        countries=several("country"),
        programs=several("programs"),
        listed_on=cells.get("listed_on") or None,
        remarks=cells.get("remarks") or None,
        names=[RawName("alias", one, at("aliases")) for one in several("aliases")]
        + [RawName("weak", one, at("weak_aliases")) for one in several("weak_aliases")],
        addresses=[RawAddress(one, None, None, at("addresses")) for one in several("addresses")],
        identifiers=identifiers,
    )
