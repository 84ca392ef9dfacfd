"""The rules of the red flags: one SELECT each, over the tables of a run.

Rules of this file: integers and text, no float and no average; each row says in words why the shipment bears the flag
and carries the numbers behind it (``observed`` against ``expected``, the ``spread``, and how many were ``compared``);
parameters come from the data file; a flag is a signal with a reason, never a verdict.
"""

import re
from typing import Any, Final

import pyarrow as pa

from omphalos.screening.flags.data import (
    Flag,
    FlagParams,
    high_priority_goods,
    load_flags,
    transshipment_points,
)

LIMITS: Final = (
    "a flag is a signal with a reason, never a finding of wrongdoing",
    "an HS code is not an export-control classification (ECCN): most goods under a listed code are not controlled",
    "lists of codes, countries and words are dated guidance and not complete",
    "what the feed alone cannot show is not looked at: date of incorporation, line of business, web site, end use",
)
_MONTHS: Final = "(left({0}, 4)::BIGINT * 12 + substr({0}, 6, 2)::BIGINT)"
_MOST_VALUE: Final = 9_000_000_000_000  # above it a price no longer fits 64 bits; such a value is absurd anyway
_NONE: Final = "NULL::BIGINT"
# Of several parties that raise one flag on one shipment the first is shown; the other rules give a shipment once.
_SEVERAL: Final = frozenset(
    {"listedParty", "forwarderOrBankAsConsignee", "sharedAddress", "severalIdentifiers", "identifierConflict"}
)
_FIRST: Final = (
    "QUALIFY row_number() OVER (PARTITION BY shipment_id ORDER BY party_id NULLS FIRST, reason, observed) = 1"
)


def build_shipment_flags(con: Any, params: FlagParams | None = None) -> None:
    """Make ``shipment_flags``: one row per (shipment_id, flag), in that order.

    Columns: shipment_id, flag, flag_version, reason, party_id (whom it is about, or NULL), observed, expected, spread,
    compared (integers, NULL where the rule has none). Reads ``trade_feed``, ``shipment_parties``, ``parties``,
    ``entity_matches``, ``match_facts``, ``party_identifiers`` and ``party_addresses``.
    """
    params = params or load_flags()
    goods = pa.table(dict(zip(("hs6", "tier"), map(list, zip(*high_priority_goods(), strict=True)), strict=True)))
    con.register("flag_goods_batch", goods)
    con.execute("CREATE OR REPLACE TEMP TABLE flag_goods AS SELECT * FROM flag_goods_batch")
    con.unregister("flag_goods_batch")
    con.execute(
        "CREATE OR REPLACE TEMP TABLE flag_points AS SELECT unnest(?) AS country", [list(transshipment_points())]
    )
    con.execute("""
        CREATE OR REPLACE TEMP TABLE flag_rows (shipment_id VARCHAR, flag VARCHAR, reason VARCHAR, party_id VARCHAR,
            observed BIGINT, expected BIGINT, spread BIGINT, compared BIGINT)""")
    for name, rule in _RULES.items():
        con.execute(
            f"INSERT INTO flag_rows SELECT shipment_id, '{name}', reason, party_id, observed, expected, spread, "
            f"compared FROM ({rule(params[name])}) {_FIRST if name in _SEVERAL else ''}"
        )
    versions = " ".join(f"WHEN '{flag.flag}' THEN {flag.version}" for flag in params.flags)
    con.execute(f"""
        CREATE OR REPLACE TABLE shipment_flags AS
        SELECT shipment_id, flag, (CASE flag {versions} END)::BIGINT AS flag_version, reason, party_id,
               observed, expected, spread, compared
        FROM flag_rows ORDER BY shipment_id, flag""")
    for table in ("flag_goods", "flag_points", "flag_rows"):
        con.execute(f"DROP TABLE temp.{table}")


def flags_report(con: Any, params: FlagParams | None = None) -> dict[str, Any]:
    """Return the report of the flags: each with title, version, source, date, parameters and what it was raised on."""
    params = params or load_flags()
    raised = {
        flag: (shipments, parties)
        for flag, shipments, parties in con.execute(
            "SELECT flag, count(*), count(DISTINCT party_id) FROM shipment_flags GROUP BY flag"
        ).fetchall()
    }
    flagged, all_shipments = con.execute(
        "SELECT (SELECT count(DISTINCT shipment_id) FROM shipment_flags), (SELECT count(*) FROM trade_feed)"
    ).fetchone()
    return {
        "flags": [
            {
                "flag": flag.flag,
                "version": flag.version,
                "title": flag.title,
                "source": flag.source,
                "dated": flag.dated,
                "parameters": {**flag.numbers, **{name: list(words) for name, words in flag.words.items()}},
                "shipments": raised.get(flag.flag, (0, 0))[0],
                "parties": raised.get(flag.flag, (0, 0))[1],
            }
            for flag in params.flags
        ],
        "flagged_shipments": flagged,
        "limits": list(LIMITS),
        "shipments": all_shipments,
        "version": params.version,
    }


def _row(reason: str, source: str, *, party: str = "NULL::VARCHAR", numbers: tuple[str, ...] = ()) -> str:
    """Return the SELECT of one rule; ``numbers`` are observed, expected, spread, compared, as far as there are any."""
    observed, expected, spread, compared = (*numbers, *[_NONE] * (4 - len(numbers)))
    return (
        f"SELECT f.shipment_id, {reason} AS reason, {party} AS party_id, ({observed})::BIGINT AS observed, "
        f"({expected})::BIGINT AS expected, ({spread})::BIGINT AS spread, ({compared})::BIGINT AS compared {source}"
    )


def _listed(flag: Flag) -> str:
    bands = ", ".join(f"'{band}'" for band in flag.words["bands"])
    return _row(
        "m.party_name || ' may be ' || m.entity_name || ' (' || m.entity_id || ', ' || m.band || ')'",
        # The best pair of each shipment is found among ids alone; names are joined to what is left.
        "FROM (SELECT shipment_id, party_id, entity_id FROM entity_matches "
        f"WHERE band IN ({bands}) "
        "QUALIFY row_number() OVER (PARTITION BY shipment_id ORDER BY score_bp DESC, party_id, entity_id) = 1) f "
        "JOIN entity_matches m USING (shipment_id, party_id, entity_id)",
        party="m.party_id",
        numbers=("m.score_bp",),
    )


def _goods(_: Flag) -> str:
    return _row("'HS ' || f.hs6 || ' is in tier ' || g.tier || ' of the Common High Priority List'",
                "FROM trade_feed f JOIN flag_goods g USING (hs6)")  # fmt: skip


def _to_point(_: Flag) -> str:
    return _row("'HS ' || f.hs6 || ' (tier ' || g.tier || ') goes to ' || f.destination_country",
                "FROM trade_feed f JOIN flag_goods g USING (hs6) "
                "WHERE f.destination_country IN (SELECT country FROM flag_points)")  # fmt: skip


def _newcomer(flag: Flag) -> str:
    month = "coalesce(f.ship_month, left(f.ship_date, 7))"
    number = _MONTHS.format("month")
    return f"""
        WITH dated AS (
            SELECT f.shipment_id, f.hs6, {month} AS month, s.party_id
            FROM trade_feed f JOIN flag_goods g USING (hs6)
            JOIN shipment_parties s ON s.shipment_id = f.shipment_id AND s.role = 'importer'),
        feed AS (SELECT min({number}) AS begins FROM (SELECT {month} AS month FROM trade_feed f)),
        firsts AS (SELECT party_id, min(month) AS first FROM dated WHERE month IS NOT NULL GROUP BY party_id)
        {
        _row(
            "'the importer brings HS ' || f.hs6 || ' in ' || f.month || ', ' || ("
            + _MONTHS.format("f.month")
            + " - begins) || ' months after the feed begins, and no such goods before'",
            "FROM dated f JOIN firsts USING (party_id) CROSS JOIN feed WHERE f.month = first "
            f"AND {_MONTHS.format('f.month')} - begins >= {flag.numbers['after_months']}",
            party="f.party_id",
            numbers=(_MONTHS.format("f.month") + " - begins",),
        )
    }"""


def _words_sql(words: tuple[str, ...]) -> str:
    return "|".join(re.escape(word.removesuffix("*")) + ("[A-Z]*" if word.endswith("*") else "") for word in words)


def _forwarder(flag: Flag) -> str:
    kinds = {"a freight forwarder or broker": flag.words["forwarders"], "a bank": flag.words["banks"]}
    cases = " ".join(
        f"WHEN regexp_matches(' ' || full_form || ' ', ' ({_words_sql(words)}) ') THEN '{kind}'"
        for kind, words in kinds.items()
    )
    # Where no consignee is named, the importer receives the goods.
    return f"""
        WITH called AS (
            SELECT party_id, name, kind FROM (SELECT party_id, name, CASE {cases} END AS kind FROM parties)
            WHERE kind IS NOT NULL),
        sides AS (
            SELECT s.shipment_id, s.role, s.party_id FROM shipment_parties s SEMI JOIN called USING (party_id)
            WHERE s.role IN ('consignee', 'importer')),
        consigned AS (
            SELECT c.shipment_id FROM shipment_parties c
            SEMI JOIN (SELECT shipment_id FROM sides WHERE role = 'importer') USING (shipment_id)
            WHERE c.role = 'consignee'),
        receivers AS (
            SELECT shipment_id, party_id FROM sides WHERE role = 'consignee'
            UNION ALL
            SELECT shipment_id, party_id FROM sides ANTI JOIN consigned USING (shipment_id) WHERE role = 'importer')
        {
        _row(
            "c.name || ' is called ' || c.kind",
            "FROM receivers f JOIN called c USING (party_id)",
            party="f.party_id",
        )
    }"""


def _price(flag: Flag) -> str:
    n = flag.numbers
    # Only the numbers are sorted, and only of goods that are compared; the shipments are looked at again at the end.
    return f"""
        WITH prices AS NOT MATERIALIZED (
            SELECT shipment_id, hs6, currency, value_minor * 1000 // net_mass_grams AS price FROM trade_feed
            WHERE hs6 IS NOT NULL AND coalesce(currency, 'XXX') <> 'XXX' AND net_mass_grams >= 1
                  AND value_minor BETWEEN 1 AND {_MOST_VALUE}),
        counted AS (SELECT hs6, currency, count(*) AS many FROM prices GROUP BY hs6, currency
                    HAVING count(*) >= {n["least_shipments"]}),
        medians AS (
            SELECT hs6, currency, price AS median, many FROM (
                SELECT p.hs6, p.currency, p.price, c.many,
                       row_number() OVER (PARTITION BY p.hs6, p.currency ORDER BY p.price) AS place
                FROM prices p JOIN counted c USING (hs6, currency))
            WHERE place = (many + 1) // 2),
        apart AS NOT MATERIALIZED (
            SELECT p.*, m.median, m.many, abs(p.price - m.median) AS deviation
            FROM prices p JOIN medians m USING (hs6, currency)),
        spreads AS (
            SELECT hs6, currency, greatest(deviation, median // {n["least_spread_part"]}, 1) AS spread FROM (
                SELECT hs6, currency, median, many, deviation,
                       row_number() OVER (PARTITION BY hs6, currency ORDER BY deviation) AS place
                FROM apart)
            WHERE place = (many + 1) // 2)
        {
        _row(
            "f.price || ' minor units of ' || f.currency || ' per kilogram of HS ' || f.hs6 || ', '"
            " || (f.deviation // s.spread) || ' spreads '"
            " || CASE WHEN f.price > f.median THEN 'above' ELSE 'below' END || ' the median of ' || f.median",
            "FROM apart f JOIN spreads s USING (hs6, currency) "
            f"WHERE f.deviation > {n['deviations']} * s.spread::HUGEINT",
            numbers=("f.price", "f.median", "s.spread", "f.many"),
        )
    }"""


def _third(_: Flag) -> str:
    return _row("'delivered to ' || f.destination_country || ', importer in ' || f.importer_country",
                "FROM trade_feed f WHERE f.destination_country <> f.importer_country")  # fmt: skip


def _round_trip(_: Flag) -> str:
    return _row("'from ' || f.origin_country || ' to ' || f.destination_country",
                "FROM trade_feed f WHERE f.origin_country = f.destination_country")  # fmt: skip


def _route(flag: Flag) -> str:
    n = flag.numbers
    return f"""
        WITH routes AS (
            SELECT hs6, origin_country AS origin, destination_country AS destination, count(*) AS same FROM trade_feed
            WHERE hs6 IS NOT NULL AND origin_country IS NOT NULL AND destination_country IS NOT NULL GROUP BY ALL),
        goods AS (SELECT hs6, sum(same)::BIGINT AS many FROM routes GROUP BY hs6),
        rare AS (
            SELECT r.*, g.many FROM routes r JOIN goods g USING (hs6)
            WHERE many >= {n["least_shipments"]} AND same * 10000 <= many * {n["most_share_bp"]}),
        routed AS NOT MATERIALIZED (
            SELECT t.shipment_id, r.* FROM trade_feed t JOIN rare r
            ON r.hs6 = t.hs6 AND r.origin = t.origin_country AND r.destination = t.destination_country)
        {
        _row(
            "f.same || ' of ' || f.many || ' shipments of HS ' || f.hs6 || ' go from ' || f.origin || ' to ' "
            "|| f.destination",
            "FROM routed f",
            numbers=("f.same", _NONE, _NONE, "f.many"),
        )
    }"""


def _shared_address(flag: Flag) -> str:
    n = flag.numbers
    return f"""
        WITH told AS (
            SELECT DISTINCT a.address_key, a.party_id, coalesce(nullif(p.core_form, ''), p.name) AS called
            FROM party_addresses a JOIN parties p USING (party_id)
            WHERE len(string_split(a.address_key, ' ')) >= {n["least_words"]}
                  AND regexp_matches(a.address_key, '[0-9]')),
        shared AS (
            SELECT address_key, count(DISTINCT called) AS many FROM told GROUP BY ALL
            HAVING count(DISTINCT called) >= {n["least_parties"]}),
        sharing AS (SELECT t.party_id, max(s.many) AS many, min(s.address_key) AS address_key
                    FROM told t JOIN shared s USING (address_key) GROUP BY t.party_id)
        {
        _row(
            "'parties of ' || s.many || ' names give one address: ' || s.address_key",
            "FROM shipment_parties f JOIN sharing s USING (party_id)",
            party="f.party_id",
            numbers=("s.many",),
        )
    }"""


def _several_identifiers(flag: Flag) -> str:
    return f"""
        WITH bearing AS (
            SELECT party_id, identifier_kind, count(DISTINCT identifier_key) AS many FROM party_identifiers
            WHERE identifier_key <> '' AND identifier_kind <> 'any' GROUP BY ALL
            HAVING count(DISTINCT identifier_key) >= {flag.numbers["least_identifiers"]})
        {
        _row(
            "'one party bears ' || b.many || ' different numbers of the kind ' || b.identifier_kind",
            "FROM shipment_parties f JOIN bearing b USING (party_id)",
            party="f.party_id",
            numbers=("b.many",),
        )
    }"""


def _identifier_conflict(_: Flag) -> str:
    return _row(
        "'the list gives ' || c.listed_value || ' (' || c.kind || ') for ' || c.entity_id || ', the feed ' "
        "|| c.party_value",
        "FROM shipment_parties f JOIN match_facts c ON c.party_id = f.party_id AND c.fact = 'IDENTIFIER_CONFLICT'",
        party="f.party_id",
    )


def _round_value(flag: Flag) -> str:
    multiple = flag.numbers["multiple_minor"]
    return _row(f"'the value is a multiple of {multiple} minor units'",
                f"FROM trade_feed f WHERE f.value_minor > 0 AND f.value_minor % {multiple} = 0",
                numbers=("f.value_minor",))  # fmt: skip


def _no_commodity(_: Flag) -> str:
    return _row("'no commodity code'", "FROM trade_feed f WHERE f.hs6 IS NULL")


def _no_importer(_: Flag) -> str:
    return _row("'no importer'", "FROM trade_feed f WHERE f.importer_name IS NULL")


_RULES: Final = {
    "listedParty": _listed,
    "highPriorityGoods": _goods,
    "highPriorityToTransshipmentPoint": _to_point,
    "highPriorityToFirstTimeImporter": _newcomer,
    "forwarderOrBankAsConsignee": _forwarder,
    "priceOutlier": _price,
    "deliveredToThirdCountry": _third,
    "originIsDestination": _round_trip,
    "rareRoute": _route,
    "sharedAddress": _shared_address,
    "severalIdentifiers": _several_identifiers,
    "identifierConflict": _identifier_conflict,
    "roundValue": _round_value,
    "commodityNotGiven": _no_commodity,
    "importerNotGiven": _no_importer,
}
