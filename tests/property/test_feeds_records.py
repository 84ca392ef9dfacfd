"""CSV records: a naive reader, written from the rules and not from the code, must agree with the array method."""

import csv
import io
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omphalos.screening.feeds import decode_feed, load_raw
from omphalos.screening.feeds.decode import DecodedFeed
from omphalos.screening.feeds.load import chunks
from omphalos.screening.feeds.records import find_records
from omphalos.screening.job import FeedSpec

LIMIT = 40
CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
ROWS = st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=12)
SOUP = st.text(st.sampled_from('a,"\r\n'), max_size=60) | st.lists(
    st.sampled_from(
        ["a", ",", '"', '""', "\n", "\r\n", "\r", '"\n', ',"', '",', "bc", "\n\n", 'a,"x\ny",b\n', "a,b,c\n"]
    ),
    max_size=30,
).map("".join)


def _one(text: str, start: int) -> tuple[int, int, str]:
    """Read one record at ``start``: its end, its cells, and a reason, by walking over single characters."""
    at, cells, state, end_of_line = start, 1, "start", text.find("\n", start) + 1 or len(text)
    multi = False
    while at < len(text):
        c = text[at]
        if state == "quoted":
            multi = multi or c == "\n"
            if c == '"':
                if text[at + 1 : at + 2] == '"':
                    at += 1
                else:
                    state = "closed"
        elif c == "\n" or text.startswith("\r\n", at):
            at += 1 if c == "\n" else 2
            return (at, cells, "") if not multi or at - start <= LIMIT else (end_of_line, 0, "unterminatedQuote")
        elif c == ",":
            cells, state = cells + 1, "start"
        elif c == "\r":
            return end_of_line, 0, "unterminatedQuote" if multi else "bad"
        elif c == '"' and state == "start":
            state = "quoted"
        elif c == '"' or state == "closed":
            return end_of_line, 0, "unterminatedQuote" if multi else "bad"
        else:
            state = "plain"
        at += 1
    if state == "quoted" or (multi and at - start > LIMIT):
        return end_of_line, 0, "unterminatedQuote"
    return at, cells, ""


def _naive(text: str) -> list[tuple[int, int, int, bool]]:
    records, at = [], 0
    while at < len(text):
        end, cells, reason = _one(text, at)
        if text[at:end] not in ("\n", "\r\n"):
            records.append((at, end, 0 if reason else cells, bool(reason)))
        at = end
    return records


def _found(text: str, cut: int) -> list[tuple[int, int, int, bool]]:
    data, base, records = text.encode(), 0, []
    stop = cut
    while True:
        at_end = stop >= len(data)
        found = find_records(data[base:stop], b",", at_end=at_end, limit=LIMIT)
        for start, end, cells, code in zip(found.start, found.end, found.cells, found.code, strict=True):
            records.append((base + int(start), base + int(end), 0 if code else int(cells), bool(code)))
        base += found.consumed
        if at_end:
            return records
        stop += cut


@given(SOUP, st.integers(1, 50))
def test_the_array_method_finds_what_a_walk_over_characters_finds(text: str, cut: int) -> None:
    """Boundaries, cells and malformed records equal a naive reader's, however the text is cut into chunks."""
    assert _found(text, cut) == _naive(text)


def _load(data: bytes, threads: int, folder: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]], int]:
    path = folder / "feed.csv"
    path.write_bytes(data)
    feed = FeedSpec(path, "csv", null_values=(), columns=(("exporter", "a"), ("importer", "b"), ("value", "c")))
    with duckdb.connect(config={"threads": threads}) as con:
        counts = load_raw(con, decode_feed(path, feed, folder), feed)
        rows = con.execute("select source_row, exporter, importer, value from raw_feed").fetchall()
        rejects = con.execute("select * from raw_rejects").fetchall()
    assert counts.records == counts.loaded + counts.malformed == len(rows) + len(rejects)
    return rows, rejects, counts.records


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scratch folder for all examples."""
    return tmp_path_factory.mktemp("feeds")


@given(rows=ROWS, quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), end=st.sampled_from(["\r\n", "\n"]))
def test_what_the_csv_module_writes_comes_back_cell_for_cell(
    rows: list[tuple[str, str, str]], quoting: int, end: str, folder: Path
) -> None:
    """Arbitrary text, quotes and line ends included, round-trips with true record numbers and no reject."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]  # a sampled constant
    writer.writerow(["a", "b", "c"])
    # With a bare LF as line end the module leaves a lone carriage return unquoted, which is no CSV.
    clean = [tuple(cell.replace("\r", "") for cell in row) if end == "\n" else row for row in rows]
    writer.writerows(clean)
    found, rejects, _ = _load(out.getvalue().encode(), 1, folder)
    assert rejects == []
    assert found == [(number, *row) for number, row in enumerate(clean, 1)]


@given(
    rows=ROWS,
    damage=st.lists(st.tuples(st.integers(0, 400), st.sampled_from(['"', ",", "\n", "\r", "", "x"])), max_size=4),
)
def test_a_damaged_file_loses_no_record_and_threads_do_not_matter(
    rows: list[tuple[str, str, str]], damage: list[tuple[int, str]], folder: Path
) -> None:
    """Rows in = rows out + rejects after random damage; every number occurs once; one and two threads agree."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    text = out.getvalue()
    for at, mark in damage:
        place = at % len(text)
        text = text[:place] + mark + text[place + 1 :] or "x"
    text += "\nlast,one,here\n"
    one = _load(b"a,b,c\n" + text.encode(), 1, folder)
    assert one == _load(b"a,b,c\n" + text.encode(), 2, folder)
    assert sorted([row[0] for row in one[0]] + [row[0] for row in one[1]]) == list(range(1, one[2] + 1))


@given(rows=ROWS, size=st.integers(1, 64))
def test_chunks_of_any_size_hold_the_same_records(rows: list[tuple[str, str, str]], size: int, folder: Path) -> None:
    """The text of the records does not depend on the size of the pieces the file is read in."""
    path = folder / "chunks.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    decoded = DecodedFeed(path, "csv", 0, 0, 0)
    texts = [
        [data[a:b] for data, found in chunks(decoded, ",", n) for a, b in zip(found.start, found.end, strict=True)]
        for n in (size, 1 << 20)
    ]
    assert texts[0] == texts[1]
