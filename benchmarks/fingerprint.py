"""Time the fingerprint of a large sorted table beside the sort that DuckDB needs for the same rows.

    python benchmarks/fingerprint.py [--rows 10000000]

Twelve columns (eight text, four int), rows in the order of their key in Arrow memory, the fingerprint in batches as the
pipeline has them. Beside it, in the same run: DuckDB sorts the same rows, which arrive shuffled, by the key, and hands
them out as Arrow. Wall and processor seconds; numbers are of this machine, at this load.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import duckdb

from omphalos.tables.contract import parse_contract
from omphalos.tables.fingerprint import fingerprint

COLUMNS = {
    "shipment_id": "'S' || lpad(cast(i as varchar), 9, '0')",
    "exporter": "'Exporter ' || (i % 40009)",
    "importer": "'Importer and Sons ' || (i % 50021)",
    "origin": "chr(cast(65 + i % 26 as integer)) || 'X'",
    "destination": "chr(cast(65 + i % 23 as integer)) || 'Y'",
    "hs6": "lpad(cast(i * 31 % 999983 as varchar), 6, '0')",
    "ship_date": "'2025-' || lpad(cast(1 + i % 12 as varchar), 2, '0') || '-01'",
    "note": "case when i % 5 = 0 then null else 'lot ' || i end",
    "value_minor": "i * 7919 % 100000000",
    "net_mass_grams": "case when i % 9 = 0 then null else i * 13 % 10000000 end",
    "quantity_milli": "i % 100000",
    "flagged": "i % 2",
}


def contract() -> Any:
    """Return the contract of the table."""
    lines = ['table = "feed"', "version = 1", 'grain = "one row per shipment"', 'key = ["shipment_id"]']
    for place, name in enumerate(COLUMNS):
        kind = "text" if place < 8 else "int"
        nullable = "true" if name in ("note", "net_mass_grams") else "false"
        lines += ["[[column]]", f'name = "{name}"', f'kind = "{kind}"', 'about = "x"', f"nullable = {nullable}"]
    return parse_contract("\n".join(lines), where="feed")


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return wall seconds, processor seconds and the result of a function."""
    cpu, begun = time.process_time(), time.perf_counter()
    result = work()
    return time.perf_counter() - begun, time.process_time() - cpu, result


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    told = contract()
    with duckdb.connect(config={"threads": 2, "memory_limit": "8GiB"}) as con:
        con.execute("set preserve_insertion_order = true")
        select = ", ".join(f"{sql} as {name}" for name, sql in COLUMNS.items())
        con.execute(f"create table shuffled as select {select} from (select (j * 7368787) % {rows} as i "
                    f"from range({rows}) r(j))")  # fmt: skip
        sort_wall, sort_cpu, batches = timed(lambda: list(con.execute(told.select("shuffled")).to_arrow_reader(61_440)))
    print_wall, print_cpu, (counted, digest) = timed(lambda: fingerprint(batches, told))
    print(f"rows                       {counted} ({digest[:12]})")
    print(f"DuckDB sorts, s wall / cpu {sort_wall:.2f} / {sort_cpu:.2f}")
    print(f"fingerprint, s wall / cpu  {print_wall:.2f} / {print_cpu:.2f}")
    print(f"ratio, wall / cpu          {print_wall / sort_wall:.2f} / {print_cpu / sort_cpu:.2f}")


if __name__ == "__main__":
    main()
