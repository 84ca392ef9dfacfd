"""A proposal of how a feed could be described in a job file, made from the first part of it.

Rules of this file: it proposes and never decides: what it gives is text for a person to read and correct, with the
reason for each line, and a run reads only what the person then says. It looks at no more than ``SAMPLE_BYTES`` of the
file, unpacked, and at ``SAMPLE_RECORDS`` records. A column is proposed for a field by its name, and only if its values
do not speak against it; each column serves one field. Where two readings fit (day and month, decimal signs), that is
said.
"""

import csv
import io
import json
import re
import tomllib
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from omphalos.screening.feeds.decode import FeedNotReadable, FeedNotText, FeedShapeError
from omphalos.screening.job import DATE_FORMATS, DELIMITERS, FEED_FIELDS
from omphalos.screening.normalize.countries import country_code
from omphalos.screening.normalize.dates import parse_date
from omphalos.screening.normalize.hs import HsCode, hs_code

SAMPLE_BYTES: Final = 4 << 20
SAMPLE_RECORDS: Final = 500
_SHARE: Final = 80  # percent of the values that are there which must be what the field holds
_WHOLE, _PART = 2, 1
_ENCODINGS: Final = ("utf-8", "gb18030", "cp1251", "cp1252")
_NUMBER = re.compile(r"[+-]?[0-9][0-9.,' \u00a0\u202f]*")
_GROUPED: Final = {
    ",": re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?"),
    ".": re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]+)?"),
    " ": re.compile(r"[+-]?[0-9]{1,3}(?: [0-9]{3})+(?:[.,][0-9]+)?"),
    "'": re.compile(r"[+-]?[0-9]{1,3}(?:'[0-9]{3})+(?:[.,][0-9]+)?"),
}
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_PLAIN_DATES: Final = ("iso", "month-name")  # a date in one of these can be read in no other way
_POINT = re.compile(r"[+-]?[0-9]+\.[0-9]+")
_CURRENCY = re.compile(r"[A-Z]{3}")
_WORDS = re.compile(r"[^\w]+|_+")
_COUNTRY_FIELDS: Final = frozenset(
    {name for name in FEED_FIELDS if name.endswith("_country")} | {"origin", "destination", "country", "reporter"}
)
_NUMBER_FIELDS: Final = frozenset({"value", "quantity", "net_mass_kg"})
_PARTY_FIELDS: Final = ("exporter", "importer", "consignee", "notify_party", "end_user")

Rows = list[list[str]]


@dataclass(frozen=True)
class Mapped:
    """A field, the column proposed for it, and why."""

    field: str
    column: str
    why: str


@dataclass(frozen=True)
class Guess:
    """A proposal; ``notes`` say what a person must decide, ``unmapped`` are the columns no field was found for."""

    name: str
    format: str
    compression: str
    encoding: str
    delimiter: str
    null_values: tuple[str, ...]
    date_formats: tuple[str, ...]
    decimal_separator: str
    thousands_separator: str
    currency: str
    columns: tuple[Mapped, ...]
    unmapped: tuple[str, ...]
    notes: tuple[str, ...]
    records: int

    def document(self) -> dict[str, Any]:
        """Return the members of the ``omphalos.guess/1`` document."""
        return {
            "file": self.name,
            "format": self.format,
            "compression": self.compression,
            "encoding": self.encoding,
            "delimiter": self.delimiter,
            "null_values": list(self.null_values),
            "date_formats": list(self.date_formats),
            "decimal_separator": self.decimal_separator,
            "thousands_separator": self.thousands_separator,
            "currency": self.currency,
            "columns": [{"field": one.field, "column": one.column, "why": one.why} for one in self.columns],
            "unmapped": list(self.unmapped),
            "notes": list(self.notes),
            "records": self.records,
        }

    def job_text(self, path: str | None = None) -> str:
        """Return the ``[feed]`` part of a job file, with the reasons as comments; ``path`` leads to the feed."""
        lines = [f"# Proposed from the first {self.records} records; read it before you run it."]
        lines += [f"# NOTE: {_printable(note)}" for note in self.notes]
        lines += ["", "[feed]", f"path = {_quoted(path or self.name)}", f"format = {_quoted(self.format)}"]
        if self.compression != "none":
            lines.append(f"compression = {_quoted(self.compression)}")
        if self.format != "parquet" and self.encoding != "utf-8":
            lines.append(f"encoding = {_quoted(self.encoding)}")
        if self.format == "csv" and self.delimiter != ",":
            lines.append(f"delimiter = {_quoted(self.delimiter)}")
        if self.null_values != ("",):
            lines.append(f"null_values = {_quoted_list(self.null_values)}")
        lines.append(f"date_formats = {_quoted_list(self.date_formats)}")
        lines.append(f"decimal_separator = {_quoted(self.decimal_separator)}")
        if self.thousands_separator:
            lines.append(f"thousands_separator = {_quoted(self.thousands_separator)}")
        if self.currency:
            lines.append(f"currency = {_quoted(self.currency)}")
        lines += ["", "[feed.columns]"]
        lines += [f"{one.field} = {_quoted(one.column)}  # {_printable(one.why)}" for one in self.columns]
        if self.unmapped:
            lines += ["", "# No field was found for these columns:"]
            lines += [f"#   {_printable(column)}" for column in self.unmapped]
        lines += ["", '# Still to say: name = "..." as the first line, and at least one list to screen against:']
        lines += ["# [[registry]]", '# source = "..."', '# format = "..."', '# path = "..."']
        return "\n".join(lines) + "\n"


def guess_feed(path: Path) -> Guess:
    """Look at the beginning of a file and propose how to read it.

    Raises:
        FeedNotReadable: there is no such file.
        FeedNotText: its bytes are text in no encoding that is tried.
        FeedShapeError: it holds no records, or is a spreadsheet or an archive.
    """
    packed, compression = _read(path)
    notes: list[str] = []
    if packed[:4] == b"PAR1":
        header, rows = _parquet(path)
        format_, encoding, delimiter = "parquet", "utf-8", ","
    elif packed[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        raise FeedShapeError(f"{path.name} is a spreadsheet or an archive", hint="save the table as CSV first")
    else:
        text, encoding, notes = _text(packed, path.name)
        if text.lstrip()[:1] == "{":
            format_, delimiter = "jsonl", ","
            header, rows = _json_lines(text)
        else:
            delimiter = _delimiter(text)
            format_ = "tsv" if delimiter == "\t" else "csv"
            table = list(_csv(text, delimiter))
            header, rows = (table[0] if table else []), table[1:]
    rows = [row for row in rows if len(row) == len(header)][:SAMPLE_RECORDS]
    if not header or not rows:
        raise FeedShapeError(
            f"{path.name} holds no record that could be looked at", hint="the first record must name the columns"
        )
    return _propose(path.name, (format_, compression, encoding, delimiter), header, rows, notes)


def _read(path: Path) -> tuple[bytes, str]:
    """Return the beginning of the file, unpacked, and how it was packed."""
    try:
        with path.open("rb") as file:
            data = file.read(SAMPLE_BYTES)
    except OSError as error:
        raise FeedNotReadable(
            f"{path.name} cannot be read: {(error.strerror or 'failed').lower()}", hint="give one file"
        ) from error
    if data[:2] == b"\x1f\x8b":
        try:
            return zlib.decompressobj(wbits=31).decompress(data, SAMPLE_BYTES), "gzip"
        except zlib.error as error:
            raise FeedShapeError(f"{path.name} is no sound gzip file", hint="fetch it again") from error
    if data[:4] == b"\x28\xb5\x2f\xfd":
        try:
            with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
                return bytes(stream.read(SAMPLE_BYTES)), "zstd"
        except (OSError, pa.ArrowException) as error:
            raise FeedShapeError(f"{path.name} is no sound zstd file", hint="fetch it again") from error
    return data, "none"


def _text(data: bytes, name: str) -> tuple[str, str, list[str]]:
    """Return the whole lines of ``data`` as text, the encoding, and what is unsure about it."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data[: len(data) // 2 * 2].decode("utf-16", "replace"), "utf-16", []
    if len(data) >= SAMPLE_BYTES:
        data = data[: data.rfind(b"\n") + 1] or data
    for encoding in _ENCODINGS:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        sure = encoding == "utf-8"
        notes = (
            [] if sure else [f"the bytes are not UTF-8; {encoding} reads them, and so may others: look at the names"]
        )
        return text.removeprefix("\ufeff"), encoding, notes
    raise FeedNotText(
        f"{name} is text in none of {', '.join(_ENCODINGS)}", hint="say the encoding in feed.encoding of the job file"
    )


def _csv(text: str, delimiter: str) -> Iterator[list[str]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for count, row in enumerate(rows):
            if count > SAMPLE_RECORDS:
                return
            if row:
                yield row
    except csv.Error:
        return


def _delimiter(text: str) -> str:
    """Return the sign that cuts the most records into as many cells as the first has."""

    def score(delimiter: str) -> tuple[int, int]:
        rows = list(_csv(text, delimiter))
        width = len(rows[0]) if rows else 0
        alike = sum(len(row) == width for row in rows)
        return (width > 1) * alike, width

    return max(DELIMITERS, key=score)


def _json_lines(text: str) -> tuple[list[str], Rows]:
    records = []
    for line in text.splitlines()[:SAMPLE_RECORDS]:
        try:
            value = json.loads(line, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            records.append(value)
    header = list(dict.fromkeys(key for record in records for key in record))
    return header, [[_cell(record.get(key)) for key in header] for record in records]


def _cell(value: object) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _parquet(path: Path) -> tuple[list[str], Rows]:
    try:
        with pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(batch_size=SAMPLE_RECORDS), None)
    except (OSError, pa.ArrowException) as error:
        raise FeedShapeError(f"{path.name} is no sound Parquet file", hint="fetch it again") from error
    if batch is None:
        return [], []
    return list(batch.schema.names), [[_cell(value) for value in row.values()] for row in batch.to_pylist()]


@cache
def _names() -> tuple[dict[str, dict[str, int]], tuple[str, ...], frozenset[str]]:
    """Return the names of every field, the most telling first, the cells that stand for nothing, and currencies."""
    data = tomllib.loads(Path(__file__).with_name("guess.toml").read_text("utf-8"))
    fields = {
        name: {known: at for at, known in enumerate([name.replace("_", " "), *data["fields"].get(name, [])])}
        for name in FEED_FIELDS
    }
    return fields, tuple(data["nulls"]["values"]), frozenset(data["currencies"]["codes"])


def _plain(text: str) -> str:
    return " ".join(word for word in _WORDS.split(text.lower()) if word)


def _propose(name: str, shape: tuple[str, str, str, str], header: Sequence[str], rows: Rows, notes: list[str]) -> Guess:
    columns = {column: [row[at].strip() for row in rows] for at, column in enumerate(header)}
    if len(columns) < len(header):
        notes.append("a column name stands twice; such a column cannot be mapped")
    _, known_nulls, currencies = _names()
    nulls = tuple(one for one in known_nulls if one == "" or any(one in cells for cells in columns.values()))
    values = {column: [cell for cell in cells if cell not in nulls] for column, cells in columns.items()}
    mapped = _match(values)
    by_field = {one.field: values[one.column] for one in mapped}
    dates, date_notes = _dates(by_field.get("date", []))
    decimal, thousands, number_notes = _separators(
        [cell for field in sorted(_NUMBER_FIELDS) for cell in by_field.get(field, [])]
    )
    currency = ""
    if "value" in by_field:
        (column,) = [one.column for one in mapped if one.field == "value"]
        words = [word.upper() for word in _plain(column).split() if word in currencies]
        currency = words[0] if words else "XXX"
        if not words:
            notes.append("the currency of amounts without one of their own is not known; XXX means none: say it")
    if not any(field in by_field for field in _PARTY_FIELDS):
        notes.append("no column holds a party; a job must map at least one")
    taken = {one.column for one in mapped}
    return Guess(
        name,
        *shape,
        null_values=nulls,
        date_formats=dates,
        decimal_separator=decimal,
        thousands_separator=thousands,
        currency=currency,
        columns=tuple(mapped),
        unmapped=tuple(column for column in columns if column not in taken),
        notes=(*notes, *date_notes, *number_notes),
        records=len(rows),
    )


def _match(values: dict[str, list[str]]) -> list[Mapped]:
    """Give each field the best column that is left: the whole name before a part of it, better known names first."""
    fields, _, _ = _names()
    offers = []
    for at, (column, cells) in enumerate(values.items()):
        plain = _plain(column)
        for place, field in enumerate(FEED_FIELDS):
            known = fields[field]
            if plain in known:
                rank, found, how = known[plain], _WHOLE, "the name says so"
            else:
                parts = [(len(one), one) for one in known if f" {one} " in f" {plain} " and " " in one]
                parts += [(len(one), one) for one in known if plain.startswith(f"{one} ") and field in _NUMBER_FIELDS]
                if not parts:
                    continue
                rank, found, how = -max(parts)[0], _PART, f"the name holds {max(parts)[1]!r}"
            told = _speaks_for(field, cells)
            if told is not None:
                offers.append(((-found, rank, place, at), Mapped(field, column, f"{how}; {told}")))
    taken: dict[str, Mapped] = {}
    for _, offer in sorted(offers, key=lambda one: one[0]):
        if offer.field not in taken and offer.column not in {one.column for one in taken.values()}:
            taken[offer.field] = offer
    return [taken[field] for field in FEED_FIELDS if field in taken]


def _speaks_for(field: str, cells: list[str]) -> str | None:
    """Return what the values say for a field, or None where they speak against it."""
    test: tuple[str, Callable[[str], bool]] | None = None
    if field in _COUNTRY_FIELDS:
        test = ("countries", lambda cell: country_code(cell) is not None)
    elif field == "hs_code":
        test = ("commodity codes", lambda cell: isinstance(hs_code(cell), HsCode))
    elif field == "date":
        test = ("dates", lambda cell: any(parse_date(cell, [one]) for one in DATE_FORMATS))
    elif field in _NUMBER_FIELDS:
        test = ("numbers", lambda cell: _NUMBER.fullmatch(cell) is not None)
    elif field == "currency":
        test = ("currency codes", lambda cell: _CURRENCY.fullmatch(cell) is not None)
    elif field in _PARTY_FIELDS:
        test = ("names", lambda cell: any(one.isalpha() for one in cell))
    if not cells:
        return "every value is empty"
    if test is None:
        return f"{len(cells)} values"
    kind, holds = test
    good = sum(holds(cell) for cell in cells)
    return f"{good} of {len(cells)} values are {kind}" if good * 100 >= _SHARE * len(cells) else None


def _dates(cells: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the formats that read some of the dates, and a note where day and month cannot be told apart.

    Only the beginning of the feed was looked at, so the formats that can be mistaken for no other stay in the proposal.
    """
    read = {one: sum(parse_date(cell, [one]) is not None for cell in cells) for one in DATE_FORMATS}
    formats = [one for one in DATE_FORMATS if read[one] and one not in ("dmy", "mdy")]
    notes = []
    if read["dmy"] or read["mdy"]:
        better = "dmy" if read["dmy"] >= read["mdy"] else "mdy"
        formats.append(better)
        if read["dmy"] == read["mdy"]:
            notes.append("day and month cannot be told apart in these dates; dmy is proposed, mdy reads them as well")
        elif min(read["dmy"], read["mdy"]):
            notes.append(f"{better} reads {read[better]} of {len(cells)} dates; the other order reads fewer")
    formats += [one for one in _PLAIN_DATES if one not in formats]
    return tuple(formats), notes


def _separators(cells: list[str]) -> tuple[str, str, list[str]]:
    """Return the decimal and the thousands separator, and a note where a number has two readings."""
    grouped = {sign: sum(pattern.fullmatch(cell) is not None for cell in cells) for sign, pattern in _GROUPED.items()}
    commas = sum(_COMMA.fullmatch(cell) is not None for cell in cells)
    points = sum(_POINT.fullmatch(cell) is not None for cell in cells)
    decimal = "," if commas > points else "."
    thousands = max((sign for sign in _GROUPED if sign != decimal), key=lambda sign: grouped[sign])
    if decimal == "," and grouped[","] == commas and commas and not grouped["."] and points == 0:
        # 1,234 and nothing else with a comma: thousands in one country, a fraction in another.
        return ".", ",", ["a comma stands before three digits only; it is taken for a thousands separator"]
    if decimal == "." and grouped["."] == points and points and grouped["."]:
        return ".", "", ["a point stands before three digits only; it is taken for a decimal separator"]
    return decimal, thousands if grouped[thousands] else "", []


def _quoted(text: str) -> str:
    """Return ``text`` as a TOML basic string of printable characters."""
    return '"' + _printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _quoted_list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(_quoted(text) for text in texts) + "]"


def _printable(text: str) -> str:
    """Return ``text`` with every other character escaped as TOML does: nothing ends a line or acts on a terminal."""
    return "".join(
        one if one.isprintable() else f"\\u{ord(one):04x}" if ord(one) <= 0xFFFF else f"\\U{ord(one):08x}"
        for one in text
    )
