"""Record boundaries at the limit: what is too long for a record, and when a chunk may wait for more text."""

import pytest

from omphalos.screening.feeds.records import STRAY_QUOTE, UNTERMINATED_QUOTE, find_records


@pytest.mark.parametrize(("inner", "codes"), [(7, [0, 0]), (8, [UNTERMINATED_QUOTE, STRAY_QUOTE, 0])])
def test_a_quoted_record_may_be_as_long_as_the_limit(inner: int, codes: list[int]) -> None:
    """A record over two lines of 12 bytes is one record at limit 12; with 13 bytes its lines are malformed."""
    text = b'"a\n' + b"b" * inner + b'"\nc\n'
    assert find_records(text, b",", at_end=True, limit=12).code.tolist() == codes


def test_an_open_quote_waits_for_more_text_only_up_to_the_limit() -> None:
    """Before the limit nothing is decided; beyond it the line that opened the quote is malformed and done with."""
    waiting = find_records(b'x\n"a\nb\n', b",", at_end=False, limit=8)
    assert (waiting.consumed, waiting.code.tolist()) == (2, [0])
    decided = find_records(b'x\n"a\nbbbbbb\n', b",", at_end=False, limit=8)
    assert (decided.consumed, decided.code.tolist()) == (12, [0, UNTERMINATED_QUOTE, 0])


def test_text_without_a_line_end_waits() -> None:
    """The last line is a record only at the end of the text."""
    assert find_records(b"a,b", b",", at_end=False).consumed == 0
    ended = find_records(b"a,b", b",", at_end=True)
    assert (ended.consumed, ended.cells.tolist()) == (3, [2])
    assert find_records(b"", b",", at_end=True).consumed == 0


def test_a_carriage_return_after_a_closing_quote_needs_its_line_feed() -> None:
    """A quoted cell may be followed by CRLF, not by a carriage return alone."""
    found = find_records(b'"a"\r\n"b"\rx\n"c"\r', b",", at_end=True)
    assert [bool(code) for code in found.code] == [False, True, True]
