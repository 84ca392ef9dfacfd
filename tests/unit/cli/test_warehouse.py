"""The marts of a run become a database of their own, the same numbers on each engine."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


def test_two_engines_give_the_same_marts(call: Call, store: Path) -> None:
    """DuckDB and SQLite files hold marts with the same fingerprints, and the SQLite file can be read."""
    prints = []
    for target in ("duckdb", "sqlite"):
        said = call("warehouse", "build", "--target", target, "-o", f"marts.{target}", "--json")
        assert 0 == said.code, said.err
        prints.append([(mart["mart"], mart["fingerprint"]) for mart in said.document["marts"]])

    assert prints[0] == prints[1]
    assert len(prints[0]) >= 10
    with sqlite3.connect("marts.sqlite") as database:
        (rows,) = database.execute("select count(*) from entity_exposure").fetchone()
    assert rows > 0


@pytest.mark.parametrize("argv", [["--target", "sqlite"], ["--target", "postgres", "-o", "x"]])
def test_a_file_needs_a_name_and_a_server_none(call: Call, store: Path, argv: list[str]) -> None:
    """A database file without a name, or a name for a server, is a usage error and nothing is built."""
    assert 2 == call("warehouse", "build", *argv).code
    assert not (store / "x").exists()


def test_a_server_that_is_not_there_is_said(call: Call, store: Path) -> None:
    """A PostgreSQL that does not answer is an error that names it."""
    said = call("warehouse", "build", "--target", "postgres", "--server", "host=127.0.0.1 port=1 connect_timeout=1")

    assert said.code not in (0, 70)
    assert "postgres" in said.err.lower()


def test_the_documentation_is_one_page_that_fetches_nothing(call: Call, tmp_path: Path) -> None:
    """dbt documents the marts offline; the page may connect to nothing by its own policy, and has no path of here."""
    said = call("warehouse", "docs", "-o", "marts.html", "--json")
    page = Path("marts.html").read_bytes()

    assert {"schema": "omphalos.warehouse-docs/1", "path": "marts.html", "size": len(page)} == said.document
    assert b"content=\"default-src 'none'; script-src 'unsafe-inline'" in page[:2000]
    assert b"connect-src" not in page[:2000]  # none but the default, which is none
    assert b"Grain: one row per list and month of listing." in page
    assert str(Path(__file__).resolve().parents[3]).encode() not in page
    assert not list(Path.cwd().glob("target*"))
    again = call("warehouse", "docs", "-o", "marts.html")
    assert (2, page) == (again.code, Path("marts.html").read_bytes())
