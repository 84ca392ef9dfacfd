"""Links between listed entities, as the lists state them, and the paths that lead from a matched entity to others.

Rules of this file: a link is what the publisher wrote ("Linked To: X", an ownership record), and nothing is inferred
from it: no share is known, so no rule about shares is applied. A name that several entities bear links to none of them
and is counted; paths are shortest ones, of bounded length and number, in a total order.
"""

from typing import Any, Final

import pyarrow as pa

from omphalos.screening.match.facts import OWNERSHIP_LINK, FactParams, OwnershipParams
from omphalos.screening.normalize.legal_forms import name_forms
from omphalos.screening.normalize.mapping import map_distinct

# What points down, to what an entity holds, is turned so that it points up, to who stands behind the entity.
DOWN: Final = {"owns": "owned-by", "directs": "directed-by"}
_LINKS: Final = pa.schema(
    [
        ("entity_id", pa.string()),
        ("linked_entity_id", pa.string()),
        ("direction", pa.string()),
        ("steps", pa.int64()),
        ("relation", pa.string()),
        ("path", pa.string()),
    ]
)

# entity -> [(relation, other)], sorted
_Edges = dict[str, list[tuple[str, str]]]


def resolve_relations(con: Any) -> None:
    """Rebuild ``registry_relations`` with ``other_entity_id`` and ``bearers``, in order of its key.

    A native id names the entity of the same source. A name means the one entity of the same source with an equal full
    form, else with an equal core form; ``bearers`` says how many there are, and where there is not exactly one,
    ``other_entity_id`` is NULL. Reads ``registry`` and ``registry_forms``.
    """
    schema = pa.schema([("full_form", pa.string()), ("core_form", pa.string())])

    def convert(names: list[str]) -> list[list[str]]:
        found = [name_forms(name) for name in names]
        return [[forms.full for forms in found], [forms.core for forms in found]]

    map_distinct(con, "other_forms", "SELECT DISTINCT other_name AS v FROM registry_relations", schema, convert)
    bearers = {
        form: f"""
            SELECT q.entity_id, q.relation_no, count(DISTINCT n.entity_id) AS bearers, min(n.entity_id) AS bearer
            FROM registry_relations q JOIN other_forms o ON o.v = q.other_name
            JOIN registry r ON r.entity_id = q.entity_id
            JOIN registry_forms n ON n.{form} = o.{form} AND n.{form} <> '' AND n.name_kind <> 'weak'
                 AND n.entity_id <> q.entity_id
            JOIN registry s ON s.entity_id = n.entity_id AND s.source = r.source
            GROUP BY ALL"""
        for form in ("full_form", "core_form")
    }
    con.execute(f"""
        CREATE OR REPLACE TABLE registry_relations AS
        WITH full_bearers AS ({bearers["full_form"]}), core_bearers AS ({bearers["core_form"]})
        SELECT q.entity_id, q.relation_no, q.relation, q.other_name,
               CASE WHEN q.other_id IS NOT NULL THEN i.entity_id
                    WHEN coalesce(f.bearers, c.bearers) = 1 THEN coalesce(f.bearer, c.bearer) END AS other_entity_id,
               CASE WHEN i.entity_id IS NOT NULL THEN 1 WHEN q.other_id IS NOT NULL THEN 0
                    ELSE coalesce(f.bearers, c.bearers, 0) END::BIGINT AS bearers
        FROM registry_relations q JOIN registry r ON r.entity_id = q.entity_id
        LEFT JOIN registry i ON i.entity_id = r.source || ':' || q.other_id
        LEFT JOIN full_bearers f ON f.entity_id = q.entity_id AND f.relation_no = q.relation_no
        LEFT JOIN core_bearers c ON c.entity_id = q.entity_id AND c.relation_no = q.relation_no
        ORDER BY q.entity_id, q.relation_no""")
    con.execute("DROP TABLE other_forms")


def find_links(con: Any, params: FactParams) -> dict[str, int]:
    """Make ``entity_links`` for the entities of ``party_matches`` and add an OWNERSHIP_LINK to each of their pairs.

    ``entity_links``: entity_id, linked_entity_id, direction (up: stands behind the entity, down: is held by it), steps,
    relation (of the last step), path (names and relations, as listed). The fact shows the nearest link and how many
    there are. Returns counts for the report.
    """
    edges = con.execute(
        "SELECT entity_id, relation, other_entity_id FROM registry_relations WHERE other_entity_id IS NOT NULL "
        "ORDER BY ALL"
    ).fetchall()
    up: _Edges = {}
    for entity, relation, other in edges:
        first, last = (other, entity) if relation in DOWN else (entity, other)
        up.setdefault(first, []).append((DOWN.get(relation, relation), last))
    down: _Edges = {}
    for entity, links in sorted(up.items()):
        links[:] = sorted(set(links), key=lambda link: (link[1], link[0]))
        for relation, other in links:
            down.setdefault(other, []).append((relation, entity))
    matched = [
        row[0]
        for row in con.execute(
            "SELECT DISTINCT entity_id FROM party_matches WHERE entity_id IN (SELECT entity_id FROM registry_relations "
            "UNION ALL SELECT other_entity_id FROM registry_relations) ORDER BY 1"
        ).fetchall()
    ]
    names = dict(
        con.execute(
            "SELECT entity_id, name FROM registry WHERE entity_id IN (SELECT entity_id FROM registry_relations "
            "UNION ALL SELECT other_entity_id FROM registry_relations)"
        ).fetchall()
    )
    rows = [row for entity in matched for row in links_of(entity, up, down, names, params.ownership)]
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in _LINKS]
    con.register("links_batch", pa.table(columns, schema=_LINKS))
    con.execute("CREATE OR REPLACE TABLE entity_links AS SELECT * FROM links_batch ORDER BY entity_id, "
                "linked_entity_id")  # fmt: skip
    con.unregister("links_batch")
    con.execute(f"""
        INSERT INTO match_facts
        WITH nearest AS (
            SELECT l.*, count(*) OVER (PARTITION BY l.entity_id) AS links FROM entity_links l
            QUALIFY row_number() OVER (PARTITION BY l.entity_id
                                       ORDER BY steps, direction DESC, linked_entity_id) = 1)
        SELECT m.party_id, m.entity_id, '{OWNERSHIP_LINK}', n.relation, e.name, o.name, 0,
               n.path || CASE WHEN n.links > 1 THEN ' (nearest of ' || n.links || ')' ELSE '' END
        FROM party_matches m JOIN nearest n USING (entity_id)
        JOIN registry e ON e.entity_id = m.entity_id JOIN registry o ON o.entity_id = n.linked_entity_id""")
    count = con.execute(
        "SELECT count(*), count(other_entity_id), count(*) FILTER (bearers > 1), count(*) FILTER (bearers = 0) "
        "FROM registry_relations"
    ).fetchone()
    stated, resolved, ambiguous, unknown = (int(value) for value in count)
    return {
        "ambiguous": ambiguous,
        "linked_entities": len({row[0] for row in rows}),
        "links": len(rows),
        "resolved": resolved,
        "stated": stated,
        "unknown": unknown,
    }


def links_of(
    entity: str, up: _Edges, down: _Edges, names: dict[str, str], params: OwnershipParams
) -> list[tuple[str, str, str, int, str, str]]:
    """Return the links of one entity: upwards at most ``most_steps``, then one step downwards, ``most_paths`` in all.

    ``up`` and ``down`` hold the sorted steps of each entity. Each row is entity, linked entity, direction, steps,
    relation of the last step, path; an entity that is reached both ways is shown upwards.
    """
    found: list[tuple[str, str, str, int, str, str]] = []
    seen = {entity}
    at = [(entity, _shown(entity, names))]
    for steps in range(1, params.most_steps + 1):
        further = []
        for place, path in at:
            for relation, other in up.get(place, []):
                if other in seen or len(found) == params.most_paths:
                    continue
                seen.add(other)
                longer = f"{path} {relation} {_shown(other, names)}"
                found.append((entity, other, "up", steps, relation, longer))
                further.append((other, longer))
        at = further
    for relation, other in down.get(entity, []):
        if other not in seen and len(found) < params.most_paths:
            seen.add(other)
            path = f"{_shown(other, names)} {relation} {_shown(entity, names)}"
            found.append((entity, other, "down", 1, relation, path))
    return found


def _shown(entity: str, names: dict[str, str]) -> str:
    return f"{names.get(entity, '')} [{entity}]"
