"""From accepted shipments to parties, and from registry names to their comparison forms.

Rules of this file: a party is a distinct pair of name and country; its id is a hash of both, so it is the same in every
run and every feed. Comparison forms are computed once per distinct name, however many shipments or entities bear it.
"""

from typing import Any, Final

import pyarrow as pa
from blake3 import blake3

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.screening.job import ROLES
from omphalos.screening.normalize.mapping import map_distinct, map_forms

PARTY_ID_DIGITS: Final = 20
_FORM_COLUMNS: Final = "f.full_form, f.core_form, f.legal_forms, f.script, f.low_information, f.tail_form"


class PartyIdCollision(OmphalosError):
    """Two parties have one id: the 80 bits of it were forced to collide, or the odds of 1 in 10^12 came up."""

    kind = ErrorKind.USAGE
    id = "partyIdCollision"


def party_id(name: str, country: str | None) -> str:
    """Return 'P' and the first 20 hex digits of BLAKE3 over the name, a NUL and the country code (empty if none)."""
    return "P" + blake3(f"{name}\0{country or ''}".encode()).hexdigest()[:PARTY_ID_DIGITS]


def build_parties(con: Any) -> None:
    """Make ``parties`` and ``shipment_parties`` from ``trade_feed``, replacing them, in order of their keys.

    ``parties``: party_id, name, country, full_form, core_form, legal_forms, script, low_information, tail_form; one row
    for each distinct (name, country) in any role. ``shipment_parties``: shipment_id, role, party_id.

    Raises:
        PartyIdCollision: when two parties have the same id.
    """
    # A NUL cannot stand in a cleaned name, so the joined key stands for exactly one pair.
    occurrences = " UNION ALL ".join(
        f"SELECT shipment_id, '{role}' AS role, {role}_name AS name, {role}_country AS country "
        f"FROM trade_feed WHERE {role}_name IS NOT NULL"
        for role in ROLES
    )
    con.execute(f"CREATE OR REPLACE TEMP VIEW _occurrences AS {occurrences}")
    con.execute("CREATE OR REPLACE TEMP TABLE _pairs AS SELECT DISTINCT name, country FROM _occurrences")
    key = "name || chr(0) || coalesce(country, '')"
    map_distinct(
        con, "_party_ids", f"SELECT {key} AS v FROM _pairs", pa.schema([("party_id", pa.string())]),
        lambda keys: [["P" + blake3(pair.encode()).hexdigest()[:PARTY_ID_DIGITS] for pair in keys]],
    )  # fmt: skip
    clash = con.execute("SELECT party_id FROM _party_ids GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1").fetchone()
    if clash is not None:
        raise PartyIdCollision(
            f"two parties of this feed have the id {clash[0]}",
            hint="the feed was built to confuse them: compare the party names that share this id",
        )
    map_forms(con, "_name_forms", "SELECT DISTINCT name AS v FROM _pairs")
    con.execute(
        f"CREATE OR REPLACE TABLE parties AS SELECT i.party_id, p.name, p.country, {_FORM_COLUMNS} "
        f"FROM _pairs p JOIN _party_ids i ON i.v = {key} JOIN _name_forms f ON f.v = p.name ORDER BY i.party_id"
    )
    con.execute(
        "CREATE OR REPLACE TABLE shipment_parties AS SELECT o.shipment_id, o.role, p.party_id FROM _occurrences o "
        "JOIN parties p ON p.name = o.name AND p.country IS NOT DISTINCT FROM o.country ORDER BY o.shipment_id, o.role"
    )
    con.execute("DROP VIEW _occurrences")
    for table in ("_pairs", "_party_ids", "_name_forms"):
        con.execute(f"DROP TABLE {table}")


def build_registry_forms(con: Any) -> None:
    """Make ``registry_forms``: ``registry_names`` with the comparison forms of each name, in order of its key.

    Columns: entity_id, name_no, name_kind, name, full_form, core_form, legal_forms, script, low_information,
    tail_form.
    """
    map_forms(con, "_name_forms", "SELECT DISTINCT name AS v FROM registry_names WHERE name IS NOT NULL")
    con.execute(
        f"CREATE OR REPLACE TABLE registry_forms AS "
        f"SELECT n.entity_id, n.name_no, n.name_kind, n.name, {_FORM_COLUMNS} "
        "FROM registry_names n LEFT JOIN _name_forms f ON f.v = n.name ORDER BY n.entity_id, n.name_no"
    )
    con.execute("DROP TABLE _name_forms")
