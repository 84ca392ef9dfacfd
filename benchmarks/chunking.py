"""A huge file and its next version, cut into chunks: `python benchmarks/chunking.py FOLDER [--mib N]`.

N MiB of random bytes, then the same with 1 MiB inserted in the middle, are put with `--chunked` and read back with
`cat`, each in a process of its own. Printed are bytes added to the store, wall and processor seconds, and peak memory.
"""

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

STEP = 8 << 20


def write(path: Path, mib: int, inserted: bytes = b"") -> None:
    """Write so many MiB of random bytes, ``inserted`` in the middle of them."""
    rng, size = random.Random(7), mib << 20
    with path.open("wb") as stream:
        for at in range(0, size, STEP):
            data = rng.randbytes(min(STEP, size - at))
            if at <= size // 2 < at + STEP:
                data = data[: size // 2 - at] + inserted + data[size // 2 - at :]
            stream.write(data)


def used(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def step(what: str, store: Path, *argv: str | Path) -> str:
    """Run one verb, print a row, and return what it printed first (nothing of `cat`)."""
    before, start, spent = used(store), time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    argv = (sys.executable, "-m", "omphalos", *argv, "--store", store)
    process = subprocess.Popen(argv, stdout=subprocess.PIPE if "put" in argv else subprocess.DEVNULL)
    said = process.stdout.read().decode().split()[0] if process.stdout is not None else ""
    _, status, own = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{what} failed")
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime
    print(f"| {what} | {used(store) - before:,} | {wall:.2f} | {cpu:.2f} | {own.ru_maxrss // 1024} |", flush=True)
    return said


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mib", type=int, default=2048)
    asked = parser.parse_args()
    root = asked.folder / "omphalos-chunking"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    try:
        subprocess.run([sys.executable, "-m", "omphalos", "init", "--store", root / "store"], check=True)
        write(root / "file", asked.mib)
        print("| | bytes added | wall s | processor s | peak MiB |\n|---|---|---|---|---|")
        store = root / "store"
        first = step("put --chunked", store, "put", "--chunked", root / "file")
        step("put --chunked again", store, "put", "--chunked", root / "file")
        write(root / "file", asked.mib, random.Random(8).randbytes(1 << 20))
        second = step("put --chunked, 1 MiB inserted in the middle", store, "put", "--chunked", root / "file")
        step("cat", store, "cat", second)
        step("cat of the first version", store, "cat", first)
        step("fsck", store, "fsck")
        plain = root / "plain"
        subprocess.run([sys.executable, "-m", "omphalos", "init", "--store", plain], check=True)
        step("put without chunks", plain, "put", root / "file")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
