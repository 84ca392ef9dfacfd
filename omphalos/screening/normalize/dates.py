"""Dates as feeds write them, in declared formats only, to ISO 8601.

Rules of this file: no guessing between day-month and month-day (the job declares one), no locale, no two-digit years,
the real calendar, years 1900 to 2100. A date known to the month only has no day; none is invented.
"""

import re
from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

from omphalos.format.errors import ErrorKind, OmphalosError

MIN_YEAR: Final = 1900
MAX_YEAR: Final = 2100
_MAX_CHARACTERS: Final = 40

_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
         "september sep sept", "october oct", "november nov", "december dec"), 1
    )
    for name in names.split()
}  # fmt: skip
# A time of day after the date is allowed and dropped; the date is the one written, no zone is applied.
_TIME: Final = r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_PATTERNS: Final[dict[str, tuple[re.Pattern[str], ...]]] = {
    "iso": (re.compile(rf"(?P<y>\d{{4}})-(?P<m>\d{{2}})(?:-(?P<d>\d{{2}}){_TIME})?", re.ASCII),),
    "ymd-compact": (re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})?", re.ASCII),),
    "month-name": (
        re.compile(r"(?P<n>[A-Za-z]{3,9})\.?[ ,/-]+(?P<y>\d{4})", re.ASCII),
        re.compile(r"(?P<d>\d{1,2})[ ./-]?(?P<n>[A-Za-z]{3,9})\.?[ ,./-]*(?P<y>\d{4})", re.ASCII),
        re.compile(r"(?P<n>[A-Za-z]{3,9})\.? +(?P<d>\d{1,2}),? +(?P<y>\d{4})", re.ASCII),
        re.compile(r"(?P<y>\d{4})[ /-]+(?P<n>[A-Za-z]{3,9})(?:[ /-]+(?P<d>\d{1,2}))?", re.ASCII),
    ),
    "dmy": (re.compile(rf"(?P<d>\d{{1,2}})(?P<s>[./ -])(?P<m>\d{{1,2}})(?P=s)(?P<y>\d{{4}}){_TIME}", re.ASCII),),
    "mdy": (re.compile(rf"(?P<m>\d{{1,2}})(?P<s>[./ -])(?P<d>\d{{1,2}})(?P=s)(?P<y>\d{{4}}){_TIME}", re.ASCII),),
}
DATE_FORMATS: Final[tuple[str, ...]] = tuple(sorted(_PATTERNS))


class DateFormatError(OmphalosError):
    """A date format nobody knows was asked for."""

    kind = ErrorKind.USAGE
    id = "badDateFormat"


class ParsedDate(NamedTuple):
    """``ship_date`` is YYYY-MM-DD, or None where only the month is known; ``ship_month`` is YYYY-MM."""

    ship_date: str | None
    ship_month: str


def parse_date(text: str, formats: Sequence[str]) -> ParsedDate | None:
    """Parse ``text`` in the first of ``formats`` that fits; None where none does or the calendar has no such day.

    Formats: ``iso`` (2025-10-15, 2025-10, with or without a time), ``ymd-compact`` (20251015, 202510), ``month-name``
    (Oct 2025, October 2025, 15-Oct-2025, Oct 15, 2025; English names), ``dmy`` and ``mdy`` (with ``/ . -`` or a space).

    Raises:
        DateFormatError: for a format that is not one of these.
    """
    for name in formats:
        if name not in _PATTERNS:
            raise DateFormatError(f"no date format {name!r}", hint=f"one of {', '.join(DATE_FORMATS)}")
    text = " ".join(text.split()) if len(text) <= _MAX_CHARACTERS else ""
    for name in formats:
        for pattern in _PATTERNS[name]:
            match = pattern.fullmatch(text)
            if match:
                found = _from_match(match)
                if found:
                    return found
    return None


def _from_match(match: re.Match[str]) -> ParsedDate | None:
    parts = match.groupdict()
    month = _MONTHS.get(parts["n"].lower(), 0) if parts.get("n") else int(parts["m"])
    year = int(parts["y"])
    day = parts.get("d")
    if not (MIN_YEAR <= year <= MAX_YEAR and 1 <= month <= 12):
        return None
    month_text = f"{year:04d}-{month:02d}"
    if day is None:
        return ParsedDate(None, month_text)
    try:
        return ParsedDate(date(year, month, int(day)).isoformat(), month_text)
    except ValueError:
        return None
