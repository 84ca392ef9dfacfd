"""How long matching takes by the number of distinct parties and registry names, and how much memory.

Usage: ``python benchmarks/screening_scale.py [--data DIR] [--parties N] [--names N] [--threads N]``. Parties are real
trade names whose words are exchanged for words of others (so that sizes and rarities stay real) or for invented ones;
registry names are those of all public lists and, beyond them, the same with one invented word. Processor seconds are
printed beside wall seconds, since the latter mean little on a shared machine, and so is a hash of the outcome, which
must not depend on the number of threads.
"""

import argparse
import resource
import time
from hashlib import blake2b
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
from screening_data import load_lists, load_trade

from omphalos.screening.job import ROLES
from omphalos.screening.match import MatchParams, match_parties
from omphalos.screening.normalize.parties import build_parties, build_registry_forms

ROOT = Path(__file__).resolve().parents[1]
SYLLABLES = ["KA", "RO", "MI", "TE", "LU", "SAN", "DEL", "VER", "TON", "BEX", "ZAR", "QUI", "NOR", "PEL", "HAN", "GRI"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--parties", type=int, default=400_000)
    parser.add_argument("--names", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    with TemporaryDirectory() as spill:
        config = {"threads": args.threads, "memory_limit": "1GiB", "temp_directory": spill}
        with duckdb.connect(str(Path(spill) / "scale.duckdb"), config=config) as con:
            measure(con, args)


def measure(con: Any, args: argparse.Namespace) -> None:
    """Fill the tables, normalize and match."""
    random = Random(7)
    parties = make_parties(load_trade(args.data), args.parties, random)
    put(con, "feed", {"name": parties})
    names = make_names(args.data, args.names, random)
    keys = ("entity_id", "name_no", "name_kind", "name")
    put(con, "registry_names", {key: [row[i] for row in names] for i, key in enumerate(keys)})
    con.execute(
        "CREATE TABLE registry AS SELECT DISTINCT entity_id, 'unknown' AS entity_type, NULL::VARCHAR AS country, "
        "NULL::VARCHAR AS countries FROM registry_names"
    )
    others = ", ".join(f"NULL::VARCHAR AS {r}_name, NULL::VARCHAR AS {r}_country" for r in ROLES if r != "importer")
    con.execute(
        "CREATE TABLE trade_feed AS SELECT row_number() OVER (ORDER BY name)::VARCHAR AS shipment_id, "
        f"name AS importer_name, NULL::VARCHAR AS importer_country, {others} FROM feed"
    )
    with Clock("normalize"):
        build_parties(con)
        build_registry_forms(con)
    with Clock("match"):
        report = match_parties(con, MatchParams(), args.threads)
    print(report)
    digest = blake2b(digest_size=8)
    for row in con.execute("SELECT * FROM party_matches ORDER BY party_id, entity_id").fetchall():
        digest.update(repr(row).encode())
    print(f"outcome {digest.hexdigest()}, {args.threads} threads")


class Clock:
    """Print wall and processor seconds, and the peak memory of the process so far."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        self.wall, self.processor = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        wall, processor = time.perf_counter() - self.wall, time.process_time() - self.processor
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{self.what}: wall {wall:.1f} s, processor {processor:.1f} s, peak {peak} MiB", flush=True)


def put(con: Any, table: str, columns: dict[str, list[Any]]) -> None:
    """Make ``table`` of ``columns``."""
    con.register("columns", pa.table(columns))
    con.execute(f"CREATE TABLE {table} AS SELECT * FROM columns")
    con.unregister("columns")


def invented(random: Random) -> str:
    """Return a word nobody has."""
    return "".join(random.choice(SYLLABLES) for _ in range(random.randint(2, 4)))


def make_parties(trade: list[str], count: int, random: Random) -> list[str]:
    """Return ``count`` distinct party names."""
    words = [name.split() for name in trade]
    flat = [word for name in words for word in name]
    seen = set(trade[:count])
    while len(seen) < count:
        name = list(random.choice(words))
        for place in range(len(name)):
            drawn = random.random()
            if drawn < 0.35:
                name[place] = random.choice(flat)
            elif drawn < 0.5:
                name[place] = invented(random)
        seen.add(" ".join(name))
    return sorted(seen)


def make_names(data: Path, count: int, random: Random) -> list[tuple[str, int, str, str]]:
    """Return ``count`` registry names as (entity_id, name_no, kind, name)."""
    names = [(e.entity_id, no, kind, name) for e in load_lists(data) for no, (kind, name) in enumerate(e.names)]
    real = len(names)
    while len(names) < count:
        words = names[random.randrange(real)][3].split() or ["X"]
        words[random.randrange(len(words))] = invented(random)
        names.append((f"extra:{len(names)}", 0, "primary", " ".join(words)))
    return names[:count]


if __name__ == "__main__":
    main()
