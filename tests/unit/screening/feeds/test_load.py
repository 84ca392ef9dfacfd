"""Loading: every record in raw_feed or raw_rejects, under its own number, with the text it had."""

import datetime
import decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omphalos.screening.feeds import FeedCounts, FeedDamaged, FeedShapeError, decode_feed, load_raw
from omphalos.screening.feeds import load as load_module
from omphalos.screening.feeds import sink as sink_module
from omphalos.screening.job import FEED_FIELDS, FeedSpec

COLUMNS = (("exporter", "exporter"), ("value", "value"))


def _load(path: Path, *, threads: int = 2, **spec: Any) -> tuple[list[Any], list[Any], FeedCounts]:
    feed = FeedSpec(path, **{"format": "csv", "columns": COLUMNS, **spec})
    with duckdb.connect(config={"threads": threads}) as con:
        counts = load_raw(con, decode_feed(path, feed, path.parent), feed)
        fields = ", ".join(["source_row", *sorted({*dict(feed.columns), *dict(feed.constants)})])
        rows = con.execute(f"select {fields} from raw_feed").fetchall()
        rejects = con.execute("select source_row, field, reason, value from raw_rejects").fetchall()
    return rows, rejects, counts


def _csv(folder: Path, text: str, **spec: Any) -> tuple[list[Any], list[Any], FeedCounts]:
    path = folder / "feed.csv"
    path.write_bytes(text.encode())
    return _load(path, **spec)


def test_cells_stay_as_they_are_and_null_values_are_null(tmp_path: Path) -> None:
    """Blanks are kept, quoted line ends are data, and only whole cells that are null values become NULL."""
    text = 'exporter,x,value\r\n"A ""B""\n Ltd",,1.10\r\nNULL,, 2 \r\n\r\n"",y,NULL x\r\n'
    rows, rejects, counts = _csv(tmp_path, text, null_values=("", "NULL"))
    assert rows == [(1, 'A "B"\n Ltd', "1.10"), (2, None, " 2 "), (3, None, "NULL x")]
    assert rejects == []
    assert counts == FeedCounts(3, 3, 0)


def test_malformed_records_go_to_the_rejects_and_shift_nobody(tmp_path: Path) -> None:
    """Each kind of malformed record is quarantined under its own number with its reason and its text."""
    lines = ["A,1", "B", "C,2,3", 'D "x",4', "E\r,5", '"F,6', "G,7", '"H"x,8', "I,9"]
    rows, rejects, counts = _csv(tmp_path, "exporter,value\n" + "\n".join(lines))
    assert rows == [(1, "A", "1"), (7, "G", "7"), (9, "I", "9")]
    assert sorted(rejects) == [
        (2, None, "tooFewCells", "B"),
        (3, None, "tooManyCells", "C,2,3"),
        (4, None, "strayQuote", 'D "x",4'),
        (5, None, "strayCarriageReturn", "E\r,5"),
        (6, None, "unterminatedQuote", '"F,6'),
        (8, None, "strayQuote", '"H"x,8'),
    ]
    assert counts == FeedCounts(9, 3, 6)


def test_a_lost_quote_costs_one_record(tmp_path: Path) -> None:
    """A quote that is never closed does not swallow the records behind it."""
    body = "".join(f"A{number},1\n" for number in range(1000))
    rows, rejects, _ = _csv(tmp_path, f'exporter,value\n"open,0\n{body}')
    assert len(rows) == 1000
    assert rejects == [(1, None, "unterminatedQuote", '"open,0')]


def test_the_excerpt_has_200_characters_and_keeps_control_characters(tmp_path: Path) -> None:
    """A reject shows the first 200 characters of its record, whatever they are."""
    _, rejects, _ = _csv(tmp_path, "exporter,value\nA,1\n\x07" + "株" * 300 + "\n")
    assert rejects[0][3] == "\x07" + "株" * 199


def test_numbers_and_rows_do_not_depend_on_chunks_or_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chunks, one thread and two threads give identical tables in identical order."""
    body = "".join(f'"E{n}\nx",{n}\n' if n % 7 else f"bad{n}\n" for n in range(5000))
    text = f"exporter,value\n{body}"
    whole = _csv(tmp_path, text, threads=1)
    assert whole == _csv(tmp_path, text, threads=2)
    monkeypatch.setattr(load_module, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(sink_module, "ROW_GROUP", 70)
    assert whole == _csv(tmp_path, text, threads=2)
    assert [row[0] for row in whole[0]] == [n + 1 for n in range(5000) if n % 7]


def test_constants_and_shared_columns(tmp_path: Path) -> None:
    """A constant stands in every row, and two fields may come from one column."""
    rows, _, _ = _csv(
        tmp_path,
        "who,n\nA,1\nB,2\n",
        columns=(("consignee", "who"), ("importer", "who")),
        constants=(("currency", "it's"),),
    )
    assert rows == [(1, "A", "it's", "A"), (2, "B", "it's", "B")]


def test_raw_feed_has_every_field_as_text(tmp_path: Path) -> None:
    """The table has source_row and every feed field, in order, of the kinds the contract says."""
    path = tmp_path / "feed.csv"
    path.write_text("exporter,value\nA,1\n", encoding="utf-8")
    feed = FeedSpec(path, "csv", columns=COLUMNS)
    with duckdb.connect() as con:
        load_raw(con, decode_feed(path, feed, tmp_path), feed)
        described = [row[:2] for row in con.execute("describe raw_feed").fetchall()]
    assert described == [("source_row", "BIGINT"), *((field, "VARCHAR") for field in FEED_FIELDS)]


@pytest.mark.parametrize(
    ("text", "word", "hint"),
    [
        ("exporter;value\nA;1\n", "one column", "';' occurs 1 times"),
        ("exporters,value\nA,1\n", "no column 'exporter'", "did you mean 'exporters'"),
        ("exporter,value,value\nA,1,2\n", "2 columns named 'value'", "rename"),
        ("exporter,value\n", "no records", ""),
        ("exporter,value\n\n\r\n", "no records", ""),
        ("\n\n", "no records", ""),
        ("exporter,value\rA,1\r", "header", "line ends"),
        ('"exporter,value\nA,1\n', "header", "quote"),
    ],
)
def test_a_feed_that_does_not_fit_is_refused_with_a_hint(tmp_path: Path, text: str, word: str, hint: str) -> None:
    """Wrong delimiter, missing and doubled columns, and feeds without records are errors and leave no table."""
    path = tmp_path / "feed.csv"
    path.write_bytes(text.encode())
    feed = FeedSpec(path, "csv", columns=COLUMNS)
    with duckdb.connect() as con:
        with pytest.raises(FeedShapeError, match=word) as caught:
            load_raw(con, decode_feed(path, feed, tmp_path), feed)
        assert hint in caught.value.hint
        assert con.execute("show tables").fetchall() == []


def test_json_lines_keep_numbers_as_written(tmp_path: Path) -> None:
    """Numbers keep every digit, booleans are words, null and absent keys are NULL, keys may need escapes."""
    path = tmp_path / "feed.jsonl"
    path.write_text(
        '{"a/b~c":"x\\"1,]\\\\","v":1.10}\n\n{"v":12345678901234567890123.50,"a/b~c":null}\r\n'
        '{"a/b~c":true,"z":[1,-2.0e+5]}\n{"v":-0.0E-5 , "a/b~c":"\\u682a 7"}',
        encoding="utf-8",
    )
    rows, rejects, counts = _load(path, format="jsonl", columns=(("exporter", "a/b~c"), ("value", "v")))
    assert rows == [
        (1, 'x"1,]\\', "1.10"),
        (2, None, "12345678901234567890123.50"),
        (3, "true", None),
        (4, "株 7", "-0.0E-5"),
    ]
    assert rejects == []
    assert counts.records == 4


def test_json_lines_that_are_not_strict_objects_are_rejects(tmp_path: Path) -> None:
    """Every leniency of JSON parsers is refused, with its reason, and harms no neighbour."""
    cases = {
        '{"exporter":"a"': "invalidJson",
        '{"exporter":"a",}': "invalidJson",
        '{"exporter":"a","z":[1, ]}': "invalidJson",
        '{"exporter":NaN}': "invalidJson",
        '{"exporter":-Infinity}': "invalidJson",
        '{"exporter":nan}': "invalidJson",
        '{"exporter":01}': "invalidJson",
        '{"exporter":"\\ud800"}': "invalidJson",
        '{"exporter":"a} ': "invalidJson",
        "[1]": "notAnObject",
        "5": "notAnObject",
        '"exporter"': "notAnObject",
        '{"exporter":"a","\\u0065xporter":"b"}': "duplicateKey",
        '{"exporter":{"name":"a"}}': "nestedValue",
        '{"exporter":["a"]}': "nestedValue",
        '{"exporter":"a\\u0000"}': "nulCharacter",
    }
    lines = [line for case in cases for line in (case, '{"exporter":"good","value":1}')]
    path = tmp_path / "feed.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    rows, rejects, _ = _load(path, format="jsonl")
    assert sorted(rejects) == [(2 * n + 1, None, reason, text) for n, (text, reason) in enumerate(cases.items())]
    assert rows == [(2 * n + 2, "good", "1") for n in range(len(cases))]


def test_a_key_that_no_json_line_has_is_refused(tmp_path: Path) -> None:
    """A mapped key that never occurs is an error with the nearest key as hint."""
    path = tmp_path / "feed.jsonl"
    path.write_text('{"exporters":"A","value":1}\n', encoding="utf-8")
    with pytest.raises(FeedShapeError, match="no column 'exporter'") as caught:
        _load(path, format="jsonl")
    assert "'exporters'" in caught.value.hint


def test_parquet_values_become_exact_text(tmp_path: Path) -> None:
    """Each type of value has one text: shortest floats, full decimals, ISO dates and timestamps in UTC."""
    moment = datetime.datetime(2025, 1, 2, 3, 4, 5)  # noqa: DTZ001  # a timestamp without a time zone is a case
    cases: list[tuple[pa.Array, list[str | None]]] = [
        (pa.array([0.1, None, 1e20]), ["0.1", None, "1e+20"]),
        (pa.array([2**63, 0, None], pa.uint64()), ["9223372036854775808", "0", None]),
        (pa.array([decimal.Decimal("1.10"), None, None]), ["1.10", None, None]),
        (pa.array([moment, None, None]), ["2025-01-02T03:04:05", None, None]),
        (pa.array([moment] * 3, pa.timestamp("ms", "Asia/Tokyo")), ["2025-01-02T03:04:05Z"] * 3),
        (pa.array([datetime.date(2025, 1, 2), None, None]), ["2025-01-02", None, None]),
        (pa.array(["x", "y", "x"]).dictionary_encode(), ["x", "y", "x"]),
        (pa.array([True, False, None]), ["true", "false", None]),
    ]
    for number, (values, texts) in enumerate(cases):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"exporter": ["A", "B", "C"], "v.1": values}), path)
        rows, rejects, _ = _load(path, format="parquet", columns=(("exporter", "exporter"), ("value", "v.1")))
        assert rows == [(n + 1, "ABC"[n], texts[n]) for n in range(3)]
        assert rejects == []


def test_parquet_text_that_is_no_text_is_a_reject(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 and NUL characters quarantine their own record only."""
    path = tmp_path / "feed.parquet"
    pq.write_table(pa.table({"exporter": pa.array([b"A", b"\xff", b"C\0", b"D"]), "value": [1, 2, 3, 4]}), path)
    rows, rejects, counts = _load(path, format="parquet")
    assert rows == [(1, "A", "1"), (4, "D", "4")]
    assert [reject[:3] for reject in sorted(rejects)] == [(2, None, "notUtf8"), (3, None, "nulCharacter")]
    assert counts == FeedCounts(4, 2, 2)


def test_parquet_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """A list column, a file without rows and a damaged file are errors."""
    path = tmp_path / "feed.parquet"
    pq.write_table(pa.table({"exporter": [["A"]], "value": [1]}), path)
    with pytest.raises(FeedShapeError, match="no single value"):
        _load(path, format="parquet")
    pq.write_table(pa.table({"exporter": pa.array([], pa.string()), "value": pa.array([], pa.int64())}), path)
    with pytest.raises(FeedShapeError, match="no records"):
        _load(path, format="parquet")
    path.write_bytes(b"PAR1" + b"x" * 100)
    with pytest.raises(FeedDamaged):
        _load(path, format="parquet")
