"""What can be read out of the free text of OFAC remarks: weak aliases, identifiers, nationality, links.

OFAC writes remarks as items separated by semicolons, each a fixed label and its value, and puts weak aliases in single
quotes ("a.k.a. 'X'"; OFAC's questions and answers on weak aliases). Rules of this file: only labels in the table below
are read, the rest stays in the remarks; an item that may be cut off is not read; every item is looked at once.
"""

import re
from dataclasses import dataclass, field
from typing import Final

MAX_ITEM_CHARS: Final = 300

# Label as published -> identifier kind. Longer labels are tried first.
LABELS: Final[dict[str, str]] = {
    "Afghan Money Service Provider License Number": "license",
    "Aircraft Construction Number (also called L/N or S/N or F/N)": "aircraft-construction-number",
    "Aircraft Manufacturer's Serial Number (MSN)": "aircraft-serial-number",
    "Aircraft Mode S Transponder Code": "aircraft-mode-s",
    "Aircraft Tail Number": "aircraft-tail-number",
    "BIK (RU)": "bik",
    "Birth Certificate Number": "birth-certificate",
    "Branch Unit Number": "branch-unit-number",
    "Business Number": "business-number",
    "Business Registration Document #": "business-registration",
    "Business Registration Number": "business-registration",
    "C.I.F.": "cif",
    "C.R. No.": "commercial-registry",
    "C.U.I.": "cui",
    "C.U.I.P.": "cuip",
    "C.U.I.T.": "cuit",
    "C.U.R.P.": "curp",
    "CNP (Personal Numerical Code)": "personal-id",
    "Cartilla de Servicio Militar Nacional": "military-id",
    "Cedula No.": "cedula",
    "Central Registration System Number": "registration-number",
    "Certificate of Incorporation Number": "registration-number",
    "Chamber of Commerce Number": "chamber-of-commerce",
    "Chinese Commercial Code": "chinese-commercial-code",
    "Citizen's Card Number": "national-id",
    "Commercial Registry Number": "commercial-registry",
    "Company Number": "company-number",
    "Company Number IMO": "imo-company",
    "Credencial electoral": "electoral-registry",
    "D-U-N-S Number": "duns",
    "D.N.I.": "dni",
    "Digital Currency Address -": "digital-currency-address",
    "Diplomatic Passport": "passport",
    "Driver's License No.": "drivers-license",
    "Dubai Chamber of Commerce Membership No.": "chamber-of-commerce",
    "Economic Register Number (CBLS)": "economic-register",
    "Electoral Registry No.": "electoral-registry",
    "Enterprise Number": "enterprise-number",
    "Fiscal Code": "tax-id",
    "Folio Mercantil No.": "folio-mercantil",
    "Government Gazette Number": "government-gazette",
    "I.F.E.": "ife",
    "ISIN": "isin",
    "Identification Number": "identification-number",
    "Identification Number IMO": "imo-company",
    "Istanbul Chamber of Comm. No.": "chamber-of-commerce",
    "Italian Fiscal Code": "tax-id",
    "Kenyan ID No.": "national-id",
    "Legal Entity Number": "lei",
    "MMSI": "mmsi",
    "Matricula Mercantil No": "matricula-mercantil",
    "National Foreign ID Number": "national-id",
    "National ID No.": "national-id",
    "NIT #": "nit",
    "Paraguayan tax identification number": "tax-id",
    "Passport": "passport",
    "Permit Number": "permit",
    "Personal ID Card": "personal-id",
    "Previous Aircraft Tail Number": "aircraft-tail-number",
    "Public Registration Number": "registration-number",
    "Public Security and Immigration No.": "immigration-number",
    "R.F.C.": "rfc",
    "RIF #": "rif",
    "RSIN": "rsin",
    "RTN": "rtn",
    "RUC #": "ruc",
    "Registered Charity No.": "charity-number",
    "Registration ID": "registration-id",
    "Registration Number": "registration-number",
    "Residency Number": "residency-number",
    "SSN": "ssn",
    "SWIFT/BIC": "swift-bic",
    "Seafarer's Identification Document": "seafarer-id",
    "Stateless Person ID Card": "personal-id",
    "Stateless Person Passport": "passport",
    "Tarjeta de Identidad": "national-id",
    "Tax ID No.": "tax-id",
    "Tazkira National ID Card": "national-id",
    "Trade License No.": "trade-license",
    "Travel Document Number": "travel-document",
    "Turkish Identification Number": "national-id",
    "UK Company Number": "company-number",
    "US FEIN": "tax-id",
    "Unified Social Credit Code (USCC)": "uscc",
    "United Social Credit Code Certificate (USCCC)": "uscc",
    "V.A.T. Number": "vat",
    "Vessel Registration Identification IMO": "imo",
    "VisaNumberID": "visa",
}

_BY_LENGTH: Final = sorted(LABELS, key=lambda label: (-len(label), label))
_QUOTED = re.compile(r"\(?[afn]\.k\.a\.,? '(.+?)'\)?")
_COUNTRY = re.compile(r"(?:nationality of registration|nationality|citizen) (.+)", re.IGNORECASE)
_LINKED = re.compile(r"Linked To: (.+)", re.IGNORECASE)
_DATES = re.compile(r" (?:issued|expires) .*")
_IN_COUNTRY = re.compile(r"(.+) \(([^()]+)\)")


@dataclass(frozen=True)
class Identifier:
    """An identifier in a remark: kind, value as filed, country in words where one is named."""

    kind: str
    value: str
    country: str | None


@dataclass
class Remarks:
    """What was read out of one entity's remarks, each list in the order of the text."""

    weak_aliases: list[str] = field(default_factory=list)
    identifiers: list[Identifier] = field(default_factory=list)
    countries: list[str] = field(default_factory=list)
    linked_to: list[str] = field(default_factory=list)


def read_remarks(text: str, *, cut: bool) -> Remarks:
    """Read the items of one remark; with ``cut`` the last item is incomplete and left out."""
    items = text.split(";")
    if cut:
        items.pop()
    found = Remarks()
    last = len(items) - 1
    for at, item in enumerate(items):
        # The whole remark ends in a full stop, which may also be that of "S.A.": only the last item loses it.
        tidy = " ".join(item.split())
        if at == last and not cut:
            tidy = tidy.removesuffix(".")
        if tidy and len(tidy) <= MAX_ITEM_CHARS:
            _read_item(tidy.removeprefix("alt. "), found)
    return found


def _read_item(item: str, found: Remarks) -> None:
    quoted = _QUOTED.fullmatch(item)
    if quoted:
        found.weak_aliases.append(quoted[1])
        return
    linked = _LINKED.fullmatch(item)
    if linked:
        found.linked_to.append(linked[1])
        return
    country = _COUNTRY.fullmatch(item)
    if country:
        found.countries.append(country[1])
        return
    for label in _BY_LENGTH:
        if item.startswith(label) and item[len(label) : len(label) + 1] == " ":
            value = _DATES.sub("", item[len(label) + 1 :]).strip()
            within = _IN_COUNTRY.fullmatch(value)
            if within:
                found.identifiers.append(Identifier(LABELS[label], within[1].strip(), within[2]))
            elif value:
                found.identifiers.append(Identifier(LABELS[label], value, None))
            return
