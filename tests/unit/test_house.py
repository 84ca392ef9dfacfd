"""The house rules that no linter knows: floors, sizes, docstrings, pins, and words that must not occur."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LONGEST_MODULE = 600
REQUIREMENTS = ROOT / "requirements"
LOCKS = ("base.txt", "all.txt", "bootstrap.txt")


def project_files() -> list[Path]:
    """Return every file that is, or is about to be, part of the project: what git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("this is no git checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return sorted(path for path in files if path.is_file())


def python_files(*rooms: str) -> list[Path]:
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py")) if "__pycache__" not in path.parts]


def relative(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


# ── floors ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and of the contracts, to plant imports in."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "omphalos", folder / "omphalos", ignore=shutil.ignore_patterns("__pycache__", "_shipped"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run(
        [program, "--no-cache", "--config", "pyproject.toml"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_go_down() -> None:
    """The package as it stands keeps every import contract."""
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("store", "import omphalos.runs", "imports only go down the floors"),
        ("format", "from omphalos.store import planted_target", "imports only go down the floors"),
        ("tables", "from omphalos import screening", "imports only go down the floors"),
        ("runs", "import omphalos.cli", "imports only go down the floors"),
        ("screening", "import omphalos.store", "screening, warehouse, catalog and tables do not know the store"),
        ("tables", "import omphalos.store", "screening, warehouse, catalog and tables do not know the store"),
        ("format", "import os", "the format floor is pure"),
        ("format", "import pyarrow", "the format floor is pure"),
        ("store", "import duckdb", "the store knows neither tables nor the domain"),
        ("store", "import omphalos.tables", "the store knows neither tables nor the domain"),
    ],
)
def test_a_planted_import_is_found(house: Path, module: str, line: str, contract: str) -> None:
    """An import that a contract forbids makes the check fail and name that contract as broken."""
    planted = house / "omphalos" / module / "planted.py"
    target = house / "omphalos" / "store" / "planted_target.py"
    target.write_text('"""Planted."""\n')
    planted.write_text(f'"""Planted."""\n\n{line}\n')
    try:
        done = lint_imports(house)
    finally:
        planted.unlink()
        target.unlink()
    assert done.returncode != 0
    assert re.search(rf"^{re.escape(contract)}.*BROKEN", done.stdout, re.MULTILINE), done.stdout
    assert f"omphalos.{module}.planted ->" in done.stdout


# ── modules and tests ──────────────────────────────────────────────────────────────────────────────────────────────


def test_modules_are_short() -> None:
    """No module has more than 600 lines."""
    long = [
        path
        for path in python_files("omphalos", "tests", "benchmarks")
        if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST_MODULE
    ]
    assert relative(long) == []


def test_modules_say_what_they_are_for() -> None:
    """Every module of the package, every test file and every benchmark opens with a docstring."""
    silent = [
        path
        for path in python_files("omphalos", "tests", "benchmarks")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert relative(silent) == []


def test_tests_say_what_must_hold() -> None:
    """Every test function has a docstring."""
    silent = [
        f"{path.relative_to(ROOT)}::{node.name}"
        for path in python_files("tests")
        if path.name.startswith("test_")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


# ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────────

# Put together from pieces, so that this file does not hold what it looks for.
HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("crates", "io"),
        ("repo1", "maven", "org"),
        ("repo", "maven", "apache", "org"),
        ("deb", "debian", "org"),
    )
)
PLACES = ("/" + "work/", "/" + "root/")


def occurrences(words: tuple[str, ...], files: list[Path]) -> list[str]:
    pattern = re.compile(rb"(?<![\w.~*-])(?:" + b"|".join(re.escape(word.encode()) for word in words) + rb")")
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120].decode(errors='replace')}"
        for path in files
        for number, line in enumerate(path.read_bytes().splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_package_registry_is_named() -> None:
    """No file names the host of a package registry: where packages come from is the installer's configuration."""
    hosts = tuple(host for name in HOSTS for host in (name, f"//{name}", f"www.{name}", f"files.{name}"))
    assert occurrences(hosts, project_files()) == []


def test_no_place_of_one_machine_is_named() -> None:
    """No file holds an absolute path of the machine that it was written on."""
    assert occurrences(PLACES, project_files()) == []


# ── pins ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def pins(name: str) -> dict[str, tuple[str, list[str]]]:
    """Read a lock file: canonical package name → (version, hashes); a line of any other form is an error."""
    text = (REQUIREMENTS / name).read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, tuple[str, list[str]]] = {}
    for line in text.splitlines():
        form = re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)( ; [^#]*?)?((?: +--hash=sha256:[0-9a-f]{64})+) *", line)
        assert form, f"{name}: not a pinned and hashed requirement: {line[:120]}"
        package = canonicalize_name(form[1])
        assert package not in found, f"{name}: {package} is pinned twice"
        found[package] = (form[2], form[4].split())
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_pins_carry_hashes_and_no_address(name: str) -> None:
    """Every line of a lock file is one exact version with SHA-256 hashes; none holds an option or a URL."""
    assert pins(name)
    assert "://" not in (REQUIREMENTS / name).read_text(encoding="utf-8")


def test_tests_run_on_the_versions_in_use() -> None:
    """all.txt holds everything of base.txt, byte for byte the same pins."""
    base, everything = pins("base.txt"), pins("all.txt")
    assert {name: everything.get(name) for name in base} == base


@pytest.mark.parametrize(
    ("source", "lock"), [("base.in", "base.txt"), ("test.in", "all.txt"), ("bootstrap.in", "bootstrap.txt")]
)
def test_locks_follow_their_source(source: str, lock: str) -> None:
    """What a .in file asks for is pinned in its lock file, in a version it allows."""
    locked = pins(lock)
    for line in (REQUIREMENTS / source).read_text(encoding="utf-8").splitlines():
        wanted = Requirement(line)
        version, _ = locked[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version, prereleases=True), line


def test_the_wheel_asks_for_what_is_locked() -> None:
    """The dependencies of pyproject.toml are those of base.in, and the pinned versions satisfy them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = {
        canonicalize_name(Requirement(text).name): Requirement(text) for text in project["project"]["dependencies"]
    }
    asked = {
        canonicalize_name(Requirement(line).name)
        for line in (REQUIREMENTS / "base.in").read_text().splitlines()
        if line
    }
    assert set(declared) == asked
    locked = pins("base.txt")
    for name, requirement in declared.items():
        assert requirement.specifier.contains(locked[name][0]), name
    everything = pins("all.txt")
    for text in project["build-system"]["requires"]:
        assert Requirement(text).specifier.contains(everything[canonicalize_name(Requirement(text).name)][0]), text


# ── scripts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def shell_scripts() -> list[Path]:
    return [path for path in sorted((ROOT / "scripts").iterdir()) if path.suffix == "" and path.is_file()] + [
        ROOT / ".ci" / "run"
    ]


@pytest.mark.parametrize("script", shell_scripts(), ids=lambda path: path.name)
def test_scripts_can_be_run_and_explain_themselves(script: Path) -> None:
    """Every script is executable, says in its second line what it is for, and parses."""
    first, second, *_ = script.read_text(encoding="utf-8").splitlines()
    assert first == "#!/usr/bin/env bash"
    assert second.startswith("# ")
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_scripts_pass_shellcheck(need_tool: Callable[[str], str]) -> None:
    """shellcheck finds nothing in any script."""
    done = subprocess.run(
        [need_tool("shellcheck"), "-S", "style", *shell_scripts()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
