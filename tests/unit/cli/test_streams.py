"""The streams of a real process: closed, full, abandoned, a terminal, another encoding, an interrupt."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from omphalos.cli.output import Out
from omphalos.cli.progress import Progress, progress

PROGRAM = [sys.executable, "-m", "omphalos"]
LONG_RUN = ["run", "--set", "synthetic.shipments=40000", "--name", "interrupted"]


def start(
    *argv: str, closed: tuple[int, ...] = (), stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own; ``closed`` names descriptors it finds closed."""
    before: Callable[[], None] | None = (lambda: [os.close(number) for number in closed] and None) if closed else None
    return subprocess.run(
        [*PROGRAM, *argv],
        env={**os.environ, **more},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        preexec_fn=before,  # only this closes a stream before the program starts
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def full() -> int:
    """A descriptor that takes nothing."""
    return os.open("/dev/full", os.O_WRONLY)


def test_a_closed_stdout(reference: Path) -> None:
    """What has something to say on a closed stdout ends with 3 and says so; what has not is done."""
    done = start("log", "--store", str(reference), closed=(1,))
    assert done.returncode == 3
    assert done.stderr.startswith("error: stdout could not be written: bad file descriptor\n")
    assert start("init", closed=(1,)).returncode == 0


def test_all_streams_closed_damage_nothing(reference: Path, store: Path) -> None:
    """With no standard stream at all a run is recorded, and no message ends up in a file of the store."""
    done = start("run", "--scale", "small", "--name", "silent", closed=(0, 1, 2))
    assert done.returncode == 3  # its run_id could not be said
    assert start("verify", "silent").returncode == 0


def test_a_full_stdout(reference: Path, full: int) -> None:
    """A stdout that cannot be written ends with 3, never with a verdict that nobody could read."""
    for argv in (["log"], ["verify", "latest"], ["cat", "latest:warehouse/warehouse.sqlite"]):
        done = start(*argv, "--store", str(reference), stdout=full)
        assert done.returncode == 3
        assert done.stderr.count("error:") == 1
        assert "no space left on device" in done.stderr


@pytest.mark.parametrize("way", ["closed", "full"])
def test_a_stderr_that_takes_nothing(way: str, full: int) -> None:
    """An error that cannot be said still ends with its exit code."""
    done = start("bakfill", closed=(2,)) if way == "closed" else start("bakfill", stderr=full)
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["-h"], 0),
        (["log"], 0),
        (["cat", "latest:warehouse/warehouse.sqlite"], 0),
        (["show", "latest:warehouse/warehouse.sqlite"], 0),
        (["verify", "latest", "--json"], 0),
        (["diff", "latest~1", "latest", "--json"], 1),
        (["completion", "bash"], 0),
    ],
)
def test_a_reader_that_has_gone(reference: Path, argv: list[str], code: int) -> None:
    """Nobody reading is no error and hides no verdict: the exit code is that of the work, and stderr stays empty."""
    here, there = os.pipe()
    os.close(here)
    done = start(*argv, stdout=there, OMPHALOS_STORE=str(reference))
    os.close(there)
    assert (done.returncode, done.stderr) == (code, "")


def test_another_locale(tmp_path: Path) -> None:
    """One folder has one id in every locale, and names print as UTF-8 whatever the locale says."""
    name = "Ünïted Общество.csv"
    Path("folder").mkdir()
    Path("folder", name).write_text("x")
    said = {
        start("hash", "folder", f"folder/{name}", LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE=coerce).stdout
        for locale in ("C", "POSIX", "C.UTF-8", "nonsense")
        for coerce in ("0", "1")
    }
    (text,) = said
    assert text.endswith(f"  folder/{name}\n")


def on_terminal(*argv: str, interrupt_at: bytes = b"", **more: str) -> tuple[int, str, str]:
    """Run with stderr on a terminal, Ctrl-C once it shows ``interrupt_at``; return code, stdout, and what it showed."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", **more}
    child = subprocess.Popen(
        [*PROGRAM, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave, env=environment, text=True
    )
    os.close(slave)
    seen = b""
    while select.select([master], [], [], 100)[0]:
        try:
            chunk = os.read(master, 4096)
        except OSError:  # the terminal's other end was closed
            break
        if not chunk:
            break
        seen += chunk
        if interrupt_at and interrupt_at in seen:
            child.send_signal(signal.SIGINT)
            interrupt_at = b""
    os.close(master)
    out, _ = child.communicate(timeout=100)
    return child.returncode, out, seen.decode()


def test_progress_and_an_interrupt_on_a_terminal(store: Path) -> None:
    """A long run draws its stage on a terminal; Ctrl-C takes the line away, ends with 130, and leaves nothing."""
    before = sorted(os.listdir("artifacts/runs")), sorted(os.listdir("refs/runs"))
    code, out, seen = on_terminal(*LONG_RUN, interrupt_at=b"ingest")
    assert (code, out) == (130, ""), seen
    assert "\r[" in seen
    after = seen[seen.rindex("]") :]
    assert "\r" + " " * 60 + "\r" in after
    assert "interrupted\r\n" in after
    assert "Traceback" not in seen
    assert (sorted(os.listdir("artifacts/runs")), sorted(os.listdir("refs/runs"))) == before
    assert start("verify", "latest").returncode == 0


@pytest.mark.parametrize("argv", [["--no-progress"], ["--json"]], ids=["flag", "json"])
def test_no_progress_where_none_is_wanted(store: Path, argv: list[str]) -> None:
    """With --no-progress or --json nothing is drawn on a terminal."""
    code, _, seen = on_terminal("run", "--scale", "small", *argv)
    assert code == 0
    assert "\r[" not in seen


def test_color_on_a_terminal(tmp_path: Path) -> None:
    """Errors on a terminal have colour, and none with NO_COLOR or TERM=dumb."""
    assert "\x1b[31m" in on_terminal("log")[2]
    assert "\x1b" not in on_terminal("log", NO_COLOR="1")[2]
    assert "\x1b" not in on_terminal("log", TERM="dumb")[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_as_json(store: Path, number: signal.Signals) -> None:
    """An interrupt of a JSON run, or a request to terminate, is one JSON line on stderr, and leaves nothing."""
    child = subprocess.Popen([*PROGRAM, *LONG_RUN, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = store / "artifacts" / "runs"
    while child.poll() is None and not list(folder.glob(".building-*/run")):
        os.sched_yield()
    child.send_signal(number)
    out, err = child.communicate(timeout=100)
    assert (child.returncode, out) == (130, "")
    (line,) = err.splitlines()
    assert json.loads(line)["id"] == "interrupted"
    assert not list(folder.glob(".building-*"))


EARLY = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))
sys.meta_path.insert(0, Finder())
from omphalos.__main__ import entry
sys.argv[3:] = ["log"]
entry()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("module", ["omphalos.cli.main", "click", "omphalos.cli.output", "omphalos.format.errors"])
def test_an_interrupt_while_it_is_loaded(module: str, name: str) -> None:
    """An interrupt in the first moments, while modules are imported, ends with 130, one line, and no traceback."""
    command = [sys.executable, "-c", EARLY, module, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


class _Recorder(Out):
    """A voice that keeps what it draws."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = True
        self.lines: list[str] = []

    def draw(self, line: str) -> None:
        self.lines.append(line)

    def erase(self) -> None:
        self.lines.append("erased")


def test_what_is_quick_draws_nothing() -> None:
    """Work that ends within the first half second draws no line, and none is left when it ends."""
    out = _Recorder()
    with progress(out) as stage:
        for name in ("inputs", "ingest", "end"):
            stage(name)
    assert out.lines == ["erased"]


def test_the_line_of_progress() -> None:
    """The line shows the part that is done, the stage and the seconds, and fits a narrow terminal."""
    state = Progress()
    state("score")
    assert state.line() == "[########            ] score     0 s"
    state("unheard of")
    assert len(state.line()) < 60
