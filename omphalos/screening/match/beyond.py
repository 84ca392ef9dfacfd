"""Matching beyond names: identifiers, addresses and links, in the order in which they build on each other.

Rule of this file: it runs after the names were matched and before anything reads ``party_matches``.
"""

from typing import Any, Final

from omphalos.screening.job import ROLES
from omphalos.screening.match.addresses import build_party_addresses, find_addresses
from omphalos.screening.match.facts import FACT_REASONS, add_matches, load_facts, make_facts_table, weigh_facts
from omphalos.screening.match.identifiers import (
    add_vessels,
    build_party_identifiers,
    find_conflicts,
    find_identifiers,
)
from omphalos.screening.match.ownership import find_links
from omphalos.screening.match.params import MatchParams

# What this stage makes or changes; each is held to its contract afterwards.
FACT_TABLES: Final = (
    "parties",
    "shipment_parties",
    "party_identifiers",
    "party_addresses",
    "match_facts",
    "entity_links",
)


def match_beyond_names(con: Any, mapped: set[str], params: MatchParams) -> dict[str, Any]:
    """Make the tables of ``FACT_TABLES``, change ``party_matches`` by them, and return the report of it.

    Args:
        con: holds ``raw_feed``, ``trade_feed``, the tables of parties and registries, and ``party_matches``.
        mapped: the feed fields that the job maps.
        params: thresholds of the match.
    """
    facts = load_facts()
    add_vessels(con, mapped)
    build_party_identifiers(con, mapped, ROLES, facts)
    build_party_addresses(con, mapped, ROLES, facts.addresses)
    make_facts_table(con)
    find_identifiers(con, facts)
    addresses = find_addresses(con, facts)
    add_matches(con, params, facts)
    # An address that is no match by itself and supports none says nothing.
    con.execute("DELETE FROM match_facts WHERE (party_id, entity_id) NOT IN (SELECT (party_id, entity_id) FROM "
                "party_matches)")  # fmt: skip
    find_conflicts(con)
    links = find_links(con, facts)
    weigh_facts(con, params, facts)
    order = ", ".join(("party_id", "entity_id", "fact", "kind", "party_value", "listed_value", "detail"))
    con.execute(f"CREATE OR REPLACE TABLE match_facts AS SELECT * FROM match_facts ORDER BY {order}")
    return {
        "addresses": addresses,
        "identifiers": _identifiers(con),
        "links": links,
        "matches": [
            {"fact": fact, "facts": number, "matches": pairs, "without_name": alone}
            for fact, number, pairs, alone in con.execute(
                "SELECT f.fact, count(*), count(DISTINCT (f.party_id, f.entity_id)), count(DISTINCT (f.party_id, "
                "f.entity_id)) FILTER (m.full_bp = 0) FROM match_facts f JOIN party_matches m "
                "USING (party_id, entity_id) GROUP BY f.fact ORDER BY f.fact"
            ).fetchall()
        ],
        "meaning": {reason.code: reason.meaning for reason in FACT_REASONS},
        "version": facts.version,
    }


def _identifiers(con: Any) -> list[dict[str, Any]]:
    """Return how many identifiers of each kind were filed, and why some are not compared."""
    rows = con.execute(
        "SELECT identifier_kind, problem, count(*) FROM party_identifiers GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return [{"kind": kind, "problem": problem, "values": number} for kind, problem, number in rows]
