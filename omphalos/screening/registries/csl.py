"""Readers of the United States' Consolidated Screening List: CSV (``csl-csv``) and JSON (``csl-json``).

Source: International Trade Administration, the static files ``consolidated.csv`` and ``consolidated.json``. Both
hold the same members; the CSV joins several values by ``"; "`` and the parts of an address or identifier by ``",
"``.

Rules of this file: ``id`` (``_id`` in the CSV) is the native id; a page of a search that says it has more results
than it holds is refused, because half a list is a missed match; the type of an identifier becomes a kind by the
same table as OFAC's remarks.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from omphalos.screening.registries.base import excerpt
from omphalos.screening.registries.builder import Builder, Draft, Origin, RawAddress, RawIdentifier, RawName
from omphalos.screening.registries.onefile import OneFileReader, header_of, records_of
from omphalos.screening.registries.remarks import read_remarks
from omphalos.screening.registries.sources import (
    RegistryDamagedError,
    csv_rows,
    decode,
    parse_json,
    read_bytes,
)

_TYPES: Final = {"individual": "person", "entity": "organization", "vessel": "vessel", "aircraft": "aircraft"}
_NEEDED: Final = ("_id", "source", "name", "alt_names", "addresses")
_LISTS: Final = ("programs", "alt_names", "citizenships", "dates_of_birth", "nationalities", "places_of_birth")
_TEXTS: Final = (
    "id",
    "source",
    "entity_number",
    "type",
    "name",
    "title",
    "federal_register_notice",
    "start_date",
    "end_date",
    "standard_order",
    "license_requirement",
    "license_policy",
    "call_sign",
    "vessel_type",
    "gross_tonnage",
    "gross_registered_tonnage",
    "vessel_flag",
    "vessel_owner",
    "remarks",
)
_ADDRESS: Final = ("address", "city", "state", "postal_code", "country")
_SHOWN: Final = (
    ("Title", "title"),
    ("License requirement", "license_requirement"),
    ("License policy", "license_policy"),
    ("Standard order", "standard_order"),
    ("Ends", "end_date"),
    ("Vessel type", "vessel_type"),
    ("Tonnage", "gross_tonnage"),
    ("Gross registered tonnage", "gross_registered_tonnage"),
    ("Flag", "vessel_flag"),
    ("Owner", "vessel_owner"),
)
# An identifier in the CSV: type, number, country, and dates that nobody needs here.
_ID_PARTS: Final = 3


class CslJsonReader(OneFileReader):
    """Reads the one JSON file of the list."""

    format = "csl-json"
    suffix = ".json"
    what = "consolidated.json"

    def fill(self, builder: Builder, path: Path) -> None:
        """Read the file; see ``OneFileReader.fill``."""
        text, _ = decode(read_bytes(path), path.name)
        records = _results(parse_json(text, path.name), path.name)
        builder.saw(path.name, len(records))
        for row, record in enumerate(records, start=1):
            problem = _problem(record)
            if problem is None:
                builder.add(_draft(Origin(path.name, row), _tidy(record), record))
            else:
                builder.reject(Origin(path.name, row), problem, excerpt(str(record)))


def _results(value: Any, file: str) -> list[Any]:
    results = value.get("results") if isinstance(value, dict) else None
    if not isinstance(results, list):
        raise RegistryDamagedError(
            f"{file}: the document is not an object with a list called 'results'", hint="give consolidated.json"
        )
    total = value.get("total")
    if isinstance(total, int) and total != len(results):
        raise RegistryDamagedError(
            f"{file}: the document says there are {total} results and holds {len(results)}",
            hint="this is one page of a search, or a cut file; fetch the whole list",
        )
    return results


def _problem(record: object) -> str | None:
    """Return why a record cannot be read at all, or None."""
    if not isinstance(record, dict):
        return "notAnObject"
    for name in _TEXTS:
        if not isinstance(record.get(name), str | int | None):
            return "wrongType"
    for name in _LISTS:
        found = record.get(name)
        if found is not None and not (isinstance(found, list) and all(isinstance(one, str) for one in found)):
            return "wrongType"
    for name in ("addresses", "ids"):
        found = record.get(name)
        if found is not None and not (isinstance(found, list) and all(_is_flat(one) for one in found)):
            return "wrongType"
    return None


def _is_flat(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str | int | None) for one in value.values())


def _said(value: object) -> str:
    return "" if value is None else str(value).strip()


def _tidy(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a JSON record in the one shape both files are brought into."""
    found: dict[str, Any] = {name: _said(record.get(name)) for name in _TEXTS}
    found |= {name: [one.strip() for one in record.get(name) or [] if one.strip()] for name in _LISTS}
    found["addresses"] = [{part: _said(one.get(part)) for part in _ADDRESS} for one in record.get("addresses") or []]
    found["ids"] = [
        (_said(one.get("type")), _said(one.get("number")), _said(one.get("country"))) for one in record.get("ids") or []
    ]
    return found


class CslCsvReader(OneFileReader):
    """Reads the one CSV file of the list."""

    format = "csl-csv"
    suffix = ".csv"
    what = "consolidated.csv"

    def fill(self, builder: Builder, path: Path) -> None:
        """Read the file; see ``OneFileReader.fill``."""
        text, _ = decode(read_bytes(path), path.name)
        rows = csv_rows(text, path.name)
        header = header_of(next(rows, []), _NEEDED, path.name, "give consolidated.csv as it is published")
        for row, record in records_of(builder, path.name, header, rows):
            builder.add(_draft(Origin(path.name, row), _unpacked(record), record))


def _several(text: str) -> list[str]:
    return [one.strip() for one in text.split("; ") if one.strip(" ;")]


def _unpacked(record: Mapping[str, str]) -> dict[str, Any]:
    """Return the members of a CSV record in the one shape both files are brought into."""
    found: dict[str, Any] = {name: record.get(name, "").strip() for name in _TEXTS}
    found["id"] = record["_id"].strip()
    found |= {name: _several(record.get(name, "")) for name in _LISTS}
    found["addresses"] = [_address(one) for one in _several(record["addresses"])]
    found["ids"] = [_id(one) for one in _several(record.get("ids", ""))]
    return found


def _address(text: str) -> dict[str, str]:
    """Return one joined address: the last part is the country's code, if it can be one; the rest stays together."""
    rest, _, last = text.rpartition(",")
    code = last.strip()
    if len(code) == len("XX") and code.isascii() and code.isupper():
        return {"address": rest.strip(), "country": code}
    return {"address": text, "country": ""}


def _id(text: str) -> tuple[str, str, str]:
    parts = [one.strip() for one in text.split(",")]
    parts += [""] * (_ID_PARTS - len(parts))
    return parts[0], parts[1], parts[2]


def _identifiers(ids: list[tuple[str, str, str]], origin: Origin) -> tuple[list[RawIdentifier], list[str]]:
    """Return what is an identifier, and the rest as text."""
    found, notes = [], []
    for label, number, country in ids:
        filed = f"{label} {number}".strip()
        read = read_remarks(filed.replace(";", ","), cut=False).identifiers
        if read:
            found.append(RawIdentifier(read[0].kind, read[0].value, country or read[0].country, origin))
        elif filed:
            notes.append(filed + (f" ({country})" if country else ""))
    return found, notes


def _draft(origin: Origin, record: Mapping[str, Any], content: object) -> Draft:
    def at(name: str) -> Origin:
        return Origin(origin.file, origin.row, name)

    identifiers, notes = _identifiers(record["ids"], at("ids"))
    if record["call_sign"]:
        identifiers.insert(0, RawIdentifier("call-sign", record["call_sign"], None, at("call_sign")))
    addresses = []
    for one in record["addresses"]:
        parts = [one.get(part, "") for part in ("address", "state", "postal_code")]
        text = ", ".join(part for part in parts if part) or None
        if text or one.get("city") or one.get("country"):
            addresses.append(RawAddress(text, one.get("city") or None, one.get("country") or None, at("addresses")))
    shown = [f"{label}: {record[name]}" for label, name in _SHOWN if record[name]]
    shown += [f"Born: {one}" for one in record["dates_of_birth"]]
    shown += [f"Place of birth: {one}" for one in record["places_of_birth"]]
    shown += notes + ([record["remarks"]] if record["remarks"] else [])
    kind = record["type"].lower()
    return Draft(
        origin=origin,
        native_id=record["id"],
        entity_type=_TYPES.get(kind, "unknown"),
        name=record["name"],
        content=content,
        countries=[record["vessel_flag"] or None, *record["nationalities"], *record["citizenships"]],
        address_country_first=kind in ("entity", ""),
        programs=record["programs"] or ([record["source"]] if record["source"] else []),
        listed_on=record["start_date"] or None,
        citation=record["federal_register_notice"] or None,
        remarks="; ".join(shown) or None,
        names=[RawName("alias", one, at("alt_names")) for one in record["alt_names"]],
        addresses=addresses,
        identifiers=identifiers,
    )
