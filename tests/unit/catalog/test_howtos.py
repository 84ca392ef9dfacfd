"""The pages that tell how to add a query and a feed are done here, word by word."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from omphalos.catalog.answer import render
from omphalos.catalog.execute import Where, execute
from omphalos.catalog.query import load_catalog

HOWTO = Path(__file__).resolve().parents[3] / "docs" / "howto"


def files_of(page: str) -> dict[str, str]:
    """Return the files that a page shows: a line with the name in backquotes, then a fenced block."""
    text = (HOWTO / page).read_text("utf-8")
    return dict(re.findall(r"^`([\w/.-]+\.\w+)`:\n\n```\w+\n(.*?)^```$", text, flags=re.M | re.S))


def test_the_query_of_the_page_gives_its_rows(run: Path, tmp_path: Path) -> None:
    """The file of the page is a sound query, and the expected rows of the page are what two engines give."""
    (sql_name, sql), (expected_name, expected) = files_of("add-a-query.md").items()
    path = tmp_path / Path(sql_name).relative_to("sql")
    path.parent.mkdir()
    path.write_text(sql, "utf-8")
    (name, query) = next(iter(load_catalog(tmp_path).items()))
    assert expected_name.endswith(f"{name}.csv")
    for engine in ("duckdb", "sqlite"):
        answer = execute(query, query.bind({}), Where(engine, run))  # type: ignore[arg-type]  # a literal
        assert expected == "#\n" + render(answer, "csv").decode()


def test_the_feed_of_the_page_is_screened(tmp_path: Path) -> None:
    """Two records are accepted with the values the page names, the third is quarantined as the page shows."""
    files = files_of("add-a-feed.md")
    assert {"feed.csv", "list.csv", "job.toml"} == set(files)
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    command = [sys.executable, "-m", "omphalos", "run", "job.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    folder = tmp_path / "artifacts/runs" / done.stdout.split()[-1]
    feed = pq.read_table(folder / "normalized/trade_feed.parquet").to_pylist()
    assert [("E-1", 1250000, 5000), ("E-2", 64010, 1250)] == [
        (row["shipment_id"], row["value_minor"], row["net_mass_grams"]) for row in feed
    ]
    shown = re.search(r"^```csv\n(source_row,.*?)^```$", (HOWTO / "add-a-feed.md").read_text("utf-8"), re.M | re.S)
    assert shown is not None
    assert shown[1] == (folder / "quarantine/quarantine_feed.csv").read_text("utf-8")
