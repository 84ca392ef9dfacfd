"""A proposal for a feed is what its file shows, says what it could not know, and can be read as a job."""

import gzip
import json
from pathlib import Path, PurePath

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omphalos.screening.feeds.decode import FeedError, FeedNotReadable, FeedShapeError
from omphalos.screening.feeds.guess import Guess, guess_feed
from omphalos.screening.job import parse_job

REGISTRY = '\n[[registry]]\nsource = "list"\nformat = "entities-csv"\npath = "list.csv"\n'
SEMICOLONS = """entry;day;seller;seller_country;buyer;buyer_country;tariff;from;to;amount;cur;kg;ref
E-1;13.02.2024;Alder Trading GmbH;DE;Cedar Ticaret A.S.;TR;85423190;DE;TR;12.500,00;EUR;5,0;x
E-2;07.02.2024;Birch Electronics Ltd;GB;Dogwood Import LLC;AE;85411000;GB;AE;640,10;EUR;1,250;N/A
"""


def columns(guess: Guess) -> dict[str, str]:
    return {one.field: one.column for one in guess.columns}


def propose(folder: Path, text: str, name: str = "feed.csv", encoding: str = "utf-8") -> Guess:
    (folder / name).write_bytes(text.encode(encoding))
    return guess_feed(folder / name)


def test_the_feed_of_the_how_to(tmp_path: Path) -> None:
    """Separator, dates, decimal signs, nulls and every column but one are found, and the proposal is a job."""
    guess = propose(tmp_path, SEMICOLONS)

    assert ("csv", ";", ("dmy", "iso", "month-name"), ",", ".", "XXX") == (
        guess.format,
        guess.delimiter,
        guess.date_formats,
        guess.decimal_separator,
        guess.thousands_separator,
        guess.currency,
    )
    assert {
        "shipment_id": "entry",
        "date": "day",
        "exporter": "seller",
        "exporter_country": "seller_country",
        "importer": "buyer",
        "importer_country": "buyer_country",
        "hs_code": "tariff",
        "origin": "from",
        "destination": "to",
        "value": "amount",
        "currency": "cur",
        "net_mass_kg": "kg",
    } == columns(guess)
    assert (("ref",), ("", "N/A")) == (guess.unmapped, guess.null_values)
    job = parse_job(f'name = "new"\n{guess.job_text()}{REGISTRY}'.encode(), base=PurePath())
    assert job.feed is not None
    assert dict(job.feed.columns) == columns(guess)


def test_a_currency_in_a_column_name_is_taken(tmp_path: Path) -> None:
    """An amount whose column names a currency needs no note; one whose does not is said to be unknown."""
    assert "USD" == propose(tmp_path, "exporter,value_usd\nAlder,1\n").currency
    unknown = propose(tmp_path, "exporter,value\nAlder,1\n")
    assert "XXX" == unknown.currency
    assert any("currency" in note for note in unknown.notes)


def test_values_that_speak_against_a_name_win(tmp_path: Path) -> None:
    """A column called like a field whose values are something else is not proposed for it."""
    guess = propose(tmp_path, "exporter,origin,date,value\nAlder,blue,yesterday,much\nBirch,green,today,little\n")

    assert {"exporter": "exporter"} == columns(guess)
    assert ("origin", "date", "value") == guess.unmapped


def test_what_has_two_readings_is_said(tmp_path: Path) -> None:
    """Dates that fit both orders, and commas before three digits, are proposed with a note."""
    guess = propose(tmp_path, 'exporter,date,value\nAlder,03/04/2024,"1,234"\nBirch,05/06/2024,"2,345"\n')

    assert ("dmy", "iso", "month-name") == guess.date_formats
    assert (".", ",") == (guess.decimal_separator, guess.thousands_separator)
    assert 3 == len(guess.notes)  # the currency is the third
    assert "mdy" == propose(tmp_path, "exporter,date\nAlder,12/31/2024\nBirch,01/02/2024\n").date_formats[0]


@pytest.mark.parametrize("encoding", ["utf-16", "cp1251"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    """A byte order mark is believed; another encoding is proposed with a note to look at the names."""
    guess = propose(tmp_path, "отправитель,получатель\nЗавод,Фирма\n", encoding=encoding)

    assert {"exporter": "отправитель", "importer": "получатель"} == columns(guess)
    assert (encoding, encoding != "utf-16") == (guess.encoding, bool(guess.notes))


def test_other_formats(tmp_path: Path) -> None:
    """JSON lines, tabs, gzip and Parquet are recognized by what they hold, whatever they are called."""
    records = [{"exporter": "Alder", "value": 1.5, "nested": {"a": 1}}, {"exporter": "Birch", "more": "x"}]
    lines = "".join(json.dumps(one) + "\n" for one in records)
    found = propose(tmp_path, lines, "a.txt")
    assert ("jsonl", {"exporter": "exporter", "value": "value"}) == (found.format, columns(found))
    assert "tsv" == propose(tmp_path, "exporter\tvalue\nAlder\t1\n", "b.txt").format
    (tmp_path / "c").write_bytes(gzip.compress(SEMICOLONS.encode()))
    assert ("gzip", ";") == (guess_feed(tmp_path / "c").compression, guess_feed(tmp_path / "c").delimiter)
    pq.write_table(pa.table({"exporter": ["Alder"], "value": [3]}), tmp_path / "d")
    assert ("parquet", {"exporter", "value"}) == (
        guess_feed(tmp_path / "d").format,
        set(columns(guess_feed(tmp_path / "d"))),
    )


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no record"),
        (b"only,a,header\n", "no record"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (b"PAR1 and no more", "Parquet"),
        (b"\x1f\x8b\x09\x00broken", "gzip"),
        (b"\x28\xb5\x2f\xfdbroken", "zstd"),
    ],
)
def test_what_is_no_feed_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    """An empty file, a spreadsheet and a damaged one give an error with a hint."""
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(FeedShapeError, match=says) as caught:
        guess_feed(tmp_path / "x")
    assert caught.value.hint
    with pytest.raises(FeedNotReadable):
        guess_feed(tmp_path / "missing")


def test_hostile_names_stay_inside_their_line(tmp_path: Path) -> None:
    """A column name with quotes, line ends and control characters can neither end its string nor act on a terminal."""
    header = '"exporter ""name\n[feed]\nx\x1b]0;",\x7fvalue\u202e'
    guess = propose(tmp_path, f"{header}\nAlder,1\n")

    text = guess.job_text()
    assert text.isascii()
    assert all(line.isprintable() for line in text.splitlines())
    job = parse_job(f'name = "new"\n{text}{REGISTRY}'.encode(), base=PurePath())
    assert job.feed is not None
    assert dict(job.feed.columns) == columns(guess)


def test_a_large_file_is_not_read_whole(tmp_path: Path) -> None:
    """Only the beginning of a file counts: what stands far behind it, broken bytes included, changes nothing."""
    (tmp_path / "big.csv").write_bytes(b"exporter,value\n" + b"Alder,1\n" * 600_000 + b"\xff\xfe\x00")
    guess = guess_feed(tmp_path / "big.csv")
    assert ("utf-8", 500) == (guess.encoding, guess.records)


@pytest.mark.parametrize("seed", range(200))
def test_any_bytes_give_a_proposal_or_a_typed_error(tmp_path: Path, seed: int) -> None:
    """Damaged beginnings of a feed never raise anything untyped."""
    data = bytearray(SEMICOLONS.encode())
    for step in range(1 + seed % 7):
        at = (seed * 7919 + step * 104729) % len(data)
        data[at] = (seed * 31 + step * 17) % 256
    (tmp_path / "x").write_bytes(bytes(data))
    try:
        text = guess_feed(tmp_path / "x").job_text()
    except FeedError:
        return
    assert text.startswith("# Proposed")
