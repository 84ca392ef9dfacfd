"""Reader of the United Kingdom's consolidated list of financial sanctions targets (``uk-conlist-csv``),
``ConList.csv``.

Source: Office of Financial Sanctions Implementation. A first line gives the date of the list, the second the
header. One row for each name or address of a party, joined by ``Group ID``; ``Name 1`` to ``Name 5`` are given
names, ``Name 6`` the last name of a person or the whole name of anything else.

Rules of this file: names are put together in the publisher's order (1 to 5, then 6); the row called ``Primary
name`` gives the primary one; an alias of low quality is weak; a name in another script is an alias; dates are
day/month/year and nothing else.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Final

from omphalos.screening.registries.builder import Builder, Draft, Origin, RawAddress, RawIdentifier, RawName
from omphalos.screening.registries.onefile import OneFileReader, Rows, by_party, records_of
from omphalos.screening.registries.sources import (
    ENCODINGS_LEGACY,
    RegistryDamagedError,
    csv_rows,
    decode,
    read_bytes,
)

_TYPES: Final = {"individual": "person", "entity": "organization", "ship": "vessel"}
_NEEDED: Final = ("Name 6", "Name 1", "Group Type", "Alias Type", "Group ID")
_GIVEN: Final = ("Name 1", "Name 2", "Name 3", "Name 4", "Name 5", "Name 6")
_ADDRESS: Final = ("Address 1", "Address 2", "Address 3", "Address 4", "Address 5", "Address 6", "Post/Zip Code")
_SHOWN: Final = (
    ("Title", "Title"),
    ("Born", "DOB"),
    ("Town of birth", "Town of Birth"),
    ("Country of birth", "Country of Birth"),
    ("Position", "Position"),
    ("Passport", "Passport Details"),
    ("National identification", "National Identification Details"),
    ("", "Other Information"),
)
_NUMBERS: Final = (("passport", "Passport Number"), ("national-id", "National Identification Number"))
_DAY = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")
_IMO = re.compile(r"\bIMO number:? ([0-9]{7})\b", re.IGNORECASE)


class UkReader(OneFileReader):
    """Reads the one CSV file of the list."""

    format = "uk-conlist-csv"
    suffix = ".csv"
    what = "ConList.csv"

    def fill(self, builder: Builder, path: Path) -> None:
        """Read the file; see ``OneFileReader.fill``."""
        text, _ = decode(read_bytes(path), path.name, ENCODINGS_LEGACY)
        rows = csv_rows(text, path.name)
        header = _header(rows, path.name)
        records = records_of(builder, path.name, header, rows)
        for native_id, party in by_party(builder, path.name, records, "Group ID").items():
            builder.add(_draft(path.name, native_id, party))


def _header(rows: Iterator[list[str]], file: str) -> list[str]:
    """Return the header, which stands on the first line or behind the date of the list."""
    for _ in range(2):
        cells = [cell.strip() for cell in next(rows, [])]
        if all(name in cells for name in _NEEDED):
            return cells
    raise RegistryDamagedError(
        f"{file}: neither of the first two lines is the header of ConList.csv",
        hint=f"the header has the columns {', '.join(_NEEDED)} and others",
    )


def _name(row: Mapping[str, str]) -> str:
    return " ".join(row[part] for part in _GIVEN if part in row)


def _day(text: str | None) -> str | None:
    """Return a day/month/year as an ISO date; what is not one is handed on, to be refused where dates are checked."""
    found = _DAY.fullmatch(text or "")
    if found is None:
        return text
    try:
        return date(int(found[3]), int(found[2]), int(found[1])).isoformat()
    except ValueError:
        return text


def _names(file: str, rows: Rows) -> Iterator[RawName]:
    """Yield every name, the primary one first."""
    for at, row in sorted(rows, key=lambda one: one[1].get("Alias Type", "").lower() != "primary name"):
        weak = "low" in row.get("Alias Quality", "").lower()
        if _name(row):
            yield RawName("weak" if weak else "alias", _name(row), Origin(file, at, "Name 6"))
        if "Name Non-Latin Script" in row:
            yield RawName("alias", row["Name Non-Latin Script"], Origin(file, at, "Name Non-Latin Script"))


def _distinct_names(file: str, rows: Rows) -> list[RawName]:
    """Return the names once each: a party has one row for every address, and its names again in each of them."""
    found: dict[str, RawName] = {}
    for name in _names(file, rows):
        found.setdefault(name.text, name)
    return list(found.values())


def _draft(file: str, native_id: str, rows: Rows) -> Draft:
    (first, party), *others = rows
    names = _distinct_names(file, rows)
    addresses: dict[tuple[str, str], RawAddress] = {}
    identifiers = []
    shown: dict[str, None] = {}
    countries: dict[str, None] = {}
    for at, row in rows:
        text = ", ".join(row[part] for part in _ADDRESS if part in row)
        country = row.get("Country", "")
        if text or country:
            addresses.setdefault(
                (text, country), RawAddress(text or None, None, country or None, Origin(file, at, "Address 1"))
            )
        for kind, column in _NUMBERS:
            if column in row:
                identifiers.append(RawIdentifier(kind, row[column], None, Origin(file, at, column)))
        for number in _IMO.findall(row.get("Other Information", "")):
            identifiers.append(RawIdentifier("imo", number, None, Origin(file, at, "Other Information")))
        for label, column in _SHOWN:
            if column in row:
                shown.setdefault(f"{label}: {row[column]}" if label else row[column])
        if "Nationality" in row:
            countries.setdefault(row["Nationality"])
    kind = party.get("Group Type", "").lower()
    return Draft(
        origin=Origin(file, first),
        native_id=native_id,
        entity_type=_TYPES.get(kind, "unknown"),
        name=names[0].text if names else None,
        content=[row for _, row in rows],
        countries=list(countries),
        address_country_first=kind == "entity",
        programs=sorted({row["Regime"] for _, row in rows if "Regime" in row}),
        listed_on=_day(party.get("Listed On")),
        citation=party.get("UK Sanctions List Ref"),
        remarks="; ".join(shown) or None,
        names=names[1:],
        addresses=list(addresses.values()),
        identifiers=identifiers,
        dependents=[Origin(file, at) for at, _ in others],
    )
