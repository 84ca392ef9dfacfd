"""Row diff of two tables beside a merge in pandas: processor seconds and peak memory, each in a process of its own.

``python benchmarks/diff.py [--rows N] [--folder DIR] [--memory SIZE]``: two Parquet files of ten columns in key order,
one row in a hundred changed, one in a thousand gone, one in a thousand new. Both must find the same numbers. pandas
reads NULL as NaN and says only which cells differ after ``merge(indicator=True)`` and a comparison column by column.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

CHILD = {
    "omphalos": """
import sys, tempfile
from pathlib import Path
from omphalos.tables.rowdiff import Limits, TablePath, comparing
with tempfile.TemporaryDirectory(dir=sys.argv[3]) as folder:
    tables = [TablePath(Path(path), "parquet", path) for path in sys.argv[1:3]]
    with comparing(*tables, ("shipment_id",), Path(folder), Limits(2, sys.argv[4])) as found:
        rows = sum(1 for _ in found.rows())
        counts = found.counts
        assert rows == counts.added + counts.removed + counts.changed
        print(counts.added, counts.removed, counts.changed)
""",
    "pandas": """
import sys
import pandas as pd
a, b = pd.read_parquet(sys.argv[1]), pd.read_parquet(sys.argv[2])
both = a.merge(b, on="shipment_id", how="outer", indicator=True, suffixes=("_a", "_b"), sort=True)
there = both[both["_merge"] == "both"]
changed = pd.Series(False, index=there.index)
for name in a.columns.drop("shipment_id"):
    old, new = there[name + "_a"], there[name + "_b"]
    changed |= (old != new) & ~(old.isna() & new.isna())
print((both["_merge"] == "right_only").sum(), (both["_merge"] == "left_only").sum(), changed.sum())
""",
}


def make(folder: Path, rows: int) -> tuple[Path, Path]:
    """Write the two tables and return their paths."""
    columns = """printf('S%012d', i) as shipment_id, 2024000 + i % 365 as day, md5(i::varchar) as exporter,
        md5((i * 7)::varchar) as importer, printf('%02d', i % 97) as hs, 'CN' as origin, 'AE' as destination,
        (i * 7919) % 100000000 {change} as value_minor, case when i % 5 = 0 then null else i % 1000 end as quantity,
        'USD' as currency"""
    paths = folder / "a.parquet", folder / "b.parquet"
    with duckdb.connect() as con:
        for path, change, kept in (
            (paths[0], "", "i % 1000 <> 1"),
            (paths[1], "+ (i % 100 = 0)::int", "i % 1000 <> 2"),
        ):
            con.execute(
                f"copy (select {columns.format(change=change)} from range({rows}) t(i) where {kept} order by 1) "
                f"to '{path}' (format parquet, compression zstd)"
            )
    return paths


def main() -> None:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--memory", default="512MiB")
    parser.add_argument("--times", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        a, b = make(Path(name), chosen.rows)
        sizes = sum(path.stat().st_size for path in (a, b)) >> 20
        print(f"{chosen.rows} rows, ten columns, {sizes} MiB in two files; load {os.getloadavg()[0]:.1f}")
        answers = set()
        print("| program | wall s | processor s | peak MiB |\n|---|--:|--:|--:|")
        for program, code in CHILD.items():
            runs = []
            for _ in range(chosen.times):
                runs.append(measure([sys.executable, "-c", code, str(a), str(b), name, chosen.memory]))
            walls, cpus, peaks, said = zip(*runs, strict=True)
            answers |= set(said)
            middle = chosen.times // 2
            print(f"| {program} | {sorted(walls)[middle]:.2f} | {sorted(cpus)[middle]:.2f} | {max(peaks)} |")
        assert len(answers) == 1, answers
        print("added, removed, changed:", *answers)


def measure(argv: list[str]) -> tuple[float, float, int, str]:
    """Run a program; return wall and processor seconds, peak resident MiB and what it printed."""
    start = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss >> 10, said.strip()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
