"""A store that cannot be written, by mount or by rights: what reads works as on a writable one, what writes says so.

One process does every verb on a writable copy first, which shows that each is asked for rightly (and loads what a user
without rights may not read here), and then on the read-only one.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omphalos.format.ids import from_hex
from omphalos.store import index
from omphalos.store.store import Store
from omphalos.testing.damage import flip

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
JOB = """
name = "fixed"
[feed]
path = "feed.csv"
[feed.columns]
exporter = "exporter"
[[registry]]
source = "list"
format = "entities-csv"
path = "list.csv"
"""
LIST = (
    "entity_id,entity_type,name,aliases,weak_aliases,country,addresses,identifiers,programs,listed_on,remarks\n"
    "1,organization,Alpha Trading Ltd,,,DE,,,T,,\n"
)
READS = [
    ["log"], ["show", "latest"], ["show", "latest:reports/scoring.json"], ["verify", "latest"], ["status"],
    ["checkout", "latest", "out"], ["checkout", "latest", "linked", "--link"], ["ls", "-r", "latest"],
    ["cat", "latest:manifest.json"], ["diff", "latest", "latest"], ["compare", "latest", "latest"], ["ref", "list"],
    ["ref", "get", "refs/tags/t"], ["hold", "list"], ["sql", "list"], ["sql", "run", "next_items"],
    ["explain", "latest", "Alpha Trading Ltd", "list:1"], ["prove", "latest", "reports/scoring.json", "-o", "proof"],
    ["release", "build", "latest", "-o", "bundle.tar"], ["hash", "feed.csv"], ["gc"], ["fsck"], ["fsck", "--plain"],
]  # fmt: skip
SAME = {"log", "show", "ls", "cat", "diff", "compare", "ref", "hold", "sql", "explain", "hash", "gc"}
WRITES = [
    ["init", "{store}/inner"], ["put", "job.toml"], ["tree", "out"], ["ref", "set", "refs/tags/x", "{run}"],
    ["ref", "delete", "refs/tags/t", "--old", "{run}"], ["hold", "add", "latest"], ["hold", "release", "latest"],
    ["index", "rebuild"], ["run", "job.toml", "--name", "another"], ["checkout", "latest", "{store}/out"],
    ["gc", "--free"], ["fsck", "--quarantine"], ["fsck", "--repair", "--from", "{other}"],
]  # fmt: skip
PART = ["fsck", "--budget", "1"]
WORKER = """
import json, os, sys
from omphalos.cli.main import run
from omphalos.store import index

said = os.dup(1)

def call(argv, folder, store):
    os.chdir(folder)
    out, err = os.memfd_create("out"), os.memfd_create("err")
    os.dup2(out, 1), os.dup2(err, 2)
    code = int(run([*argv, "--json"] + ([] if argv[0] in ("init", "hash") else ["--store", store])))
    sys.stdout.flush(), sys.stderr.flush()
    return [code, *(os.pread(fd, 1 << 24, 0).decode() for fd in (out, err))]

spec = json.loads(sys.argv[1])
found = []
for turn in spec["turns"]:
    if turn["user"] is not None:
        index.close_all()
        os.setgroups([]), os.setgid(turn["user"]), os.setuid(turn["user"])
        os.environ["HOME"] = turn["folder"]
    found.append([call(argv, turn["folder"], turn["store"]) for argv in turn["verbs"]])
os.write(said, json.dumps(found).encode())
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that any user may pass through, with a store of one run, a damaged copy, and places to work in."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    for name in ("mount", "rights", "writable"):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
        for file, text in {"job.toml": JOB, "feed.csv": "exporter\nAlpha Trading Ltd\n", "list.csv": LIST}.items():
            (folder / name / file).write_text(text)
    stores = folder / "stores"
    argv = [sys.executable, "-m", "omphalos", "run", "job.toml", "--store", str(stores / "sound")]
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(folder), "PATH": os.environ["PATH"]}
    subprocess.run(argv, env=environment, cwd=folder / "writable", check=True, capture_output=True)
    store = Store.open(stores / "sound")
    (name,) = store.refs.list("runs/")
    store.refs.set("tags/t", store.refs.get(name) or from_hex(""), old=None)
    index.close_all()
    shutil.copytree(stores / "sound", stores / "damaged")
    shutil.copytree(stores / "sound", folder / "other")
    damaged = Store.open(stores / "damaged")
    flip(damaged, damaged.objects.put("blob", LIST.encode()))  # an input, so it is there
    index.close_all()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=["mount", "rights"])
def fixed(request: pytest.FixtureRequest, place: Path) -> Iterator[tuple[str, Path, int | None]]:
    """The way, the folder in which the two stores cannot be written, and as which user they are used."""
    stores = place / "stores"
    if request.param == "rights":
        if os.geteuid() == 0:
            yield "rights", stores, NOBODY
            return
        modes = {path: path.stat().st_mode for path in [stores, *stores.rglob("*")] if not path.is_symlink()}
        for path, mode in modes.items():
            path.chmod(mode & 0o555)
        yield "rights", stores, None
        for path, mode in modes.items():
            path.chmod(stat.S_IMODE(mode))
        return
    folder = place / "mounted"
    folder.mkdir()
    if not shutil.which("mount") or subprocess.run(
        ["mount", "--bind", str(stores), str(folder)], check=False, capture_output=True
    ).returncode:  # fmt: skip
        pytest.skip("no folder can be mounted a second time here")
    try:
        if subprocess.run(
            ["mount", "-o", "remount,ro,bind", str(folder)], check=False, capture_output=True
        ).returncode:  # fmt: skip
            pytest.skip("nothing can be mounted read-only here")
        yield "mount", folder, None
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def everything(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return every file and folder below a folder with mode, size, time of change, and bytes."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        seen = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = seen.st_mode, seen.st_size, seen.st_mtime_ns, data
    return found


def verbs(argvs: list[list[str]], store: Path, place: Path, run: str) -> list[list[str]]:
    return [[word.format(store=store, run=run, other=place / "other") for word in argv] for argv in argvs]


def test_every_verb_on_a_read_only_store(place: Path, fixed: tuple[str, Path, int | None], tmp_path: Path) -> None:
    """Each reading verb says what it says on a writable store, each writing one is refused with reason and hint, and
    not a byte of the store is changed."""
    way, stores, user = fixed
    store = Store.open(place / "other")
    run = (store.refs.get("tags/t") or b"").hex()
    copy = tmp_path / "copy"
    shutil.copytree(place / "other", copy)
    index.close_all()
    before = everything(place / "stores")
    sound, damaged = stores / "sound", stores / "damaged"
    turns = [
        {"folder": str(tmp_path), "store": str(copy), "user": None,
         "verbs": verbs(READS, copy, place, run) + verbs(WRITES, copy, place, run)},
        {"folder": str(place / way), "store": str(sound), "user": user,
         "verbs": verbs(READS, sound, place, run) + verbs(WRITES[:-2], sound, place, run)},
        {"folder": str(place / way), "store": str(damaged), "user": None,
         "verbs": verbs([["fsck"], *WRITES[-2:], PART, ["verify", "latest"]], damaged, place, run)},
    ]  # fmt: skip
    for file in ("job.toml", "feed.csv", "list.csv"):
        shutil.copy(place / "writable" / file, tmp_path / file)
    done = subprocess.run(
        [sys.executable, "-c", WORKER, json.dumps({"turns": turns})],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        check=False, capture_output=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert everything(place / "stores") == before
    writable, fixed_, broken = json.loads(done.stdout)

    for argv, (code, out, err), expected in zip(READS, fixed_[: len(READS)], writable, strict=False):
        assert code == expected[0] == 0, (argv, err, expected)
        if argv[0] in SAME:
            assert out == expected[1], argv
    said = json.loads(fixed_[READS.index(["fsck"])][1])
    assert (said["clean"], said["problems"], len(said["not_written"])) == (True, [], 1)
    assert json.loads(writable[READS.index(["fsck"])][1])["not_written"] == []
    assert (place / way / "out" / "manifest.json").read_bytes() == (tmp_path / "out" / "manifest.json").read_bytes()

    for argv, answer, expected in zip(WRITES, fixed_[len(READS) :] + broken[1:3], writable[len(READS) :], strict=True):
        assert expected[0] == 0, (argv, expected)
        assert_refused(argv, answer)
    assert [answer[0] for answer in (broken[0], broken[3], broken[4])] == [1, 1, 1]
    assert len(json.loads(broken[3][1])["not_written"]) == 1


def assert_refused(argv: list[str], answer: list[Any]) -> None:
    """The command ended with a usage error that says what the matter is, what to do, and what was not done."""
    code, out, err = answer
    assert (code, out) == (2, ""), (argv, answer)
    failure = json.loads(err.splitlines()[-1])
    assert failure["id"] in ("storeReadOnly", "refusedBySystem"), argv
    assert "read-only" in failure["message"] + failure["hint"] or "permission denied" in failure["message"], argv
    assert failure["hint"], argv
    assert failure["undone"], argv
