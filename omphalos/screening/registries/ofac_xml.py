"""Reader of the OFAC lists as XML (``ofac-sdn-xml``): ``SDN.XML`` and ``CONSOLIDATED.XML``.

Source: OFAC, "Specially Designated Nationals List: Data Formats & Data Schemas", schema ``sdnList.xsd``. One
``sdnEntry`` an entity, with its own lists of programs, aliases, addresses, identifiers, nationalities, and what
belongs to a vessel.

Rules of this file: ``uid`` is the native id and is the ``ent_num`` of the flat files; the name of a person is put
as those have it ("LAST, First"); ``Record_Count`` must be true, else the file was cut; an identifier whose type is
no identifier (a gender, a web site, a note on secondary sanctions) goes to the remarks, as the publisher's flat
files have it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from omphalos.screening.registries.builder import Builder, Draft, Origin, RawAddress, RawIdentifier, RawName
from omphalos.screening.registries.elements import Layout, Node, parse_document
from omphalos.screening.registries.onefile import OneFileReader
from omphalos.screening.registries.relations import RawRelation
from omphalos.screening.registries.remarks import Remarks, read_remarks
from omphalos.screening.registries.sources import (
    RegistryDamagedError,
    read_bytes,
)

_LAYOUT: Final = Layout(
    root="sdnList",
    records=frozenset({("sdnEntry",)}),
    others=frozenset({("publshInformation",)}),  # spelt so by the publisher
    depth=2,
    what="SDN.XML or CONSOLIDATED.XML",
)
_TYPES: Final = {"individual": "person", "entity": "organization", "vessel": "vessel", "aircraft": "aircraft"}
_VESSEL: Final = (
    ("Vessel type", "vesselType"),
    ("Tonnage", "tonnage"),
    ("Gross registered tonnage", "grossRegisteredTonnage"),
    ("Flag", "vesselFlag"),
    ("Owner", "vesselOwner"),
)


class OfacXmlReader(OneFileReader):
    """Reads the one XML file of a list."""

    format = "ofac-sdn-xml"
    suffix = ".xml"
    what = "XML file of the OFAC list"

    def fill(self, builder: Builder, path: Path) -> None:
        """Read the file; see ``OneFileReader.fill``."""
        records, others = parse_document(read_bytes(path), path.name, _LAYOUT)
        _check_count(path.name, len(records), others)
        builder.saw(path.name, len(records))
        for row, record in enumerate(records, start=1):
            builder.add(_draft(Origin(path.name, row), record))


def _check_count(file: str, found: int, others: list[Node]) -> None:
    said = next((one.get("Record_Count") for one in others if one.get("Record_Count")), "")
    if said and said != str(found):
        raise RegistryDamagedError(
            f"{file}: the list says it has {said[:20]} entries and holds {found}",
            hint="the file was cut or edited; fetch it again",
        )


def _name(record: Node) -> str:
    return ", ".join(part for part in (record.get("lastName"), record.get("firstName")) if part)


def _identifiers(record: Node, origin: Origin) -> Iterator[tuple[RawIdentifier | None, str]]:
    """Yield each entry of the id list as an identifier, or as text where its type is none."""
    for one in record.below("idList", "id"):
        label, number, country = one.get("idType"), one.get("idNumber"), one.get("idCountry")
        filed = f"{label} {number}".strip()
        read = read_remarks(filed.replace(";", ","), cut=False).identifiers
        if read:
            yield RawIdentifier(read[0].kind, read[0].value, country or read[0].country, origin), ""
        elif filed:
            yield None, filed + (f" ({country})" if country else "")


def _addresses(record: Node, origin: Origin) -> Iterator[RawAddress]:
    for one in record.below("addressList", "address"):
        parts = [one.get(name) for name in ("address1", "address2", "address3", "stateOrProvince", "postalCode")]
        text = ", ".join(part for part in parts if part)
        city, country = one.get("city"), one.get("country")
        if text or city or country:
            yield RawAddress(text or None, city or None, country or None, origin)


def _shown(record: Node, notes: list[str]) -> str | None:
    shown = [("Title", [record.get("title")])]
    vessel = next(record.all("vesselInfo"), None)
    if vessel is not None:
        shown += [(label, [vessel.get(tag)]) for label, tag in _VESSEL]
    shown += [
        ("Born", [one.get("dateOfBirth") for one in record.below("dateOfBirthList", "dateOfBirthItem")]),
        ("Place of birth", [one.get("placeOfBirth") for one in record.below("placeOfBirthList", "placeOfBirthItem")]),
    ]
    parts = [f"{label}: {value}" for label, values in shown for value in values if value]
    return "; ".join([*parts, *notes, *([record.get("remarks")] if record.get("remarks") else [])]) or None


def _draft(origin: Origin, record: Node) -> Draft:
    def at(name: str) -> Origin:
        return Origin(origin.file, origin.row, name)

    remarks: Remarks = read_remarks(record.get("remarks"), cut=False)
    found = list(_identifiers(record, at("idList")))
    identifiers = [one for one, _ in found if one is not None]
    identifiers += [RawIdentifier(one.kind, one.value, one.country, at("remarks")) for one in remarks.identifiers]
    vessel = next(record.all("vesselInfo"), None)
    if vessel is not None and vessel.get("callSign"):
        identifiers.insert(0, RawIdentifier("call-sign", vessel.get("callSign"), None, at("vesselInfo")))
    names = [
        RawName("weak" if aka.get("category").lower() == "weak" else "alias", _name(aka), at("akaList"))
        for aka in record.below("akaList", "aka")
    ]
    names += [RawName("weak", weak, at("remarks")) for weak in remarks.weak_aliases]
    countries = [one.get("country") for one in record.below("nationalityList", "nationality")]
    countries += [one.get("country") for one in record.below("citizenshipList", "citizenship")]
    if vessel is not None:
        countries.insert(0, vessel.get("vesselFlag"))
    kind = record.get("sdnType").lower()
    return Draft(
        origin=origin,
        native_id=record.get("uid"),
        entity_type=_TYPES.get(kind, "unknown"),
        name=_name(record),
        content=record.as_json(),
        countries=[*countries, *remarks.countries],
        # Where an organization sits says more than where it is registered; for a person it is the other way round.
        address_country_first=kind == "entity",
        programs=[one.text for one in record.below("programList", "program")],
        remarks=_shown(record, [text for _, text in found if text]),
        names=names,
        addresses=list(_addresses(record, at("addressList"))),
        identifiers=identifiers,
        relations=[RawRelation("linked-to", other) for other in remarks.linked_to],
    )
