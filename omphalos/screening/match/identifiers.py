"""Identifiers of parties and of listed entities: normal forms, exact matches, and conflicts.

Rules of this file: an identifier is compared by its capital letters and digits alone and matches exactly or not at all;
a country that both sides name must agree, except for numbers that are unique in the world; a number too short, of one
repeated digit, or with a wrong check digit is shown and never compared. What each kind meets stands in ``facts.toml``.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from blake3 import blake3

from omphalos.screening.match.facts import IDENTIFIER, IDENTIFIER_CONFLICT, FactParams, IdentifierParams
from omphalos.screening.match.integers import FULL
from omphalos.screening.normalize.legal_forms import name_forms
from omphalos.screening.normalize.mapping import map_distinct
from omphalos.screening.normalize.parties import PARTY_ID_DIGITS
from omphalos.screening.normalize.text import clean_text, fold

# feed field -> kind of identifier, per role; and the families of a list that the kind may meet ("" for every one).
FIELD_KINDS: Final = {"tax_id": "tax", "registration_id": "registration", "id": "any"}
VESSEL: Final = "vessel"
IMO: Final = "imo"
_PLACEHOLDERS: Final = frozenset({"NONE", "UNKNOWN", "NOTAPPLICABLE", "NOTAVAILABLE", "NOTGIVEN"})
_IMO: Final = re.compile(r"(?:IMO)?(?:NO)?([0-9]{7})")
_SEPARATOR: Final = "\0"  # cannot stand in cleaned text


@dataclass(frozen=True, slots=True)
class IdentifierKey:
    """The form an identifier is compared by, or why it is not compared (``problem``; then ``key`` is empty)."""

    key: str
    problem: str


def identifier_key(family: str, text: str, country: str, params: IdentifierParams) -> IdentifierKey:
    """Return what ``text`` is compared by: ASCII capitals and digits, without the prefix of its own ``country``.

    Problems: ``tooShort``, ``tooLong``, ``placeholder`` (one character repeated, digits counted up, or a word for
    none), ``noDigit``, ``badCheckDigit`` (family ``imo``: the seventh digit of a ship's number is the last digit of the
    first six weighted by 7 to 2, IMO resolution A.1117(30)).
    """
    key = fold(text).replace(" ", "")
    if family == IMO:
        found = _IMO.fullmatch(key)
        if found is None:
            return IdentifierKey("", "notAnImoNumber")
        return IdentifierKey(found[1], "") if imo_is_sound(found[1]) else IdentifierKey("", "badCheckDigit")
    if len(key) > params.most_characters:
        return IdentifierKey("", "tooLong")
    if country and key.startswith(country) and len(key) - 2 >= params.least_characters:
        key = key[2:]
    if key in _PLACEHOLDERS or (key and key == key[0] * len(key)) or (len(key) > 2 and key in "01234567890"):
        return IdentifierKey("", "placeholder")
    if len(key) < params.least_characters:
        return IdentifierKey("", "tooShort")
    if family in ("tax", "registration") and not any(map(str.isdigit, key)):
        return IdentifierKey("", "noDigit")
    return IdentifierKey(key, "")


def imo_is_sound(digits: str) -> bool:
    """Say whether seven digits end in the check digit of an IMO ship number."""
    return sum(int(digit) * weight for digit, weight in zip(digits, range(7, 1, -1), strict=False)) % 10 == int(
        digits[6]
    )


def build_party_identifiers(con: Any, mapped: set[str], roles: tuple[str, ...], params: FactParams) -> None:
    """Make ``party_identifiers``: one row per (party_id, identifier_kind, value) filed on an accepted shipment.

    Columns: party_id, identifier_kind (tax, registration, any, imo), value (as filed), identifier_key (what is
    compared, empty where nothing is), problem (why not, or empty), shipments. Reads ``raw_feed``, ``trade_feed``,
    ``shipment_parties`` and ``parties``. ``mapped`` are the fields the job maps.
    """
    filed = [
        f"SELECT f.shipment_id, '{role}' AS role, '{kind}' AS kind, r.{role}_{field} AS value "
        f"FROM raw_feed r JOIN trade_feed f USING (source_row) WHERE r.{role}_{field} IS NOT NULL"
        for role in roles
        for field, kind in FIELD_KINDS.items()
        if f"{role}_{field}" in mapped
    ]
    if "vessel_imo" in mapped:
        filed.append(
            f"SELECT f.shipment_id, '{VESSEL}', '{IMO}', r.vessel_imo FROM raw_feed r JOIN trade_feed f "
            "USING (source_row) WHERE r.vessel_imo IS NOT NULL"
        )
    union = " UNION ALL ".join(filed) or (
        "SELECT ''::VARCHAR AS shipment_id, ''::VARCHAR AS role, ''::VARCHAR AS kind, ''::VARCHAR AS value WHERE false"
    )
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE filed_identifiers AS
        SELECT DISTINCT s.party_id, p.country, u.kind, u.value, u.shipment_id
        FROM ({union}) u JOIN shipment_parties s USING (shipment_id, role) JOIN parties p USING (party_id)""")
    _make_keys(con, "party_keys", "SELECT DISTINCT kind, coalesce(country, '') AS country, value "
               "FROM filed_identifiers", params)  # fmt: skip
    con.execute("""
        CREATE OR REPLACE TABLE party_identifiers AS
        SELECT f.party_id, f.kind AS identifier_kind, k.clean AS value, k.identifier_key, k.problem,
               count(DISTINCT f.shipment_id)::BIGINT AS shipments
        FROM filed_identifiers f
        JOIN party_keys k ON k.kind = f.kind AND k.country = coalesce(f.country, '') AND k.value = f.value
        WHERE k.clean <> '' GROUP BY ALL ORDER BY ALL""")
    con.execute("DROP TABLE temp.filed_identifiers")
    con.execute("DROP TABLE temp.party_keys")


def _make_keys(con: Any, table: str, source: str, params: FactParams) -> None:
    """Make the temporary table ``table``: kind, country, value, clean, identifier_key and problem, each triple once."""
    joined = f"kind || chr(0) || country || chr(0) || value AS v FROM ({source})"
    schema = pa.schema([(name, pa.string()) for name in ("kind", "country", "value", "clean", "k", "problem")])

    def convert(triples: list[str]) -> list[list[str]]:
        rows = []
        for triple in triples:
            kind, country, value = triple.split(_SEPARATOR, 2)
            family = kind if kind in (IMO, "tax", "registration", "any") else params.family_of(kind)
            found = identifier_key(family, value, country, params.identifiers)
            rows.append((kind, country, value, clean_text(value), found.key, found.problem))
        return [list(column) for column in zip(*rows, strict=True)]

    map_distinct(con, f"{table}_mapped", f"SELECT {joined}", schema, convert)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS "
        f"SELECT kind, country, value, clean, k AS identifier_key, problem FROM {table}_mapped"
    )
    con.execute(f"DROP TABLE {table}_mapped")


def find_identifiers(con: Any, params: FactParams) -> None:
    """Add to ``match_facts`` every (party, entity) that share an identifier, with both spellings.

    Reads ``party_identifiers``, ``parties``, ``registry`` and ``registry_identifiers``; leaves the temporary tables
    ``fact_party_ids`` and ``fact_entity_ids`` for ``find_conflicts``.
    """
    families = {kind: family for family in params.families for kind in family.kinds}
    rows = [(kind, family.name, family.world) for kind, family in sorted(families.items())]
    con.execute("CREATE OR REPLACE TEMP TABLE fact_families (kind VARCHAR, family VARCHAR, world BOOLEAN)")
    con.executemany("INSERT INTO fact_families VALUES (?, ?, ?)", rows)
    meets = [(f.name, met) for f in params.families for met in (f.name, *f.meets)]
    meets += [("any", f.name) for f in params.families if f.name != IMO]
    con.execute("CREATE OR REPLACE TEMP TABLE fact_meets (filed VARCHAR, listed VARCHAR)")
    con.executemany("INSERT INTO fact_meets VALUES (?, ?)", sorted(meets))
    _make_keys(con, "entity_keys", "SELECT DISTINCT identifier_kind AS kind, coalesce(country, '') AS country, value "
               "FROM registry_identifiers", params)  # fmt: skip
    con.execute("""
        CREATE OR REPLACE TEMP TABLE fact_entity_ids AS
        SELECT i.entity_id, coalesce(f.family, 'other') AS family, coalesce(f.world, false) AS world,
               i.identifier_kind, i.value, i.country,
               coalesce(nullif(r.countries, ''), nullif(r.country, ''), '') AS entity_countries, k.identifier_key
        FROM registry_identifiers i
        JOIN registry r USING (entity_id)
        JOIN entity_keys k ON k.kind = i.identifier_kind AND k.country = coalesce(i.country, '') AND k.value = i.value
        LEFT JOIN fact_families f ON f.kind = i.identifier_kind
        WHERE k.identifier_key <> ''""")
    con.execute("DROP TABLE temp.entity_keys")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE fact_party_ids AS
        SELECT i.party_id, i.identifier_kind, i.value, nullif(p.country, '') AS country, i.identifier_key
        FROM party_identifiers i JOIN parties p USING (party_id) WHERE i.identifier_key <> ''""")
    alone = params.identifiers.least_characters_alone
    con.execute(f"""
        INSERT INTO match_facts
        SELECT p.party_id, e.entity_id, '{IDENTIFIER}', e.identifier_kind, p.value, e.value, {FULL},
               'equal once reduced to ' || p.identifier_key
               || CASE WHEN e.country IS NOT NULL THEN ' (' || e.country || ')' ELSE '' END
        FROM fact_party_ids p JOIN fact_entity_ids e USING (identifier_key)
        SEMI JOIN fact_meets m ON m.filed = p.identifier_kind AND m.listed = e.family
        WHERE e.world OR CASE
            WHEN p.country IS NULL THEN length(p.identifier_key) >= {alone}
            WHEN e.country IS NOT NULL THEN e.country = p.country
            ELSE list_contains(string_split(e.entity_countries, ';'), p.country)
                 OR (e.entity_countries = '' AND length(p.identifier_key) >= {alone}) END
        GROUP BY ALL""")


def find_conflicts(con: Any) -> None:
    """Add to ``match_facts`` the matches whose identifiers of one family and country differ and never agree.

    Expects ``find_identifiers`` and ``party_matches``; drops the scratch tables.
    """
    con.execute(f"""
        INSERT INTO match_facts
        SELECT m.party_id, m.entity_id, '{IDENTIFIER_CONFLICT}', e.family, min(p.value), min(e.value), 0,
               count(DISTINCT p.identifier_key) || ' filed, ' || count(DISTINCT e.identifier_key) || ' listed in '
               || p.country || ', none in common'
        FROM party_matches m
        JOIN fact_party_ids p USING (party_id)
        JOIN fact_entity_ids e ON e.entity_id = m.entity_id AND NOT e.world
             AND e.family = p.identifier_kind AND coalesce(e.country, e.entity_countries) = p.country
        ANTI JOIN match_facts f ON f.party_id = m.party_id AND f.entity_id = m.entity_id AND f.fact = '{IDENTIFIER}'
        WHERE e.family IN ('tax', 'registration')
        GROUP BY m.party_id, m.entity_id, e.family, p.country""")
    for table in ("fact_party_ids", "fact_entity_ids", "fact_families", "fact_meets"):
        con.execute(f"DROP TABLE temp.{table}")


def vessel_name(name: str, imo: str) -> str:
    """Return how a vessel is called among the parties: its name and number as filed, whichever there are."""
    name, imo = clean_text(name), clean_text(imo)
    number = imo if imo.upper().startswith("IMO") else f"IMO {imo}"
    return f"{name} (vessel, {number})" if name else f"vessel, {number}"


def add_vessels(con: Any, mapped: set[str]) -> None:
    """Add the vessels that shipments name by IMO number to ``parties`` and ``shipment_parties``, in the role vessel.

    They are added after names were matched: a vessel is compared by its number, never by its name.
    """
    if "vessel_imo" not in mapped:
        return
    con.execute("""
        CREATE OR REPLACE TEMP TABLE filed_vessels AS
        SELECT f.shipment_id, coalesce(r.vessel, '') || chr(0) || r.vessel_imo AS v
        FROM raw_feed r JOIN trade_feed f USING (source_row) WHERE trim(coalesce(r.vessel_imo, '')) <> ''""")
    names = ("party_id", "name", "full_form", "core_form", "legal_forms", "script", "tail_form")
    schema = pa.schema([(name, pa.string()) for name in names] + [("low_information", pa.int64())])

    def convert(pairs: list[str]) -> list[list[Any]]:
        rows = []
        for pair in pairs:
            name = vessel_name(*pair.split(_SEPARATOR, 1))
            forms = name_forms(name)
            number = "P" + blake3(f"{name}\0".encode()).hexdigest()[:PARTY_ID_DIGITS]
            texts = (forms.full, forms.core, forms.legal_forms, forms.script, forms.tail)
            rows.append((number, name, *texts, forms.low_information))
        return [list(column) for column in zip(*rows, strict=True)]

    map_distinct(con, "vessel_parties", "SELECT DISTINCT v FROM filed_vessels", schema, convert)
    con.execute("""
        CREATE OR REPLACE TABLE shipment_parties AS
        SELECT shipment_id, role, party_id FROM shipment_parties
        UNION ALL SELECT f.shipment_id, 'vessel', v.party_id FROM filed_vessels f JOIN vessel_parties v USING (v)
        ORDER BY shipment_id, role""")
    con.execute("""
        CREATE OR REPLACE TABLE parties AS
        SELECT * FROM parties
        UNION ALL BY NAME
        SELECT DISTINCT party_id, name, NULL::VARCHAR AS country, full_form, core_form, legal_forms, script,
               low_information, tail_form
        FROM vessel_parties v ANTI JOIN parties p USING (party_id) ORDER BY party_id""")
    con.execute("DROP TABLE temp.filed_vessels")
    con.execute("DROP TABLE vessel_parties")
