"""omphalos diff inside files: rows by key, lines, summaries; what cannot be compared is said with the right code."""

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omphalos.cli.main import run
from omphalos.format.ids import from_hex
from omphalos.store.store import Store
from omphalos.store.trees import lookup, put_directory
from omphalos.testing.damage import flip

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Call

EXPORT = "exports/review_queue.csv"


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two trees with a table, a text and a hostile table, tagged a and b, in the store of the working directory."""
    folder = tmp_path / "trees"
    for name, shift in (("a", 0), ("b", 1)):
        (folder / name / "in").mkdir(parents=True)
        table = pa.table({"id": [1, 2, 3 + shift], "name": ["x", "y" if shift else "", None], "n": [5, 5, 5]})
        pq.write_table(table, folder / name / "in" / "t.parquet")
        (folder / name / "in" / "t.csv").write_text(f"id,v\n1,\n2,{'b' if shift else 'a'}\n")
        (folder / name / "notes.md").write_text("one\ntwo\n" + "new\n" * shift)
        (folder / name / "evil.txt").write_text(f"\x1b[31mred\u202e{shift}\n")
        (folder / name / "bytes.bin").write_bytes(bytes([0, 255, shift]))
        (folder / name / "fake.parquet").write_bytes(b"no table %d" % shift)
        twice = pa.table({"k": [1, 1, 2, 2, 3 + shift]})
        pq.write_table(twice, folder / name / "twice.parquet")
    monkeypatch.chdir(folder)
    assert run(["init"]) == 0
    store = Store.open(folder)

    ids = []
    for name in "ab":
        tree, _ = put_directory(store, folder / name)
        store.refs.set(f"tags/{name}", tree, old=None)
        ids.append(tree.hex())
    return ids[0], ids[1]


def test_rows_of_a_declared_table(call: "Call", store: Path, first: str) -> None:
    """A table of a run is compared by its declared key, and every row that differs is one line of JSON."""
    said = call("diff", first, "second", EXPORT, "--json", "--limit", "0")
    *rows, last = documents(said.out)
    assert said.code == 1
    assert {row["schema"] for row in rows} == {"omphalos.diff-row/1"}
    (content,) = last["contents"]
    assert (content["form"], content["key"]) == ("rows", ["review_rank"])
    assert content["added"] + content["removed"] + content["changed"] == len(rows) > 0
    assert [row["change"] for row in rows].count("added") == content["after"] - content["before"] + content["removed"]
    parquet = documents(call("diff", first, "second", "scores", "--json", "--rows").out)
    assert {document["path"] for document in parquet[:-1]} == {
        f"scores/{table}.parquet" for table in ("entity_facts", "entity_scores")
    }


def test_summary(call: "Call", store: Path, first: str) -> None:
    """The summary says why before how much: inputs, settings by name, then rows and lines of every artifact."""
    said = call("diff", first, "second", "--summary")
    lines = said.out.splitlines()
    assert said.code == 1
    assert "  synthetic.seed: 1 -> 2" in lines
    assert lines.index("cause: configuration changed") < next(
        at for at, line in enumerate(lines) if re.search(r"\d+ modified", line)
    )
    table = re.compile(r"normalized/trade_feed\.parquet: \d+ -> \d+ rows by shipment_id: ")
    assert any(table.match(line) for line in lines)
    document = call("diff", first, "second", "--summary", "--json").document
    settings = next(cause["settings"] for cause in document["causes"] if cause["part"] == "config")
    assert {"key": "synthetic.seed", "before": "1", "after": "2"} in settings
    assert [content["path"] for content in document["contents"]] == [change["path"] for change in document["changes"]]


def test_lines(call: "Call", trees: tuple[str, str]) -> None:
    """A text is compared by lines, in the unified form, escaped on a terminal."""
    said = call("diff", "a", "b", "notes.md")
    assert said.out.splitlines()[1:] == [
        "notes.md: 0 lines removed, 1 added",
        "--- a:notes.md",
        "+++ b:notes.md",
        "@@ -1,2 +1,3 @@",
        " one",
        " two",
        "+new",
    ]
    hunk, last = documents(call("diff", "a", "b", "notes.md", "--json").out)
    assert (hunk["schema"], hunk["lines"]) == ("omphalos.diff-hunk/1", [" one", " two", "+new"])
    assert last["contents"] == [{"path": "notes.md", "form": "lines", "note": "", "added": 1, "removed": 0}]
    evil = call("diff", "a", "b", "evil.txt").out
    assert "\x1b" not in evil
    assert "-\\x1b[31mred\\u202e0" in evil


def test_cells(call: "Call", trees: tuple[str, str]) -> None:
    """Rows of a Parquet file outside a run need --key; empty text and NULL are told apart."""
    said = call("diff", "a", "b", "in/t.parquet", "--key", "id")
    assert said.code == 1
    assert said.out.splitlines()[1:] == [
        "in/t.parquet: 3 -> 3 rows by id: 1 added, 1 removed, 1 changed",
        "  cells changed in name: 1",
        "~ id=2",
        '    name: "" -> "y"',
        "- id=3",
        "    n=5",
        "+ id=4",
        "    n=5",
    ]
    assert (
        "2 more rows differ; --limit 0 shows all"
        in call("diff", "a", "b", "in/t.parquet", "--key", "id", "--limit", "1").out
    )
    assert call("diff", "a:in/t.parquet", "b:in/t.parquet", "--key", "id", "--key", "n").code == 1
    csv = call("diff", "a", "b", "in/t.csv", "--key", "id", "--stat").out
    assert csv.splitlines()[1:] == [
        "in/t.csv: 2 -> 2 rows by id: 0 added, 0 removed, 1 changed",
        "  cells changed in v: 1",
    ]
    assert "1 lines removed" in call("diff", "a", "b", "in/t.csv").out


def test_every_file(call: "Call", trees: tuple[str, str]) -> None:
    """--rows goes through all files; what cannot be compared inside is said to differ, with the reason."""
    said = call("diff", "a", "b", "--rows")
    assert said.code == 1
    assert "bytes.bin: differs; no text" in said.out
    assert "fake.parquet: differs; no key is declared for 'fake.parquet'" in said.out
    assert call("diff", "a", "a", "--rows").out == "equal\n"
    assert call("diff", "a", "b", "in").out.splitlines()[0] == "2 modified"
    assert call("diff", "a", "a", "in", "--json").document["contents"] == []


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (["in/t.parquet"], 2, "noKey"),
        (["in/t.parquet", "--key", "idd"], 2, "unknownColumn"),
        (["twice.parquet", "--key", "k"], 2, "duplicateKey"),
        (["fake.parquet", "--key", "k"], 3, "tableUnreadable"),
        (["notes.md", "--key", "k"], 2, "notATable"),
        (["nothing"], 10, "pathMissing"),
        (["in", "--key", "id"], 2, "notComparable"),
        (["--key", "id"], 2, "notComparable"),
        (["--stat", "--rows"], 2, "notComparable"),
    ],
)
def test_bad_requests(call: "Call", trees: tuple[str, str], argv: list[str], code: int, problem: str) -> None:
    """What cannot be compared ends with the code of its kind, one error, and nothing left behind."""
    before = sorted(os.listdir())
    said = call("diff", "a", "b", *argv, "--json")
    assert (said.code, said.failure["id"], said.out) == (code, problem, "")
    assert sorted(os.listdir()) == before


def test_hints(call: "Call", trees: tuple[str, str]) -> None:
    """A misspelled column is offered as it is spelled, and a duplicate key is listed."""
    assert "did you mean id?" in call("diff", "a", "b", "in/t.parquet", "--key", "idd").err
    assert "2 keys (k) stand in more than one row: 1; 2" in call("diff", "a", "b", "twice.parquet", "--key", "k").err
    assert call("diff", "a:in", "b:notes.md").code == 2
    assert call("diff", "a:notes.md", "b:notes.md", "more").code == 10


def test_damaged_table(call: "Call", trees: tuple[str, str]) -> None:
    """A table whose object is damaged is never compared: the error names the object, with the code of a verdict."""
    store = Store.open(Path.cwd())

    flip(store, lookup(store, from_hex(trees[1]), "in/t.parquet").id)
    said = call("diff", "a", "b", "in/t.parquet", "--key", "id", "--json")
    assert (said.code, said.failure["id"], said.out) == (1, "objectDamaged", "")
