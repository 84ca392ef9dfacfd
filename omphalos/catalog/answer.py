"""An answer as bytes, and the record that says how it came about.

Rules of this file: the same answer gives the same bytes; a record holds the text, the parameters, the engine and the
digests, and nothing of the moment or the machine.
"""

import io
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
from blake3 import blake3

from omphalos.catalog.execute import Answer
from omphalos.catalog.query import EngineName, Query
from omphalos.tables.spreadsheet import for_spreadsheet
from omphalos.tables.write import PARQUET_SETTINGS

RECORD_SCHEMA: Final = "omphalos.query/1"
Format = Literal["csv", "json", "markdown", "parquet", "spreadsheet", "table"]
FORMATS: Final[tuple[Format, ...]] = ("table", "csv", "json", "markdown", "parquet", "spreadsheet")


def render(answer: Answer, form: Format) -> bytes:
    """Return an answer as bytes.

    Args:
        answer: what a query gave.
        form: ``csv`` (RFC 4180, NULL as nothing), ``json`` (an array of objects, one a line), ``markdown``,
            ``parquet``, ``spreadsheet`` (CSV in which no cell is a formula), or ``table`` (aligned columns for a
            terminal; control characters are escaped).
    """
    table = answer.table
    if form in ("csv", "spreadsheet"):
        buffer = io.BytesIO()
        pv.write_csv(table, buffer, pv.WriteOptions(quoting_style="needed"))
        return buffer.getvalue() if form == "csv" else for_spreadsheet(buffer.getvalue())
    if form == "parquet":
        buffer = io.BytesIO()
        pq.write_table(table.combine_chunks(), buffer, **PARQUET_SETTINGS)
        return buffer.getvalue()
    rows = table.to_pylist()
    if form == "json":
        lines = b",\n".join(msgspec.json.encode(row) for row in rows)
        return b"[\n" + lines + b"\n]\n" if rows else b"[]\n"
    names = list(table.schema.names)
    heads = [_visible(name) for name in names]
    numbers = [pa.types.is_integer(field.type) for field in table.schema]
    cells = [["" if row[name] is None else _visible(str(row[name])) for name in names] for row in rows]
    if form == "markdown":
        body = [[_markdown(cell) for cell in row] for row in cells]
        head = [[_markdown(name) for name in heads], ["---:" if number else "---" for number in numbers]]
        return "".join("| " + " | ".join(row) + " |\n" for row in [*head, *body]).encode()
    widths = [max([len(head), *(len(row[i]) for row in cells)]) for i, head in enumerate(heads)]
    lines_ = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numbers, strict=True)
        ).rstrip()
        for row in [heads, *cells]
    ]
    return ("\n".join(lines_) + "\n").encode()


def record(query: Query, values: Mapping[str, str | int], engine: EngineName, answer: Answer) -> dict[str, Any]:
    """Return what is put on the record of an execution: plain values, the same for the same answer."""
    return {
        "schema": RECORD_SCHEMA,
        "query": query.name,
        "sql": query.sql,
        "sql_blake3": blake3(query.sql.encode()).hexdigest(),
        "parameters": {name: values[name] for name in sorted(values)},
        "engine": engine,
        "rows": answer.table.num_rows,
        "truncated": answer.truncated,
        "columns": dict(query.columns),
        "key": list(query.key),
        "fingerprint": answer.fingerprint,
        "csv_blake3": blake3(render(answer, "csv")).hexdigest(),
    }


def ad_hoc_record(sql: str, engine: EngineName, answer: Answer) -> dict[str, Any]:
    """Return what is put on the record of an ad-hoc query, which declares neither columns nor key."""
    return {
        "schema": RECORD_SCHEMA,
        "query": None,
        "sql": sql,
        "sql_blake3": blake3(sql.encode()).hexdigest(),
        "parameters": {},
        "engine": engine,
        "rows": answer.table.num_rows,
        "truncated": answer.truncated,
        "columns": {field.name: "int" if pa.types.is_integer(field.type) else "text" for field in answer.table.schema},
        "key": [],
        "fingerprint": None,
        "csv_blake3": blake3(render(answer, "csv")).hexdigest(),
    }


def _visible(text: str) -> str:
    """Return text without characters that a terminal would act on or that hide others."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _markdown(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|")
