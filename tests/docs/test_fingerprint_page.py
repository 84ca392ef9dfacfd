"""The vectors of docs/format/fingerprint.md, computed by the code and by hand from the page's own words."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
from blake3 import blake3

from omphalos.tables.contract import parse_contract
from omphalos.tables.fingerprint import fingerprint

PAGE = Path(__file__).resolve().parents[2] / "docs" / "format" / "fingerprint.md"
CONTRACT = parse_contract(
    """
table = "example"
version = 1
grain = "one row per code"
key = ["code"]
column = [
  { name = "code", kind = "text", about = "x" },
  { name = "note", kind = "text", about = "x", nullable = true },
  { name = "cents", kind = "int", about = "x", nullable = true },
]
""",
    where="page",
)


def _vectors() -> list[dict[str, list[str]]]:
    found = []
    for body in re.findall(r"^```vector fingerprint\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        values: dict[str, list[str]] = {"row": [], "shape": [], "data": [], "fingerprint": []}
        for line in body.splitlines():
            name, _, value = line.partition(":")
            values[name].append(value.strip())
        found.append(values)
    return found


def _by_hand(rows: list[list[Any]]) -> tuple[list[str], list[str], str]:
    """Compute shapes, data and fingerprint as the page says, one cell after the other."""
    columns = []
    for place, column in enumerate(CONTRACT.column):
        shape, data, nulls = b"", b"", 0
        for row in rows:
            cell = row[place]
            nulls += cell is None
            if column.kind == "text":
                text = b"" if cell is None else cell.encode("utf-8")
                shape += struct.pack("<i", -1 if cell is None else len(text))
                data += text
            else:
                shape += b"\x00" if cell is None else b"\x01"
                data += struct.pack("<q", cell or 0)
        digests = {"data": blake3(data).hexdigest(), "kind": column.kind, "name": column.name, "nulls": nulls}
        columns.append({**digests, "shape": blake3(shape).hexdigest()})
    document = {"columns": columns, "key": ["code"], "rows": len(rows), "v": 1}
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return (
        [str(column["shape"]) for column in columns],
        [str(column["data"]) for column in columns],
        blake3(text.encode("utf-8")).hexdigest(),
    )


def test_the_vectors_are_what_the_page_says_and_what_the_code_does() -> None:
    """Each vector follows from the page's words computed cell by cell, and the code gives the same fingerprint."""
    vectors = _vectors()

    assert 2 == len(vectors)
    for vector in vectors:
        rows = [json.loads(row) for row in vector["row"]]
        shapes, data, digest = _by_hand(rows)
        names = CONTRACT.arrow_schema().names
        types = [field.type for field in CONTRACT.arrow_schema()]
        arrays = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(types)]
        batches = pa.Table.from_arrays(arrays, names=names).to_batches()

        assert vector["fingerprint"] == [digest]
        assert (len(rows), digest) == fingerprint(batches, CONTRACT)
        if rows:
            assert (shapes, data) == (vector["shape"], vector["data"])
