"""The examples of docs/normalization.md, run."""

from pathlib import Path

import duckdb
import pytest

from omphalos.screening.normalize.countries import country_code
from omphalos.screening.normalize.dates import parse_date
from omphalos.screening.normalize.hs import HsCode, hs_code
from omphalos.screening.normalize.legal_forms import name_forms
from omphalos.screening.normalize.money import number_sql
from omphalos.screening.normalize.parties import party_id

PAGE = Path(__file__).resolve().parents[2] / "docs" / "normalization.md"


def examples(heading: str, width: int) -> list[tuple[str, ...]]:
    """Return the rows of the table whose header line begins with ``heading`` and that has ``width`` columns."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    (start,) = (
        place for place, line in enumerate(lines) if line.startswith(f"| {heading} |") and line.count("|") == width + 1
    )
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    assert rows
    return rows


@pytest.mark.parametrize(("name", "full", "core", "forms"), examples("as filed | full", 4))
def test_name_examples(name: str, full: str, core: str, forms: str) -> None:
    """Each name of the page has the forms the page gives it."""
    found = name_forms(name)
    assert (found.full, found.core, found.legal_forms) == (full, core, forms)


@pytest.mark.parametrize(("name", "core", "tail"), examples("as filed | core", 3))
def test_tail_examples(name: str, core: str, tail: str) -> None:
    """Each name of the page has the core and the tail the page gives it."""
    found = name_forms(name)
    assert (found.core, found.tail or "none") == (core, tail)


@pytest.mark.parametrize(("name", "low"), examples("as filed | low information", 2))
def test_low_information_examples(name: str, low: str) -> None:
    """Each name of the page says as much as the page says."""
    assert name_forms(name).low_information == int(low)


@pytest.mark.parametrize(("word", "code"), examples("as filed | code", 2))
def test_country_examples(word: str, code: str) -> None:
    """Each country word of the page resolves as it says."""
    assert (country_code(word) or "none") == code


@pytest.mark.parametrize(("text", "digits", "hs6", "chapter"), examples("as filed | code | hs6", 4))
def test_commodity_code_examples(text: str, digits: str, hs6: str, chapter: str) -> None:
    """Each commodity code of the page is read, or refused, as it says."""
    code = hs_code(text)
    found = (code.digits, code.hs6, code.chapter) if isinstance(code, HsCode) else ("none",) * 3
    assert found == (digits, hs6, chapter)


@pytest.mark.parametrize(("text", "style", "day", "month"), examples("as filed | format", 4))
def test_date_examples(text: str, style: str, day: str, month: str) -> None:
    """Each date of the page is read, or refused, as it says."""
    found = parse_date(text, [style])
    assert ((found.ship_date or "none", found.ship_month) if found else ("none", "none")) == (day, month)


@pytest.mark.parametrize(("text", "result"), examples("as filed | minor units or reason", 2))
def test_number_examples(text: str, result: str) -> None:
    """Each number of the page becomes the integer, or the reason, it gives."""
    number = number_sql("amount", scale=2, decimal=".", thousands=",")
    query = "(SELECT CAST(? AS VARCHAR) AS amount)"
    for layer in number.layers:
        query = f"(SELECT *, {', '.join(layer)} FROM {query})"
    row = duckdb.connect().execute(
        f"SELECT coalesce(CAST({number.value} AS VARCHAR), {number.problem}) FROM {query}", [text]
    )
    assert row.fetchone() == (result,)


def test_party_id_example() -> None:
    """The page's way to compute a party's id gives the id."""
    from blake3 import blake3

    assert "printf 'Acme\\0CN' | b3sum" in PAGE.read_text(encoding="utf-8")
    assert party_id("Acme", "CN") == "P" + blake3(b"Acme\0CN").hexdigest()[:20]
