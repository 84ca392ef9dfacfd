"""docs/howto/review-a-run.md is done here, word by word."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from omphalos.screening.review.decisions import MAX_DECISIONS, MAX_LINE_BYTES, STATES, VERDICTS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "howto" / "review-a-run.md").read_text("utf-8")
COMMANDS = [block.splitlines() for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)]
(LINE,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.M | re.S)


def do(lines: list[str], folder: Path) -> list[str]:
    """Execute the commands of one block and return what each wrote to stdout."""
    said = []
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "omphalos"
        command = [sys.executable, "-m", "omphalos", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    return said


def review(folder: Path, run: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the review table of a run by pair."""
    rows = pq.read_table(folder / "artifacts/runs" / run.strip() / "review/review.parquet").to_pylist()
    return {(row["party_id"], row["entity_id"]): row for row in rows}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder where the first block of the page was done, and what it said."""
    folder = tmp_path_factory.mktemp("desk")
    return folder, do(COMMANDS[0], folder)


def test_the_page(desk: tuple[Path, list[str]]) -> None:
    """The pair of the page is in the queue and is explained; dismissed as the page says, it leaves the next queue."""
    folder, (run, queue) = desk
    line = json.loads(LINE)
    pair = (line["party_id"], line["entity_id"])
    assert "review_rank" in queue
    before = review(folder, run)[pair]
    assert before["state"] == "open"
    (explained,) = do(COMMANDS[1], folder)
    assert "computed again: equal" in explained
    (folder / "decisions.jsonl").write_text(LINE.replace("RECORD_HASH", before["record_hash"]), "utf-8")
    again, report = do(COMMANDS[2], folder)
    after = review(folder, again)[pair]
    assert (after["state"], after["decision_reason"]) == ("suppressed", line["reason"])
    assert {one["state"]: one["pairs"] for one in json.loads(report)["pairs"]}["suppressed"] == 1
    index = (folder / "artifacts/runs" / run.strip() / "evidence/index.html").read_text("utf-8")
    assert pair[1] in index


def test_the_page_names_what_the_code_knows() -> None:
    """Every verdict and every state stands on the page, and so do the limits."""
    for word in (*VERDICTS, *STATES):
        assert f"`{word}`" in PAGE
    assert f"at most {MAX_LINE_BYTES // 1024} KiB, a file at most {MAX_DECISIONS:,} lines" in PAGE
