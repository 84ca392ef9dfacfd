"""Harmonized System codes as filed: digits, the six that are common to all countries, and the chapter.

Source: HS Nomenclature of the World Customs Organization: six digits, chapters 01 to 97, chapter 77 reserved; 98 and 99
are left to national use. Rules of this file: a digit is never invented except the leading zero that spreadsheets drop.
"""

from dataclasses import dataclass
from typing import Final

MIN_DIGITS: Final = 6
MAX_DIGITS: Final = 12
RESERVED_CHAPTER: Final = "77"

_SEPARATORS: Final = dict.fromkeys(map(ord, " .-\u00a0\u2009\u202f"))
# National schedules have 6, 8, 10 or 12 digits (11 in some); 5, 7 and 9 are those with the leading zero lost.
_ZERO_LOST: Final = frozenset({5, 7, 9})


@dataclass(frozen=True, slots=True)
class HsCode:
    """A code: ``digits`` as filed without separators, ``hs6`` and ``chapter`` after a lost leading zero is restored."""

    digits: str
    hs6: str
    chapter: str


@dataclass(frozen=True, slots=True)
class HsProblem:
    """Why a text is no code: notDigits, tooShort, tooLong, noSuchChapter."""

    reason: str


def hs_code(text: str) -> HsCode | HsProblem:
    """Parse a commodity code of 6 to 12 digits; 5, 7 and 9 digits are read with a leading zero before them."""
    digits = text.strip().translate(_SEPARATORS)
    if not (digits.isascii() and digits.isdigit()):
        return HsProblem("notDigits")
    if len(digits) > MAX_DIGITS:
        return HsProblem("tooLong")
    whole = f"0{digits}" if len(digits) in _ZERO_LOST else digits
    if len(whole) < MIN_DIGITS:
        return HsProblem("tooShort")
    chapter = whole[:2]
    if chapter in {"00", RESERVED_CHAPTER}:
        return HsProblem("noSuchChapter")
    return HsCode(digits, whole[:6], chapter)
