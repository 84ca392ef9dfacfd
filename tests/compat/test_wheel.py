"""The wheel: reproducible, whole, and enough to run the reference job in an empty folder.

Built and installed without a network, from the pinned build backend and this environment's libraries.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("omphalos", "warehouse", "sql", "policies", "ui", "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml")
SHIPPED = ("warehouse", "sql", "policies", "ui")
EPOCH = "1700000000"
LEFTOVERS = shutil.ignore_patterns("__pycache__", "*.pyc")

pytestmark = pytest.mark.slow


def call(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program with a small environment of its own."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(cwd),
            "PIP_NO_INDEX": "1",
            "PIP_CONFIG_FILE": os.devnull,
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def source_tree(folder: Path) -> Path:
    """Copy what a wheel is made of, and add what a developer leaves lying about."""
    folder.mkdir()
    for name in (*SOURCES, ".gitignore"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=LEFTOVERS)
        else:
            shutil.copy(ROOT / name, folder)
    leftover = folder / "warehouse" / "contracts" / "__pycache__"
    leftover.mkdir()
    (leftover / "leftover.pyc").write_bytes(b"leftover")
    return folder


def build(source: Path, target: str = "wheel") -> Path:
    """Build a wheel or sdist with the installed hatchling and return its path."""
    done = call(
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        f"--{target}",
        "--outdir",
        "dist",
        ".",
        cwd=source,
        SOURCE_DATE_EPOCH=EPOCH,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (source / "dist").glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout."""
    return build(source_tree(tmp_path_factory.mktemp("first") / "source"))


@pytest.fixture(scope="module")
def omphalos(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of a new environment with the wheel installed; libraries come from the environment of the tests."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    made = call(sys.executable, "-I", "-m", "venv", venv, cwd=venv.parent)
    assert made.returncode == 0, made.stderr
    python = venv / "bin" / "python"
    done = call(python, "-m", "pip", "--quiet", "install", "--no-deps", wheel, cwd=venv.parent)
    assert done.returncode == 0, done.stderr
    where = call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=venv.parent).stdout.strip()
    # A folder named in a .pth line is searched, but its own .pth files (one leads to this checkout) are not read.
    (Path(where) / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    found = call(python, "-c", "import omphalos; print(omphalos.__file__)", cwd=venv.parent).stdout.strip()
    assert Path(found).is_relative_to(venv)
    return venv / "bin" / "omphalos"


def members(archive: Path) -> Mapping[str, bytes]:
    """Return the files of a wheel by name."""
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_two_builds_are_identical(wheel: Path, tmp_path: Path) -> None:
    """Another folder, umask, hash seed and file times give the same bytes."""
    source = source_tree(tmp_path / "another folder")
    for path in sorted(source.rglob("*")):
        os.utime(path, (1, 1))
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert hashlib.sha256(build(source).read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


def test_the_wheel_holds_every_shipped_file(wheel: Path) -> None:
    """The package and the four shipped folders are in the wheel, file by file as in the checkout, and nothing else."""
    held = {name: data for name, data in members(wheel).items() if ".dist-info/" not in name}
    expected = {}
    for room in ("omphalos", *SHIPPED):
        for path in sorted((ROOT / room).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
                inside = PurePosixPath(path.relative_to(ROOT).as_posix())
                name = inside if room == "omphalos" else PurePosixPath("omphalos/_shipped") / inside
                expected[str(name)] = path.read_bytes()
    assert sorted(held) == sorted(expected)
    assert held == expected


def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """A wheel built from the source distribution is the wheel built from the checkout."""
    sdist = build(source_tree(tmp_path / "source"), "sdist")
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    assert call("tar", "-xzf", sdist, cwd=unpacked).returncode == 0
    (source,) = unpacked.iterdir()
    assert build(source).read_bytes() == wheel.read_bytes()


def test_the_installed_program_runs_the_reference_job(omphalos: Path, tmp_path: Path) -> None:
    """In an empty folder the installed program runs the reference job, prints the run_id last, and verifies it."""
    run = call(omphalos, "run", "--scale", "small", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    run_id = run.stdout.splitlines()[-1]
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*-[0-9a-f]{12}", run_id)
    assert (tmp_path / "artifacts" / "runs" / run_id / "manifest.json").is_file()
    verified = call(omphalos, "verify", run_id, cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_wheel_and_checkout_find_one_run_id(omphalos: Path, tmp_path: Path) -> None:
    """The installed program and the checkout are one method: they give one plan the same run_id."""
    ids = set()
    for name, program in (("wheel", [omphalos]), ("checkout", [sys.executable, "-m", "omphalos"])):
        folder = tmp_path / name
        folder.mkdir()
        done = call(*program, "run", "--scale", "small", cwd=folder)
        assert done.returncode == 0, done.stderr
        ids.add(done.stdout.splitlines()[-1])
    assert len(ids) == 1, ids
