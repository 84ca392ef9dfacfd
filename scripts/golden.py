"""Move the golden run: what ``scripts/golden`` does, after it has an environment.

The golden run is the small reference job as one sealed segment and, for large objects, single files,
with ``refs/runs/<run_id>`` and ``refs/tags/golden``. Its objects are written in order of id, so one method gives one
segment.

Rules of this file: nothing in the checkout is touched before the new run was computed and verified; what is added is
written before the tag moves, and what the old run alone needed is removed after it.
"""

import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from blake3 import blake3

from omphalos.format.ids import KINDS, ObjectId, from_hex, to_hex
from omphalos.format.manifest import Manifest, decode_manifest
from omphalos.runs.environment import describe
from omphalos.runs.execute import Machine, execute
from omphalos.runs.verify import verify_directory
from omphalos.screening.job import job_of_table
from omphalos.screening.pipeline import Resources
from omphalos.screening.reference import reference_table
from omphalos.store.checkout import checkout
from omphalos.store.closure import closure
from omphalos.store.objects import PACK_LIMIT
from omphalos.store.records import SEGMENT_MAGIC, header
from omphalos.store.store import Store

TAG: Final = "refs/tags/golden"
RUNS: Final = "refs/runs"
MARKS: Final = ("# golden run, written by scripts/golden: begin", "# golden run: end")
CREATED: Final = datetime(2026, 11, 22, tzinfo=UTC)
CONTRACTS: Final = "warehouse/contracts"
SNAPSHOTS: Final = ".legacy_snapshots"
HEADING: Final = "### Golden run"
MAX_BYTES: Final = 3_000_000


def compute(folder: Path) -> tuple[Store, ObjectId, Manifest]:
    """Execute the small reference job in a store of its own and return it, with the run's id and manifest."""
    store = Store.init(folder)
    machine = Machine(
        clock=lambda: CREATED,
        stopwatch=lambda: 0,
        environment=describe(cpu_count=1, locale="C.UTF-8", timezone="UTC"),
        resources=Resources(threads=1, memory_limit="1GiB"),
    )
    outcome = execute(store, job_of_table(reference_table("small"), base=Path()), machine)
    verdict = verify_directory(outcome.directory)
    if verdict.word != "verified":
        raise SystemExit(f"error: the new run does not verify: {verdict.word}")
    return store, outcome.run, decode_manifest(store.objects.read("run", outcome.run))


def pack(store: Store, run: ObjectId) -> dict[str, bytes]:
    """Return the files below ``objects/`` that hold the closure of ``run``."""
    met = {one.id: one.kind for one in closure(store.objects, run, set())}
    segment = bytearray(SEGMENT_MAGIC)
    files = {}
    for oid in sorted(met):
        data = store.objects.read(met[oid], oid)
        if len(data) > PACK_LIMIT:
            files[f"objects/large/{to_hex(oid)[:2]}/{to_hex(oid)[2:]}"] = data
        else:
            segment += header(KINDS.index(met[oid]), len(data), oid) + data
    files[f"objects/packs/{blake3(segment).hexdigest()}.pack"] = bytes(segment)
    return files


def ignore_lines(names: list[str]) -> list[str]:
    """Return the lines of ``.gitignore`` that let in the golden run's files and no others below objects/ and refs/."""
    lines = [MARKS[0], "/objects/*", "/refs/*"]
    opened: set[str] = set()
    for name in sorted(names):
        parts = name.split("/")
        for depth in range(2, len(parts)):
            above = "/".join(parts[:depth])
            if above not in opened:
                opened.add(above)
                lines += [f"!/{above}/", f"/{above}/*"]
        lines.append(f"!/{name}")
    return [*lines, MARKS[1]]


def replace_block(path: Path, lines: list[str]) -> None:
    """Put ``lines``, which begin and end with the marks, where such a block stood in a file, or at its end."""
    text = path.read_text("utf-8")
    if MARKS[0] in text:
        before, rest = text.split(MARKS[0])
        after = rest.split(MARKS[1])[1]
    else:
        before, after = text, "\n"
    path.write_text(before + "\n".join(lines) + after, "utf-8")


def committed(root: Path) -> list[str]:
    """Return the files of the golden run that stands, as ``.gitignore`` lists them."""
    text = (root / ".gitignore").read_text("utf-8")
    if MARKS[0] not in text:
        return []
    block = text.split(MARKS[0])[1].split(MARKS[1])[0]
    return [line[2:] for line in block.splitlines() if line.startswith("!/") and not line.endswith("/")]


def keep_contracts(root: Path, old: Store, manifest: Manifest, scratch: Path) -> int:
    """Copy the contracts of the old run's method that are not the present ones to the snapshots; return how many."""
    folder = scratch / "contracts"
    checkout(old, from_hex(manifest.plan.method), folder, subpath=CONTRACTS)
    kept = 0
    for path in sorted(folder.rglob("*.toml")):
        present = root / CONTRACTS / path.name
        if not present.is_file() or present.read_bytes() != path.read_bytes():
            target = root / SNAPSHOTS / manifest.run_id / CONTRACTS / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            kept += 1
    return kept


def note(root: Path, line: str) -> None:
    """Write one line below the heading of the golden run in the changelog, the newest first."""
    path = root / "CHANGELOG.md"
    text = path.read_text("utf-8")
    if HEADING in text:
        text = text.replace(f"{HEADING}\n\n", f"{HEADING}\n\n- {line}\n", 1)
    else:
        text = text.replace("## Unreleased\n\n", f"## Unreleased\n\n{HEADING}\n\n- {line}\n\n", 1)
    path.write_text(text, "utf-8")


def say(line: str) -> None:
    """Tell the person at the terminal."""
    sys.stdout.write(f"{line}\n")


def main(root: Path, reason: str) -> None:
    """Do all of it, or say why not."""
    standing = committed(root)
    with tempfile.TemporaryDirectory(prefix="omphalos-golden-") as place:
        scratch = Path(place)
        store, run, manifest = compute(scratch / "store")
        line = f"{manifest.run_id}, tree {manifest.tree[:12]}: {reason}"
        if standing:
            old_store = Store.open(root)
            old_run = old_store.refs.get(TAG.removeprefix("refs/"))
            if old_run is None:
                raise SystemExit(f"error: {TAG} is gone; restore it from git first")
            old = decode_manifest(old_store.objects.read("run", old_run))
            if old.tree == manifest.tree:
                say(f"the method gives the golden tree {old.tree[:12]}; nothing moved")
                return
            kept = keep_contracts(root, old_store, old, scratch)
            line = f"{line} (before: {old.run_id}, tree {old.tree[:12]}; {kept} contracts kept in `{SNAPSHOTS}/`)"
        files = pack(store, run)
        files[f"{RUNS}/{manifest.run_id}"] = files[TAG] = f"{to_hex(run)}\n".encode()
        size = sum(len(data) for data in files.values())
        if size > MAX_BYTES:
            raise SystemExit(f"error: the golden run has {size} bytes, more than {MAX_BYTES}; nothing was changed")
    for name, data in sorted(files.items()):  # objects come before refs
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)
    for name in standing:
        if name not in files:
            (root / name).unlink(missing_ok=True)
    replace_block(root / ".gitignore", ignore_lines(list(files)))
    note(root, " ".join(line.split()))
    say(f"golden run: {line} ({size} bytes)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
