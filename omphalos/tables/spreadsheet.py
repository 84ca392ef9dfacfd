"""CSV that a spreadsheet reads as data: no cell of it is taken for a formula.

Source: OWASP, "CSV Injection": a cell that begins with ``= + - @``, a tab or a line end may be executed when the file
is opened; so may their full-width forms. Rules of this file: what a run records is never altered, so this makes a copy;
a cell at risk, and one that begins with an apostrophe already, gets an apostrophe in front, so that taking one away
from every cell that begins with one gives the very cells back; whole numbers stay numbers; NULL and the empty text stay
apart.
"""

import csv
import io
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from omphalos.format.errors import ErrorKind, OmphalosError

MARK: Final = "'"
_AT_RISK: Final = r"\A[=+\-@\t\r\n'\x{FF0B}\x{FF0D}\x{FF1D}\x{FF20}]"
_NUMBER: Final = r"\A-?[0-9]+\z"
_MAX_BLOCK: Final = (1 << 31) - 1


class NotCsv(OmphalosError):
    """A file that was to be written for a spreadsheet is no CSV."""

    kind = ErrorKind.USAGE
    id = "notCsv"


def for_spreadsheet(data: bytes) -> bytes:
    """Return a CSV file (RFC 4180, UTF-8) with every cell at risk marked; the header counts as cells.

    Raises:
        NotCsv: the bytes are no CSV in UTF-8.
    """
    if not data:
        return data
    try:
        width = len(next(csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8", newline=""))))
        names = [str(number) for number in range(width)]
        table = pv.read_csv(
            pa.BufferReader(data),
            pv.ReadOptions(column_names=names, block_size=min(len(data) + 1, _MAX_BLOCK)),
            pv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            pv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except (pa.ArrowException, csv.Error, StopIteration, UnicodeDecodeError) as error:
        hint = "ask for a file that ends in .csv"
        raise NotCsv("the file is no CSV in UTF-8", hint=hint, undone="nothing was written") from error
    written = io.BytesIO()
    marked = pa.table([_marked(column) for column in table.columns], names=names)
    pv.write_csv(marked, written, pv.WriteOptions(include_header=False, quoting_style="needed"))
    return written.getvalue()


def _marked(column: Any) -> Any:
    at_risk = pc.and_not(pc.match_substring_regex(column, _AT_RISK), pc.match_substring_regex(column, _NUMBER))
    mark, nothing = (pa.scalar(text, pa.large_string()) for text in (MARK, ""))
    return pc.if_else(at_risk, pc.binary_join_element_wise(mark, column, nothing), column)
