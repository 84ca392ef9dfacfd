"""The documentation does what it says: links lead somewhere, commands run, and every script is described."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from omphalos.cli.main import VERBS

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
# Commands that would start this very test suite, change the environment it runs in, or measure for minutes.
NOT_HERE = ("scripts/test", "scripts/setup", "scripts/lock", "scripts/bench")
SKIPPED_FOLDERS = {".venv", ".git", "artifacts", "objects", "refs", ".build", "node_modules"}


def pages() -> list[Path]:
    """Return every Markdown page of the project."""
    return [
        path
        for path in sorted(ROOT.rglob("*.md"))
        if not any(part in SKIPPED_FOLDERS or part.endswith("_cache") for part in path.relative_to(ROOT).parts)
    ]


def without_code(text: str) -> str:
    """Return Markdown without its fenced blocks and code spans, in which nothing is a link."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def headings(text: str) -> set[str]:
    """Return the anchors of a page's headings, as the usual renderers make them."""
    lines = re.findall(r"^#+ +(.+?) *$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def commands(page: Path) -> list[str]:
    """Return the commands of a page's ``sh`` blocks, comments removed."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [shlex.join(shlex.split(line, comments=True)) for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    """Every relative link of every page names a file or folder of the project, and its anchor a heading there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        if anchor:
            assert anchor in headings(there.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_sh_blocks_are_plain_commands(page: Path) -> None:
    """A command shown in a page calls a script that exists, omphalos, or a tool that everyone has."""
    for command in commands(page):
        program, *arguments = shlex.split(command)
        if program in {"omphalos", "scripts/omphalos"}:
            assert arguments[0] in {*VERBS, "--help"}, command
        if program.startswith(("scripts/", ".ci/")):
            assert (ROOT / program).is_file(), command
        else:
            assert program in {
                "omphalos",
                "./omphalos-verify",
                "b3sum",
                "grep",
                "sha256sum",
                "sqlite3",
                "git",
                "cd",
                "cp",
                "python",
            }, command


def test_every_script_is_described() -> None:
    """README names every file of scripts/, and no script that is not there."""
    named = set(re.findall(r"scripts/[a-z0-9.-]+[a-z0-9]", README.read_text(encoding="utf-8")))
    assert named == {f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir()}


def test_prose_is_written_line_by_line() -> None:
    """In the pages at the root, a sentence does not end in the middle of a line of prose."""
    broken = [
        f"{page.name}: {line}"
        for page in sorted(ROOT.glob("*.md"))
        for line in without_code(page.read_text(encoding="utf-8")).splitlines()
        if not line.startswith(("|", "#", "- ", "   ")) and re.search(r"[a-z)]\. +[A-Z]", line)
    ]
    assert broken == []


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, subprocess.CompletedProcess[str]]]:
    """Execute README's commands in order, on a new store."""
    if not (ROOT / ".venv" / "omphalos-setup").is_file() or not sys.prefix.startswith(str(ROOT)):
        pytest.skip("scripts/setup was not run in this checkout")
    store = tmp_path_factory.mktemp("readme")
    done = []
    for command in commands(README):
        program, *arguments = shlex.split(command)
        if program in NOT_HERE:
            continue
        done.append(
            (
                command,
                subprocess.run(
                    [ROOT / program, *arguments],
                    cwd=store,
                    env={"PATH": "/usr/bin:/bin", "HOME": str(store), "OMPHALOS_STORE": str(store)},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=600,
                ),
            )
        )
    return done


@pytest.mark.slow
@pytest.mark.timeout(900)  # the fixture executes the whole reference job, twice
def test_commands_of_the_readme_work(executed: list[tuple[str, subprocess.CompletedProcess[str]]]) -> None:
    """Every command of README, executed in order in an empty folder, ends with exit code 0."""
    assert [command for command, _ in executed][:2] == ["scripts/run", "scripts/verify latest"]
    for command, done in executed:
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.timeout(900)  # the fixture executes the whole reference job, twice
def test_the_first_command_prints_the_run_id_and_makes_what_is_drawn(
    executed: list[tuple[str, subprocess.CompletedProcess[str]]],
) -> None:
    """scripts/run prints the run_id last, and the run directory holds exactly what README draws."""
    _, first = executed[0]
    run_id = first.stdout.splitlines()[-1]
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*-[0-9a-f]{12}", run_id)
    place = re.search(r"^run directory: (.*)$", first.stderr, flags=re.MULTILINE)
    assert place
    drawn = set(re.findall(r"^[├└]── ([^\s/]+)", README.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert {path.name for path in Path(place[1]).iterdir()} == drawn


@pytest.mark.slow
def test_the_job_of_the_readme_works(tmp_path: Path) -> None:
    """README's job file screens a feed and a list of the described form and finds the party that is on the list."""
    (job,) = re.findall(r"^```toml\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "april.toml").write_text(job)
    (tmp_path / "shipments.csv").write_text(
        "Declaration,Date,Shipper,Consignee,Country,Value\n"
        "D-1,2026-04-02,Northwind Optics AG,Zarubin Precision Instruments OOO,RU,1250.00\n"
        "D-2,2026-04-03,Northwind Optics AG,Bakery of the Seven Bridges,PL,80.10\n"
    )
    (tmp_path / "watchlist.csv").write_text(
        "entity_id,name,entity_type,country\nW-1,Zarubin Precision Instruments LLC,organization,Russia\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "omphalos", "run", "april.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    run_id = done.stdout.splitlines()[-1]
    assert run_id.startswith("april-")
    (queue,) = (tmp_path / "artifacts" / "runs" / run_id / "exports").glob("review*.csv")
    review = queue.read_text(encoding="utf-8")
    assert len(review.splitlines()) == 2
    assert "Zarubin Precision Instruments OOO" in review
    assert "our-watchlist:W-1" in review
