"""A whole run over a large feed: wall and processor time, peak memory, and where the time goes, as the feed grows.

Usage: ``python benchmarks/large_feed.py [--shipments N ...] [--copies N] [--entities N] [--folder DIR]
[--memory SIZE]``. Each feed is invented: N / copies shipments of the generator, each standing ``copies`` times under
ids of its own, so that the parties recur as they do in real feeds (ten million shipments with about a million distinct
parties). Each run is a process of its own in a store of its own; what was made is deleted.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from omphalos.screening.reference import reference_specs  # noqa: E402  (after the path)
from omphalos.screening.synthetic.generate import SyntheticParams, generate  # noqa: E402  (after the path)


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


def one(job: Path, memory: str) -> dict[str, float]:
    """Execute the job; return seconds, peak memory in MiB, distinct parties, and seconds of each stage."""
    command = [sys.executable, "-m", "omphalos", "run", str(job), "--json", "--memory", memory]
    out = job.parent / "out.json"
    with out.open("wb") as stream:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=job.parent, env=environment, stdout=stream)
        started = os.times().elapsed
        _, status, usage = os.wait4(process.pid, 0)
        wall = os.times().elapsed - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"the run ended with {process.returncode}")
    directory = Path(json.loads(out.read_bytes())["path"])
    timings = json.loads((directory / "control" / "timings.json").read_bytes())
    counted = duckdb.sql(
        f"select count(*) from read_parquet('{directory / 'normalized' / 'parties.parquet'}')"
    ).fetchone()
    figures = {
        "distinct parties": float(counted[0] if counted else 0),
        "wall s": wall,
        "cpu s": usage.ru_utime + usage.ru_stime,
        "peak MiB": usage.ru_maxrss / 1024,
    }
    return figures | {f"stage {item['stage']} s": item["milliseconds"] / 1000 for item in timings["stages"]}


def main() -> None:
    """Run each size, and print the figures side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shipments", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--entities", type=int, default=5_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--memory", default="1536MiB")
    arguments = parser.parse_args()
    columns = {}
    for shipments in arguments.shipments:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            job = make_job(Path(folder), shipments, arguments.copies, arguments.entities)
            columns[shipments] = one(job, arguments.memory)
            print(f"# {shipments}: {columns[shipments]}", file=sys.stderr, flush=True)
    print("| | " + " | ".join(f"{shipments:,}" for shipments in columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name in next(iter(columns.values())):
        print(f"| {name} | " + " | ".join(f"{column[name]:,.1f}" for column in columns.values()) + " |")


if __name__ == "__main__":
    main()
