"""Time the warehouse stage and the catalog on a run that is a multiple of another.

    .venv/bin/python benchmarks/warehouse.py                              # a million shipments
    .venv/bin/python benchmarks/warehouse.py --times 100 --memory 3GiB    # ten million
    .venv/bin/python benchmarks/warehouse.py RUN_DIRECTORY --work FOLDER --targets duckdb,sqlite

Without RUN_DIRECTORY the reference job is run first.

The shipments of RUN_DIRECTORY are repeated under new ids (parties and lists stay as they are): the volume is real,
the variety is that of the run. Printed: a table of what was measured beside what must be reached; seconds for each
part of the stage, the slowest models and tests; and for each query of briefing and review the median of five warm
executions on DuckDB. The peak is that of this process, in which the stage runs, before any query. Numbers are of this
machine, at this load.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from omphalos.catalog.execute import QueryLimits, Where, execute, run_tables
from omphalos.catalog.query import load_catalog
from omphalos.screening.pipeline import WAREHOUSE_TABLES
from omphalos.tables.contract import load_contract
from omphalos.tables.sqlite_file import SqliteFile
from omphalos.tables.write import PARQUET_SETTINGS
from omphalos.warehouse import marts as marts_module
from omphalos.warehouse.duckdb_engine import DuckDb
from omphalos.warehouse.marts import Limits, build_target, tables_of, write_marts

# Seconds and MiB that the stage may take, at ten and a hundred times the reference run.
BARS = {10: (30, 2048), 100: (150, 4096)}
QUERY_MS = 200
REPEATED = ("trade_feed", "shipment_parties", "entity_matches", "shipment_flags")


def multiply(run: Path, into: Path, times: int) -> None:
    """Write the tables of ``run`` with every shipment ``times`` times."""
    with duckdb.connect(config={"memory_limit": "6GiB", "temp_directory": str(into.parent / "spill")}) as con:
        for name, path in tables_of(run).items():
            there = into / path.relative_to(run)
            there.parent.mkdir(parents=True, exist_ok=True)
            contract = load_contract(name)
            if name in REPEATED:
                source = (
                    f"(select t.* replace (t.shipment_id || '-' || lpad(n.i::varchar, 3, '0') as shipment_id) "
                    f"from '{path}' t, (select unnest(range({times})) as i) n)"
                )
            elif name == "entity_scores":
                source = f"(select * replace (shipments * {times} as shipments) from '{path}')"
            else:
                source = f"'{path}'"
            level = PARQUET_SETTINGS["compression_level"]
            con.execute(
                f"copy ({contract.select(source)}) to '{there}' "
                f"(format parquet, compression zstd, compression_level {level}, row_group_size 122880)"
            )


def timed(into: list[tuple[float, str, str]], owner: Any, name: str, kind: str) -> None:
    """Wrap a method so that each call is timed."""
    call = getattr(owner, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        result = call(*args, **kwargs)
        what = next((str(a) for a in args if isinstance(a, str)), "") or str(getattr(args[-1], "stem", ""))
        into.append((time.perf_counter() - begun, kind, " ".join(what.split())[:90]))
        return result

    setattr(owner, name, wrapper)


def peak() -> int:
    """Return the peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--targets", default="duckdb")
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--multiply", action="store_true", help="make the tables and measure nothing")
    given = parser.parse_args()
    if given.multiply:
        multiply(given.run, given.work / "run", given.times)
        return
    with tempfile.TemporaryDirectory() as folder:
        given.work = given.work or Path(folder)
        given.run = given.run or reference_run(Path(folder))
        measure(given)


def reference_run(folder: Path) -> Path:
    """Run the reference job in a store below ``folder`` and return its run directory."""
    place = folder / "reference"
    place.mkdir()
    done = subprocess.run([sys.executable, "-m", "omphalos", "run"], cwd=place, stdout=subprocess.PIPE, check=True)
    return place / "artifacts/runs" / done.stdout.decode().split()[-1]


def measure(given: argparse.Namespace) -> None:
    """Multiply the run, time everything, and print it."""
    big, work = given.work / "run", given.work / "scratch"
    if not big.is_dir():
        # In a process of its own, whose memory is not that of the stage.
        subprocess.run(
            [sys.executable, __file__, given.run, "--times", str(given.times), "--work", given.work, "--multiply"],
            check=True,
        )
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)

    calls: list[tuple[float, str, str]] = []
    for name, kind in (("load", "load"), ("seed", "models"), ("make", "models"), ("count", "tests")):
        timed(calls, DuckDb, name, kind)
    timed(calls, DuckDb, "write_csv", "write CSV")
    timed(calls, marts_module, "write_batches", "write marts")
    for folder in ("marts", "exports", "reports", "warehouse"):
        shutil.rmtree(big / folder, ignore_errors=True)
    beside = work / "sqlite"
    beside.mkdir()
    (big / "warehouse").mkdir()
    cpu, begun = time.process_time(), time.perf_counter()
    with SqliteFile(beside) as lite:  # as the stage does: base tables while the marts are built
        here = run_tables(big)
        lite.add((here[name], load_contract(name)) for name in WAREHOUSE_TABLES)
        built, _ = write_marts(big, work, Limits(2, given.memory))
        marts_seconds = time.perf_counter() - begun
        here = run_tables(big)
        lite.add((here[name], load_contract(name)) for name in built.marts)
        written = lite.finish(big / "warehouse/warehouse.sqlite")
    seconds, processor = time.perf_counter() - begun, time.process_time() - cpu
    size = (big / "warehouse/warehouse.sqlite").stat().st_size // 2**20

    bar = BARS.get(given.times)
    print(f"{'':<24} {'seen':>9} {'bar':>9}   load {os.getloadavg()[0]:.1f}")
    for label, seen, most in (
        ("whole stage, s wall", seconds, bar and bar[0]),
        ("whole stage, s processor", processor, None),
        ("peak memory, MiB", float(peak()), bar and bar[1]),
    ):
        verdict = "" if not most else "reached" if seen <= most else "MISSED"
        print(f"{label:<24} {seen:9.1f} {most or '':>9}   {verdict}")
    print(f"shipments                {written['trade_feed'].rows}")
    print(f"matches                  {pq.read_metadata(here['entity_matches']).num_rows}")
    print(f"marts, rows              {sum(mart.rows for mart in built.marts.values())}")
    print(f"until the marts, s wall  {marts_seconds:.1f}")
    for kind in ("load", "models", "tests", "write marts", "write CSV"):
        print(f"  {kind:<22} {sum(s for s, k, _ in calls if k == kind):.1f}")
    print(f"warehouse.sqlite, MiB    {size}")
    for took, kind, what in sorted(calls, reverse=True)[:8]:
        print(f"  {took:5.2f} {kind:<12} {what}")

    print(f"catalog on duckdb, ms wall / processor (medians of 5, warm); the bar is {QUERY_MS} ms wall")
    with duckdb.connect() as con:
        some = {
            "entity": con.execute(f"select min(entity_id) from '{big}/scores/entity_scores.parquet'").fetchone(),
            "party": con.execute(f"select min(party_id) from '{big}/review/review.parquet'").fetchone(),
        }
    for name, query in load_catalog().items():
        if name.split("/")[0] not in ("briefing", "review"):
            continue
        where = Where("duckdb", big, before=big if query.compares else None)
        needed = [p for p, declared in query.parameters.items() if declared.default is None]
        values = query.bind({p: str(some[p][0]) for p in needed if some[p]})
        laps, spent = [], []
        for _ in range(6):
            cpu, begun = time.process_time(), time.perf_counter()
            execute(query, values, where, QueryLimits(threads=2))
            laps.append((time.perf_counter() - begun) * 1000)
            spent.append((time.process_time() - cpu) * 1000)
        wall = statistics.median(laps[1:])
        print(f"  {wall:6.0f} {statistics.median(spent[1:]):6.0f} {name}{'   MISSED' if wall > QUERY_MS else ''}")

    for target in given.targets.split(","):
        if target == "duckdb":
            continue
        (work / target).mkdir()
        begun = time.perf_counter()
        other = build_target(target, tables_of(big), work / target)
        same = "equal" if other.marts == built.marts else "DIFFERENT"
        print(f"{target}, s                {time.perf_counter() - begun:.1f} (fingerprints {same})")


if __name__ == "__main__":
    main()
