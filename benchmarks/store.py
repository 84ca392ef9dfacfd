"""The store beside git, cp, b3sum, restic, borg, ostree and DVC: `python benchmarks/store.py FOLDER... [--repeat N]`.

W1 is 20,000 files of 1 to 32 KiB in 200 folders, W3 one percent of them changed, W2 one file of 2 GiB. Each FOLDER
lies on a file system to measure (say /dev/shm for tmpfs). Every operation is a process of its own, so start-up counts;
the programs take turns, forwards and backwards, and the median is printed with its ratio as a Markdown table. A program
that is not installed is listed as not measured; DVC is found by ``--dvc``. ``--only "W1 fsck"`` prints that work alone
(what it needs is done once before), ``--bars`` only what has a bar. ``--million`` measures growth to a million objects
instead. All that was made is deleted, on a disk at the end only: ext4 without a journal looks, for every file it makes,
at those it deleted nearby in the last minutes, which took more than half of the time of whoever made many files.
"""

import argparse
import contextlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parent.parent
GIT = ["git", "-c", "user.name=b", "-c", "user.email=b@b", "-c", "gc.auto=0", "-c", "safe.directory=*"]
STORED = ["-c", "core.compression=0"]
HWM = """
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print("peak", int(line.split()[1]) // 1024, file=sys.stderr)
"""
RUN = f"""
import sys
from pathlib import Path
what, store, where = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
from omphalos.store.store import Store
if what == "put":
    from omphalos.store.trees import put_directory
    s = Store.init(store)
    tree = put_directory(s, where)[0]
    old = s.refs.get("tags/b")
    if tree != old:
        s.refs.set("tags/b", tree, old=old)
elif what == "fsck":
    from omphalos.store.fsck import fsck
    assert fsck(Store.open(store)).clean
else:
    from omphalos.store.checkout import checkout
    s = Store.open(store)
    checkout(s, s.refs.get("tags/b"), where, link=what == "link")
{HWM}"""
MANY = f"""
import sys
from pathlib import Path
from omphalos.format.ids import blob_id
from omphalos.format.tree import TreeEntry, encode_tree
from omphalos.store.store import Store
s, count, entries = Store.init(Path(sys.argv[1])), int(sys.argv[2]), []
with s.objects.batch():
    for first in range(0, count, 1000):
        blobs = [(blob_id(data), data) for data in (b"%d;" % n * 20 for n in range(first, first + 1000))]
        s.objects.begin()
        s.objects.put_blobs(blobs)
        rows = list(TreeEntry(f"f{{at:03d}}", "blob", len(data), oid) for at, (oid, data) in enumerate(blobs))
        node = s.objects.put("tree", encode_tree(rows))
        entries.append(TreeEntry(f"d{{first:09d}}", "tree", sum(row.size for row in rows), node))
    s.refs.set("tags/many", s.objects.put("tree", encode_tree(entries)), old=None)
{HWM}"""
COMMAND = f"""
import sys
from omphalos.cli.main import run
code = run(sys.argv[1:])
{HWM}
sys.exit(int(code))"""


class Took(NamedTuple):
    """One execution: wall and processor seconds, and the peak memory in MiB where the process says it."""

    wall: float
    cpu: float
    peak: int


class Step(NamedTuple):
    """What is timed: a program, what makes ready for it, its command line, and the bar for ours divided by it."""

    name: str
    ready: Callable[[], object]
    argv: list[str]
    cwd: Path | None = None
    bar: float | None = None
    peer: bool = False


def make(root: Path, files: int, seed: int = 7) -> None:
    """Write W1: a third random bytes, the rest text."""
    rng = random.Random(seed)
    words = [b"%06x" % rng.getrandbits(24) for _ in range(2000)]
    for number in range(files):
        path = place(root, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        size = rng.randrange(1024, 32769)
        path.write_bytes(rng.randbytes(size) if number % 3 == 0 else b",".join(rng.choices(words, k=size // 7 + 1)))


def place(root: Path, number: int) -> Path:
    """Return where a file of W1 lies."""
    return root / f"d{number // 2000:02d}" / f"s{number // 100:03d}" / f"f{number % 100:03d}.dat"


def change(root: Path, files: int, turn: int, every: int = 100) -> None:
    """Change one in so many files of W1."""
    for number in range(turn % every, files, every):
        path = place(root, number)
        path.write_bytes(path.read_bytes()[:-8] + b"%08d" % turn)


def took(argv: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> Took:
    """Execute a program and return what it took; ends the benchmark if the program fails."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(argv, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode(errors="replace")
    if process.returncode:
        sys.exit(f"{argv} failed:\n{text[-2000:]}")
    peak = [int(line.split()[1]) for line in text.splitlines() if line.startswith("peak ")]
    return Took(wall, usage.ru_utime + usage.ru_stime, peak[-1] if peak else 0)


def gone(*paths: Path) -> None:
    """Delete folders."""
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def cell(value: float | None, digits: int = 2) -> str:
    """Return a number for the table."""
    return "" if value is None else f"{value:.{digits}f}"


class Bench:
    """The measurements in one folder."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.root = folder / f"bench-{os.getpid()}"
        self.options = options
        kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True).stdout
        self.tmpfs = kind.strip() == "tmpfs"
        self.label = "tmpfs" if self.tmpfs else kind.strip().replace("ext2/ext3", "ext4")
        self.work, self.store, self.out = self.root / "w1", self.root / "store", self.root / "out"
        self.turn = self.aside = 0
        home = self.root / "home"
        self.env = {
            "PATH": os.environ.get("PATH", ""), "HOME": str(home), "PYTHONPATH": str(PROJECT), "LC_ALL": "C.UTF-8",
            "RESTIC_PASSWORD": "x", "RESTIC_CACHE_DIR": str(home / "restic"), "BORG_BASE_DIR": str(home / "borg"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes", "DVC_NO_ANALYTICS": "1",
            "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc"), "DVC_SITE_CACHE_DIR": str(home / "dvc-site"),
        }  # fmt: skip
        self.tools = {name: shutil.which(name) for name in ("restic", "borg", "ostree", "b3sum")}
        self.tools["dvc"] = options.dvc

    def ours(self, what: str, where: Path) -> list[str]:
        """Return the command line of our own operation."""
        return [sys.executable, "-c", RUN, what, str(self.store), str(where)]

    def run(self, *argv: str | Path, cwd: Path | None = None) -> None:
        """Execute something that is not timed."""
        took([str(word) for word in argv], cwd, self.env)

    def gone(self, *paths: Path) -> None:
        """Take folders out of the way: deleted, or on a disk renamed, to be deleted at the end."""
        if self.tmpfs:
            gone(*paths)
            return
        (self.root / "aside").mkdir(exist_ok=True)
        for path in paths:
            if path.exists():
                self.aside += 1
                path.rename(self.root / "aside" / str(self.aside))

    def wanted(self, title: str) -> bool:
        """Say whether a work is to be measured."""
        return not self.options.only or any(word in title for word in self.options.only)

    def compare(self, title: str, steps: list[Step]) -> list[Took]:
        """Measure steps in alternating order, print a row for each but the first, which is ours; return ours."""
        for step in steps:
            unbarred = self.options.bars and step is not steps[0] and not step.bar
            if not step.peer and (unbarred or not self.wanted(title)):
                step.ready()
                took(step.argv, step.cwd, self.env)  # once: what follows may need what it makes
        if not self.wanted(title):
            return []
        if self.options.bars:
            steps = [step for step in steps if step is steps[0] or step.bar]
        found: dict[str, list[Took]] = {step.name: [] for step in steps}
        for turn in range(self.options.repeat):
            for step in steps if turn % 2 == 0 else steps[::-1]:
                if step.peer and turn >= self.options.peer_repeat:
                    continue
                step.ready()
                os.sync()
                found[step.name].append(took(step.argv, step.cwd, self.env))
        mine = found[steps[0].name]
        wall, cpu = (statistics.median(getattr(one, key) for one in mine) for key in ("wall", "cpu"))
        for step in steps[1:]:
            if not found[step.name]:
                continue
            other = statistics.median(one.wall for one in found[step.name])
            theirs = statistics.median(one.cpu for one in found[step.name])
            met = "" if step.bar is None else "yes" if wall / other <= step.bar else "no"
            self.row(title, wall, cpu, step.name, other, theirs, wall / other, step.bar, met)
        return mine

    def row(
        self, title: str, wall: float, cpu: float, name: str, other: float | None, theirs: float | None,
        ratio: float, bar: float | None, met: str,
    ) -> None:  # fmt: skip
        """Print one row of the table."""
        print(
            f"| {self.label} | {title} | {cell(wall, 3)} | {cell(cpu, 3)} | {name} | {cell(other, 3)} | "
            f"{cell(theirs, 3)} | {cell(ratio)} | {cell(bar)} | {met} |",
            flush=True,
        )

    def git(self, name: str, *words: str) -> list[str]:
        """Return a command line of git on the repository ``name`` beside the work folder."""
        stored = STORED if name != "git-default" else []
        return [*GIT, *stored, f"--git-dir={self.root / name}", f"--work-tree={self.work}", *words]

    def git_put(self, name: str, *more: str) -> list[str]:
        """Return a command line that adds and commits the work folder."""
        add, commit = self.git(name, *more, "add", "-A"), self.git(name, *more, "commit", "-qm", "x")
        script = 'n=$1; shift; add=(); while ((n--)); do add+=("$1"); shift; done; "${add[@]}" && "$@"'
        return ["bash", "-c", script, "put", str(len(add)), *add, *commit]

    def git_new(self, name: str) -> Callable[[], None]:
        """Return what makes an empty repository."""

        def do() -> None:
            gone(self.root / name)
            self.run("git", "init", "-q", "--bare", self.root / name)

        return do

    # -- many small files

    def small(self) -> None:
        """Measure W1 and W3."""
        self.work.mkdir(parents=True)
        make(self.work, self.options.files)
        time.sleep(3)  # files of this moment are racy to git and to us
        batch = ["-c", "core.fsync=all", "-c", "core.fsyncMethod=batch"]
        self.compare("W1 put", [
            Step("omphalos", lambda: self.gone(self.store), self.ours("put", self.work)),
            Step("git, no fsync", self.git_new("git"), self.git_put("git", "-c", "core.fsync=none"),
                 bar=0.35 if self.tmpfs else None),
            Step("git, fsyncMethod=batch", self.git_new("git-batch"), self.git_put("git-batch", *batch),
                 bar=None if self.tmpfs else 0.45),
            Step("git with compression", self.git_new("git-default"), self.git_put("git-default"), peer=True),
            *self.peers("put"),
        ])  # fmt: skip
        self.gone(self.root / "git-batch", self.root / "git-default")
        self.compare("W1 put unchanged", [
            Step("omphalos", lambda: None, self.ours("put", self.work)),
            Step("git status", lambda: None, self.git("git", "status", "--porcelain"), bar=3.0),
            *self.peers("again"),
        ])  # fmt: skip
        self.compare("W1 fsck", [
            Step("omphalos", lambda: None, self.ours("fsck", self.work)),
            Step("git fsck --full", lambda: None, self.git("git", "fsck", "--full"), bar=0.15),
            *self.peers("fsck"),
        ])  # fmt: skip
        clone = self.root / "clone"
        empty = lambda: (self.gone(clone), clone.mkdir())  # noqa: E731  # three uses, all here
        git = [*GIT, *STORED, f"--git-dir={self.root / 'git'}", f"--work-tree={clone}", "checkout", "-f", "HEAD", "--"]
        self.compare("W1 checkout by copy", [
            Step("omphalos", lambda: self.gone(self.out), self.ours("copy", self.out)),
            Step("git checkout", empty, [*git, "."], clone, 0.45),
            Step("cp -r", lambda: self.gone(clone), ["cp", "-r", str(self.work), str(clone)], None, 1.2),
            *self.peers("checkout"),
        ])  # fmt: skip
        first = took(self.ours("link", self.root / "first"), None, self.env)
        if self.wanted("W1 first checkout by hard link"):
            print(f"| {self.label} | W1 first checkout by hard link | {first.wall:.3f} | {first.cpu:.3f} | | | | | | |")
        self.compare("W1 checkout by hard link", [
            Step("omphalos", lambda: self.gone(self.out), self.ours("link", self.out)),
            Step("cp -rl", lambda: self.gone(clone), ["cp", "-rl", str(self.work), str(clone)], None, 1.5),
            *self.peers("link"),
        ])  # fmt: skip
        self.gone(clone, self.out, self.root / "first")
        # The links changed the ctime of every file: without this the first to come would read them all.
        time.sleep(3)
        self.run(*self.ours("put", self.work))
        self.run(*self.git("git", "status", "--porcelain"))
        self.compare("W3 put", [
            Step("omphalos", self.changed, self.ours("put", self.work)),
            Step("git add + commit", self.changed, self.git_put("git", "-c", "core.fsync=none"), bar=2.0),
            *self.peers("changed"),
        ])  # fmt: skip
        if not self.wanted("put with ten percent changed"):
            return
        more = []
        for _ in range(self.options.repeat):
            self.changed(every=10)
            os.sync()
            more.append(took(self.ours("put", self.work), None, self.env).wall)
        print(f"| {self.label} | put with ten percent changed | {statistics.median(more):.3f} | | | | | | | |")

    def changed(self, every: int = 100) -> None:
        """Change one percent of W1."""
        self.turn += 1
        change(self.work, self.options.files, self.turn, every)

    def peers(self, what: str) -> list[Step]:
        """Return the steps of the other tools for one operation; those that are not there, or cannot, are left out."""
        found: list[Step] = []
        repo = {name: self.root / name for name in ("restic", "borg", "ostree", "dvc")}
        work, out = str(self.work), self.root / "peer-out"

        def step(name: str, ready: Callable[[], object], *argv: str | Path, cwd: Path | None = None) -> None:
            if self.tools[name] and self.options.peer_repeat:
                ours = [str(word) for word in argv]
                found.append(Step(name, ready, [str(self.tools[name]), *ours], cwd, None, peer=True))

        def clear() -> None:
            self.gone(out)

        ready: Callable[[], None] = self.changed if what == "changed" else clear
        if what in ("put", "again", "changed"):
            new = what == "put"
            step("restic", self.new("restic") if new else ready, "-q", "-r", repo["restic"], "backup", work)
            archive = f"{repo['borg']}::{{now:%H%M%S%f}}"
            step("borg", self.new("borg") if new else ready, "create", archive, work)
            commit = [f"--repo={repo['ostree']}", "commit", "-b", "x", f"--tree=dir={work}"]
            step("ostree", self.new("ostree") if new else ready, *commit)
            inside = repo["dvc"] / "w"
            edit = lambda: change(inside, self.options.files, self.turn + 7)  # noqa: E731  # one use, below
            step("dvc", self.new("dvc") if new else edit if what == "changed" else ready, "add", "-q", "w",
                 cwd=repo["dvc"])  # fmt: skip
        elif what == "fsck":
            step("restic", ready, "-q", "-r", repo["restic"], "check", "--read-data")
            step("borg", ready, "check", "--verify-data", repo["borg"])
            step("ostree", ready, f"--repo={repo['ostree']}", "fsck", "-q")
        elif what == "checkout":
            step("restic", ready, "-q", "-r", repo["restic"], "restore", "latest", "--target", out)
            empty = lambda: (self.gone(out), out.mkdir())  # noqa: E731  # one use, in the next line
            step("borg", empty, "extract", f"{repo['borg']}::{self.archive()}", cwd=out)
            step("ostree", ready, f"--repo={repo['ostree']}", "checkout", "-U", "--force-copy", "x", out)
            step("dvc", lambda: self.gone(repo["dvc"] / "w"), "checkout", "-q", cwd=repo["dvc"])
        elif what == "link":
            step("ostree", ready, f"--repo={repo['ostree']}", "checkout", "-U", "-H", "x", out)
        return found

    def archive(self) -> str:
        """Return the name of an archive of borg."""
        if not (self.tools["borg"] and self.options.peer_repeat):
            return ""
        argv = ["borg", "list", "--short", "--last", "1", str(self.root / "borg")]
        return subprocess.run(argv, capture_output=True, text=True, check=True, env=self.env).stdout.strip()

    def new(self, name: str) -> Callable[[], None]:
        """Return what makes an empty repository of a peer."""
        repo = self.root / name

        def do() -> None:
            self.gone(repo)
            if name == "restic":
                self.run("restic", "-q", "-r", repo, "init")
            elif name == "borg":
                self.run("borg", "init", "-e", "none", repo)
            elif name == "ostree":
                self.run("ostree", f"--repo={repo}", "init", "--mode=bare-user")
            else:
                repo.mkdir()
                self.run(str(self.tools["dvc"]), "init", "--no-scm", "-q", cwd=repo)
                self.run("cp", "-r", self.work, repo / "w")

        return do

    # -- one large file

    def large(self) -> None:
        """Measure W2."""
        gone(self.root)
        self.root.mkdir()
        source, copy = self.root / "w2", self.root / "copy"
        source.mkdir()
        with (source / "big").open("wb") as stream:
            for number in range(self.options.large):
                stream.write(random.Random(number).randbytes(1 << 20))
        big = str(source / "big")
        mine = self.compare("W2 put", [
            Step("omphalos", lambda: gone(self.store), self.ours("put", source)),
            Step("cp + fsync", lambda: copy.unlink(missing_ok=True), ["sh", "-c", 'cp "$0" "$1" && sync "$1"', big,
                 str(copy)], None, 1.15),
        ])  # fmt: skip
        peak = max((one.peak for one in mine), default=0)
        if mine:
            print(f"| {self.label} | W2 put, peak MiB | {peak} | | | | | | 64 | {'yes' if peak <= 64 else 'no'} |")
        copy.unlink()
        if self.tools["b3sum"]:
            self.compare("W2 verify", [
                Step("omphalos", lambda: None, self.ours("fsck", source)),
                Step("b3sum", lambda: None, ["b3sum", big], None, 1.25),
            ])  # fmt: skip

    # -- many objects

    def million(self) -> None:
        """Measure how put, fsck, log and gc grow with the number of objects."""
        print(
            "| objects | put s | MiB | fsck s | MiB | log s | MiB | gc s | MiB |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
        )
        for count in (100_000, 300_000, 1_000_000):
            self.root.mkdir(exist_ok=True)
            cells = [took([sys.executable, "-c", MANY, str(self.store), str(count)], None, self.env)]
            for verb in ("fsck", "log", "gc"):
                argv = [sys.executable, "-c", COMMAND, verb, "--store", str(self.store), "--no-progress"]
                cells.append(took(argv, None, self.env))
            print(f"| {count} | " + " | ".join(f"{one.wall:.2f} | {one.peak}" for one in cells) + " |", flush=True)
            gone(self.store)


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="default: a temporary folder")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer-repeat", type=int, help="of restic, borg, ostree, DVC; 0 leaves them out")
    parser.add_argument("--dvc", help="the program dvc of an environment of its own")
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=2048, help="MiB of W2; 0 leaves it out")
    parser.add_argument("--only", action="append", metavar="WORK", help="print this work alone, such as 'W1 fsck'")
    parser.add_argument("--bars", action="store_true", help="print only what has a bar")
    parser.add_argument("--million", action="store_true", help="measure growth instead")
    options = parser.parse_args()
    if options.peer_repeat is None:
        options.peer_repeat = 0 if options.bars else options.repeat
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with contextlib.ExitStack() as stack:
        folders = options.folders or [Path(stack.enter_context(tempfile.TemporaryDirectory()))]
        print(f"load at the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")
        if not options.million:
            print("| on | work | omphalos s | cpu s | against | s | cpu s | ratio | bar | met |")
            print("|---|---|--:|--:|---|--:|--:|--:|--:|---|")
        for folder in folders:
            bench = Bench(folder, options)
            try:
                if options.million:
                    bench.million()
                    continue
                if not options.only or any(not word.startswith("W2") for word in options.only):
                    bench.small()
                if options.large and (not options.only or any(word.startswith("W2") for word in options.only)):
                    bench.large()
            finally:
                gone(bench.root)
        if not options.million and options.peer_repeat:
            absent = [name for name, path in bench.tools.items() if not path]
            print(f"\nNot measured, because not there: {', '.join(absent) or 'none'}. DVC has no command that checks")
            print("its cache. Only W1 and W3 are measured for restic, borg, ostree and DVC.")
        print(f"\nload at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
