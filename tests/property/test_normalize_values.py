"""Properties of normalization, over arbitrary input."""

import re
import unicodedata
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from omphalos.screening.normalize.countries import COUNTRY_CODES, country_code
from omphalos.screening.normalize.dates import DATE_FORMATS, parse_date
from omphalos.screening.normalize.hs import HsCode, hs_code
from omphalos.screening.normalize.legal_forms import LEGAL_FORM_TOKENS, name_forms
from omphalos.screening.normalize.money import MAX_INTEGER, number_sql
from omphalos.screening.normalize.text import clean_text, fold, script_of

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)
WORDS = "Acme LTD s.a. S.A co & GmbH ООО Ромашка 有限公司 华 주식회사 شركة al- ' . c/o z.o.o. DE C.V. joint stock 7 É"
PIECES = [*WORDS.split(), "\u0301", "\u200d"]
NAME_TEXT = st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join)


@given(st.one_of(ANY_TEXT, NAME_TEXT))
def test_fold_is_ascii_words_and_idempotent(text: str) -> None:
    """The folded form is upper-case ASCII words, folding it again changes nothing, and NFD input gives the same."""
    folded = fold(text)
    assert re.fullmatch(r"(?:[A-Z0-9]+(?: [A-Z0-9]+)*)?", folded)
    assert fold(folded) == folded
    assert fold(unicodedata.normalize("NFD", text)) == folded


@given(st.one_of(ANY_TEXT, NAME_TEXT))
def test_clean_text_is_nfc_and_idempotent(text: str) -> None:
    """Cleaned text is NFC, encodable, free of control characters and double spaces, and cleaning it again keeps it."""
    clean = clean_text(text)
    assert clean.encode().decode() == clean
    assert unicodedata.is_normalized("NFC", clean)
    assert not any(unicodedata.category(char) == "Cc" for char in clean)
    assert clean == " ".join(clean.split())
    assert clean_text(clean) == clean


@given(st.one_of(ANY_TEXT, NAME_TEXT))
def test_name_forms_are_total_and_consistent(name: str) -> None:
    """Any text has forms: folded words, known tokens, and a core wherever there is a full form."""
    forms = name_forms(name)
    assert fold(forms.full) == forms.full
    assert fold(forms.core) == forms.core
    assert (forms.core == "") == (forms.full == "")
    assert forms.full == forms.tail or not forms.tail or forms.full.endswith(f" {forms.tail}")
    tokens = forms.legal_forms.split()
    assert tokens == sorted(set(tokens))
    assert set(tokens) <= set(LEGAL_FORM_TOKENS)
    assert set(tokens) <= set(forms.full.split())
    assert forms.low_information in (0, 1)
    assert forms.script == script_of(name)
    assert forms == name_forms(name)


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_case_does_not_matter(name: str) -> None:
    """Upper and lower case spellings of an ASCII name have the same forms."""
    assert name_forms(name.upper()) == name_forms(name.lower())


@given(ANY_TEXT)
def test_country_codes_come_from_the_table(text: str) -> None:
    """Whatever the cell holds, the answer is a code of the table or none."""
    assert country_code(text) is None or country_code(text) in COUNTRY_CODES


@given(st.one_of(ANY_TEXT, st.from_regex(r"[0-9 .]{0,14}", fullmatch=True)))
def test_hs_codes_hold_their_shape(text: str) -> None:
    """A code accepted has six digits that begin with a chapter the nomenclature has."""
    code = hs_code(text)
    if isinstance(code, HsCode):
        assert re.fullmatch(r"[0-9]{5,12}", code.digits)
        assert re.fullmatch(r"[0-9]{6}", code.hs6)
        assert code.chapter == code.hs6[:2]
        assert code.chapter not in ("00", "77")
        assert code.digits.lstrip("0").startswith(code.hs6.lstrip("0"))


@given(st.dates(date(1900, 1, 1), date(2100, 12, 31)))
def test_every_day_is_read_in_every_format(day: date) -> None:
    """Each declared format reads back each day of the two centuries."""
    month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][day.month - 1]
    texts = {
        "iso": day.isoformat(),
        "ymd-compact": day.isoformat().replace("-", ""),
        "month-name": f"{day.day} {month} {day.year}",
        "dmy": f"{day.day}/{day.month}/{day.year}",
        "mdy": f"{day.month:02d}.{day.day:02d}.{day.year}",
    }
    assert set(texts) == set(DATE_FORMATS)
    for name, text in texts.items():
        assert parse_date(text, [name]) == (day.isoformat(), day.isoformat()[:7])


@given(ANY_TEXT)
def test_dates_are_total(text: str) -> None:
    """Any text is a date of the calendar or none."""
    found = parse_date(text, DATE_FORMATS)
    if found and found.ship_date:
        assert date.fromisoformat(found.ship_date).isoformat()[:7] == found.ship_month


CON = duckdb.connect(config={"threads": 1})


def _parse(text: str, scale: int, decimal: str, thousands: str) -> tuple[int | None, str | None, int]:
    number = number_sql("amount", scale=scale, decimal=decimal, thousands=thousands)
    query = "(SELECT CAST(? AS VARCHAR) AS amount)"
    for layer in number.layers:
        query = f"(SELECT *, {', '.join(layer)} FROM {query})"
    row = CON.execute(f"SELECT {number.value}, {number.problem}, {number.rounded} FROM {query}", [text]).fetchone()
    assert row is not None
    return row


@given(
    st.integers(0, 10**17), st.text("0123456789", max_size=25), st.sampled_from([0, 2, 3]),
    st.sampled_from([(".", ""), (",", "."), (".", ","), (",", " "), (".", "'")]), st.booleans(),
)  # fmt: skip
def test_numbers_are_exact(whole: int, part: str, scale: int, marks: tuple[str, str], grouped: bool) -> None:
    """A number in any declared notation becomes the integer decimal arithmetic gives, rounding half to even."""
    decimal, thousands = marks
    text = f"{whole:,}".replace(",", thousands) if grouped and thousands else str(whole)
    text += decimal + part if part else ""
    exact = Decimal(f"{whole}.{part or 0}").scaleb(scale)
    expected = int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN)) if exact < 10**24 else MAX_INTEGER + 1
    value, problem, rounded = _parse(text, scale, decimal, thousands)
    if expected > MAX_INTEGER:
        assert (value, problem, rounded) == (None, "numberTooLarge", 0)
    else:
        assert (value, problem, rounded) == (expected, None, int(exact != expected))


@given(st.one_of(st.text(max_size=60), st.text("0123456789.,- ()E+'", max_size=12)))
def test_any_text_is_a_number_or_a_reason(text: str) -> None:
    """Every cell has exactly one of a value and a reason, unless it is empty; a value is within its bounds."""
    value, problem, rounded = _parse(text, 2, ".", ",")
    if text.strip(" \t\n\r\u00a0\u202f") == "":
        assert (value, problem, rounded) == (None, None, 0)
    else:
        assert (value is None) != (problem is None)
        assert problem in (None, "badNumber", "negativeNumber", "numberTooLarge")
        assert value is None or 0 <= value <= MAX_INTEGER
