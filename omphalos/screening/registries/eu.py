"""Readers of the European Union's consolidated list of financial sanctions: XML (``eu-fsf-xml``) and CSV
(``eu-fsf-csv``).

Source: European Commission, Financial Sanctions Files, versions 1.1 of both. The XML has one ``sanctionEntity`` a
listed party, with everything in attributes. The CSV is separated by semicolons and has one row for each name,
address, birth date, citizenship or identification of a party, which ``Entity_LogicalId`` joins.

Rules of this file: the logical id is the native id in both, so that one party has one id whichever file is read;
the first name in the file is the primary one, every further name in any language is an alias, and one that the
publisher does not call strong is weak; an identification the publisher calls known to be false is left out with a
reject.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from omphalos.screening.registries.builder import Builder, Draft, Origin, RawAddress, RawIdentifier, RawName
from omphalos.screening.registries.elements import Layout, Node, parse_records
from omphalos.screening.registries.onefile import OneFileReader, Rows, by_party, header_of, records_of
from omphalos.screening.registries.sources import (
    csv_rows,
    decode,
    read_bytes,
)

_LAYOUT: Final = Layout(
    root="export",
    records=frozenset({("sanctionEntity",)}),
    depth=2,
    what="the consolidated list as XML, version 1.1",
)
_TYPES: Final = {"P": "person", "person": "person", "E": "organization", "enterprise": "organization"}
# The publisher's codes of identifications; any other is taken as it is.
_KINDS: Final = {
    "passport": "passport",
    "diplomaticpassport": "passport",
    "id": "national-id",
    "nationalid": "national-id",
    "ssn": "national-id",
    "fiscalcode": "tax-id",
    "taxid": "tax-id",
    "regnumber": "registration-number",
    "imo": "imo",
    "swiftbic": "swift-bic",
    "tradelic": "trade-license",
    "travelnumber": "travel-document",
    "travel-doc": "travel-document",
    "residentperm": "residency-number",
    "driverlicence": "drivers-license",
    "electionid": "electoral-registry",
}
_NEEDED: Final = ("Entity_LogicalId", "Entity_SubjectType", "NameAlias_WholeName")
# The CSV gives the country of nobody's choosing as 00.
_NO_COUNTRY: Final = frozenset({"", "00"})


def _kind(code: str) -> str:
    tidy = "".join(one for one in code.strip().lower() if one.isascii() and (one.isalnum() or one == "-"))
    return _KINDS.get(tidy, tidy[:64].strip("-") or "document")


def _country(code: str, words: str) -> str | None:
    return code if code not in _NO_COUNTRY else (words if words.upper() != "UNKNOWN" and words else None)


def _text(*parts: str) -> str | None:
    return ", ".join(part for part in parts if part) or None


class EuXmlReader(OneFileReader):
    """Reads the one XML file of the list."""

    format = "eu-fsf-xml"
    suffix = ".xml"
    what = "XML file of the EU consolidated list"

    def fill(self, builder: Builder, path: Path) -> None:
        """Read the file; see ``OneFileReader.fill``."""
        records = parse_records(read_bytes(path), path.name, _LAYOUT)
        builder.saw(path.name, len(records))
        for row, record in enumerate(records, start=1):
            builder.add(_xml_draft(builder, Origin(path.name, row), record))


def _xml_draft(builder: Builder, origin: Origin, record: Node) -> Draft:
    def at(name: str) -> Origin:
        return Origin(origin.file, origin.row, name)

    names = [
        (one.attribute("wholeName"), one.attribute("strong").lower() != "false") for one in record.all("nameAlias")
    ]
    subject = next(record.all("subjectType"), None)
    code = "" if subject is None else subject.attribute("classificationCode") or subject.attribute("code")
    identifiers = []
    for one in record.all("identification"):
        if one.attribute("knownFalse").lower() == "true":
            builder.reject(at("identification"), "knownFalse", one.attribute("number"))
            continue
        number = one.attribute("latinNumber") or one.attribute("number")
        country = _country(one.attribute("countryIso2Code"), one.attribute("countryDescription"))
        identifiers.append(RawIdentifier(_kind(one.attribute("identificationTypeCode")), number, country, at("number")))
    addresses = [
        RawAddress(
            _text(*(one.attribute(name) for name in ("street", "poBox", "place", "region", "zipCode"))),
            one.attribute("city") or None,
            _country(one.attribute("countryIso2Code"), one.attribute("countryDescription")),
            at("address"),
        )
        for one in record.all("address")
    ]
    regulations = list(record.all("regulation"))
    born = [
        _text(
            one.attribute("birthdate") or one.attribute("year"),
            one.attribute("city"),
            one.attribute("countryDescription"),
        )
        for one in record.all("birthdate")
    ]
    functions = sorted({one.attribute("function") for one in record.all("nameAlias") if one.attribute("function")})
    shown = [f"Born: {one}" for one in born if one] + [f"Function: {one}" for one in functions]
    shown += [one.text for one in record.all("remark") if one.text]
    return Draft(
        origin=origin,
        native_id=record.attribute("logicalId"),
        entity_type=_TYPES.get(code, "unknown"),
        name=names[0][0] if names else None,
        content=record.as_json(),
        countries=[
            _country(one.attribute("countryIso2Code"), one.attribute("countryDescription"))
            for one in record.all("citizenship")
        ],
        address_country_first=code in ("E", "enterprise"),
        programs=[one.attribute("programme") for one in regulations],
        listed_on=record.attribute("designationDate")
        or min((day for day in (one.attribute("entryIntoForceDate") for one in regulations) if day), default=None),
        citation=record.attribute("euReferenceNumber") or None,
        remarks="; ".join(shown) or None,
        names=[RawName("alias" if strong else "weak", text, at("nameAlias")) for text, strong in names[1:]],
        addresses=[one for one in addresses if one.address or one.city or one.country],
        identifiers=identifiers,
    )


class EuCsvReader(OneFileReader):
    """Reads the one CSV file of the list."""

    format = "eu-fsf-csv"
    suffix = ".csv"
    what = "CSV file of the EU consolidated list"

    def fill(self, builder: Builder, path: Path) -> None:
        """Read the file; see ``OneFileReader.fill``."""
        text, _ = decode(read_bytes(path), path.name)
        rows = csv_rows(text, path.name, ";")
        header = header_of(next(rows, []), _NEEDED, path.name, "give the CSV of the list, version 1.1")
        records = records_of(builder, path.name, header, rows, ";")
        for native_id, party in by_party(builder, path.name, records, "Entity_LogicalId", ";").items():
            builder.add(_csv_draft(builder, path.name, native_id, party))


def _csv_draft(builder: Builder, file: str, native_id: str, rows: Rows) -> Draft:
    (first, party), *others = rows
    names, addresses, identifiers, countries, shown = _csv_items(builder, file, rows)
    subject = party.get("Entity_SubjectType_ClassificationCode") or party.get("Entity_SubjectType", "")
    programs = {row.get("Entity_Regulation_Programme", "") for _, row in rows}
    return Draft(
        origin=Origin(file, first),
        native_id=native_id,
        entity_type=_TYPES.get(subject, "unknown"),
        name=names[0].text if names else None,
        # The date of the export is not the record's: it would make every record new every day.
        content=[{key: value for key, value in row.items() if key != "fileGenerationDate"} for _, row in rows],
        countries=countries,
        address_country_first=_TYPES.get(subject) == "organization",
        programs=sorted(programs - {""}),
        listed_on=party.get("Entity_DesignationDate") or party.get("Entity_Regulation_EntryIntoForceDate"),
        citation=party.get("Entity_EU_ReferenceNumber"),
        remarks="; ".join(dict.fromkeys(shown)) or None,
        names=names[1:],
        addresses=addresses,
        identifiers=identifiers,
        dependents=[Origin(file, at) for at, _ in others],
    )


Items = tuple[list[RawName], list[RawAddress], list[RawIdentifier], list[str | None], list[str]]


def _csv_items(builder: Builder, file: str, rows: Rows) -> Items:
    """Return names, addresses, identifiers, countries and remarks out of all rows of one party."""
    names: list[RawName] = []
    addresses: list[RawAddress] = []
    identifiers: list[RawIdentifier] = []
    countries: list[str | None] = []
    shown: list[str] = []
    for at, row in rows:
        if row.get("NameAlias_WholeName"):
            names.append(RawName("alias", row["NameAlias_WholeName"], Origin(file, at, "NameAlias_WholeName")))
        address = next(_csv_address(file, at, row), None)
        if address is not None:
            addresses.append(address)
        number = row.get("Identification_LatinNumber") or row.get("Identification_Number")
        origin = Origin(file, at, "Identification_Number")
        if number and row.get("Identification_KnownFalse", "").lower() in ("true", "yes", "1"):
            builder.reject(origin, "knownFalse", number)
        elif number:
            country = _of(row, "Identification")
            identifiers.append(RawIdentifier(_kind(row.get("Identification_TypeCode", "")), number, country, origin))
        countries.append(_of(row, "Citizenship"))
        born = _text(*(row.get(f"BirthDate_{part}", "") for part in ("BirthDate", "City", "CountryDescription")))
        shown += [f"Born: {born}"] if born else []
        shown += [f"Function: {row['NameAlias_Function']}"] if row.get("NameAlias_Function") else []
        shown += [row["Entity_Remark"]] if row.get("Entity_Remark") else []
    return names, addresses, identifiers, countries, shown


def _of(row: Mapping[str, str], group: str) -> str | None:
    return _country(row.get(f"{group}_CountryIso2Code", ""), row.get(f"{group}_CountryDescription", ""))


def _csv_address(file: str, at: int, row: Mapping[str, str]) -> Iterator[RawAddress]:
    text = _text(*(row.get(f"Address_{part}", "") for part in ("Street", "PoBox", "Place", "Region", "ZipCode")))
    city, country = row.get("Address_City"), _of(row, "Address")
    if text or city or country:
        yield RawAddress(text, city, country, Origin(file, at, "Address_Street"))
