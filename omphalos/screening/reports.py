"""The structured reports of a run: dataset validation, matching statistics, scoring summary.

Rules of this file: a report holds integers, texts, lists and tables of them; every list has a stated order;
nothing in it depends on the machine, the time or the tool's version. What a report does not say it names: the HS
code of a shipment is not an export-control classification, and a match is not an identification.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import pyarrow as pa

from omphalos.screening.match.params import MatchParams
from omphalos.screening.review.table import QUEUE_SQL

LIMITS = (
    "a match is a candidate for review, never an identification",
    "an HS code is not an export-control classification",
    "identifiers and addresses are compared where the job maps them; shares of ownership are not known",
)


def as_plain(value: Any) -> Any:
    """Return a dataclass, mapping or sequence as plain lists and tables, keys sorted."""
    if is_dataclass(value) and not isinstance(value, type):
        return as_plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in sorted(value.items(), key=lambda pair: str(pair[0]))}
    if isinstance(value, (list, tuple)):
        return [as_plain(item) for item in value]
    return value


def create_from_arrow(con: Any, name: str, tables: Sequence[Any]) -> None:
    """Create table ``name`` on the connection out of Arrow tables of one schema, in their order."""
    arriving = pa.concat_tables(tables)
    con.register("arriving", arriving)
    con.execute(f"create table {name} as select * from arriving")
    con.unregister("arriving")


def registry_counts(records: Any) -> dict[str, Any]:
    """Return what one registry held, as its part of the validation report."""
    return {"source": records.source, **records.counts.as_json()}


def matching(con: Any, report: Any, match: MatchParams, truth: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Return the matching report: parameters, counts, matches by reason, and planted truth where the data has any."""
    reasons = con.execute(
        "select reason, count(*) from (select unnest(string_split(reasons, ';')) as reason from party_matches) "
        "where reason <> '' group by reason order by reason"
    ).fetchall()
    return {
        "parameters": as_plain(match),
        "counts": as_plain(report),
        "reasons": [{"reason": reason, "matches": number} for reason, number in reasons],
        "truth": truth,
        "limits": list(LIMITS),
    }


def scoring(con: Any, currency: str) -> dict[str, Any]:
    """Return the scoring report: entities and review items by band, and the head of the queue."""
    bands = "case {} when 'high' then 1 when 'medium' then 2 else 3 end"
    entities = con.execute(
        "select source, best_band, count(*) from entity_scores group by source, best_band "
        f"order by source, {bands.format('best_band')}"
    ).fetchall()
    items = con.execute(
        f"select band, count(*), sum(shipments) from review where {QUEUE_SQL} "
        f"group by band order by {bands.format('band')}"
    ).fetchall()
    head = con.execute(
        "select review_rank, band, score_bp, party_name, entity_id, entity_name, reasons, shipments from review "
        f"where {QUEUE_SQL} "
        "order by review_rank limit 20"
    ).fetchall()
    names = ("review_rank", "band", "score_bp", "party_name", "entity_id", "entity_name", "reasons", "shipments")
    return {
        "currency": currency,
        "entities": [{"source": s, "band": b, "entities": n} for s, b, n in entities],
        "review": [{"band": b, "items": n, "shipments": int(m)} for b, n, m in items],
        "head": [dict(zip(names, row, strict=True)) for row in head],
        "limits": list(LIMITS),
    }


def headline(con: Any, counts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the few numbers a person wants to see when a run is done."""
    one = f"select count(*), count(*) filter (where band = 'high') from review where {QUEUE_SQL}"
    items, high = con.execute(one).fetchone()
    feed = counts["feed"]
    return {
        "records": feed["records"],
        "accepted": feed["accepted"],
        "quarantined": feed["quarantined"],
        "list_orphans": sum(registry["rejected"].get("orphanRecord", 0) for registry in counts["registries"]),
        "entities": con.execute("select count(*) from registry").fetchone()[0],
        "review_items": items,
        "review_high": high,
    }
