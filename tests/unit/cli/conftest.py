"""A store with one small reference run, made once by the command line itself; what a test damages is a copy."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from omphalos.cli.main import run


@dataclass(frozen=True)
class Said:
    """What one call of the command line did: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        (line,) = self.out.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found

    @property
    def failure(self) -> dict[str, Any]:
        """The one JSON line on stderr."""
        (line,) = self.err.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found


Call = Callable[..., Said]


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with no settings of the person who runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def call(capfdbinary: pytest.CaptureFixture[bytes]) -> Call:
    """Return a function that runs one command line in this process."""

    def invoke(*argv: str) -> Said:
        capfdbinary.readouterr()
        code = run(argv)
        out, err = capfdbinary.readouterr()
        return Said(int(code), out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "surrogateescape"))

    return invoke


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that records the small reference run and a second one under another name; not to be changed."""
    folder = tmp_path_factory.mktemp("reference")
    for extra in ([], ["--name", "second", "--set", "synthetic.seed=2"]):
        assert run(["run", "--scale", "small", "--store", str(folder), "--threads", "1", *extra]) == 0
    return folder


@pytest.fixture
def store(reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the reference store whose files may be changed; it is the working directory."""
    folder = tmp_path / "store"
    shutil.copytree(reference, folder)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def first(reference: Path) -> str:
    """The run_id of the small reference run."""
    (name,) = (path.name for path in (reference / "refs" / "runs").iterdir() if path.name.startswith("reference-"))
    return name
