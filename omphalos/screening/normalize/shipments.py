"""From ``raw_feed`` to ``feed_candidates`` and ``feed_rejects``: each shipment once, typed, and what could not be read.

Rules of this file: a row is never dropped; a cell that cannot be converted becomes NULL and one reject that quotes it;
an empty cell is no reject. Conversions run once per distinct value (`mapping`) or in SQL (`money`), and the rows pass
by the converted values in one stream: nothing is sorted or held that grows with the feed. Each row carries its number,
so nothing depends on the order in which threads leave them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import pyarrow as pa

from omphalos.screening.job import FEED_FIELDS
from omphalos.screening.normalize.countries import country_code
from omphalos.screening.normalize.dates import parse_date
from omphalos.screening.normalize.hs import HsProblem, hs_code
from omphalos.screening.normalize.mapping import map_distinct
from omphalos.screening.normalize.money import CURRENCIES, NumberSql, number_sql
from omphalos.screening.normalize.text import clean_text, fold

MAX_CELL_BYTES: Final = 4000
EXCERPT_CHARACTERS: Final = 200

# feed field -> column of trade_feed
TEXT_COLUMNS: Final = {
    "shipment_id": "shipment_id",
    "exporter": "exporter_name",
    "importer": "importer_name",
    "consignee": "consignee_name",
    "notify_party": "notify_party_name",
    "end_user": "end_user_name",
    "description": "description",
    "quantity_unit": "quantity_unit",
}
COUNTRY_COLUMNS: Final = {
    "reporter": "reporter_country",
    "exporter_country": "exporter_country",
    "importer_country": "importer_country",
    "consignee_country": "consignee_country",
    "notify_party_country": "notify_party_country",
    "end_user_country": "end_user_country",
    "country": "country",
    "origin": "origin_country",
    "destination": "destination_country",
}
NUMBER_COLUMNS: Final = {"value": "value_minor", "quantity": "quantity_milli", "net_mass_kg": "net_mass_grams"}
TRADE_FEED_COLUMNS: Final[tuple[str, ...]] = (
    "shipment_id", "source_row", "flow", "ship_date", "ship_month", "reporter_country",
    "exporter_name", "exporter_country", "importer_name", "importer_country", "consignee_name", "consignee_country",
    "notify_party_name", "notify_party_country", "end_user_name", "end_user_country", "country",
    "hs_code", "hs6", "hs_chapter", "description", "origin_country", "destination_country",
    "value_minor", "currency", "quantity_milli", "quantity_unit", "net_mass_grams",
)  # fmt: skip
_FLOWS: Final = {
    word: flow
    for flow, words in {
        "import": "IMPORT IMPORTS IMP IM I M INBOUND IMPORTATION IMPORTACION IMPORTACAO EINFUHR ITHALAT",
        "export": "EXPORT EXPORTS EXP EX E X OUTBOUND EXPORTATION EXPORTACION EXPORTACAO AUSFUHR IHRACAT EKSPORT",
        "transit": "TRANSIT TRANSITO TRANZIT TRN T",
        "reexport": "REEXPORT REEXPORTS RX REEXPORTATION REEXPORTACION REEKSPORT",
    }.items()
    for word in words.split()
} | {"RE EXPORT": "reexport", "RE EXPORTS": "reexport"}
# A cell that needs no cleaning: printable ASCII words, parted by one space.
_TIDY: Final = "[!-~]+(?: [!-~]+)*"


class FeedSpec(Protocol):
    """What `normalize_shipments` reads of a job's feed section; ``columns`` maps feed fields to source columns."""

    @property
    def columns(self) -> Mapping[str, str] | tuple[tuple[str, str], ...]: ...  # noqa: D102 - described above
    @property
    def date_formats(self) -> tuple[str, ...]: ...  # noqa: D102 - names of `dates`
    @property
    def decimal_separator(self) -> str: ...  # noqa: D102 - one character
    @property
    def thousands_separator(self) -> str: ...  # noqa: D102 - one character, or none
    @property
    def currency(self) -> str: ...  # noqa: D102 - of rows without one of their own; may be empty
    @property
    def minor_unit_digits(self) -> int: ...  # noqa: D102 - decimal digits kept of ``value``


@dataclass(frozen=True, slots=True)
class NormalizeCounts:
    """What came in and what was changed on the way, in rows (``rejects`` in cells)."""

    rows: int
    rejected_rows: int
    rejects: int
    value_rounded: int
    quantity_rounded: int
    net_mass_rounded: int
    hs_zero_restored: int
    month_only_dates: int


def normalize_shipments(con: Any, feed_spec: FeedSpec) -> NormalizeCounts:
    """Make ``feed_candidates`` (one row per row of ``raw_feed``) and ``feed_rejects`` on ``con``, replacing them.

    ``feed_candidates`` has the columns of contract trade_feed; ``feed_rejects`` has source_row, field, reason, value,
    in order of source_row, field. Reasons: textTooLong (a cell above 4,000 bytes), badDate, badFlow, unknownCountry,
    badHsCode, badCurrency, badNumber, negativeNumber, numberTooLarge. ``value`` is the cell's first 200 characters.

    Raises:
        DateFormatError, NumberFormatError: when the spec names formats that do not exist or contradict themselves.
    """
    columns = feed_spec.columns
    mapped = {*dict(columns), *dict(getattr(feed_spec, "constants", ()))}
    parse_date("", feed_spec.date_formats)  # an unknown format is refused before any work
    decimal, thousands = feed_spec.decimal_separator, feed_spec.thousands_separator
    numbers = {
        field: number_sql(
            field, scale=feed_spec.minor_unit_digits if field == "value" else 3, decimal=decimal, thousands=thousands
        )
        for field in NUMBER_COLUMNS
    }
    _make_maps(con, feed_spec.date_formats, mapped)
    extra = ", ".join(f"{number.problem}, {number.rounded}" for number in numbers.values())
    con.execute(
        f"CREATE OR REPLACE TABLE feed_candidates AS {_layers(numbers)} "
        f"SELECT {_selection(mapped, feed_spec.currency, numbers)}, {extra} FROM numbered r {_joins(mapped)}"
    )
    _make_rejects(con, numbers, mapped)
    counts = _counts(con, numbers)
    for number in numbers.values():
        con.execute(f"ALTER TABLE feed_candidates DROP COLUMN {number.problem}")
        con.execute(f"ALTER TABLE feed_candidates DROP COLUMN {number.rounded}")
    for table in ("_text", "_country", "_hs", "_date", "_flow", "_currency"):
        con.execute(f"DROP TABLE {table}")
    return counts


def _distinct(fields: Iterable[str], where: str = "true") -> str:
    """Return a SELECT of the distinct cells of some fields of ``raw_feed``; cells that are too long are left out."""
    none = "SELECT NULL::VARCHAR AS v WHERE false"
    union = " UNION ALL ".join([none, *(f"SELECT DISTINCT {field} AS v FROM raw_feed" for field in fields)])
    return f"SELECT DISTINCT v FROM ({union}) WHERE v IS NOT NULL AND strlen(v) <= {MAX_CELL_BYTES} AND {where}"


def _make_maps(con: Any, date_formats: tuple[str, ...], mapped: set[str]) -> None:
    """Make one table per kind of cell: v, what it becomes, and the reject reason where it becomes nothing."""
    texts = [field for field in TEXT_COLUMNS if field in mapped]
    countries = [field for field in COUNTRY_COLUMNS if field in mapped]
    text, problem = pa.string(), pa.field("reason", pa.string())
    tidy = _TIDY.replace("'", "''")
    map_distinct(
        con, "_text", _distinct(texts, f"NOT regexp_full_match(v, '{tidy}')"),
        pa.schema([("clean", text)]), lambda values: [[clean_text(value) or None for value in values]],
    )  # fmt: skip
    map_distinct(con, "_country", _distinct(countries), pa.schema([("code", text), problem]), _countries)
    map_distinct(
        con, "_hs", _distinct(["hs_code"]),
        pa.schema([("hs_code", text), ("hs6", text), ("hs_chapter", text), problem]), _hs_codes,
    )  # fmt: skip
    map_distinct(
        con, "_date", _distinct(["date"]),
        pa.schema([("ship_date", text), ("ship_month", text), problem]), partial(_dates, formats=date_formats),
    )  # fmt: skip
    map_distinct(con, "_flow", _distinct(["flow"]), pa.schema([("flow", text), problem]), _flow_words)
    map_distinct(con, "_currency", _distinct(["currency"]), pa.schema([("currency", text), problem]), _currency_codes)


def _reason(value: str, reason: str) -> str | None:
    """Return the reason, or None where the cell is empty and so nothing was lost."""
    return reason if clean_text(value) else None


def _countries(values: list[str]) -> list[list[str | None]]:
    codes = [country_code(value) for value in values]
    reasons = [None if code else _reason(value, "unknownCountry") for value, code in zip(values, codes, strict=True)]
    return [codes, reasons]


def _hs_codes(values: list[str]) -> list[list[str | None]]:
    rows: list[tuple[str | None, ...]] = []
    for value in values:
        code = hs_code(value)
        if isinstance(code, HsProblem):
            rows.append((None, None, None, _reason(value, "badHsCode")))
        else:
            rows.append((code.digits, code.hs6, code.chapter, None))
    return [list(column) for column in zip(*rows, strict=True)]


def _dates(values: list[str], formats: tuple[str, ...]) -> list[list[str | None]]:
    rows: list[tuple[str | None, ...]] = []
    for value in values:
        found = parse_date(value, formats)
        rows.append((*found, None) if found else (None, None, _reason(value, "badDate")))
    return [list(column) for column in zip(*rows, strict=True)]


def _flow_words(values: list[str]) -> list[list[str | None]]:
    flows = [_FLOWS.get(fold(value)) for value in values]
    return [flows, [None if flow else _reason(value, "badFlow") for value, flow in zip(values, flows, strict=True)]]


def _currency_codes(values: list[str]) -> list[list[str | None]]:
    known = frozenset(CURRENCIES)
    codes = [code if (code := value.strip().upper()) in known else None for value in values]
    reasons = [None if code else _reason(value, "badCurrency") for value, code in zip(values, codes, strict=True)]
    return [codes, reasons]


def _layers(numbers: Mapping[str, NumberSql]) -> str:
    """Return the WITH clause that adds the number columns to ``raw_feed``, as the relation ``numbered``."""
    short = ", ".join(
        f"CASE WHEN strlen({field}) <= {MAX_CELL_BYTES} THEN {field} END AS {field}" for field in FEED_FIELDS
    )
    steps = [f"layer0 AS (SELECT source_row, {short} FROM raw_feed)"]
    depth = len(next(iter(numbers.values())).layers)
    for level in range(depth):
        items = ", ".join(item for number in numbers.values() for item in number.layers[level])
        name = "numbered" if level == depth - 1 else f"layer{level + 1}"
        steps.append(f"{name} AS (SELECT *, {items} FROM layer{level})")
    return f"WITH {', '.join(steps)}"


def _joins(mapped: set[str]) -> str:
    """Return the joins to the converted values, for the fields that have any: each join costs memory of its own."""
    joins = [f"LEFT JOIN _text t_{field} ON t_{field}.v = r.{field}" for field in TEXT_COLUMNS if field in mapped]
    joins += [
        f"LEFT JOIN _country c_{field} ON c_{field}.v = r.{field}" for field in COUNTRY_COLUMNS if field in mapped
    ]
    joins += [f"LEFT JOIN _{name} m_{name} ON m_{name}.v = r.{field}" for name, field in
              (("hs", "hs_code"), ("date", "date"), ("flow", "flow"), ("currency", "currency"))]  # fmt: skip
    return " ".join(joins)


def _selection(mapped: set[str], currency: str, numbers: Mapping[str, NumberSql]) -> str:
    """Return the SELECT list of contract trade_feed, in its order."""
    items = {
        column: f"CASE WHEN t_{field}.v IS NULL THEN r.{field} ELSE t_{field}.clean END"
        if field in mapped
        else "NULL::VARCHAR"
        for field, column in TEXT_COLUMNS.items()
    }
    codes = {field: f"c_{field}.code" if field in mapped else "NULL::VARCHAR" for field in COUNTRY_COLUMNS}
    items |= {column: codes[field] for field, column in COUNTRY_COLUMNS.items()}
    items |= {column: f"r.{numbers[field].value}" for field, column in NUMBER_COLUMNS.items()}
    items |= {"flow": "m_flow.flow", "ship_date": "m_date.ship_date", "ship_month": "m_date.ship_month"}
    items |= {name: f"m_hs.{name}" for name in ("hs_code", "hs6", "hs_chapter")}
    items["source_row"] = "r.source_row"
    default = "'" + currency.replace("'", "''") + "'" if currency else "NULL"
    # A currency that could not be read is not replaced by the job's: the row is quarantined for it.
    items["currency"] = f"CASE WHEN m_currency.reason IS NULL THEN coalesce(m_currency.currency, {default}) END"
    if "shipment_id" not in mapped:
        items["shipment_id"] = "'S' || lpad(CAST(r.source_row AS VARCHAR), 12, '0')"
    if "country" not in mapped:
        items["country"] = f"coalesce({codes['reporter']}, {codes['importer_country']}, {codes['destination']})"
    return ", ".join(f"{items[name]} AS {name}" for name in TRADE_FEED_COLUMNS)


def _make_rejects(con: Any, numbers: Mapping[str, NumberSql], mapped: set[str]) -> None:
    excerpt = f"left(r.{{0}}, {EXCERPT_CHARACTERS})"
    selects = [
        f"SELECT source_row, '{field}' AS field, 'textTooLong' AS reason, {excerpt.format(field)} AS value "
        f"FROM raw_feed r WHERE strlen({field}) > {MAX_CELL_BYTES}"
        for field in FEED_FIELDS
        if field in mapped
    ]
    maps = [("_country", field) for field in COUNTRY_COLUMNS if field in mapped]
    maps += [("_hs", "hs_code"), ("_date", "date"), ("_flow", "flow"), ("_currency", "currency")]
    selects += [
        f"SELECT source_row, '{field}', m.reason, {excerpt.format(field)} "
        f"FROM raw_feed r JOIN {table} m ON m.v = r.{field} WHERE m.reason IS NOT NULL"
        for table, field in maps
    ]
    selects += [
        f"SELECT source_row, '{field}', c.{number.problem}, {excerpt.format(field)} "
        f"FROM feed_candidates c JOIN raw_feed r USING (source_row) WHERE c.{number.problem} IS NOT NULL"
        for field, number in numbers.items()
    ]
    con.execute(
        f"CREATE OR REPLACE TABLE feed_rejects AS SELECT * FROM ({' UNION ALL '.join(selects)}) "
        "ORDER BY source_row, field, reason"
    )


def _counts(con: Any, numbers: Mapping[str, NumberSql]) -> NormalizeCounts:
    rounded = ", ".join(f"coalesce(sum({number.rounded}), 0)" for number in numbers.values())
    rows, value, quantity, mass, zeros, months = con.execute(
        f"SELECT count(*), {rounded}, count(*) FILTER (length(hs_code) IN (5, 7, 9)), "
        "count(*) FILTER (ship_date IS NULL AND ship_month IS NOT NULL) FROM feed_candidates"
    ).fetchone()
    rejects, rejected_rows = con.execute("SELECT count(*), count(DISTINCT source_row) FROM feed_rejects").fetchone()
    return NormalizeCounts(rows, rejected_rows, rejects, int(value), int(quantity), int(mass), zeros, months)
