"""Numbers as feeds write them, to exact integers: money in minor units, quantities in thousandths, mass in grams.

Rules of this file: decimal digits are handled as text, so no value passes through a float at any point; what lies
beyond the scale is rounded half to even, and counted; negative numbers, exponents, signs, currency marks and misplaced
separators are refused, never repaired. The functions build SQL over a column; nothing here reads a row.
"""

from dataclasses import dataclass
from typing import Final

from omphalos.format.errors import ErrorKind, OmphalosError

MAX_INTEGER: Final = (1 << 53) - 1
"""Largest scaled value kept: every JSON reader holds it exactly, and a thousand of them still sum within 64 bits."""

MAX_SCALE: Final = 6
_SPACES: Final = "chr(9) || chr(10) || chr(13) || chr(32) || chr(160) || chr(8239)"

# ISO 4217, alphabetic codes in use (funds codes and precious metals included), as of 2025.
_CODES: Final = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE
CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD
HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD
MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR
RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH
UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XAG XAU XCD XCG XDR XOF XPD XPF XPT XSU XUA YER ZAR ZMW ZWG
"""
CURRENCIES: Final[tuple[str, ...]] = tuple(_CODES.split())


class NumberFormatError(OmphalosError):
    """The declared way of writing numbers contradicts itself."""

    kind = ErrorKind.USAGE
    id = "badNumberFormat"


@dataclass(frozen=True, slots=True)
class NumberSql:
    """SQL that turns one text column into a scaled integer, in layers that build on one another.

    Each layer is a list of ``expression AS name`` items for one SELECT over the layer before; after the last there are
    the columns ``value`` (BIGINT, NULL where there is none), ``problem`` (VARCHAR, a reject reason or NULL) and
    ``rounded`` (INTEGER 0/1). The attributes hold these three names.
    """

    layers: tuple[tuple[str, ...], ...]
    value: str
    problem: str
    rounded: str


def number_sql(column: str, *, scale: int, decimal: str, thousands: str) -> NumberSql:
    """Return the SQL for ``column`` (a VARCHAR column's name), keeping ``scale`` decimal digits.

    A number is digits with at most one ``decimal`` mark; where ``thousands`` is not empty, the whole part may be parted
    in groups: a last group of three digits, groups of two or three before it (as in India). Reasons: badNumber,
    negativeNumber, numberTooLarge (above 2^53-1 after scaling).

    Raises:
        NumberFormatError: for separators that are no single character, are equal, or are digits or signs, and for a
            scale outside 0 to 6.
    """
    if not 0 <= scale <= MAX_SCALE:
        raise NumberFormatError(f"a scale of {scale} digits is not supported", hint=f"0 to {MAX_SCALE}")
    marks = decimal + thousands
    if (
        len(decimal) != 1
        or len(thousands) > 1
        or decimal == thousands
        or any(c.isalnum() or c in "+-()" for c in marks)
    ):
        raise NumberFormatError(
            f"decimal separator {decimal!r} and thousands separator {thousands!r} do not go together",
            hint="one character each, not the same, neither digit, letter, sign nor parenthesis",
        )
    text, plain, whole, part, kept, rest, total = (f"{column}_n{n}" for n in range(7))
    value, problem, rounded = f"{column}_value", f"{column}_problem", f"{column}_rounded"
    number = _pattern(decimal, thousands)
    stripped = f"replace({text}, {_quote(thousands)}, '')" if thousands else text
    layers = (
        (f"nullif(trim({column}, {_SPACES}), '') AS {text}",),
        (
            f"CASE WHEN regexp_full_match({text}, {_quote(number)}) "
            f"THEN replace({stripped}, {_quote(decimal)}, '.') END AS {plain}",
        ),
        (
            f"ltrim(split_part({plain}, '.', 1), '0') AS {whole}",
            f"split_part({plain}, '.', 2) AS {part}",
        ),
        (
            f"CASE WHEN length({whole}) <= {18 - scale} "
            f"THEN CAST('0' || {whole} || rpad(left({part}, {scale}), {scale}, '0') AS BIGINT) END AS {kept}",
            f"rtrim(substr({part}, {scale + 1}), '0') AS {rest}",
        ),
        # Digits without trailing zeros compare as text the way fractions compare as numbers: '5' is exactly one half.
        (f"{kept} + CASE WHEN {rest} > '5' THEN 1 WHEN {rest} = '5' THEN {kept} % 2 ELSE 0 END AS {total}",),
        (
            f"CASE WHEN {total} <= {MAX_INTEGER} THEN {total} END AS {value}",
            f"CASE WHEN {text} IS NULL THEN NULL "
            f"WHEN {plain} IS NULL THEN CASE WHEN regexp_full_match({text}, {_quote(_negative(number))}) "
            f"THEN 'negativeNumber' ELSE 'badNumber' END "
            f"WHEN {total} IS NULL OR {total} > {MAX_INTEGER} THEN 'numberTooLarge' END AS {problem}",
            f"CAST(coalesce({rest} <> '' AND {total} <= {MAX_INTEGER}, false) AS INTEGER) AS {rounded}",
        ),
    )
    return NumberSql(layers, value, problem, rounded)


def _pattern(decimal: str, thousands: str) -> str:
    """Return the RE2 pattern of an unsigned number."""
    mark = _escape(decimal)
    whole = "[0-9]+"
    if thousands:
        group = _escape(thousands)
        whole = f"(?:[0-9]+|[0-9]{{1,3}}(?:{group}[0-9]{{2,3}})*{group}[0-9]{{3}})"
    return f"(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)"


def _negative(number: str) -> str:
    return rf"[-\x{{2212}}] ?{number}|{number} ?-|\( ?{number} ?\)"


def _escape(char: str) -> str:
    return f"\\x{{{ord(char):x}}}"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
