"""Answers as files of a run: the rows as CSV, and beside them the record that says how they came about.

Rules of this file: a question stands at ``queries/<area>/<question>``, once in a run; the record is strict JSON and
holds the text, the parameters, the engine and the digests; both are the same bytes for the same tables. The rows stand
in the order of the query, and the fingerprint is that of the rows in order of the declared key.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import pyarrow.csv as pv

from omphalos.catalog.answer import record, render
from omphalos.catalog.execute import Answer
from omphalos.catalog.query import EngineName, Query
from omphalos.format import strictjson
from omphalos.tables.contract import Column, Contract
from omphalos.tables.fingerprint import fingerprint
from omphalos.tables.write import TableFile

FOLDER: Final = "queries"
MAX_RECORD: Final = 1 << 20


@dataclass(frozen=True)
class AnswerFile:
    """One of the two files of an answer: where in the run, what for, and the table it holds, if any."""

    path: str
    role: str
    media_type: str
    table: TableFile | None


def write_answer(
    run: Path, query: Query, values: Mapping[str, str | int], engine: EngineName, answer: Answer
) -> list[AnswerFile]:
    """Write the two files of an answer below the folder of a run."""
    stem = f"{FOLDER}/{query.name}"
    (run / stem).parent.mkdir(parents=True, exist_ok=True)
    (run / f"{stem}.csv").write_bytes(render(answer, "csv"))
    (run / f"{stem}.json").write_bytes(strictjson.dump(record(query, values, engine, answer)))
    table = TableFile(answer.table.num_rows, query.key, answer.fingerprint)
    return [
        AnswerFile(f"{stem}.csv", "answer", "text/csv; charset=utf-8", table),
        AnswerFile(f"{stem}.json", "record", "application/json", None),
    ]


def reread(path: Path) -> tuple[int, tuple[str, ...], str]:
    """Return rows, key and fingerprint of an answer's CSV file, read by the contract in the record beside it.

    Raises:
        FingerprintError: the key does not hold.
        ValueError, OSError, pyarrow.ArrowException: the record or the file cannot be read.
    """
    said: Any = strictjson.parse(path.with_suffix(".json").read_bytes(), max_bytes=MAX_RECORD)
    about = msgspec.convert(said, _Record)
    # The order of the columns is that of the file; an object of strict JSON has its members in order of name.
    with path.open(encoding="utf-8", newline="") as file:
        names = next(csv.reader(file))
    if sorted(names) != sorted(about.columns):
        raise ValueError("the columns are not those of the record")
    columns = tuple(
        Column(name=name, kind=about.columns[name], about="of the answer", nullable=name not in about.key)
        for name in names
    )
    contract = Contract(table="answer", version=1, grain="", key=about.key, column=columns)
    convert = pv.ConvertOptions(
        column_types={field.name: field.type for field in contract.arrow_schema()},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    table = pv.read_csv(path, convert_options=convert, parse_options=pv.ParseOptions(newlines_in_values=True))
    ordered = table.sort_by([(name, "ascending") for name in about.key]).combine_chunks()
    rows, digest = fingerprint(ordered.to_batches(), contract)
    return rows, about.key, digest


class _Record(msgspec.Struct, frozen=True):
    columns: dict[str, Literal["text", "int"]]
    key: tuple[str, ...]
