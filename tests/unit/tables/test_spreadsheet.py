"""CSV for a spreadsheet: no cell is a formula, and every cell can be had back."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omphalos.tables.spreadsheet import NotCsv, for_spreadsheet

RISKS = "=+-@\t\r\n＋－＝＠"


def _cells(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def test_what_is_at_risk_is_marked() -> None:
    """A formula, in the header too, gets an apostrophe; numbers, NULL and the empty text stay what they are."""
    data = b'name,=n\n=HYPERLINK("x"),-5\n"@SUM(A1)",+1\n\'quoted,7\n"-2\n=1",-x\n,""\n'
    assert for_spreadsheet(data).decode() == (
        '"name","\'=n"\n"\'=HYPERLINK(""x"")","-5"\n"\'@SUM(A1)","\'+1"\n"\'\'quoted","7"\n"\'-2\n=1","\'-x"\n,""\n'
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text(st.sampled_from(RISKS + "'a1 ,\"é"), max_size=4), min_size=2, max_size=2), min_size=1))
def test_every_cell_comes_back(rows: list[list[str]]) -> None:
    """No cell begins like a formula but a whole number, and one apostrophe less gives the cells that were there."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)

    cells = _cells(for_spreadsheet(text.getvalue().encode()))

    assert not [c for row in cells for c in row if c[:1] in tuple(RISKS) and c and not c.removeprefix("-").isdecimal()]
    assert rows == [[cell.removeprefix("'") for cell in row] for row in cells]


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a,b\n1\n", b"PAR1\0\0"])
def test_what_is_no_csv_is_refused(data: bytes) -> None:
    """Bytes that are no CSV in UTF-8, or rows of unequal width, are a typed error."""
    with pytest.raises(NotCsv):
        for_spreadsheet(data + b"\x80")


def test_nothing_stays_nothing() -> None:
    """The empty file is the empty file."""
    assert for_spreadsheet(b"") == b""
