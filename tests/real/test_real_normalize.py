"""Normalization on real feeds and lists: what share of their cells resolves, and what the rest is."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from omphalos.screening.job import FEED_FIELDS
from omphalos.screening.normalize.countries import country_code
from omphalos.screening.normalize.hs import HsCode, hs_code
from omphalos.screening.normalize.legal_forms import name_forms
from omphalos.screening.normalize.parties import build_parties
from omphalos.screening.normalize.shipments import normalize_shipments

KNOWN_SHARE = 65  # per cent; what is missing is rare or national only
NO_VALUE = {"", "-0-", "NULL", "na"}
FEED_COLUMNS = {
    "reporter": "reporter", "flow": "flow", "date": "period", "exporter": "exporter", "importer": "importer",
    "hs_code": "hs_code", "description": "description", "origin": "origin", "destination": "destination",
    "value": "value_usd", "quantity": "quantity",
}  # fmt: skip


def table(path: Path) -> list[list[str]]:
    """Return the records of a CSV file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def feed_countries(data: Path) -> Iterator[str]:
    """Yield every country cell of the feeds."""
    for path in sorted((data / "trade").glob("*.csv")):
        head, *rows = table(path)
        wanted = {"reporter", "origin", "destination", "Country of Departure", "Country of Origin"}
        places = [place for place, name in enumerate(head) if name in wanted]
        yield from (row[place] for row in rows for place in places)


def list_countries(data: Path) -> Iterator[str]:
    """Yield every country cell of the lists: OFAC addresses, US lists, the UN list."""
    for path in sorted((data / "lists").glob("ofac*/*add*.csv")):
        yield from (row[4] for row in table(path) if len(row) > 4)
    for path in sorted((data / "lists" / "us_restricted_2026-07").glob("*.json")):
        for entity in json.loads(path.read_text(encoding="utf-8")).get("entities", []):
            yield entity["country"] or ""
    text = (data / "lists" / "un" / "UN_consolidated.xml").read_text(encoding="utf-8")
    yield from re.findall(r"<COUNTRY>([^<]*)</COUNTRY>", text)


@pytest.mark.parametrize("cells", [feed_countries, list_countries])
def test_country_cells_resolve(shared_data: Path, cells: object) -> None:
    """At least 99 of 100 country cells with something in them resolve, feeds and lists alike."""
    counts = Counter(cell.strip() for cell in cells(shared_data))  # type: ignore[operator]  # one of two functions above
    given = {cell: number for cell, number in counts.items() if cell not in NO_VALUE}
    lost = {cell: number for cell, number in given.items() if country_code(cell) is None}
    assert sum(given.values()) > 20_000
    assert sum(lost.values()) * 100 <= sum(given.values()), sorted(lost.items(), key=lambda item: -item[1])[:20]


def test_short_names_of_the_standard_resolve(shared_data: Path) -> None:
    """Every ISO 3166-1 code, and every English and French short name beside it, leads to its country."""
    head, *rows = table(shared_data / "reference" / "country-codes.csv")
    at = {name: head.index(name) for name in head}
    wrong = []
    for row in rows:
        code = row[at["ISO3166-1-Alpha-2"]]
        texts = [code, row[at["ISO3166-1-Alpha-3"]], row[at["ISO3166-1-numeric"]].zfill(3)]
        texts += [row[at[name]] for name in ("UNTERM English Short", "official_name_en", "CLDR display name")]
        for text in texts:
            plain = re.sub(r"\((?:the|le|la|les|l')\)|\*", "", text).strip()
            if plain and country_code(plain) != code:
                wrong.append((code, plain, country_code(plain)))
    assert wrong == []


def test_every_code_of_the_harmonized_system_is_one(shared_data: Path) -> None:
    """The six-digit codes of the published nomenclature are accepted, and keep their digits."""
    _, *rows = table(shared_data / "reference" / "harmonized-system.csv")
    codes = [row[1] for row in rows if len(row[1]) == 6]
    assert len(codes) > 5000
    assert [code for code in codes if hs_code(code) != HsCode(code, code, code[:2]) and code != "999999"] == []


def test_legal_forms_of_the_standard_are_known(shared_data: Path) -> None:
    """Of the abbreviations ISO 20275 gives for active forms, weighted by how often it gives them, most are known."""
    head, *rows = table(shared_data / "reference" / "iso20275_elf_codes_1.4.1.csv")
    at = {name: head.index(name) for name in head}
    counts: Counter[str] = Counter()
    for row in rows:
        if row[at["ELF Status ACTV/INAC"]] == "ACTV":
            for text in row[at["Abbreviations Local language"]].split(";"):
                if text.strip():
                    counts[text.strip()] += 1
    known = sum(
        number
        for text, number in counts.items()
        if name_forms(f"Zephyr {text}").core == "ZEPHYR" or name_forms(f"{text} Zephyr").core == "ZEPHYR"
    )
    assert known * 100 >= sum(counts.values()) * KNOWN_SHARE, (known, sum(counts.values()))


def test_a_real_feed_is_normalized(shared_data: Path) -> None:
    """Every row of the feed arrives, nearly all without a reject, and its parties carry forms."""
    con = duckdb.connect()
    path = str(shared_data / "trade" / "shipments_26_reporters.csv")
    parts = [
        f"nullif(nullif({FEED_COLUMNS[field]}, ''), 'NULL') AS {field}"
        if field in FEED_COLUMNS
        else f"NULL::VARCHAR AS {field}"
        for field in FEED_FIELDS
    ]
    con.execute(
        f"CREATE TABLE raw_feed AS SELECT row_number() OVER () AS source_row, {', '.join(parts)} "
        "FROM read_csv(?, all_varchar = true, header = true)", [path],
    )  # fmt: skip
    spec = SimpleNamespace(
        columns=FEED_COLUMNS, date_formats=("iso", "month-name"), decimal_separator=".", thousands_separator="",
        currency="USD", minor_unit_digits=2,
    )  # fmt: skip
    counts = normalize_shipments(con, spec)
    assert counts.rows == 22_664
    assert counts.rejected_rows * 1000 <= counts.rows
    con.execute("CREATE TABLE trade_feed AS SELECT * FROM feed_candidates")
    build_parties(con)
    parties, empty, low = con.execute(
        "SELECT count(*), count(*) FILTER (full_form = ''), sum(low_information) FROM parties"
    ).fetchone()
    assert parties > 7000
    assert empty == 0
    assert low * 50 <= parties
