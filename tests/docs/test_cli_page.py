"""docs/cli.md and two how-tos, verify-a-run and compare-two-runs, say what the program does.

The reference is generated from the program's own help: ``OMPHALOS_WRITE_DOCS=1`` before this test rewrites it.
"""

import contextlib
import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from omphalos.cli.config import SETTINGS
from omphalos.cli.exits import MEANINGS
from omphalos.cli.main import VERBS, root, run

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "cli.md"
HOWTO = DOCS / "howto" / "verify-a-run.md"
COMPARE = DOCS / "howto" / "compare-two-runs.md"
MARK = "<!-- reference -->\n"
WIDTH = 100
# Read when this file is collected: the tests themselves see no variable of ours.
WRITE = os.environ.get("OMPHALOS_WRITE_DOCS") == "1"


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield every command with its name and a context to ask for its help; groups before what is below them."""
    top = root()
    with top.make_context("omphalos", [], resilient_parsing=True, terminal_width=WIDTH) as above:
        yield "omphalos", top, above
        for verb in VERBS:
            command = top.get_command(above, verb)
            assert command is not None
            with command.make_context(verb, [], above, resilient_parsing=True) as context:
                yield f"omphalos {verb}", command, context
                for name in command.list_commands(context) if isinstance(command, click.Group) else ():
                    child = command.get_command(context, name)  # type: ignore[union-attr]  # a group, as just asked
                    assert child is not None
                    with child.make_context(name, [], context, resilient_parsing=True) as inner:
                        yield f"omphalos {verb} {name}", child, inner


def reference() -> str:
    """Return the reference part of the page: the help of every command."""
    parts = [f"### {name}\n\n```text\n{command.get_help(context)}\n```\n" for name, command, context in commands()]
    return "\n" + "\n".join(parts)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading of the page, without its head."""
    section = PAGE.read_text("utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_reference_is_the_help() -> None:
    """The reference part of the page is the help of every verb, word for word."""
    if WRITE:
        PAGE.write_text(PAGE.read_text("utf-8").partition(MARK)[0] + MARK + reference(), "utf-8")
    tail = PAGE.read_text("utf-8").partition(MARK)[2]
    assert tail == reference()


def test_every_verb_and_option_is_on_the_page() -> None:
    """Every verb and every option of every verb stands on the page."""
    text = PAGE.read_text("utf-8")
    for name, command, _ in commands():
        assert f"### {name}\n" in text
        for parameter in command.params:
            for option in parameter.opts if isinstance(parameter, click.Option) else ():
                assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), option


def test_exit_codes() -> None:
    """The table of exit codes is the program's own."""
    assert rows("Exit codes") == [[str(int(code)), meaning] for code, meaning in MEANINGS.items()]


def test_settings() -> None:
    """The table of settings is the program's own."""
    said = {None: "none", True: "`true`", False: "`false`"}
    assert rows("Settings") == [
        [f"`{s.key}`", f"`{s.variable}`", said.get(s.default, f"`{s.default}`"), s.summary]  # type: ignore[arg-type]  # any default may be asked for
        for s in SETTINGS
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two runs, and ``evidence/``, the run directory of the first on its own."""
    folder = tmp_path_factory.mktemp("pages")
    for name, seed in (("first", 1), ("other", 2)):
        more = ["--name", name, "--set", f"synthetic.seed={seed}", "--store", str(folder / "store")]
        assert run(["run", "--scale", "small", *more]) == 0
    (directory,) = (folder / "store" / "artifacts" / "runs").glob("first-*")
    shutil.copytree(directory, folder / "evidence")
    return folder


def documents(folder: Path) -> list[dict[str, object]]:
    """Return one document of every verb that has one."""
    (folder / "file").write_text("x")
    (folder / "feed.csv").write_text("exporter,value\nAlder Trading,1\n")
    found = []
    (queue,) = (folder / "store" / "artifacts" / "runs").glob("first-*/exports/review_queue.csv")
    with queue.open(newline="", encoding="utf-8") as stream:
        head = next(csv.DictReader(stream))
    for line in (
        f"explain first {head['party_id']} {head['entity_id']}",
        "show first:reports/scoring.json",
        "cat first:reports/scoring.json",
        "certify first",
        "checkout first",
        "compare first other",
        "completion bash",
        "config show",
        "diff first other",
        "diff first other config/job.json",
        "diff first other reports --rows",
        "diff first other exports/review_queue.csv",
        "fsck",
        "gc",
        "hash file",
        "hold add first",
        "hold list",
        "index rebuild",
        "ingest guess feed.csv",
        "init",
        "key new office.key",
        "log",
        "ls first",
        "prove first reports/scoring.json -o scoring.proof",
        "put file",
        "ref list",
        "ref set refs/tags/page first",
        "release build first -o first.omphalos",
        "report first",
        "run --scale small --name first",
        "show first",
        "sign first --key office.key",
        "sql list",
        "sql run next_items",
        "sql show next_items",
        "status",
        "tree evidence",
        "verify first",
        "warehouse build -o marts.duckdb",
    ):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            run([*shlex.split(line), "--json", "--store", str(folder / "store")])
        found += map(json.loads, out.getvalue().splitlines())
    return found


def test_json_documents(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of documents names every schema, and exactly the members that each has."""
    monkeypatch.chdir(store)
    written = {
        re.findall(r"`(.+?)`", name)[0]: set(re.findall(r"`(\w+)`", members))
        for name, _, members in rows("JSON documents")
    }
    made = {str(document.pop("schema")): set(document) for document in documents(store)}
    # Compiling starts dbt three times; tests/unit/warehouse compiles, so here its one member is only compared.
    assert written.pop("omphalos.warehouse-compile/1") == {"changed"}
    # The same holds of dbt's documentation; tests/unit/cli makes it.
    assert written.pop("omphalos.warehouse-docs/1") == {"path", "size"}
    assert made == written


def blocks(kind: str, page: Path = HOWTO) -> list[str]:
    """Return the fenced blocks of one kind of a how-to."""
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def execute(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Execute one command of the how-to in a folder; ``omphalos`` is the one under test."""
    program, *arguments = shlex.split(line, comments=True)
    start = {"omphalos": [sys.executable, "-m", "omphalos"], "python": [sys.executable]}.get(program)
    if start is None:
        found = shutil.which(program)
        if found is None:
            pytest.skip(f"{program} is not installed")
        start = [found]
    return subprocess.run([*start, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=100)


LINES = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.mark.parametrize("line", LINES)
def test_commands_of_the_how_to(store: Path, line: str) -> None:
    """Every command of the how-to works on a run directory that stands alone."""
    done = execute(line, store)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_how_to_finds_what_was_changed(store: Path, tmp_path: Path) -> None:
    """On a tampered directory the commands and the short program of the how-to name what was changed."""
    (code,) = blocks("python")
    alone = [sys.executable, "-c", code]
    assert subprocess.run(alone, cwd=store, capture_output=True, text=True, check=True).stdout == ""
    shutil.copytree(store / "evidence", tmp_path / "evidence")
    export = tmp_path / "evidence" / "exports" / "review_queue.csv"
    export.chmod(0o644)
    export.write_bytes(export.read_bytes().replace(b",", b";", 1))
    (tmp_path / "evidence" / "reports" / "scoring.json").unlink()
    (tmp_path / "evidence" / "reports" / "extra.json").symlink_to("validation.json")
    done = execute(LINES[0], tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("REFUSED first-")
    (shown,) = blocks("text")
    pattern = re.sub("[0-9a-f]{12}", "[0-9a-f]{12}", re.escape(shown.rstrip("\n")).replace(r"\ ", " "))
    assert re.search(f"^{pattern}$", done.stdout, flags=re.MULTILINE)
    said = subprocess.run(alone, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [
        "changed exports/review_queue.csv",
        "extra reports/extra.json",
        "missing reports/scoring.json",
    ]


def test_commands_of_the_comparison(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the how-to on comparing runs finds two runs different, and says in what."""
    said = {}
    monkeypatch.chdir(tmp_path)
    assert run(["checkout", "other", "received", "--store", str(store / "store")]) == 0
    shutil.copy("received/exports/review_queue.csv", "queue.csv")
    for line in (line for block in blocks("sh", COMPARE) for line in block.splitlines()):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = run([*shlex.split(line)[1:], "--store", str(store / "store")])
        assert (line, int(code)) == (line, 1)
        said[line] = out.getvalue()
    summary, queue, scores, *_ = said.values()
    assert summary.startswith("cause: input changed: ")
    assert "  synthetic.seed: 1 -> 2" in summary
    assert re.search(r"^exports/review_queue\.csv: \d+ -> \d+ rows by review_rank: ", queue, flags=re.MULTILINE)
    assert scores.endswith("more rows differ; --limit 0 shows all\n")
    assert [name for name in said.values() if "\n@@ -" in name]
