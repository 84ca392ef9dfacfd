"""Make the run directories of the corpus from their recipes.

A recipe is a base and a list of edits; what git cannot hold on every system (links, pipes, names in another
normalization, huge sizes) exists only in what this program writes. Same recipes, same bytes. The format of a recipe
stands in ``README.md``.

Usage: ``python conformance/make.py OUT``: for each case ``OUT/<case>/run`` (or what the case puts in its place) and
``OUT/<case>/expect.json``.
"""

import hashlib
import json
import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT.parent))

from omphalos.format import strictjson  # noqa: E402  # the checkout's own package, wherever this is started
from omphalos.format.errors import OmphalosError  # noqa: E402  # as above
from omphalos.format.ids import ObjectId, blob_id, from_hex  # noqa: E402  # as above
from omphalos.format.merkle import artifacts_root  # noqa: E402  # as above
from omphalos.format.plan import plan_id, run_id  # noqa: E402  # as above
from omphalos.format.tree import root_of  # noqa: E402  # as above

MANIFEST = "manifest.json"
Case = dict[str, Any]
Edit = dict[str, Any]


class Folder:
    """A run directory while it is edited; its manifest is written when something else than an edit of it comes."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._manifest: dict[str, Any] | None = None

    def path(self, edit: Edit, member: str = "path") -> Path:
        """Return where an edit's path lies; ``path_hex`` gives bytes that may not be text."""
        raw = bytes.fromhex(edit[f"{member}_hex"]) if f"{member}_hex" in edit else edit[member].encode()
        return Path(os.fsdecode(os.fsencode(self.place) + b"/" + raw))

    def file(self, edit: Edit, member: str = "path") -> Path:
        """Return where an edit's file lies or will lie; no link is followed, and no pipe or device opened."""
        path = self.path(edit, member)
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            raise ValueError(f"not a file: {path.name}")
        return path

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest as a value that may be changed."""
        if self._manifest is None:
            self._manifest = json.loads(self.file({"path": MANIFEST}).read_bytes())
        return self._manifest

    def flush(self) -> None:
        """Write the manifest, in its one spelling as far as the value has one."""
        if self._manifest is not None:
            self.file({"path": MANIFEST}).write_bytes(spell(self._manifest))
            self._manifest = None


def spell(value: Any) -> bytes:
    """Return the one spelling of a value; floats and other things strict JSON has not are written as Python does."""
    try:
        return strictjson.dump(value)
    except strictjson.JsonError:
        text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
        return text.encode("utf-8", "surrogatepass") + b"\n"


def content(edit: Edit) -> bytes:
    """Return the bytes an edit carries: ``text`` or ``hex``, ``times`` times over."""
    data = bytes.fromhex(edit["hex"]) if "hex" in edit else str(edit.get("text", "")).encode()
    return data * int(edit.get("times", 1))


# ---- edits of the folder


def _write(folder: Folder, edit: Edit) -> None:
    path = folder.file(edit)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(edit))


def _append(folder: Folder, edit: Edit) -> None:
    with folder.file(edit).open("ab") as stream:
        stream.write(content(edit))


def _prepend(folder: Folder, edit: Edit) -> None:
    path = folder.file(edit)
    path.write_bytes(content(edit) + path.read_bytes())


def _flip(folder: Folder, edit: Edit) -> None:
    path = folder.file(edit)
    data = bytearray(path.read_bytes())
    data[edit["at"]] ^= 1 << edit.get("bit", 0)
    path.write_bytes(data)


def _replace(folder: Folder, edit: Edit) -> None:
    path = folder.file(edit)
    old = bytes.fromhex(edit["old_hex"]) if "old_hex" in edit else edit["old"].encode()
    new = bytes.fromhex(edit["new_hex"]) if "new_hex" in edit else edit["new"].encode()
    data = path.read_bytes()
    if old not in data:
        raise ValueError(f"nothing to replace: {edit}")
    path.write_bytes(data.replace(old, new, edit.get("count", 1)))


def _truncate(folder: Folder, edit: Edit) -> None:
    path = folder.file(edit)
    path.touch()
    os.truncate(path, edit["size"])


def _remove(folder: Folder, edit: Edit) -> None:
    path = folder.path(edit)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _mkdir(folder: Folder, edit: Edit) -> None:
    folder.path(edit).mkdir(parents=True, exist_ok=True)


def _rename(folder: Folder, edit: Edit) -> None:
    to = folder.path(edit, "to")
    to.parent.mkdir(parents=True, exist_ok=True)
    folder.path(edit).rename(to)


def _copy(folder: Folder, edit: Edit) -> None:
    to = folder.file(edit, "to")
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder.file(edit), to)


def _symlink(folder: Folder, edit: Edit) -> None:
    path = folder.path(edit)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(edit["to"])


def _hardlink(folder: Folder, edit: Edit) -> None:
    folder.path(edit, "to").hardlink_to(folder.path(edit))


def _fifo(folder: Folder, edit: Edit) -> None:
    os.mkfifo(folder.path(edit))


def _socket(folder: Folder, edit: Edit) -> None:
    path = folder.path(edit)
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(".", os.O_RDONLY)
        os.chdir(path.parent)  # a socket's path may not be long
        try:
            server.bind(path.name)
        finally:
            os.fchdir(here)
            os.close(here)


def _many(folder: Folder, edit: Edit) -> None:
    for number in range(edit["count"]):
        path = folder.path({"path": edit["path"].replace("{}", str(number))})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _outside(folder: Folder, edit: Edit) -> None:
    """Move the folder aside, so that something else can take its place."""
    if edit["as"] == "symlink":
        folder.place.rename(folder.place.with_name("elsewhere"))
        folder.place.symlink_to("elsewhere")
    elif edit["as"] == "dangling":
        shutil.rmtree(folder.place)
        folder.place.symlink_to("nothing")
    else:
        shutil.rmtree(folder.place)
        if edit["as"] == "file":
            folder.place.write_bytes(b"")


# ---- edits of the manifest


def _at(value: Any, steps: list[Any]) -> Any:
    for step in steps:
        value = value[step]
    return value


def _set(folder: Folder, edit: Edit) -> None:
    _at(folder.manifest, edit["at"][:-1])[edit["at"][-1]] = edit["value"]


def _delete(folder: Folder, edit: Edit) -> None:
    del _at(folder.manifest, edit["at"][:-1])[edit["at"][-1]]


def _rekey(folder: Folder, edit: Edit) -> None:
    holder = _at(folder.manifest, edit["at"][:-1])
    holder[edit["to"]] = holder.pop(edit["at"][-1])


def _insert(folder: Folder, edit: Edit) -> None:
    holder = _at(folder.manifest, edit["at"][:-1])
    value = _at(folder.manifest, edit["from"]) if "from" in edit else edit["value"]
    holder.insert(edit["at"][-1], json.loads(json.dumps(value)))


def _swap(folder: Folder, edit: Edit) -> None:
    holder, (a, b) = _at(folder.manifest, edit["at"]), edit["places"]
    holder[a], holder[b] = holder[b], holder[a]


def _record(folder: Folder, edit: Edit) -> None:
    """Write a file and list it, in its place in order; ``on_disk`` is where it lies, null for nowhere."""
    data = content(edit)
    record = {
        "path": edit["path"],
        "role": "export",
        "media_type": "text/csv",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "blake3": blob_id(data).hex(),
        **edit.get("members", {}),
    }
    listed = folder.manifest[edit.get("list", "artifacts")]
    listed.append(record)
    listed.sort(key=lambda item: item["path"])
    on_disk = edit.get("on_disk", edit["path"])
    if on_disk is not None:
        _write(folder, {**edit, "path": on_disk})


def _input(folder: Folder, edit: Edit) -> None:
    """Make an artifact an input of the plan, in its place in order."""
    artifact = next(item for item in folder.manifest["artifacts"] if item["path"] == edit["path"])
    taken = {member: artifact[member] for member in ("path", "role", "size", "sha256", "blake3")}
    inputs = folder.manifest["plan"]["inputs"]
    inputs.append({"source": edit["path"].rpartition("/")[2], "format": "csv", "records": 2, **taken})
    inputs.sort(key=lambda item: (item["role"], item["source"], item["blake3"]))


def _config(folder: Folder, edit: Edit) -> None:
    """Make an artifact the plan's configuration."""
    artifact = next(item for item in folder.manifest["artifacts"] if item["path"] == edit["path"])
    folder.manifest["plan"]["config"] = artifact["blake3"]


def _seal(folder: Folder, edit: Edit) -> None:
    """Make what the manifest says about itself true again: ``plan`` (with run_id), ``merkle``, ``tree``."""
    m = folder.manifest
    artifacts = [SimpleNamespace(**item) for item in m["artifacts"]]
    for what in edit.get("what", ["plan", "merkle", "tree"]):
        if what == "plan":
            inputs = [SimpleNamespace(**item) for item in m["plan"]["inputs"]]
            plan = plan_id(m["name"], inputs, from_hex(m["plan"]["config"]), from_hex(m["plan"]["method"]))
            m["plan"]["id"], m["run_id"] = plan.hex(), run_id(m["name"], plan)
        elif what == "merkle":
            m["merkle_root"] = artifacts_root(artifacts).hex()
        else:
            _seal_tree(m, artifacts)


def _seal_tree(manifest: dict[str, Any], artifacts: Iterable[Any]) -> None:
    try:
        files = [(file.path, file.size, ObjectId(from_hex(file.blake3))) for file in artifacts]
        manifest["tree"] = root_of(files).id.hex()
    except OmphalosError:
        return  # no tree can be built of these paths; that is what the case is about


EDITS: dict[str, Callable[[Folder, Edit], None]] = {
    "write": _write,
    "append": _append,
    "prepend": _prepend,
    "flip": _flip,
    "replace": _replace,
    "truncate": _truncate,
    "remove": _remove,
    "mkdir": _mkdir,
    "rename": _rename,
    "copy": _copy,
    "symlink": _symlink,
    "hardlink": _hardlink,
    "fifo": _fifo,
    "socket": _socket,
    "many": _many,
    "outside": _outside,
}
MANIFEST_EDITS: dict[str, Callable[[Folder, Edit], None]] = {
    "set": _set,
    "delete": _delete,
    "rekey": _rekey,
    "insert": _insert,
    "swap": _swap,
    "record": _record,
    "input": _input,
    "config": _config,
    "seal": _seal,
}


def apply(folder: Folder, edits: Iterable[Edit]) -> None:
    """Apply edits in order; an edit of the manifest as a value is written out before the next of another kind."""
    for edit in edits:
        if edit["do"] in MANIFEST_EDITS:
            MANIFEST_EDITS[edit["do"]](folder, edit)
        else:
            folder.flush()
            EDITS[edit["do"]](folder, edit)
    folder.flush()


def build(case: Case, place: Path) -> Path:
    """Make the run directory of a case at ``place``, which must not exist, and return it."""
    base = ROOT / "base" / case["base"] if case["base"] else None
    if base is None:
        place.mkdir(parents=True)
    elif base.is_dir():
        shutil.copytree(base, place)
    else:
        build(json.loads(base.with_suffix(".json").read_text("utf-8")), place)
    apply(Folder(place), case["edits"])
    return place


def cases() -> Iterator[tuple[str, Case]]:
    """Yield every case under ``run/``, and those made of the tables, with their names, in order."""
    for path in sorted((ROOT / "run").glob("*.json")):
        yield path.stem, json.loads(path.read_text("utf-8"))
    yield from _path_cases()
    yield from _json_cases()


def rows(table: str) -> Iterator[list[str]]:
    """Yield the rows of a table: tab-separated, ``#`` starts a comment."""
    for line in (ROOT / table).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


def text_of(form: str, cell: str) -> bytes:
    """Return the bytes a cell stands for: ``json`` is the inside of a JSON string, ``hex`` is hex."""
    return bytes.fromhex(cell) if form == "hex" else str(json.loads(f'"{cell}"')).encode()


def _path_cases() -> Iterator[tuple[str, Case]]:
    """Yield a case for each name of ``path/table.tsv``: a record with this path, and nothing on disk."""
    for number, (form, cell, ids) in enumerate(rows("path/table.tsv"), start=1):
        if form != "json":
            continue  # a manifest holds text only
        path = str(text_of(form, cell).decode())
        found = [{"id": word, "path": path} for word in ids.split()]
        refused = any(item["id"] != "pathInvisible" for item in found)
        found.append({"id": "treeMismatch", "path": MANIFEST} if refused else {"id": "fileMissing", "path": path})
        found.sort(key=lambda item: (item["id"], item["path"]))
        edits = [{"do": "record", "path": path, "on_disk": None}, {"do": "seal"}]
        expect = {"verdict": "refused", "findings": found}
        yield (
            f"path-{number:03}",
            {"about": f"a record named {cell}", "base": "plain", "edits": edits, "expect": expect},
        )


def _json_cases() -> Iterator[tuple[str, Case]]:
    """Yield a case for each text of ``json/table.tsv``: the text is the whole manifest."""
    for number, (form, cell, word, *manifest) in enumerate(rows("json/table.tsv"), start=1):
        edits = [{"do": "write", "path": MANIFEST, "hex": text_of(form, cell).hex()}]
        found = [{"id": manifest[0] if manifest else word, "path": MANIFEST}]
        expect = {"verdict": "refused", "findings": found}
        yield f"json-{number:03}", {"about": f"the manifest is {cell}", "base": None, "edits": edits, "expect": expect}


def main() -> int:
    """Write every case into the folder named on the command line."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)  # noqa: T201  # a program that writes its usage
        return 2
    out = Path(sys.argv[1])
    for name, case in cases():
        build(case, out / name / "run")
        expect = json.dumps(case["expect"], indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        (out / name / "expect.json").write_text(expect, "utf-8", "surrogatepass")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
