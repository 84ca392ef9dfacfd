"""docs/howto/usb-stick.md: its commands do on a run directory what the page says, and notice what they are for."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from omphalos.cli.main import run
from omphalos.format.ids import object_id

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "howto" / "usb-stick.md"
BLOCKS = re.findall(r"^```sh ?(\w*)\n(.*?)^```", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
GET, SECOND, VERIFY, ONE_FILE, DATABASE, ID = (command for _, command in BLOCKS)
EXPORT = Path("evidence", "exports", "review_queue.csv")
NeedTool = Callable[[str], str]


def sh(block: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Execute a block of the page in a folder, as typed."""
    return subprocess.run(
        ["sh", "-e", "-c", block], cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, need_tool: NeedTool) -> Path:
    """An inspector's folder: the source, a run directory on its own, and the verifier as the first command makes it."""
    folder = tmp_path_factory.mktemp("desk")
    assert run(["run", "--scale", "small", "--store", str(folder / "store")]) == 0
    (directory,) = (folder / "store" / "artifacts" / "runs").iterdir()
    shutil.copytree(directory, folder / "evidence")
    (folder / "source").symlink_to(ROOT)
    need_tool("go")
    done = sh(GET, folder)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"[0-9a-f]{64}  omphalos-verify\n", done.stdout)
    return folder


@pytest.fixture
def tampered(desk: Path, tmp_path: Path) -> Path:
    """The inspector's folder again, with a copy of the run directory that may be changed."""
    shutil.copytree(desk / "evidence", tmp_path / "evidence")
    shutil.copy2(desk / "omphalos-verify", tmp_path)
    for path in (tmp_path / "evidence").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path


@pytest.mark.slow
def test_the_second_verifier(desk: Path, need_tool: NeedTool) -> None:
    """The Rust verifier is built as the page says, and agrees with the first."""
    need_tool("cargo")
    done = sh(SECOND, desk)
    assert done.returncode == 0, done.stderr
    second = sh(VERIFY.replace("./", "second/"), desk)
    assert second.returncode == 0
    assert second.stdout.splitlines()[0] == sh(VERIFY, desk).stdout.splitlines()[0]


def test_a_directory_that_is_whole(desk: Path) -> None:
    """The second command says of a whole directory that it is verified, as the page shows, and what was not checked."""
    done = sh(VERIFY, desk)
    shown = next(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("VERIFIED"))
    assert done.returncode == 0
    first, shown = (re.sub("-[0-9a-f]{12}:", "-RUN:", line) for line in (done.stdout.splitlines()[0], shown))
    assert re.sub("[0-9]+", "0", first) == re.sub("[0-9]+", "0", shown)
    assert done.stdout.split()[1] == f"{json.loads((desk / 'evidence' / 'manifest.json').read_bytes())['run_id']}:"
    assert "NOT CHECKED" in done.stdout


def test_a_directory_that_is_not(tampered: Path) -> None:
    """The second command refuses a directory with one byte changed and one file added, and names both."""
    data = (tampered / EXPORT).read_bytes()
    (tampered / EXPORT).write_bytes(data.replace(b",", b";", 1))
    (tampered / "evidence" / "extra").touch()
    done = sh(VERIFY, tampered)
    assert done.returncode == 1
    assert "hashMismatch exports/review_queue.csv" in done.stdout
    assert "fileExtra extra" in done.stdout


def test_one_file_by_hand(tampered: Path, need_tool: NeedTool) -> None:
    """The third command prints both digests beside the file's own record, and nothing of a record for other bytes."""
    need_tool("b3sum")
    done = sh(ONE_FILE, tampered)
    assert done.returncode == 0
    digest, record = done.stdout.split("\n", 1)
    assert f'"blake3": "{digest[:64]}"' in record
    assert '"path": "exports/review_queue.csv"' in record
    (tampered / EXPORT).write_bytes(b"x")
    assert sh(ONE_FILE, tampered).returncode == 1


def test_the_database(tampered: Path, need_tool: NeedTool) -> None:
    """The fourth command finds a sound database with the recorded matches, writes nothing, and sees a broken one."""
    need_tool("sqlite3")
    before = sorted(os.listdir(tampered / "evidence" / "warehouse"))
    done = sh(DATABASE, tampered)
    word, count, *record = done.stdout.split("\n")
    assert word == "ok"
    assert int(count) > 0
    assert record[2] == f'      "rows": {count},'
    assert sorted(os.listdir(tampered / "evidence" / "warehouse")) == before
    file = tampered / "evidence" / "warehouse" / "warehouse.sqlite"
    data = bytearray(file.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    file.write_bytes(data)
    assert sh(DATABASE, tampered).stdout.split("\n")[0] != "ok"


def test_the_id_of_the_run(tampered: Path, desk: Path, need_tool: NeedTool) -> None:
    """The fifth command prints the id the store has for the run; nothing else notices a changed role."""
    need_tool("b3sum")
    (ref,) = (path for path in (desk / "store" / "refs" / "runs").iterdir() if not path.name.startswith("."))
    manifest = tampered / "evidence" / "manifest.json"
    assert sh(ID, tampered).stdout[:64] == ref.read_text().strip() == object_id("run", manifest.read_bytes()).hex()
    manifest.write_bytes(manifest.read_bytes().replace(b'"role": "review"', b'"role": "rumour"'))
    assert sh(VERIFY, tampered).returncode == 0
    assert sh(ID, tampered).stdout[:64] != ref.read_text().strip()
