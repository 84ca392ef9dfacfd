"""Raw feed to typed candidates and rejects, on a real DuckDB."""

from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from omphalos.screening.job import FEED_FIELDS, FeedSpec
from omphalos.screening.normalize.dates import DateFormatError
from omphalos.screening.normalize.money import NumberFormatError
from omphalos.screening.normalize.shipments import TRADE_FEED_COLUMNS, NormalizeCounts, normalize_shipments
from omphalos.tables.contract import load_contract


def raw_feed(con: Any, rows: list[dict[str, str | None]]) -> None:
    """Make ``raw_feed`` out of rows given as field to text."""
    columns: dict[str, Any] = {"source_row": pa.array(range(1, len(rows) + 1), pa.int64())}
    for field in FEED_FIELDS:
        columns[field] = pa.array([row.get(field) for row in rows], pa.string())
    con.register("arriving", pa.table(columns))
    con.execute("CREATE OR REPLACE TABLE raw_feed AS SELECT * FROM arriving")
    con.unregister("arriving")


def spec(mapped: tuple[str, ...] = FEED_FIELDS, **changes: Any) -> Any:
    """Return a feed specification that maps ``mapped``."""
    base = {
        "columns": tuple((field, field) for field in mapped),
        "date_formats": ("iso", "month-name"),
        "decimal_separator": ".",
        "thousands_separator": ",",
        "currency": "USD",
        "minor_unit_digits": 2,
    }
    return SimpleNamespace(**(base | changes))


def run(rows: list[dict[str, str | None]], feed: Any, threads: int = 2) -> tuple[list[dict[str, Any]], list[Any], Any]:
    """Normalize ``rows``; return candidates, rejects and counts."""
    con = duckdb.connect(config={"threads": threads})
    raw_feed(con, rows)
    counts = normalize_shipments(con, feed)
    candidates = con.execute("SELECT * FROM feed_candidates ORDER BY source_row").to_arrow_table().to_pylist()
    return candidates, con.execute("SELECT * FROM feed_rejects").fetchall(), counts


GOOD = {
    "shipment_id": " A-1 ", "flow": "Import", "date": "2025-10-15", "reporter": "Angola", "exporter": "  Acme \t Ltd ",
    "exporter_country": "CHINA", "importer": "Cafe\u0301 SA", "importer_country": "fr", "consignee": "C",
    "notify_party": "N", "end_user": "E", "country": "Brazil", "hs_code": "8542.31.00",
    "description": "chips\nand dips", "origin": "Viet Nam",
    "destination": "BOL", "value": "1,234.565", "currency": "eur", "quantity": "0.0005", "quantity_unit": "kg",
    "net_mass_kg": "12.5",
}  # fmt: skip


def test_a_good_row_is_typed_in_full() -> None:
    """Every field of a row that reads well arrives typed, under the contract's names and in its order."""
    (row,), rejects, counts = run([GOOD], spec())
    assert rejects == []
    assert tuple(row) == TRADE_FEED_COLUMNS == load_contract("trade_feed").names
    assert row == {
        "shipment_id": "A-1", "source_row": 1, "flow": "import", "ship_date": "2025-10-15", "ship_month": "2025-10",
        "reporter_country": "AO", "exporter_name": "Acme Ltd", "exporter_country": "CN", "importer_name": "Café SA",
        "importer_country": "FR", "consignee_name": "C", "consignee_country": None, "notify_party_name": "N",
        "notify_party_country": None, "end_user_name": "E", "end_user_country": None, "country": "BR",
        "hs_code": "85423100", "hs6": "854231", "hs_chapter": "85", "description": "chips and dips",
        "origin_country": "VN", "destination_country": "BO", "value_minor": 123456, "currency": "EUR",
        "quantity_milli": 0, "quantity_unit": "kg", "net_mass_grams": 12500,
    }  # fmt: skip
    assert counts == NormalizeCounts(1, 0, 0, 1, 1, 0, 0, 0)


BAD = [
    ("date", "15/10/2025", "badDate"),
    ("flow", "sideways", "badFlow"),
    ("reporter", "Atlantis", "unknownCountry"),
    ("destination", "Soviet Union", "unknownCountry"),
    ("hs_code", "77", "badHsCode"),
    ("value", "1.5E3", "badNumber"),
    ("value", "-5", "negativeNumber"),
    ("value", "(5.00)", "negativeNumber"),
    ("value", "9" * 30, "numberTooLarge"),
    ("value", "90071992547409.92", "numberTooLarge"),
    ("quantity", "1,23", "badNumber"),
    ("quantity", "1,2,345", "badNumber"),
    ("net_mass_kg", "+5", "badNumber"),
    ("currency", "DOLLAR", "badCurrency"),
    ("description", "x" * 4001, "textTooLong"),
    ("exporter", "中" * 1334, "textTooLong"),
    ("date", "9" * 4001, "textTooLong"),
]


@pytest.mark.parametrize(("field", "text", "reason"), BAD)
def test_a_cell_that_cannot_be_read_is_null_and_quoted(field: str, text: str, reason: str) -> None:
    """The row stays, the cell is NULL, and one reject names field, reason and the cell's first 200 characters."""
    (row,), rejects, counts = run([GOOD | {field: text}], spec())
    assert rejects == [(1, field, reason, text[:200])]
    assert (counts.rows, counts.rejected_rows, counts.rejects) == (1, 1, 1)
    columns = {"date": "ship_month", "reporter": "reporter_country", "destination": "destination_country",
               "value": "value_minor", "quantity": "quantity_milli", "net_mass_kg": "net_mass_grams",
               "exporter": "exporter_name"}  # fmt: skip
    assert row[columns.get(field, field)] is None


def test_the_largest_number_is_kept() -> None:
    """2^53-1 scaled units are the last that are kept; one more is refused above."""
    (row,), rejects, _ = run([GOOD | {"value": "90071992547409.91"}], spec())
    assert (row["value_minor"], rejects) == (2**53 - 1, [])


def test_empty_cells_are_null_and_no_reject() -> None:
    """NULL, empty and white-space cells of every field say nothing, and lose nothing."""
    for blank in (None, "", " \t\u00a0"):
        rows, rejects, _ = run([dict.fromkeys(FEED_FIELDS, blank)], spec(currency=""))
        assert rejects == []
        assert rows == [dict.fromkeys(TRADE_FEED_COLUMNS) | {"source_row": 1}]


def test_ids_and_legacy_country_where_unmapped() -> None:
    """Without a mapped id the record number is the id; without a mapped country the nearest known country stands."""
    mapped = ("reporter", "importer_country", "destination")
    rows, _, _ = run(
        [{"reporter": "AO", "importer_country": "FR"}, {"importer_country": "FR", "destination": "IT"},
         {"destination": "IT"}, {}], spec(mapped),
    )  # fmt: skip
    assert [row["country"] for row in rows] == ["AO", "FR", "IT", None]
    assert [row["shipment_id"] for row in rows] == [f"S{n:012d}" for n in range(1, 5)]


def test_a_constant_counts_as_mapped() -> None:
    """A field the job sets to one value for all rows is mapped, as a column would be."""
    feed = spec(("reporter",), constants=(("country", "Peru"), ("shipment_id", "X")))
    rows, _, _ = run([{"reporter": "AO", "country": "Peru", "shipment_id": "X"}], feed)
    assert (rows[0]["country"], rows[0]["shipment_id"]) == ("PE", "X")


def test_columns_may_be_a_mapping_or_pairs() -> None:
    """The job's own specification class is accepted as it is."""
    from pathlib import Path

    feed = FeedSpec(Path("f.csv"), "csv", columns=(("value", "v"),), currency="USD")
    rows, _, _ = run([{"value": "3"}], feed)
    again, _, _ = run([{"value": "3"}], spec(columns={"value": "v"}))
    assert rows == again
    assert rows[0]["value_minor"] == 300


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"date_formats": ("guess",)}, DateFormatError),
        ({"decimal_separator": ",", "thousands_separator": ","}, NumberFormatError),
        ({"decimal_separator": "1"}, NumberFormatError),
        ({"decimal_separator": "-"}, NumberFormatError),
        ({"minor_unit_digits": 7}, NumberFormatError),
    ],
)
def test_a_contradictory_specification_is_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    """Formats nobody knows and separators that cannot be told apart stop the work before it starts."""
    con = duckdb.connect()
    raw_feed(con, [GOOD])
    with pytest.raises(error):
        normalize_shipments(con, spec(**changes))
    assert con.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'feed_candidates'").fetchone() == (0,)


def test_threads_do_not_change_a_row_or_its_place() -> None:
    """One and two threads give the same tables in the same order, over several batches of distinct values."""
    made = {
        "shipment_id": "'id  ' || n", "exporter": "'Acmé ' || (n % 100)", "exporter_country": "'China'",
        "date": "CASE WHEN n % 1000 = 0 THEN 'bad' ELSE 'Oct 2025' END", "value": "n || '.' || (n % 997)",
    }  # fmt: skip
    columns = ", ".join(f"{made.get(field, 'NULL::VARCHAR')} AS {field}" for field in FEED_FIELDS)
    found = []
    for threads in (1, 2):
        con = duckdb.connect(config={"threads": threads})
        con.execute(f"CREATE TABLE raw_feed AS SELECT n AS source_row, {columns} FROM range(1, 70001) t(n) ORDER BY n")
        counts = normalize_shipments(con, spec())
        tables = [con.execute(f"SELECT * FROM {name}").to_arrow_table() for name in ("feed_candidates", "feed_rejects")]
        found.append((counts, tables))
    assert found[0] == found[1]
    assert found[0][0].rejects == 70
    assert found[0][1][0]["source_row"].to_pylist() == list(range(1, 70_001))


def test_nothing_temporary_is_left() -> None:
    """Only the two tables of the contract are added to the connection."""
    con = duckdb.connect()
    raw_feed(con, [GOOD])
    normalize_shipments(con, spec())
    normalize_shipments(con, spec())
    names = {name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert names == {"raw_feed", "feed_candidates", "feed_rejects"}
