"""The reference job: wall time, processor time, peak memory, and where the time goes.

Usage: ``scripts/bench reference_job [--scale full|small] [--runs N]``. Each run is a process of its own in a store
of its own; the medians are printed as a table for ``benchmarks/RESULTS.md``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def one(scale: str, folder: Path) -> dict[str, float]:
    """Execute the job once; return seconds (wall, processor), peak memory in MiB, and seconds of each stage."""
    command = [sys.executable, "-m", "omphalos", "run", "--scale", scale, "--json"]
    out = folder / "out.json"
    with out.open("wb") as stream:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=stream)
        started = os.times().elapsed
        _, status, usage = os.wait4(process.pid, 0)
        wall = os.times().elapsed - started
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    document = json.loads(out.read_bytes())
    timings = json.loads((Path(document["path"]) / "control" / "timings.json").read_bytes())
    figures = {"wall s": wall, "cpu s": usage.ru_utime + usage.ru_stime, "peak MiB": usage.ru_maxrss / 1024}
    return figures | {f"stage {item['stage']} s": item["milliseconds"] / 1000 for item in timings["stages"]}


def main() -> None:
    """Run, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=["small", "full"], default="full")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    rows = []
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(one(arguments.scale, Path(folder)))
    print(f"| {arguments.scale}, median of {arguments.runs} | min | median | max |")
    print("|---|---|---|---|")
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"| {name} | {min(values):.2f} | {statistics.median(values):.2f} | {max(values):.2f} |")


if __name__ == "__main__":
    main()
