"""omphalos diff against folders and files as they lie: every mode, what a name means, and what is refused."""

import errno
import json
import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omphalos.store import digests, statcache
from omphalos.store.store import Store
from omphalos.store.trees import hash_directory, put_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.cli.conftest import Call

QUEUE = "exports/review_queue.csv"


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The list that gets the name of each file that is read to be hashed; files of this moment are trusted."""
    found: list[str] = []
    real = digests.read_source

    def read(fd: int, name: str) -> "Iterator[bytes]":
        found.append(name)
        return real(fd, name)

    monkeypatch.setattr(digests, "read_source", read)
    monkeypatch.setattr(statcache, "RACY_NS", -(10**12))
    return found


@pytest.fixture
def there(store: Path, first: str) -> Path:
    """The directory of the first run, whose files may be changed, outside the store as well."""
    shutil.copytree(store / "artifacts" / "runs" / first, store.parent / "received")
    return store.parent / "received"


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with the tree ``a`` of a folder, and the folder changed since; it is the working directory."""
    place = tmp_path / "plain"
    (place / "d" / "in").mkdir(parents=True)
    (place / "d" / "notes.md").write_text("one\ntwo\n")
    (place / "d" / "same.txt").write_text("same\n")
    (place / "d" / "gone.txt").write_text("gone\n")
    pq.write_table(pa.table({"id": [1, 2], "v": ["x", ""]}), place / "d" / "in" / "t.parquet")
    store = Store.init(place)
    store.refs.set("tags/a", put_directory(store, place / "d")[0], old=None)
    (place / "d" / "notes.md").write_text("one\ntwo\nnew\n")
    (place / "d" / "gone.txt").unlink()
    (place / "d" / "more.txt").write_text("more\n")
    pq.write_table(pa.table({"id": [1, 2], "v": ["x", None]}), place / "d" / "in" / "t.parquet")
    monkeypatch.chdir(place)
    return place


def test_a_checkout_is_equal_and_not_read_again(call: "Call", store: Path, first: str, reads: list[str]) -> None:
    """A run directory is its run, from either side; the second time no file of it is read."""
    place = f"artifacts/runs/{first}"
    assert (call("diff", first, place).out, len(reads) > 10) == ("equal\n", True)
    reads.clear()
    assert call("diff", first, place).code == 0
    assert call("diff", f"./{place}", first, "--json").document["changes"] == []
    assert call("diff", place, f"{place}/", "--summary").out == "equal\n"
    assert reads == []


def test_listing(call: "Call", plain: Path) -> None:
    """A folder against a tree: added, removed and modified files, with the id of the tree it would be stored as."""
    said = call("diff", "a", "d")
    assert said.code == 1
    assert [line.split("  ")[0] for line in said.out.splitlines()] == [
        "1 added, 1 removed, 2 modified", "D gone.txt", "M in/t.parquet", "A more.txt", "M notes.md",
    ]  # fmt: skip
    document = call("diff", "d", "a", "--json").document
    assert [(c["path"], c["change"]) for c in document["changes"]] == [
        ("gone.txt", "added"), ("in/t.parquet", "modified"), ("more.txt", "removed"), ("notes.md", "modified"),
    ]  # fmt: skip
    assert document["a"] == hash_directory(plain / "d")[0].hex() == call("tree", "d").out.split()[0]
    assert call("diff", document["a"], "d").out == "equal\n"


def test_inside(call: "Call", plain: Path) -> None:
    """Lines and rows of a folder's files are compared as those of a tree: NULL is not empty, and counts are exact."""
    lines = call("diff", "a", "d", "notes.md").out.splitlines()
    assert lines[1:4] == ["notes.md: 0 lines removed, 1 added", "--- a:notes.md", "+++ d:notes.md"]
    rows = call("diff", "a", "d", "in/t.parquet", "--key", "id").out.splitlines()
    assert rows[-2:] == ["~ id=2", '    v: "" -> NULL']
    found = documents(call("diff", "a", "d", "--rows", "--json").out)
    assert [document["schema"] for document in found] == ["omphalos.diff-hunk/1", "omphalos.diff/1"]
    assert "no key is declared" in found[-1]["contents"][1]["note"]
    assert call("diff", "a:in", "d/in", "--stat").out == "1 modified\n"
    assert call("diff", "a:notes.md", "d/notes.md").out.splitlines()[-1] == "+new"
    assert call("diff", "a:same.txt", "./d/same.txt").out == "equal\n"
    assert call("diff", "a", "d", "in", "--json").document["counts"]["modified"] == 1


def test_a_run_directory(call: "Call", store: Path, first: str, there: Path) -> None:
    """A run directory brings its manifest: causes, inputs, settings by name, and the keys of its tables."""
    said = call("diff", "second", str(there)).out
    assert "  synthetic.seed: 2 -> 1" in said.splitlines()
    recorded = call("diff", "second", first, "--json").document
    assert call("diff", "second", str(there), "--json").document == recorded
    assert call("diff", "second", str(there), "--stat", "--json").document["inputs"] == recorded["inputs"]
    table = documents(call("diff", "second", str(there), QUEUE, "--json").out)
    assert table[-1]["contents"][0]["key"] == ["review_rank"]


def test_an_edited_run_directory(call: "Call", store: Path, first: str, there: Path) -> None:
    """An edit is shown by its row, and that the files are not what the manifest names is said first."""
    lines = (there / QUEUE).read_text().splitlines(keepends=True)
    (there / QUEUE).write_text("".join(lines[:-1]))
    (there / "added.txt").write_text("x")
    said = call("diff", first, "../received")
    assert said.out.splitlines()[0] == "cause: files of ../received were changed since its manifest was written"
    assert said.code == 1
    document = call("diff", first, "../received", "--json").document
    assert [cause["part"] for cause in document["causes"]] == ["files"]
    assert [change["path"] for change in document["changes"]] == ["added.txt", QUEUE]
    row, last = documents(call("diff", first, "../received", QUEUE, "--json").out)
    assert (row["change"], last["contents"][0]["removed"]) == ("removed", 1)
    (there / "manifest.json").write_text("{}")
    assert "A manifest.json" in call("diff", first, "../received").out


def test_without_a_store(call: "Call", plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folders need no store; a name that is none does."""
    shutil.copytree(plain / "d", tmp_path / "e" / "left")
    shutil.copytree(plain / "d", tmp_path / "e" / "right")
    (tmp_path / "e" / "right" / "notes.md").write_text("one\n")
    monkeypatch.chdir(tmp_path / "e")
    assert "-two" in call("diff", "left", "./right", "notes.md").out
    assert call("diff", "left", "left").code == 0
    assert (call("diff", "left", "latest").code, call("diff", "./left", "./nope").code) == (10, 2)


def test_what_a_name_means(call: "Call", plain: Path) -> None:
    """A name of the store comes before a folder called so, which is said; with ./ it is the folder."""
    shutil.copytree(plain / "d", plain / "a")
    said = call("diff", "a", "./a")
    assert said.code == 1
    assert "'a' is taken as a name of the store; './a' is the folder" in said.err
    assert call("diff", "a", "./a", "--json").err == ""
    assert call("diff", "d", "./a").out == "equal\n"
    shutil.copytree(plain / "d", plain / "x:y")
    assert call("diff", "x:y", "./a").out == "equal\n"


def _socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(place / "s"))


BAD: "dict[str, tuple[Callable[[Path], object], int, str]]" = {
    "link": (lambda d: (d / "l").symlink_to("notes.md"), 2, "badDirectory"),
    "link to a folder": (lambda d: (d / "l").symlink_to("in"), 2, "badDirectory"),
    "manifest is a link": (lambda d: (d / "manifest.json").symlink_to("notes.md"), 2, "badDirectory"),
    "pipe": (lambda d: os.mkfifo(d / "p"), 2, "badDirectory"),
    "socket": (_socket, 2, "badDirectory"),
    "name with a control character": (lambda d: (d / "a\x1b[31mb").write_text("x"), 2, "badDirectory"),
    "name that is no UTF-8": (lambda d: Path(os.fsdecode(bytes(d) + b"/\xff")).write_text("x"), 2, "badDirectory"),
    "names that fold to one": (lambda d: (d / "NOTES.md").write_text("x"), 2, "badDirectory"),
    "too deep": (lambda d: (d / "/".join(["d"] * 200)).mkdir(parents=True), 2, "badDirectory"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_folders(call: "Call", plain: Path, kind: str) -> None:
    """What cannot be a tree ends with the code of its kind, one error with a hint, and no output."""
    make, code, problem = BAD[kind]
    make(plain / "d")
    for argv in (["a", "d"], ["./d", "a", "--rows"], ["d", "d", "notes.md"]):
        said = call("diff", *argv, "--json")
        assert (said.code, said.failure["id"], said.out) == (code, problem, "")
        assert said.failure["hint"]
        assert "stored" not in said.err
        assert "\x1b" not in call("diff", *argv).err


@pytest.mark.parametrize(("name", "seen"), [("notes.md", "d/notes.md"), ("in", "d"), ("manifest.json", "d")])
def test_what_cannot_be_read(call: "Call", plain: Path, monkeypatch: pytest.MonkeyPatch, name: str, seen: str) -> None:
    """A file or folder that may not be opened is named, as incomplete, and so is an unreadable manifest."""
    real = os.open

    def refuse(path: Any, *args: Any, **more: Any) -> int:
        if os.fspath(path) in (name, str(plain / "d" / name)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *args, **more)

    (plain / "d" / "manifest.json").write_text("{}")
    monkeypatch.setattr(os, "open", refuse)
    for side in {"d", seen}:
        said = call("diff", f"./{side}", f"./{side}", "--json")
        assert (said.code, said.failure["id"], said.out) == (3, "sourceUnreadable", "")
        assert (name in said.failure["message"], "permission denied" in said.failure["message"]) == (True, True)


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (["a", "./nope"], 2, "noSuchFile"),
        (["a", "nope"], 10, "unknownName"),
        (["a", "n" * 5000], 10, "unknownName"),
        (["a", "/dev/null"], 2, "specialFile"),
        (["a", "link"], 3, "sourceUnreadable"),
        (["a", "d/same.txt"], 2, "notComparable"),
        (["d/same.txt", "d/same.txt", "x"], 10, "pathMissing"),
        (["a", "d", "nope"], 10, "pathMissing"),
        (["a", "d", "../plain"], 10, "pathMissing"),
        (["a", "."], 2, "storeInside"),
        (["a", "../plain"], 2, "storeInside"),
        (["a", ".."], 2, "storeInside"),
        (["a", "objects"], 2, "storeInside"),
        (["a", "objects/packs"], 2, "storeInside"),
        (["refs", "a"], 2, "storeInside"),
        (["through/plain", "a"], 2, "storeInside"),
    ],
)
def test_bad_names(call: "Call", plain: Path, argv: list[str], code: int, problem: str) -> None:
    """A side that is not there, is no folder, or holds the store, is one typed error, and nothing is changed."""
    (plain / "link").symlink_to("d")
    (plain / "through").symlink_to("..")
    said = call("diff", *argv, "--json")
    assert (said.code, said.failure["id"], said.out) == (code, problem, "")
    assert said.failure["hint"]


def test_a_folder_that_changes(call: "Call", plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is written to while it is read is said, as incomplete."""
    real = digests.read_source

    def growing(fd: int, name: str) -> "Iterator[bytes]":
        for chunk in real(fd, name):
            with (plain / "d" / name).open("a") as stream:
                stream.write("more\n")
            yield chunk

    with monkeypatch.context() as patch:
        patch.setattr(digests, "read_source", growing)
        said = call("diff", "a", "d", "--json")
    assert (said.code, said.failure["id"], said.out) == (3, "toctou", "")


@pytest.mark.parametrize("how", ["other bytes", "other size", "a link", "gone"])
def test_a_file_that_changes_before_it_is_looked_into(
    call: "Call", plain: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """No line is shown of a file that is not the one that was hashed."""
    from omphalos.runs import contents, sides

    path, real = plain / "d" / "notes.md", contents._lines

    def late(*args: Any) -> Any:
        if how == "other bytes":
            path.write_text("ONE\nTWO\nNEW\n")
        elif how == "other size":
            path.write_text("longer than it was\n")
        else:
            path.unlink()
            if how == "a link":
                path.symlink_to("same.txt")
        return real(*args)

    monkeypatch.setattr(contents, "_lines", late)
    assert sides.lying(plain / "d", "d", None).entry.kind == "tree"
    said = call("diff", "a", "d", "notes.md", "--json")
    assert (said.code, said.failure["id"], said.out) == (3, "toctou", "")


# -- hash


def test_hash_reads_what_changed(call: "Call", plain: Path, reads: list[str]) -> None:
    """With a store, hash reads a folder once; with a damaged or absent index, or no store, it says the same."""
    tree = call("hash", "d").out
    assert sorted(reads) == ["in/t.parquet", "more.txt", "notes.md", "same.txt"]
    reads.clear()
    assert call("hash", "d").out == tree
    assert reads == []
    (plain / "d" / "more.txt").write_text("MORE\n")
    changed = call("hash", "d").out
    assert (reads, changed != tree) == (["more.txt"], True)
    index = plain / "objects" / "index" / "data.mdb"
    from omphalos.store import index as module

    module.close_all()
    data = bytearray(index.read_bytes())
    data[5000:9000] = bytes(4000)
    index.write_bytes(data)
    assert call("hash", "d").out == changed
    module.close_all()
    shutil.rmtree(index.parent)
    assert call("hash", "d").out == changed
    assert not index.exists()  # nothing is made anew for a hash
    assert call("hash", "--store", "/nowhere", "d").out == changed
    shutil.rmtree(plain / "objects")
    assert call("hash", "d").out == changed


def test_hash_of_the_store(call: "Call", plain: Path) -> None:
    """A folder that holds the store is hashed without touching the store, so that it does not change meanwhile."""
    from omphalos.store import index as module

    module.close_all()
    first = call("hash", ".")
    assert first.code == 0
    assert call("hash", "objects").code == 0
    assert call("hash", ".").out == first.out == f"{hash_directory(plain)[0].hex()}  .\n"


def test_tree_of_the_store(call: "Call", plain: Path) -> None:
    """A folder that holds the store is refused as a tree with the reason, not as one that changed by itself."""
    said = call("tree", ".", "--json")
    assert (said.code, said.failure["id"], said.failure["undone"]) == (2, "storeInside", "nothing was stored")
