"""scripts/: what setup does without a network, what its messages say, and how the thin scripts call omphalos.

Each test works in a copy of scripts/ and requirements/ with stand-ins for the interpreter and for omphalos.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    "bash",
    "env",
    "dirname",
    "readlink",
    "cat",
    "sha256sum",
    "cut",
    "mkdir",
    "flock",
    "grep",
    "rm",
    "sed",
    "printf",
)
VERSION = "3.11.99"


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout without an environment, in a folder whose name has a space, and a PATH of bare tools."""
    folder = tmp_path / "a clone"
    for room in ("scripts", "requirements"):
        shutil.copytree(ROOT / room, folder / room)
    (folder / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (folder / "bin" / tool).symlink_to(found)
    return folder


def run(clone: Path, *command: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [clone / command[0], *command[1:]],
        cwd=cwd or clone.parent,
        env={"PATH": str(clone / "bin"), "HOME": str(clone.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def prepare(clone: Path, group: str = "base", omphalos: str = 'printf "%s\\n" "$@"') -> None:
    """Make what a finished setup leaves: an interpreter that tells its version, omphalos, and the stamp."""
    program(clone / ".venv" / "bin" / "python", f"echo {VERSION}")
    program(clone / ".venv" / "bin" / "omphalos", omphalos)
    locks = b"".join((clone / "requirements" / f"{name}.txt").read_bytes() for name in ("bootstrap", "base", "all"))
    digest = hashlib.sha256(locks).hexdigest()
    stamp = f"root {clone}\npython {VERSION}\nlocks {digest}\ngroup {group}\n"
    (clone / ".venv" / "omphalos-setup").write_text(stamp)


def test_without_python_setup_names_the_packages(clone: Path) -> None:
    """Where there is no Python, setup ends with 2 and names what to install."""
    done = run(clone, "scripts/setup")
    assert done.returncode == 2
    assert "error: no Python 3.11 or newer was found" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr
    assert done.stdout == ""


def test_an_old_python_is_no_python(clone: Path) -> None:
    """An interpreter that says it is too old is passed over."""
    program(clone / "bin" / "python3", "exit 1")
    done = run(clone, "scripts/setup")
    assert done.returncode == 2
    assert "error: no Python 3.11 or newer was found" in done.stderr


def test_without_venv_setup_names_the_package(clone: Path) -> None:
    """Where Python is new enough and cannot make environments, setup names the missing Debian package."""
    program(clone / "bin" / "python3", 'case "$*" in *ensurepip*) exit 1 ;; esac')
    done = run(clone, "scripts/setup")
    assert done.returncode == 2
    assert "python3 cannot make virtual environments" in done.stderr
    assert "hint: on Debian: apt-get install python3-venv" in done.stderr


def test_an_unknown_group_is_refused(clone: Path) -> None:
    """setup knows two groups of packages and refuses any other word."""
    done = run(clone, "scripts/setup", "everything")
    assert done.returncode == 2
    assert "unknown group of packages: everything" in done.stderr


@pytest.mark.parametrize(("made", "wanted"), [("base", "base"), ("all", "base"), ("all", "all")])
def test_a_finished_setup_is_left_alone(clone: Path, made: str, wanted: str) -> None:
    """Where the stamp says that the environment is as wanted, setup says and does nothing."""
    prepare(clone, made)
    done = run(clone, "scripts/setup", wanted)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (clone / ".build").exists()


@pytest.mark.parametrize("change", ["lock", "python", "place", "group", "no stamp", "no interpreter"])
def test_a_change_is_seen(clone: Path, change: str) -> None:
    """Another lock file, interpreter, place or group of packages, or a missing stamp, makes setup begin its work."""
    prepare(clone)
    stamp = clone / ".venv" / "omphalos-setup"
    wanted = "base"
    match change:
        case "lock":
            with (clone / "requirements" / "base.txt").open("a") as lock:
                lock.write("\n")
        case "python":
            program(clone / ".venv" / "bin" / "python", "echo 3.11.100")
        case "place":
            stamp.write_text(stamp.read_text().replace(str(clone), "/elsewhere"))
        case "group":
            wanted = "all"
        case "no stamp":
            stamp.unlink()
        case "no interpreter":
            (clone / ".venv" / "bin" / "python").unlink()
    done = run(clone, "scripts/setup", wanted)
    assert done.returncode == 2  # no interpreter is here to do the work with
    assert "error: " in done.stderr
    assert not stamp.exists()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("omphalos", []),
        ("verify", ["verify"]),
        ("certify", ["certify"]),
        ("backfill", ["backfill"]),
        ("release-build", ["release", "build"]),
        ("release-verify", ["release", "verify"]),
        ("run", ["run"]),
    ],
)
def test_thin_scripts_pass_everything_through(clone: Path, tmp_path: Path, script: str, words: list[str]) -> None:
    """A thin script hands its verb, every argument unchanged and the exit code through, from any folder or link."""
    prepare(clone, omphalos='for word in "$@"; do printf "<%s>\\n" "$word"; done; exit 10')
    (tmp_path / "link").symlink_to(clone / "scripts" / script)
    done = run(tmp_path, "link", "a b", "", "*", "--x=ü", PATH=str(clone / "bin"))
    assert done.stdout.splitlines() == [f"<{word}>" for word in [*words, "a b", "", "*", "--x=ü"]]
    assert done.returncode == 10
    assert done.stderr == ""


def test_scripts_work_on_the_store_of_the_checkout(clone: Path, tmp_path: Path) -> None:
    """Without a word about the store it is the checkout, wherever the script is called from; OMPHALOS_STORE wins."""
    prepare(clone, omphalos='echo "$OMPHALOS_STORE"; echo "${PYTHONDONTWRITEBYTECODE-unset}"')
    assert run(clone, "scripts/verify", cwd=tmp_path, PYTHONDONTWRITEBYTECODE="1").stdout == f"{clone}\nunset\n"
    assert run(clone, "scripts/verify", OMPHALOS_STORE="other").stdout.splitlines()[0] == "other"


def test_run_tells_how_to_check_the_record(clone: Path) -> None:
    """scripts/run leaves stdout as omphalos wrote it, and names the verifying command on stderr."""
    prepare(clone, omphalos="echo first; echo reference-0123456789ab")
    done = run(clone, "scripts/run")
    assert done.stdout == "first\nreference-0123456789ab\n"
    assert done.stderr == f"verify it with: {clone}/scripts/verify reference-0123456789ab\n"


def test_run_promises_nothing_when_it_failed(clone: Path) -> None:
    """A run that ended badly is not announced, and its exit code is kept."""
    prepare(clone, omphalos="echo reference-0123456789ab; exit 11")
    done = run(clone, "scripts/run")
    assert (done.returncode, done.stderr) == (11, "")


def test_two_setups_wait_for_each_other(clone: Path) -> None:
    """While one setup holds the lock, a second one says that it waits, and uses what the first one made."""
    (clone / ".build").mkdir()
    lock = (clone / ".build" / "setup.lock").open("w")
    flock = shutil.which("flock")
    assert flock
    subprocess.run([flock, str(lock.fileno())], pass_fds=[lock.fileno()], check=True)
    second = subprocess.Popen(
        [clone / "scripts" / "setup"],
        env={"PATH": str(clone / "bin")},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert second.stderr
    assert "another setup is at work" in second.stderr.readline()
    prepare(clone)
    lock.close()
    assert second.wait(timeout=60) == 0
    assert second.stderr.read() == ""
    second.stderr.close()
    assert (clone / ".venv" / "omphalos-setup").exists()
