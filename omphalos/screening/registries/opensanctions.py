"""Readers of OpenSanctions exports: ``targets.simple.csv`` (``opensanctions-simple-csv``) and entities as JSON
lines (``ftm-json``).

Source: OpenSanctions, "Simplified tabular CSV format"; FollowTheMoney, the data model of ``entities.ftm.json``. In
the table a cell holds several values separated by semicolons and quoted as CSV. In the JSON lines every line is an
entity of a schema, with lists of texts as properties; addresses, identity documents, sanctions and ownership are
entities of their own that name their holder.

Rules of this file: an entity that can be screened becomes one of ours; a line that belongs to one (an address, a
document, a sanction, a link) is joined to it; what belongs to nobody on the list is a reject; half of a list cannot
be seen in these formats, because they carry no count, but a last line that was cut off is one that is no JSON, and
refuses the file.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from omphalos.screening.registries.base import excerpt
from omphalos.screening.registries.builder import Builder, Draft, Origin, RawAddress, RawIdentifier, RawName
from omphalos.screening.registries.onefile import OneFileReader, header_of, records_of
from omphalos.screening.registries.relations import RawRelation
from omphalos.screening.registries.sources import (
    csv_rows,
    decode,
    parse_json,
    read_bytes,
)

_TYPES: Final = {
    "Person": "person",
    "Organization": "organization",
    "Company": "organization",
    "PublicBody": "organization",
    "LegalEntity": "unknown",
    "Vessel": "vessel",
    "Airplane": "aircraft",
}
_NEEDED: Final = ("id", "schema", "name", "aliases")

# Properties of an entity that identify it -> our kind.
_IDENTIFIERS: Final = {
    "bikCode": "bik",
    "callSign": "call-sign",
    "dunsCode": "duns",
    "icaoCode": "aircraft-mode-s",
    "idNumber": "national-id",
    "imoNumber": "imo",
    "innCode": "tax-id",
    "isinCode": "isin",
    "kppCode": "kpp",
    "leiCode": "lei",
    "mmsi": "mmsi",
    "ogrnCode": "ogrn",
    "okpoCode": "okpo",
    "passportNumber": "passport",
    "registrationNumber": "registration-number",
    "serialNumber": "aircraft-serial-number",
    "socialSecurityNumber": "ssn",
    "swiftBic": "swift-bic",
    "taxNumber": "tax-id",
    "uniqueEntityId": "uei",
    "uscCode": "uscc",
    "vatCode": "vat",
}
_COUNTRIES: Final = ("jurisdiction", "mainCountry", "nationality", "citizenship", "flag", "country")
_SHOWN: Final = (("Born", "birthDate"), ("Position", "position"), ("", "notes"), ("", "summary"))
# Schema of a line that belongs to another -> the property that names whose it is.
_HOLDERS: Final = {
    "Passport": "holder",
    "Identification": "holder",
    "Sanction": "entity",
    "Address": "",
    "Ownership": "asset",
    "Directorship": "organization",
}
# Schema of a link -> what its holder is to the other, and the property that names the other.
_LINKS: Final = {"Ownership": ("owned-by", "owner"), "Directorship": ("directed-by", "director")}


class SimpleReader(OneFileReader):
    """Reads the one CSV file of targets."""

    format = "opensanctions-simple-csv"
    suffix = ".csv"
    what = "targets.simple.csv"

    def fill(self, builder: Builder, path: Path) -> None:
        """Read the file; see ``OneFileReader.fill``."""
        text, _ = decode(read_bytes(path), path.name)
        rows = csv_rows(text, path.name)
        header = header_of(next(rows, []), _NEEDED, path.name, "give targets.simple.csv as it is published")
        for row, record in records_of(builder, path.name, header, rows):
            builder.add(_simple_draft(Origin(path.name, row), record))


def _values(cell: str) -> list[str]:
    """Return the values of one cell, which are separated by semicolons and quoted where they hold one."""
    try:
        return [
            one.strip()
            for row in csv.reader(io.StringIO(cell, newline=""), delimiter=";")
            for one in row
            if one.strip()
        ]
    except csv.Error:
        return [cell]


def _simple_draft(origin: Origin, record: dict[str, str]) -> Draft:
    def at(name: str) -> Origin:
        return Origin(origin.file, origin.row, name)

    def values(name: str) -> list[str]:
        return _values(record.get(name, ""))

    shown = [f"Born: {one}" for one in values("birth_date")] + values("sanctions")
    # What says when the publisher looked, not what is listed: it would make every record new every day.
    content = {key: value for key, value in record.items() if key not in ("last_seen", "last_change")}
    return Draft(
        origin=origin,
        native_id=record["id"],
        entity_type=_TYPES.get(record["schema"].strip(), "unknown"),
        name=record["name"],
        content=content,
        countries=values("countries"),
        programs=values("program_ids") or values("dataset"),
        listed_on=record.get("first_seen", "").strip()[: len("YYYY-MM-DD")] or None,
        remarks="; ".join(shown) or None,
        names=[RawName("alias", one, at("aliases")) for one in values("aliases")],
        addresses=[RawAddress(one, None, None, at("addresses")) for one in values("addresses")],
        identifiers=[RawIdentifier("identifier", one, None, at("identifiers")) for one in values("identifiers")],
    )


class FtmReader(OneFileReader):
    """Reads the one file of JSON lines."""

    format = "ftm-json"
    suffix = ".json"
    what = "entities.ftm.json"

    def fill(self, builder: Builder, path: Path) -> None:
        """Read the file; see ``OneFileReader.fill``."""
        text, _ = decode(read_bytes(path), path.name)
        entities: dict[str, tuple[int, dict[str, Any]]] = {}
        related: list[tuple[int, dict[str, Any]]] = []
        for row, record in _lines(builder, text, path.name):
            if record["schema"] in _TYPES:
                known = entities.setdefault(record["id"], (row, record))
                if known[0] != row:
                    if known[1] != record:
                        builder.clash(record["id"])
                    builder.reject(Origin(path.name, row), "duplicateRecord", record["id"])
            elif record["schema"] in _HOLDERS:
                related.append((row, record))
            else:
                builder.reject(Origin(path.name, row), "schemaNotScreened", record["schema"])
        belonging = _join(builder, path.name, entities, related)
        for native_id, (row, record) in entities.items():
            draft = _ftm_draft(Origin(path.name, row), record, belonging.get(native_id, []))
            draft.relations = list(_relations(belonging.get(native_id, []), entities))
            builder.add(draft)


def _lines(builder: Builder, text: str, file: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the records by number; one of another shape is a reject, a line that is no JSON refuses the file."""
    row = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row += 1
        builder.saw(file, 1)
        record = parse_json(line, f"{file} (line {number})")
        if not isinstance(record, dict):
            builder.reject(Origin(file, row), "notAnObject", excerpt(line))
        elif not _is_entity(record):
            builder.reject(Origin(file, row), "wrongType", excerpt(line))
        else:
            yield row, record


def _is_entity(record: Mapping[str, Any]) -> bool:
    properties = record.get("properties")
    return (
        isinstance(record.get("id"), str)
        and isinstance(record.get("schema"), str)
        and isinstance(record.get("caption"), str | None)
        and isinstance(properties, dict)
        and all(
            isinstance(values, list) and all(isinstance(value, str) for value in values)
            for values in properties.values()
        )
    )


def _property(record: Mapping[str, Any], *names: str) -> list[str]:
    """Return the values of properties, in order, each once."""
    return list(dict.fromkeys(value for name in names for value in record["properties"].get(name, []) if value.strip()))


Related = list[tuple[int, dict[str, Any]]]


def _join(
    builder: Builder, file: str, entities: Mapping[str, tuple[int, dict[str, Any]]], related: Related
) -> dict[str, Related]:
    """Give each line that belongs to an entity to the first one it names; the others are rejects."""
    living: dict[str, list[str]] = {}
    for native_id, (_, record) in entities.items():
        for address in _property(record, "addressEntity"):
            living.setdefault(address, []).append(native_id)
    joined: dict[str, Related] = {}
    for row, record in related:
        holder = _HOLDERS[record["schema"]]
        named = _property(record, holder) if holder else living.get(record["id"], [])
        owner = next((one for one in named if one in entities), None)
        # A link to somebody who is not in the file has no name to show.
        others = _property(record, _LINKS[record["schema"]][1]) if record["schema"] in _LINKS else []
        if owner is None or any(one not in entities for one in others):
            builder.reject(Origin(file, row), "orphanRecord", record["id"])
        else:
            joined.setdefault(owner, []).append((row, record))
    return joined


def _relations(related: Related, entities: Mapping[str, tuple[int, dict[str, Any]]]) -> Iterator[RawRelation]:
    """Yield who owns and who directs an entity, by the name and id the file gives them."""
    for _, one in related:
        if one["schema"] in _LINKS:
            relation, member = _LINKS[one["schema"]]
            for other in _property(one, member):
                yield RawRelation(relation, _primary(entities[other][1]) or other, other)


def _primary(record: Mapping[str, Any]) -> str | None:
    """Return the name to show: the caption where it is one of the names, otherwise the first name."""
    names, caption = _property(record, "name"), record.get("caption")
    return caption if caption in names else next(iter(names), caption)


def _ftm_draft(origin: Origin, record: dict[str, Any], related: Related) -> Draft:
    def at(name: str) -> Origin:
        return Origin(origin.file, origin.row, name)

    identifiers = [
        RawIdentifier(kind, value, None, at(name))
        for name, kind in _IDENTIFIERS.items()
        for value in _property(record, name)
    ]
    addresses = [RawAddress(one, None, None, at("address")) for one in _property(record, "address")]
    programs: list[str] = _property(record, "programId", "program")
    listed: list[str] = []
    shown = [f"{label}: {value}" if label else value for label, name in _SHOWN for value in _property(record, name)]
    for row, one in related:
        within = Origin(origin.file, row, one["schema"])
        if one["schema"] in ("Passport", "Identification"):
            kind = "passport" if one["schema"] == "Passport" else "identification-number"
            country = next(iter(_property(one, "country")), None)
            identifiers += [RawIdentifier(kind, value, country, within) for value in _property(one, "number")]
        elif one["schema"] == "Address":
            full = _property(one, "full") or [", ".join(_property(one, "street", "city", "region", "postalCode"))]
            country = next(iter(_property(one, "country")), None)
            addresses += [RawAddress(text or None, None, country, within) for text in full]
        elif one["schema"] == "Sanction":
            programs += _property(one, "programId", "program", "authority")
            listed += _property(one, "listingDate", "startDate")
            shown += _property(one, "reason")
    names = _property(record, "name")
    primary = _primary(record)
    return Draft(
        origin=origin,
        native_id=record["id"],
        entity_type=_TYPES[record["schema"]],
        name=primary,
        content=[_hashed(record), *(_hashed(one) for _, one in related)],
        countries=_property(record, *_COUNTRIES),
        programs=sorted(set(programs)),
        listed_on=min((day for day in listed if len(day) == len("YYYY-MM-DD")), default=None),
        remarks="; ".join(dict.fromkeys(shown)) or None,
        names=[RawName("alias", one, at("name")) for one in names if one != primary]
        + [RawName("alias", one, at("alias")) for one in _property(record, "alias", "previousName")]
        + [RawName("weak", one, at("weakAlias")) for one in _property(record, "weakAlias", "abbreviation")],
        addresses=addresses,
        identifiers=identifiers,
        dependents=[Origin(origin.file, row) for row, _ in related],
    )


def _hashed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a line is listed, without the days on which the publisher looked, and with values in order."""
    return {
        "id": record["id"],
        "schema": record["schema"],
        "properties": {name: sorted(values) for name, values in record["properties"].items()},
    }
