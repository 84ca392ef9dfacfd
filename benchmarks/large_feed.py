"""A whole run over a large feed: wall and processor time, peak memory, and where both go, as the feed grows.

Usage: ``python benchmarks/large_feed.py [--shipments N ...] [--copies N] [--entities N] [--folder DIR]
[--memory SIZE] [--threads N]``. Each feed is invented: N / copies shipments of the generator, each standing ``copies``
times under ids of its own, so that the parties recur as they do in real feeds (ten million shipments with about a
million distinct parties). Each run is a process of its own in a store of its own; what was made is deleted. Each stage
is said on stderr as it ends: wall and processor seconds, and the highest resident memory of the process within it
(Linux; the mark is reset between stages). A run that fails says its stage, and the others are still printed.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from omphalos.screening.reference import reference_specs  # noqa: E402  (after the path)
from omphalos.screening.synthetic.generate import SyntheticParams, generate  # noqa: E402  (after the path)

STAGES = "stages.jsonl"
FAILED = "failed.json"


def make_job(folder: Path, shipments: int, copies: int, entities: int) -> Path:
    """Write a feed as Parquet, a registry and the job file over them; return the job file."""
    made = folder / "made"
    made.mkdir()
    generate(SyntheticParams(1, shipments // copies, entities), made)
    with duckdb.connect(config={"memory_limit": "2GiB", "temp_directory": str(folder)}) as con:
        con.execute("set preserve_insertion_order = false")
        con.execute(
            f"""copy (select f.* replace (f.declaration_id || '-' || c.copy as declaration_id)
                from read_csv('{made / "feed.csv"}', all_varchar = true, header = true) f, range({copies}) c(copy))
                to '{folder / "feed.parquet"}' (format parquet)"""
        )
    (made / "registry.csv").rename(folder / "registry.csv")
    for rest in made.iterdir():
        rest.unlink()
    feed, (registry,) = reference_specs()
    lines = ['name = "large"', "[feed]", 'path = "feed.parquet"', f'currency = "{feed.currency}"', "[feed.columns]"]
    lines += [f'{field} = "{column}"' for field, column in feed.columns]
    lines += ["[[registry]]", f'source = "{registry.source}"', f'format = "{registry.format}"', 'path = "registry.csv"']
    job = folder / "job.toml"
    job.write_text("\n".join(lines) + "\n", "utf-8")
    return job


class Stages:
    """Writes a line for each stage when it ends; call it with the name of the stage that begins."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.stage = ""
        self._mark = self._now()

    def __call__(self, stage: str) -> None:
        """Note that ``stage`` begins, and so that the one before has ended."""
        if self.stage:
            wall, cpu = (after - before for after, before in zip(self._now(), self._mark, strict=True))
            line = {"stage": self.stage, "wall s": round(wall, 1), "cpu s": round(cpu, 1), "peak MiB": _high_water()}
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
            print(f"# {self.stage}: {line}", file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", "ascii")
        self.stage = stage
        self._mark = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.monotonic(), time.process_time()


def _high_water() -> int:
    """Return the highest resident memory of this process since the mark was reset, in MiB."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) // 1024


def child(job_file: Path, memory: str, threads: int) -> int:
    """Execute the job in this process, as ``omphalos run`` does; say each stage, or the one that failed."""
    from omphalos.cli.progress import Progress
    from omphalos.cli.run import engine_failures, machine
    from omphalos.format.errors import OmphalosError
    from omphalos.runs.execute import execute
    from omphalos.screening.job import parse_job
    from omphalos.store.store import Store

    stages, state = Stages(job_file.parent / STAGES), Progress()

    def progress(stage: str) -> None:
        state(stage)
        stages(stage)

    job = parse_job(job_file.read_bytes(), base=job_file.parent)
    store = Store.init(job_file.parent)
    try:
        with engine_failures(state):
            outcome = execute(store, job, machine(threads, memory, progress))
    except OmphalosError as error:
        stages("")
        failed = {"stage": state.stage, "id": error.id, "message": error.message}
        (job_file.parent / FAILED).write_text(json.dumps(failed), "utf-8")
        return 1
    print(outcome.directory)
    return 0


def one(job: Path, memory: str, threads: int) -> dict[str, Any]:
    """Execute the job in a process of its own; return what it took, in all and by stage, or where it failed."""
    words = ["--child", str(job), "--memory", memory, "--threads", str(threads)]
    out = job.parent / "out.txt"
    with out.open("wb") as stream:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(Path(__file__).resolve()), *words]
        process = subprocess.Popen(command, cwd=job.parent, env=environment, stdout=stream)
        started = time.monotonic()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    figures: dict[str, Any] = {
        "wall s": wall,
        "cpu s": usage.ru_utime + usage.ru_stime,
        "peak MiB": usage.ru_maxrss / 1024,
    }
    stages = job.parent / STAGES
    for line in stages.read_text("utf-8").splitlines() if stages.exists() else ():
        item = json.loads(line)
        figures["peak MiB"] = max(figures["peak MiB"], item["peak MiB"])  # the mark was reset between stages
        figures |= {f"{item['stage']}: {key}": item[key] for key in ("cpu s", "peak MiB")}
    if process.returncode != 0:
        failed = job.parent / FAILED
        said = (
            json.loads(failed.read_bytes()) if failed.exists() else {"message": f"it ended with {process.returncode}"}
        )
        return figures | {"failed": said}
    directory = Path(out.read_text("utf-8").splitlines()[-1])
    parties = directory / "normalized" / "parties.parquet"
    counted = duckdb.sql(f"select count(*) from read_parquet('{parties}')").fetchone()
    return {"distinct parties": counted[0] if counted else 0} | figures


def main() -> int:
    """Run each size, and print the figures side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shipments", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--entities", type=int, default=5_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--memory", default="1536MiB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return child(arguments.child, arguments.memory, arguments.threads)
    columns: dict[int, dict[str, Any]] = {}
    for shipments in arguments.shipments:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            job = make_job(Path(folder), shipments, arguments.copies, arguments.entities)
            columns[shipments] = one(job, arguments.memory, arguments.threads)
            print(f"# {shipments}: {columns[shipments]}", file=sys.stderr, flush=True)
    failed = {shipments: column.pop("failed") for shipments, column in columns.items() if "failed" in column}
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    print("| | " + " | ".join(f"{shipments:,}" for shipments in columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name in names:
        cells = (f"{column[name]:,.1f}" if name in column else "-" for column in columns.values())
        print(f"| {name} | " + " | ".join(cells) + " |")
    for shipments, said in failed.items():
        print(f"{shipments:,} shipments failed ({said.get('stage', 'no stage known')}): {said['message']}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
