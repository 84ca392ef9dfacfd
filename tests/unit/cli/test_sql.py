"""The catalog answers over verified tables, refuses what writes, and puts every query on the log."""

import csv
import io
import json
import shutil
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


@pytest.mark.parametrize("name", ["marts/review.parquet", "review/planted.parquet", "warehouse/planted.sqlite"])
def test_a_table_nobody_recorded_is_not_read(
    call: Call, store: Path, first: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A table that was put into the run directory, under the name of another even, is never what a query reads."""
    monkeypatch.chdir(store)
    directory = store / "artifacts" / "runs" / first
    (directory / name).parent.chmod(0o755)
    shutil.copy(directory / "review" / "review.parquet", directory / name)

    said = call("sql", "run", "next_items", "--run", first, "--json")

    assert (said.code, said.failure["id"]) == (1, "tableChanged")
    assert name in said.failure["message"]


def test_a_run_without_a_directory_is_asked_all_the_same(
    call: Call, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the run directory is gone, the tables come out of the store."""
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


def test_an_answer_is_recorded(call: Call, store: Path, first: str) -> None:
    """--record makes a run whose parent is asked again where it is named, and certify says it is identical."""
    said = call("sql", "run", "flags_raised", "--run", first, "--record", "--json")
    name = said.document["recorded"]

    assert f"recorded as {name} again" in call("sql", "run", "flags_raised", "--run", first, "--record").err
    assert f"{first} is asked" in call("sql", "run", "workload", "--run", name).err
    assert 0 == call("verify", f"artifacts/runs/{name}", "--deep").code
    assert "identical" == call("certify", name, "--json").document["outcome"]
    asked = call("sql", "run", "workload", "--run", name, "--json")
    assert first == asked.document["run_id"]


def test_an_answer_outlives_the_run_it_was_asked_of(call: Call, store: Path, first: str) -> None:
    """A recorded answer binds its parent by digest and does not keep it: verify says so, and certify needs it."""
    name = call("sql", "run", "flags_raised", "--run", first, "--record", "--json").document["recorded"]
    assert "is not in this store" not in call("verify", name).err

    (held,) = [ref for ref in (store / "refs" / "runs").iterdir() if ref.name == first]
    assert 0 == call("ref", "delete", f"refs/runs/{first}", "--old", held.read_text().strip()).code
    assert 0 == call("gc", "--free").code

    verified = call("verify", name)
    assert 0 == verified.code
    assert f"the run {first}, of which the query was asked, is not in this store" in verified.err
    for argv in (["certify", name], ["sql", "run", "workload", "--run", name]):
        said = call(*argv, "--json")
        assert 3 == said.code
        assert "is not in this store" in said.out + said.err


def test_two_runs_are_compared(call: Call, store: Path, first: str) -> None:
    """The lists of two runs are compared by name on both engines; without the other run there is a hint."""
    for engine in ("duckdb", "sqlite"):
        argv = ["sql", "run", "list_churn", "--run", "second", "--against", first, "--engine", engine, "--json"]
        document = call(*argv).document
        assert (first, 100) == (document["against"], document["rows"][0]["changed"])
    alone = call("sql", "run", "list_churn")
    assert 2 == alone.code
    assert "--against" in alone.err


def test_a_server_that_is_not_there_is_named(call: Call, store: Path) -> None:
    """No PostgreSQL at the address: an error with a hint; and a server's answer is not recorded."""
    there = ["--engine", "postgres", "--server", "host=127.0.0.1 port=1 user=x dbname=x"]
    said = call("sql", "query", "select 1 as one", *there)
    assert 2 == said.code
    assert "cannot be reached" in said.err
    assert "--server" in said.err
    assert "cannot be recorded" in call("sql", "run", "workload", "--record", *there).err
    assert 2 == call("sql", "run", "workload", "--server", "x").code


def test_the_briefing_is_written_and_overwrites_nothing(call: Call, store: Path, first: str) -> None:
    """The page is the artifact, on stdout or in a file; a file that is another one stays."""
    page = (store / "artifacts" / "runs" / first / "reports" / "briefing.html").read_bytes()

    assert page.decode() == call("report", first).out
    assert 0 == call("report", first, "-o", "x.html").code
    assert page == (store / "x.html").read_bytes()
    assert 0 == call("report", first, "-o", "x.html").code
    (store / "x.html").write_text("mine")
    said = call("report", first, "-o", "x.html")
    assert (2, "mine") == (said.code, (store / "x.html").read_text())
    assert "another file" in said.err
    assert 2 == call("report", first, "-o", "nowhere/x.html").code


def test_two_columns_of_one_name_are_refused(call: Call, store: Path) -> None:
    """Columns that have one name would be shown as one: the query is refused and says which."""
    for engine in ("duckdb", "sqlite"):
        asked = ("sql", "query", "select 1 as a, 2 as a", "--engine", engine, "--store", str(store))
        said = call(*asked, "--json")
        assert (said.code, said.failure["id"]) == (2, "queryFailed")
        assert "'a'" in said.failure["message"]
        assert "'as'" in said.failure["hint"]


def test_an_answer_and_an_artifact_for_a_spreadsheet(call: Call, store: Path, first: str) -> None:
    """Both can be written so that no cell is a formula; the artifact without the flag is its exact bytes."""
    asked = ("sql", "query", "select '=1+1' as a, -1 as n", "--format", "spreadsheet", "--store", str(store))
    assert call(*asked).out == '"a","n"\n"\'=1+1","-1"\n'
    name = f"{first}:exports/review_queue.csv"
    assert call("show", name, "--store", str(store)).out.splitlines()[0].startswith("review_rank,")
    sheet = call("show", name, "--for-spreadsheet", "--store", str(store))
    assert (sheet.code, sheet.out.splitlines()[0][:14]) == (0, '"review_rank",')
    assert call("show", first, "--for-spreadsheet", "--store", str(store)).code == 2
    assert call("show", name, "--for-spreadsheet", "--json", "--store", str(store)).code == 2
