"""The catalog answers over verified tables, refuses what writes, and puts every query on the log."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
LOG = Path("artifacts") / "queries.jsonl"


def test_the_catalog_is_listed(call: Call) -> None:
    """Every query stands in the list with its question, and an area can be chosen; no store is needed."""
    every = call("sql", "list", "--json").document["queries"]
    review = call("sql", "list", "review", "--json").document["queries"]

    assert 30 <= len(every)
    assert {"review"} == {query["name"].split("/")[0] for query in review}
    assert all(query["question"].endswith("?") for query in every)
    assert 2 == call("sql", "list", "nowhere").code


def test_a_query_is_shown(call: Call) -> None:
    """A query shows its parameters and its text; one that is misspelled gets a suggestion."""
    said = call("sql", "show", "items_of_party")

    assert "--param party=..." in said.out
    assert "where party_id = $party" in said.out
    wrong = call("sql", "show", "items_of_part")
    assert (True, True) == (wrong.code in (2, 10), "did you mean" in wrong.err)


def test_a_query_answers_over_a_run(call: Call, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first items of the queue are those of the export, and the record carries the fingerprint."""
    monkeypatch.chdir(store)
    document = call("sql", "run", "next_items", "--json").document
    directory = store / "artifacts" / "runs" / document["run_id"]
    with (directory / "exports" / "review_queue.csv").open(newline="", encoding="utf-8") as stream:
        queue = [row["party_id"] for row in csv.DictReader(stream)]

    rows = [row["party_id"] for row in document["rows"]]
    assert queue[: len(rows)] == rows
    assert 64 == len(document["record"]["fingerprint"])


@pytest.mark.parametrize("form", ["csv", "json", "markdown", "table"])
def test_an_answer_has_several_forms(call: Call, store: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """The same answer is written as CSV, JSON, Markdown or an aligned table."""
    monkeypatch.chdir(store)
    said = call("sql", "query", "select source, count(*) as n from registry group by source", "--format", form)

    assert 0 == said.code
    if form == "csv":
        assert [["source", "n"], ["synthetic", "100"]] == list(csv.reader(io.StringIO(said.out)))
    elif form == "json":
        assert [{"source": "synthetic", "n": 100}] == json.loads(said.out)
    else:
        assert "synthetic" in said.out


@pytest.mark.parametrize(
    "text",
    [
        "drop table review",
        "select 1; select 2",
        "select * from read_csv('/etc/passwd')",
        "copy review to 'x.csv'",
        "attach 'x' as y",
        "select",
    ],
)
def test_what_is_no_harmless_select_is_refused(
    call: Call, store: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """A text that writes, reads elsewhere, or is no single select is an error, and nothing is logged or changed."""
    monkeypatch.chdir(store)
    before = (store / LOG).read_bytes() if (store / LOG).exists() else b""

    said = call("sql", "query", text)

    assert said.code == 2
    assert "error:" in said.err
    assert before == ((store / LOG).read_bytes() if (store / LOG).exists() else b"")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["items_of_party"], "needs the parameter party"),
        (["items_of_party", "--param", "party"], "not a parameter"),
        (["items_of_party", "--param", "party=a", "--param", "party=b"], "given twice"),
        (["items_of_party", "--param", "part=a"], "has no parameter part"),
        (["next_items", "--param", "items=many"], "parameter"),
    ],
)
def test_a_wrong_parameter_is_named(
    call: Call, store: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], says: str
) -> None:
    """A parameter that is missing, unknown, twice or no number ends with a usage error that names it."""
    monkeypatch.chdir(store)
    said = call("sql", "run", *argv)

    assert 2 == said.code
    assert says in said.err


def test_a_value_is_bound_and_not_pasted(call: Call, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that looks like SQL finds nothing and does nothing."""
    monkeypatch.chdir(store)

    said = call("sql", "run", "items_of_party", "--param", "party=' or '1'='1", "--json")

    assert [] == said.document["rows"]


def test_every_query_is_logged(call: Call, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query of the catalog and one of one's own are both on the log, with text, run and fingerprint."""
    monkeypatch.chdir(store)
    call("sql", "run", "next_items")
    call("sql", "query", "select count(*) as n from review")

    entries = [json.loads(line) for line in (store / LOG).read_text().splitlines()][-2:]

    assert ["review/next_items", None] == [entry["query"] for entry in entries]
    assert all(entry["run_id"] and entry["sql"] and entry["csv_blake3"] for entry in entries)


def test_a_changed_table_is_not_read(call: Call, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is not what the run recorded stops the query with a negative verdict."""
    monkeypatch.chdir(store)
    for path in (store / "artifacts" / "runs").rglob("review.parquet"):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes() + b"x")

    said = call("sql", "run", "next_items")

    assert 1 == said.code
    assert "not what the run recorded" in said.err


def test_a_run_without_a_directory_is_asked_all_the_same(
    call: Call, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the run directory is gone, the tables come out of the store."""
    import shutil

    monkeypatch.chdir(store)
    shutil.rmtree(store / "artifacts" / "runs")

    assert 0 == call("sql", "run", "next_items").code
    assert not (store / "artifacts" / "runs").exists()


def test_both_engines_agree(call: Call, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB over Parquet and SQLite over the warehouse file give the same fingerprint."""
    monkeypatch.chdir(store)

    prints = {
        call("sql", "run", "most_exposed_entities", "--engine", engine, "--json").document["record"]["fingerprint"]
        for engine in ("duckdb", "sqlite")
    }

    assert 1 == len(prints)
