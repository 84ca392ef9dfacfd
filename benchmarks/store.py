"""The store against git, cp and b3sum, side by side in one run: `python benchmarks/store.py FOLDER [--repeat N]`.

W1 is many files of 1 to 32 KiB in folders of a hundred, W3 one percent of them changed, W2 one large file. Every
operation is a process of its own, so start-up counts; each is repeated in alternating order and the median is printed,
with its ratio to the yardstick, as a Markdown table. FOLDER lies on the file system to measure.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

GIT = ["git", "-c", "core.compression=0", "-c", "user.name=b", "-c", "user.email=b@b", "-c", "gc.auto=0"]
RUN = """
import sys, resource
from pathlib import Path
what, store, source = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
from omphalos.store.store import Store
if what == "put":
    from omphalos.store.trees import put_directory
    s = Store.init(store)
    tree = put_directory(s, source)[0]
    s.refs.set("tags/b", tree, old=s.refs.get("tags/b"))
elif what == "fsck":
    from omphalos.store.fsck import fsck
    assert fsck(Store.open(store)).clean
else:
    from omphalos.store.checkout import checkout
    s = Store.open(store)
    checkout(s, s.refs.get("tags/b"), source, link=what == "link")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
"""
Step = tuple[str, Callable[[], None], Callable[[], object]]


def make(root: Path, files: int, seed: int = 7) -> None:
    """Write W1: a third random bytes, the rest text."""
    rng = random.Random(seed)
    words = [b"%06x" % rng.getrandbits(24) for _ in range(2000)]
    for number in range(files):
        path = root / f"d{number // 2000:02d}" / f"s{number // 100:03d}" / f"f{number % 100:03d}.dat"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = rng.randrange(1024, 32769)
        path.write_bytes(rng.randbytes(size) if number % 3 == 0 else b",".join(rng.choices(words, k=size // 7 + 1)))


def change(root: Path, files: int, turn: int) -> None:
    """Change one percent of W1."""
    for number in range(turn % 100, files, 100):
        path = root / f"d{number // 2000:02d}" / f"s{number // 100:03d}" / f"f{number % 100:03d}.dat"
        path.write_bytes(path.read_bytes()[:-8] + b"%08d" % turn)


def run(*argv: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(a) for a in argv], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stderr


def ours(what: str, store: Path, where: Path) -> str:
    return run(sys.executable, "-c", RUN, what, store, where)


def gone(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def timed(step: Step) -> float:
    _, before, work = step
    before()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(rows: list[str], title: str, repeat: int, steps: list[Step], bars: dict[str, float]) -> None:
    """Measure the steps in alternating order; the first is ours."""
    times: dict[str, list[float]] = {name: [] for name, _, _ in steps}
    for turn in range(repeat):
        for step in steps if turn % 2 == 0 else reversed(steps):
            times[step[0]].append(timed(step))
    mine = statistics.median(times[steps[0][0]])
    for name, _, _ in steps[1:]:
        other = statistics.median(times[name])
        bar = f"{bars[name]:.2f}" if name in bars else ""
        rows.append(f"| {title} | {mine:.3f} | {name} | {other:.3f} | {mine / other:.2f} | {bar} |")
        print(rows[-1], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=2048, help="MiB of W2; 0 leaves it out")
    options = parser.parse_args()
    root: Path = options.folder / f"bench-{os.getpid()}"
    work, store, out, git = root / "w1", root / "store", root / "out", root / "w1" / ".git"
    rows = ["| work | omphalos s | against | s | ratio | bar |", "|---|---|---|---|---|---|"]
    print("\n".join(rows))
    try:
        work.mkdir(parents=True)
        make(work, options.files)
        aside = root / "git"

        def nothing() -> None:
            os.sync()

        def git_put(fsync: str) -> Callable[[], None]:
            def do() -> None:
                run(*GIT, "init", "-q", cwd=work)
                run(*GIT, "-c", f"core.fsyncMethod={fsync}",
                    "-c", "core.fsync=all" if fsync == "batch" else "core.fsync=none",
                    "add", "-A", cwd=work)  # fmt: skip
                run(*GIT, "commit", "-qm", "x", cwd=work)

            return do

        def without_git() -> None:
            if git.exists():
                gone(aside)
                git.rename(aside)

        def with_git() -> None:
            if aside.exists() and not git.exists():
                aside.rename(git)

        def fresh(*paths: Path) -> Callable[[], None]:
            def do() -> None:
                without_git()
                gone(*paths)
                os.sync()

            return do

        put: Step = ("omphalos", fresh(store), lambda: ours("put", store, work))
        compare(rows, "W1 put", options.repeat, [
            put,
            ("git add + commit, no fsync", fresh(aside), git_put("fsync")),
            ("git add + commit, fsync=batch", fresh(aside), git_put("batch")),
        ], {"git add + commit, no fsync": 0.35, "git add + commit, fsync=batch": 0.45})  # fmt: skip
        with_git()
        without_git()
        ours("put", store, work)
        compare(rows, "W1 put unchanged", options.repeat, [
            ("omphalos", without_git, lambda: ours("put", store, work)),
            ("git status", with_git, lambda: run(*GIT, "status", "--porcelain", cwd=work)),
        ], {"git status": 3.0})  # fmt: skip
        with_git()
        compare(rows, "W1 fsck", options.repeat, [
            ("omphalos", nothing, lambda: ours("fsck", store, work)),
            ("git fsck --full", nothing, lambda: run(*GIT, "fsck", "--full", cwd=work)),
        ], {"git fsck --full": 0.15})  # fmt: skip
        clone = root / "clone"
        compare(rows, "W1 checkout by copy", options.repeat, [
            ("omphalos", lambda: gone(out), lambda: ours("copy", store, out)),
            ("git checkout", lambda: (gone(clone), clone.mkdir(), None)[2],
             lambda: run(*GIT, f"--git-dir={git}", f"--work-tree={clone}", "checkout", "-f", "HEAD", "--", ".",
                         cwd=clone)),
            ("cp -r", lambda: (without_git(), gone(clone))[1], lambda: (run("cp", "-r", work, clone), with_git())[1]),
        ], {"git checkout": 0.45, "cp -r": 1.2})  # fmt: skip
        without_git()
        ours("link", store, root / "first")
        compare(rows, "W1 checkout by hard link", options.repeat, [
            ("omphalos", lambda: gone(out), lambda: ours("link", store, out)),
            ("cp -rl", lambda: gone(clone), lambda: run("cp", "-rl", work, clone)),
        ], {"cp -rl": 1.5})  # fmt: skip
        turn = [0]

        def changed(switch: Callable[[], None]) -> Callable[[], None]:
            def do() -> None:
                switch()
                turn[0] += 1
                change(work, options.files, turn[0])

            return do

        compare(rows, "W3 put", options.repeat, [
            ("omphalos", changed(without_git), lambda: ours("put", store, work)),
            ("git add + commit", changed(with_git),
             lambda: (run(*GIT, "add", "-A", cwd=work), run(*GIT, "commit", "-qm", "y", cwd=work))[1]),
        ], {"git add + commit": 2.0})  # fmt: skip
        if options.large:
            large(rows, root, options)
    finally:
        gone(root)


def large(rows: list[str], root: Path, options: argparse.Namespace) -> None:
    """Measure W2."""
    gone(*root.iterdir())
    source, store, copy = root / "w2", root / "store", root / "copy"
    source.mkdir()
    with (source / "big").open("wb") as stream:
        for number in range(options.large):
            stream.write(random.Random(number).randbytes(1 << 20))
    os.sync()
    memory: list[str] = []
    synced = "import os,sys,shutil; shutil.copyfile(sys.argv[1], sys.argv[2]); fd=os.open(sys.argv[2],0); os.fsync(fd)"
    compare(rows, "W2 put", options.repeat, [
        ("omphalos", lambda: gone(store), lambda: memory.append(ours("put", store, source))),
        ("copy + fsync", lambda: copy.unlink(missing_ok=True),
         lambda: run(sys.executable, "-c", synced, source / "big", copy)),
    ], {"copy + fsync": 1.15})  # fmt: skip
    print(f"W2 put, peak memory: {max(map(int, memory))} MiB")
    copy.unlink()
    tool = shutil.which("b3sum")
    b3 = [tool, "--no-mmap"] if tool else [
        sys.executable, "-c", "import sys,blake3; blake3.blake3(max_threads=2).update_mmap(sys.argv[1]).hexdigest()"
    ]  # fmt: skip
    compare(rows, "W2 verify", options.repeat, [
        ("omphalos", lambda: None, lambda: ours("fsck", store, source)),
        ("b3sum" if tool else "BLAKE3 of Python, mmap, two threads", lambda: None, lambda: run(*b3, source / "big")),
    ], {"b3sum": 1.25})  # fmt: skip


if __name__ == "__main__":
    main()
