"""Verification against the programs that only hash, and against ``cp -r``: what a verdict costs beyond reading bytes.

Two folders are made: one of few large files, one of many small ones. Every program reads the same files from the page
cache. Rounds go through the programs in one order and then in the other, so that none is always the first; the table
gives medians of wall and processor time, and the ratio to the reference: the slower of b3sum and SHA-256 for large
files, ``cp -r`` for small ones. On a machine that others use the ratio of processor times is the one to trust.

Usage: ``python benchmarks/verify.py [--rounds N] [--mebibytes N] [--small N] [--only large|small] [--folder DIR]``
"""

import argparse
import hashlib
import importlib.util
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from blake3 import blake3

ROOT = Path(__file__).resolve().parents[1]
LARGE_FILES = 200
SMALL_MOST = 8 << 10
CORES = 2
PROGRAMS = {
    "Go verifier": ROOT / "agents" / "go" / "omphalos-verify" / "bin" / "omphalos-verify",
    "Rust verifier": ROOT / "agents" / "rust" / "omphalos-verify" / "target" / "release" / "omphalos-verify",
}


@dataclass(frozen=True)
class Candidate:
    """Something to be timed: a command executed in the run directory's parent, and whether it is a reference."""

    name: str
    command: list[str]
    stdin: Path | None = None
    after: Callable[[], None] = lambda: None


def _make() -> ModuleType:
    """Load ``conformance/make.py``, which knows how to seal a manifest."""
    spec = importlib.util.spec_from_file_location("conformance_make", ROOT / "conformance" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(place: Path, sizes: list[int]) -> None:
    """Make a sound run directory with a file of random bytes of each size, a hundred to a folder."""
    make = _make()
    make.build({"base": "plain", "edits": []}, place)
    chance = random.Random(1)
    folder = make.Folder(place)
    for number, size in enumerate(sizes):
        data = chance.randbytes(size)
        name = f"exports/{number // 100:03}/{number:06}.bin"
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        record: dict[str, Any] = {
            "path": name,
            "role": "export",
            "media_type": "application/octet-stream",
            "size": size,
        }
        digests = {"sha256": hashlib.sha256(data).hexdigest(), "blake3": blake3(data).hexdigest()}
        folder.manifest["artifacts"].append(record | digests)
    folder.manifest["artifacts"].sort(key=lambda item: item["path"])
    make.apply(folder, [{"do": "seal"}])


def candidates(parent: Path, *, copy: bool) -> list[Candidate]:
    """Return what is timed on ``parent/run``: the references that are installed, then the verifiers that are built."""
    files = sorted(str(path.relative_to(parent)) for path in (parent / "run").rglob("*") if path.is_file())
    listing = parent / "files"
    listing.write_bytes(b"\0".join(name.encode() for name in files))
    half = str(-(-len(files) // CORES))
    found = []
    if shutil.which("b3sum"):
        found.append(Candidate("b3sum", ["xargs", "-0", "-n", str(len(files)), "b3sum"], listing))
    sha = ["openssl", "dgst", "-sha256", "-r"]
    if shutil.which("openssl"):
        found.append(Candidate("openssl sha256", ["xargs", "-0", "-P", str(CORES), "-n", half, *sha], listing))
    if copy:
        target = parent / "copy"
        found.append(Candidate("cp -r", ["cp", "-r", "run", "copy"], after=lambda: shutil.rmtree(target)))
    found.append(Candidate("omphalos verify", [sys.executable, "-m", "omphalos", "verify", "run/"]))
    for name, program in PROGRAMS.items():
        if program.is_file():
            found.append(Candidate(name, [str(program), "verify-run", "run"]))
    return found


def measure(candidate: Candidate, parent: Path) -> tuple[float, float]:
    """Execute a candidate once; return seconds of wall and of processor time, children included."""
    with (candidate.stdin or Path(os.devnull)).open("rb") as stdin:
        started = time.perf_counter()
        process = subprocess.Popen(
            candidate.command,
            cwd=parent,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{candidate.name}: exit code {process.returncode}"
    candidate.after()
    return wall, usage.ru_utime + usage.ru_stime


def compare(title: str, parent: Path, sizes: list[int], rounds: int, *, copy: bool) -> None:
    """Make a run directory, time every candidate on it, and print a table."""
    parent.mkdir()
    build(parent / "run", sizes)
    every = candidates(parent, copy=copy)
    for candidate in every:
        measure(candidate, parent)  # so that files and programs are in memory
    times: dict[str, list[tuple[float, float]]] = {candidate.name: [] for candidate in every}
    for number in range(rounds):
        for candidate in every if number % 2 == 0 else every[::-1]:
            times[candidate.name].append(measure(candidate, parent))
    walls, cpus = ({name: statistics.median(t[place] for t in ts) for name, ts in times.items()} for place in (0, 1))
    references = ["cp -r"] if copy else [name for name in ("b3sum", "openssl sha256") if name in times]
    slower = [max(found[name] for name in references) for found in (walls, cpus)]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{title}; median of {rounds}; load {load}; ratios to {' or '.join(references)}, the slower\n")
    print("| program | wall s | processor s | wall ratio | processor ratio |")
    print("|---|--:|--:|--:|--:|")
    for name in times:
        ratios = f"{walls[name] / slower[0]:.2f} | {cpus[name] / slower[1]:.2f}"
        print(f"| {name} | {walls[name]:.2f} | {cpus[name]:.2f} | {ratios} |")
    shutil.rmtree(parent)


def main() -> None:
    """Make the folders, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mebibytes", type=int, default=2048, help="of the large files together")
    parser.add_argument("--small", type=int, default=20_000, help="how many small files")
    parser.add_argument("--only", choices=["large", "small"])
    parser.add_argument(
        "--folder", type=Path, help="where the folders are made (default: the system's temporary folder)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        if arguments.only != "small":
            sizes = [(arguments.mebibytes << 20) // LARGE_FILES] * LARGE_FILES
            title = f"{arguments.mebibytes} MiB in {LARGE_FILES} files"
            compare(title, Path(name, "large"), sizes, arguments.rounds, copy=False)
        if arguments.only != "large":
            chance = random.Random(2)
            sizes = [chance.randrange(SMALL_MOST) for _ in range(arguments.small)]
            title = f"{arguments.small} files of up to {SMALL_MOST >> 10} KiB"
            compare(title, Path(name, "small"), sizes, arguments.rounds, copy=True)


if __name__ == "__main__":
    main()
