"""Packets of evidence: for each of the most exposed entities, what is claimed, from which rows, and what is against it.

Rules of this file: a packet claims nothing that is not in a table of the run, and names the rows behind each claim;
every list has a stated order and a cap, and says how many there were; texts are cut at a stated length; JSON and
page are two forms of one document. A packet is for a person who decides: it never says that a party is an entity.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import duckdb

from omphalos.format import strictjson
from omphalos.screening.match.facts import FACT_REASONS, FactReason
from omphalos.screening.match.params import MatchParams, load_weights
from omphalos.screening.match.reasons import REASONS, Reason
from omphalos.screening.review.arithmetic import Arithmetic, redo
from omphalos.screening.review.page import index_page, packet_page

Con: TypeAlias = duckdb.DuckDBPyConnection
Row: TypeAlias = dict[str, Any]

SCHEMA: Final = "omphalos.evidence/1"
FOLDER: Final = "evidence"
CAPS: Final = {
    "names": 40,
    "addresses": 20,
    "identifiers": 20,
    "parties": 20,
    "shipments": 20,
    "rivals": 5,
    "facts": 20,
}
MAX_CHARS: Final = 1_000  # of one text
NOT_CHECKED: Final = (
    ("identity", "whether the party and the entity are the same; a match is a candidate for review"),
    ("list-truth", "whether the list record is right, or still in force"),
    ("filing-truth", "whether names, goods, values and places were filed truly"),
    ("ownership", "whether the party is owned or controlled by a listed one, beyond what the tables of the run hold"),
    ("classification", "whether the goods need a licence; an HS code is not an export-control classification"),
    ("other-feeds", "what other feeds, other lists or other dates would show"),
    ("licences", "whether a licence or an exemption covers a shipment"),
)
_MEANING: Final[dict[str, Reason | FactReason]] = {
    **{reason.code: reason for reason in REASONS},
    **{reason.code: reason for reason in FACT_REASONS},
}
_UNSAFE: Final = re.compile(r"[^a-z0-9]+")


def packet_name(entity_id: str) -> str:
    """Return the name of an entity's packet without its suffix: safe everywhere, and one for each id.

    The readable part is for people; the 12 hex digits of SHA-256 over the id tell packets apart.
    """
    readable = _UNSAFE.sub("-", entity_id.lower()).strip("-")[:60].strip("-") or "entity"
    return f"{readable}-{hashlib.sha256(entity_id.encode()).hexdigest()[:12]}"


def write_evidence(
    con: Con, run: Path, most: int, lists: Mapping[str, Sequence[tuple[str, str]]], params: MatchParams
) -> list[str]:
    """Write a packet for each of the ``most`` entities that come first, and an index; return the paths in the run.

    Order: best band of a pair that was not dismissed, then open value, open shipments, entity_id. Entities all of whose
    pairs were dismissed get none. Reads the tables of a finished review.

    Args:
        con: holds them.
        run: the folder of the run.
        most: how many packets; with 0 nothing is written.
        lists: by source, the files of the list as (name within inputs/, SHA-256).
        params: the thresholds of the match.
    """
    chosen = _choose(con, most)
    if not chosen:
        return []
    (run / FOLDER).mkdir()
    names = [packet_name(entity) for entity in chosen]
    packets = _packets(con, chosen, lists, params)
    paths = []
    for name, packet in zip(names, packets, strict=True):
        for suffix, data in ((".json", strictjson.dump(packet)), (".html", packet_page(packet))):
            path = f"{FOLDER}/{name}{suffix}"
            (run / path).write_bytes(data)
            paths.append(path)
    path = f"{FOLDER}/index.html"
    (run / path).write_bytes(index_page(list(zip(names, packets, strict=True))))
    return sorted([*paths, path])


def _choose(con: Con, most: int) -> list[str]:
    rows = con.execute(
        """
        WITH bands AS (
            SELECT entity_id, min(CASE band WHEN 'high' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END) AS band_no
            FROM review WHERE state <> 'suppressed' GROUP BY entity_id)
        SELECT s.entity_id FROM entity_scores s JOIN bands USING (entity_id) WHERE s.open_parties > 0
        ORDER BY band_no, s.open_value_minor DESC NULLS LAST, s.open_shipments DESC, s.entity_id LIMIT ?""",
        [most],
    ).fetchall()
    return [row[0] for row in rows]


def _packets(
    con: Con, chosen: Sequence[str], lists: Mapping[str, Sequence[tuple[str, str]]], params: MatchParams
) -> list[Row]:
    con.execute("CREATE OR REPLACE TEMP TABLE evidence_for AS SELECT unnest($ids) AS entity_id", {"ids": list(chosen)})
    within = "SEMI JOIN evidence_for USING (entity_id)"
    entities = {row["entity_id"]: row for row in _rows(con, f"SELECT * FROM registry {within}")}
    scores = {row["entity_id"]: row for row in _rows(con, f"SELECT * FROM entity_scores {within}")}
    names = _capped(con, f"SELECT * FROM registry_names {within}", "entity_id", "name_no", "names")
    addresses = _capped(con, f"SELECT * FROM registry_addresses {within}", "entity_id", "address_no", "addresses")
    papers = _capped(con, f"SELECT * FROM registry_identifiers {within}", "entity_id", "identifier_no", "identifiers")
    parties = _capped(con, f"SELECT * FROM review {within}", "entity_id", "review_rank", "parties")
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE evidence_parties AS
        SELECT party_id, entity_id FROM review {within}
        QUALIFY row_number() OVER (PARTITION BY entity_id ORDER BY review_rank) <= {CAPS["parties"]}"""
    )
    held = "SEMI JOIN evidence_parties USING (party_id, entity_id)"
    matches = {(row["party_id"], row["entity_id"]): row for row in _rows(con, f"SELECT * FROM party_matches {held}")}
    shipments = _shipments(con)
    rivals = _capped(
        con,
        "SELECT m.party_id, m.entity_id, r.name, r.source, m.matched_name, m.score_bp, m.band, m.match_rank, m.against "
        "FROM party_matches m JOIN registry r USING (entity_id) "
        "WHERE m.party_id IN (SELECT party_id FROM evidence_parties)",
        "party_id", "match_rank", "rivals", spare=1,
    )  # fmt: skip
    facts = _capped(
        con, f"SELECT *, party_id || chr(0) || entity_id AS pair FROM match_facts {held}",
        "pair", "fact, kind, party_value, listed_value, detail", "facts",
    )  # fmt: skip
    con.execute("DROP TABLE temp.evidence_parties")
    con.execute("DROP TABLE temp.evidence_for")
    return [
        {
            "schema": SCHEMA,
            "entity": {
                **_cut(entities[entity], _ENTITY),
                "names": _listed(names.get(entity), ("name_no", "name_kind", "name")),
                "addresses": _listed(addresses.get(entity), ("address_no", "address", "city", "country")),
                "identifiers": _listed(papers.get(entity), ("identifier_no", "identifier_kind", "value", "country")),
            },
            "list_files": [
                {"file": name, "sha256": digest} for name, digest in lists.get(entities[entity]["source"], ())
            ],
            "exposure": {key: _plain(scores[entity][key]) for key in _EXPOSURE},
            "claims": {
                "total": parties[entity][0]["_total"],
                "listed": [
                    _claim(
                        row,
                        redo(
                            matches[row["party_id"], entity],
                            entities[entity]["entity_type"],
                            load_weights(),
                            params.threshold_bp,
                            facts.get(f"{row['party_id']}\0{entity}", ()),
                        ),
                        facts.get(f"{row['party_id']}\0{entity}"),
                        shipments.get(row["party_id"]),
                        rivals.get(row["party_id"], []),
                    )
                    for row in parties[entity]
                ],
            },
            "not_checked": [{"word": word, "meaning": meaning} for word, meaning in NOT_CHECKED],
            "caps": {**CAPS, "characters": MAX_CHARS},
        }
        for entity in chosen
    ]


_ENTITY: Final = (
    "entity_id", "source", "native_id", "entity_type", "name", "country", "countries", "programs", "listed_on",
    "citation", "remarks", "record_hash",
)  # fmt: skip
_EXPOSURE: Final = (
    "best_score_bp", "best_band", "parties", "shipments", "value_minor", "currency", "other_currency_shipments",
    "open_parties", "open_shipments", "open_value_minor", "suppressed_parties", "counterparties", "first_seen",
    "last_seen",
)  # fmt: skip
_PARTY: Final = (
    "party_id", "party_name", "party_country", "roles", "matched_name", "name_kind", "country_relation", "band",
    "score_bp", "match_rank", "review_rank", "state", "state_reason", "verdict", "decided", "expires", "reviewer",
    "decision_reason", "shipments", "flags",
)  # fmt: skip
_SHIPMENT: Final = (
    "shipment_id", "roles", "ship_date", "ship_month", "hs_code", "description", "origin_country",
    "destination_country", "value_minor", "currency", "flags",
)  # fmt: skip


def _shipments(con: Con) -> dict[str, list[Row]]:
    """Return the first shipments of each party of ``evidence_parties``, as ``_capped`` does.

    A party may stand on most shipments of a large feed, so ids are chosen before anything is joined to them.
    """
    flagged = con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'shipment_flags'").fetchone()
    flags = (
        "SELECT shipment_id, string_agg(DISTINCT flag, ';' ORDER BY flag) AS flags FROM shipment_flags "
        "WHERE shipment_id IN (SELECT shipment_id FROM chosen) GROUP BY shipment_id"
        if flagged
        else "SELECT '' AS shipment_id, '' AS flags"
    )
    found: dict[str, list[Row]] = {}
    for row in _rows(
        con,
        f"""
        WITH held AS (
            SELECT DISTINCT party_id, shipment_id FROM shipment_parties
            WHERE party_id IN (SELECT party_id FROM evidence_parties)),
        first AS (
            SELECT party_id, count(*) AS _total, min(shipment_id, {CAPS["shipments"]}) AS ids
            FROM held GROUP BY party_id),
        chosen AS (SELECT party_id, _total, unnest(ids) AS shipment_id FROM first),
        named AS (
            SELECT c.party_id, c.shipment_id, c._total, string_agg(s.role, ';' ORDER BY s.role) AS roles
            FROM chosen c JOIN shipment_parties s USING (party_id, shipment_id) GROUP BY ALL)
        SELECT n.party_id, f.shipment_id, n.roles, f.ship_date, f.ship_month, f.hs_code, f.description,
               f.origin_country, f.destination_country, f.value_minor, f.currency, coalesce(g.flags, '') AS flags,
               n._total
        FROM named n JOIN trade_feed f USING (shipment_id) LEFT JOIN ({flags}) g USING (shipment_id)
        ORDER BY n.party_id, f.shipment_id""",
    ):
        found.setdefault(row["party_id"], []).append(row)
    return found


def _claim(row: Row, sums: Arithmetic, facts: list[Row] | None, behind: list[Row] | None, rivals: Sequence[Row]) -> Row:
    """Return one claim: this party may be the entity; with the rows behind it and what speaks against it."""
    others = [one for one in rivals if one["entity_id"] != row["entity_id"]]
    total = rivals[0]["_total"] - 1 if rivals else 0
    codes = [code for code in row["reasons"].split(";") if code]
    return {
        **_cut(row, _PARTY),
        "reasons": [_reason(code) for code in codes if not _reason(code)["against"]],
        "against": [_reason(code) for code in codes if _reason(code)["against"]],
        "features": [{"feature": key, "value_bp": value, "weight": weight} for key, value, weight in sums.features],
        "steps": [{"step": key, "bp": f"{amount:+}"} for key, amount in sums.steps],
        "facts": _listed(facts, ("fact", "kind", "party_value", "listed_value", "strength_bp", "detail")),
        "rows": _listed(behind, _SHIPMENT),
        "rivals": {
            "total": total,
            "listed": [
                _cut(one, ("entity_id", "name", "source", "matched_name", "score_bp", "band", "match_rank", "against"))
                for one in others[: CAPS["rivals"]]
            ],
        },
    }


def _reason(code: str) -> Row:
    known = _MEANING.get(code)
    return {"code": code, "against": bool(known and known.against), "meaning": known.meaning if known else ""}


def _rows(con: Con, sql: str) -> list[Row]:
    rows: list[Row] = con.execute(sql).to_arrow_table().to_pylist()
    return rows


def _capped(con: Con, sql: str, group: str, order: str, cap: str, spare: int = 0) -> dict[str, list[Row]]:
    """Return the first rows of each group in ``order``, with ``_total``, the number of rows that the group has."""
    found: dict[str, list[Row]] = {}
    for row in _rows(
        con,
        f"SELECT *, count(*) OVER (PARTITION BY {group}) AS _total FROM ({sql}) "
        f"QUALIFY row_number() OVER (PARTITION BY {group} ORDER BY {order}) <= {CAPS[cap] + spare} "
        f"ORDER BY {group}, {order}",
    ):
        found.setdefault(row[group], []).append(row)
    return found


def _listed(rows: list[Row] | None, keys: Iterable[str]) -> Row:
    if not rows:
        return {"total": 0, "listed": []}
    wanted = tuple(keys)
    return {"total": rows[0]["_total"], "listed": [_cut(row, wanted) for row in rows]}


def _cut(row: Row, keys: Iterable[str]) -> Row:
    return {key: _plain(row[key]) if key.startswith("value_minor") else _short(row[key]) for key in keys}


def _short(value: Any) -> Any:
    return value[:MAX_CHARS] + "…" if isinstance(value, str) and len(value) > MAX_CHARS else value


def _plain(value: Any) -> Any:
    """Return a number as text where strict JSON might not hold it: sums in minor units may pass 2^53."""
    return str(value) if isinstance(value, int) and value > strictjson.MAX_INT else value
