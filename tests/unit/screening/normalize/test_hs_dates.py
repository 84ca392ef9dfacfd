"""Commodity codes and dates."""

import pytest

from omphalos.screening.job import DATE_FORMATS as JOB_DATE_FORMATS
from omphalos.screening.normalize.dates import DATE_FORMATS, DateFormatError, ParsedDate, parse_date
from omphalos.screening.normalize.hs import HsCode, HsProblem, hs_code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("854231", HsCode("854231", "854231", "85")),
        (" 8542.31.00 ", HsCode("85423100", "854231", "85")),
        ("8542 31 0090", HsCode("8542310090", "854231", "85")),
        ("69072194000", HsCode("69072194000", "690721", "69")),
        ("854231009012", HsCode("854231009012", "854231", "85")),
        ("10121", HsCode("10121", "010121", "01")),
        ("4041002", HsCode("4041002", "040410", "04")),
        ("404100200", HsCode("404100200", "040410", "04")),
        ("98010000", HsCode("98010000", "980100", "98")),
    ],
)
def test_hs_codes(text: str, code: HsCode) -> None:
    """Digits stay as filed; the six common digits and the chapter have the lost zero restored."""
    assert hs_code(text) == code


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "notDigits"),
        ("85A231", "notDigits"),
        ("٨٥٤٢٣١", "notDigits"),
        ("8.5E5", "notDigits"),
        ("8542", "tooShort"),
        ("1", "tooShort"),
        ("8542310090123", "tooLong"),
        ("770000", "noSuchChapter"),
        ("000000", "noSuchChapter"),
        ("00421", "noSuchChapter"),
    ],
)
def test_what_is_no_hs_code(text: str, reason: str) -> None:
    """Each refusal has its reason."""
    assert hs_code(text) == HsProblem(reason)


@pytest.mark.parametrize(
    ("text", "formats", "day", "month"),
    [
        ("2025-10-15", ["iso"], "2025-10-15", "2025-10"),
        ("2025-10-15T23:59:59+09:00", ["iso"], "2025-10-15", "2025-10"),
        ("2025-10", ["iso"], None, "2025-10"),
        ("20251015", ["ymd-compact"], "2025-10-15", "2025-10"),
        ("202510", ["ymd-compact"], None, "2025-10"),
        ("Oct 2025", ["month-name"], None, "2025-10"),
        ("October 2025", ["month-name"], None, "2025-10"),
        ("15-Oct-2025", ["month-name"], "2025-10-15", "2025-10"),
        ("15OCT2025", ["month-name"], "2025-10-15", "2025-10"),
        ("October 15, 2025", ["month-name"], "2025-10-15", "2025-10"),
        ("2025 Oct", ["month-name"], None, "2025-10"),
        ("3/4/2025", ["dmy"], "2025-04-03", "2025-04"),
        ("3/4/2025", ["mdy"], "2025-03-04", "2025-03"),
        ("31.12.2025", ["dmy"], "2025-12-31", "2025-12"),
        ("3-4-2025", ["iso", "mdy", "dmy"], "2025-03-04", "2025-03"),
        ("29.02.2024", ["dmy"], "2024-02-29", "2024-02"),
        (" 1900-01-01 ", ["iso"], "1900-01-01", "1900-01"),
        ("2100-12-31", ["iso"], "2100-12-31", "2100-12"),
    ],
)
def test_dates(text: str, formats: list[str], day: str | None, month: str) -> None:
    """A date is read in the declared formats, in their order; a month alone has no day."""
    assert parse_date(text, formats) == ParsedDate(day, month)


@pytest.mark.parametrize(
    "text",
    ["", "2025-02-29", "2025-13-01", "2025-00", "1899-12-31", "2101-01-01", "31/12-2025", "15/10/25", "Okt 2025", "Oct",
     "2025-10-15 junk", "32-Oct-2025", "٢٠٢٥-١٠-١٥", "2025-10-1", "0/1/2025", "2025" * 50],
)  # fmt: skip
def test_what_is_no_date(text: str) -> None:
    """Days the calendar lacks, years out of range, other digits and two-digit years are refused."""
    assert parse_date(text, DATE_FORMATS) is None


def test_formats_are_those_a_job_may_name() -> None:
    """The job file and this module know the same formats, and no other is accepted."""
    assert sorted(JOB_DATE_FORMATS) == sorted(DATE_FORMATS)
    with pytest.raises(DateFormatError):
        parse_date("2025-10-15", ["iso", "guess"])
