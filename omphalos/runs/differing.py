"""How the payload of a second execution differs from the recorded one, artifact by artifact.

Rules of this file: identical means identical bytes. A table of other bytes counts as equal after a normalizer only if
its content was compared in full; the normalizer is named with the digest of the code that did it. For what
differs the first place is shown: the first row by key, or the first line. Recorded bytes are taken from the store and
checked there.
"""

import itertools
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from omphalos.format.errors import OmphalosError
from omphalos.format.ids import blob_id, from_hex, to_hex
from omphalos.format.manifest import Artifact, Manifest
from omphalos.runs.deep import table_fingerprint
from omphalos.shipped import package_folder
from omphalos.store.hashing import hash_file
from omphalos.store.store import Store

SQLITE: Final = "application/vnd.sqlite3"
MAX_SHOWN: Final = 160  # characters of a value or line
MAX_LINE: Final = 1 << 20

# Normalizer -> the file of this package that does it.
NORMALIZERS: Final = {"fingerprint": "tables/fingerprint.py", "sqlite-content": "runs/differing.py"}


@dataclass(frozen=True)
class Difference:
    """One artifact that is not identical: how (``equal-after``, ``different``, ``missing`` or ``extra``), and where."""

    path: str
    state: str
    normalizer: str = ""
    detail: str = ""


def normalizer_digest(name: str) -> str:
    """Return the BLAKE3 of the code of a normalizer."""
    return to_hex(blob_id((package_folder() / NORMALIZERS[name]).read_bytes()))


def differences(store: Store, manifest: Manifest, made: Path, scratch: Path) -> list[Difference]:
    """Compare the payload in ``made`` with the artifacts of ``manifest``, in byte order of path.

    Args:
        store: holds the recorded artifacts.
        manifest: the recorded run's.
        made: the folder of the second execution.
        scratch: an empty folder for recorded files that are looked into; it need not exist.
    """
    recorded = {file.path: file for file in manifest.artifacts}
    found = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    result = []
    for path in sorted(recorded.keys() | found, key=str.encode):
        if path not in found:
            result.append(Difference(path, "missing"))
        elif path not in recorded:
            result.append(Difference(path, "extra"))
        elif to_hex(hash_file(made / path).id) != recorded[path].blake3:
            result.append(_look(store, recorded[path], made / path, scratch))
    return result


def _look(store: Store, file: Artifact, made: Path, scratch: Path) -> Difference:
    if file.fingerprint is not None and _fingerprint(made, file) == (file.rows, file.fingerprint):
        return Difference(file.path, "equal-after", "fingerprint")
    before = _recorded(store, file, scratch)
    if file.media_type == SQLITE:
        detail = sqlite_difference(before, made)
        return Difference(
            file.path, "different" if detail else "equal-after", "" if detail else "sqlite-content", detail
        )
    if file.key is not None and made.suffix in (".parquet", ".csv"):
        return Difference(file.path, "different", "", _first_row(before, made, file.key))
    return Difference(file.path, "different", "", _first_line(before, made))


def _fingerprint(made: Path, file: Artifact) -> tuple[int, str] | None:
    try:
        return table_fingerprint(made, file)
    except (OmphalosError, pa.ArrowException):
        return None  # then it is certainly not the recorded table


def _recorded(store: Store, file: Artifact, scratch: Path) -> Path:
    """Write the recorded bytes of an artifact into ``scratch``; the store checks them on the way."""
    scratch.mkdir(exist_ok=True)
    path = scratch / f"recorded{Path(file.path).suffix}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        store.objects.copy_to(from_hex(file.blake3), descriptor)
    finally:
        os.close(descriptor)
    return path


def _name(text: str) -> str:
    """Return ``text`` as an SQL identifier."""
    return '"' + text.replace('"', '""') + '"'


def _short(value: object) -> str:
    text = "NULL" if value is None else str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(text)} characters)"


def _first_row(before: Path, made: Path, key: tuple[str, ...]) -> str:
    """Return the first row, by key, that is not the same in both files, and its first differing cell."""
    with duckdb.connect(config={"memory_limit": "1GiB", "temp_directory": str(before.parent)}) as con:
        sides = []
        for name, path in (("recorded", before), ("made", made)):
            reader = "read_parquet(?)" if path.suffix == ".parquet" else "read_csv(?, header=true, all_varchar=true)"
            con.execute(f"create temp table {name} as select *, 1 as present from {reader}", [str(path)])
            sides.append([row[0] for row in con.execute(f"describe {name}").fetchall()])
        if sides[0] != sides[1]:
            return f"columns {', '.join(sides[0][:-1])} became {', '.join(sides[1][:-1])}"
        columns = sides[0]
        order = ", ".join(_name(name) for name in key)
        cells = " or ".join(f"r.{_name(name)} is distinct from m.{_name(name)}" for name in columns)
        query = f"""select r, m from recorded r full outer join made m using ({order})
                    where r.present is null or m.present is null or {cells} order by {order} limit 1"""
        row = con.execute(query).fetchone()
    if row is None:
        return "the same rows in another order or form"
    old, new = row
    present = old if old and old["present"] else new
    where = ", ".join(f"{name}={_short(present[name])}" for name in key)
    if not (old and old["present"]):
        return f"first row added: {where}"
    if not (new and new["present"]):
        return f"first row missing: {where}"
    cell = next(name for name in columns if old[name] != new[name])
    return f"first differing row: {where}: {cell} was {_short(old[cell])}, is {_short(new[cell])}"


def _first_line(before: Path, made: Path) -> str:
    with before.open("rb") as old, made.open("rb") as new:
        for number in itertools.count(1):
            a, b = old.readline(MAX_LINE), new.readline(MAX_LINE)
            if a != b:
                shown = [_short(line.decode("utf-8", "replace").rstrip("\n")) if line else "nothing" for line in (a, b)]
                return f"line {number} was {shown[0]}, is {shown[1]}"
            if not a:
                break
    return "the bytes differ"


def sqlite_difference(before: Path, made: Path) -> str:
    """Return the first difference in the content of two SQLite files; empty where all of it is equal."""
    with closing(sqlite3.connect("file::memory:", uri=True)) as con:
        for name, path in (("a", before), ("b", made)):
            con.execute(f"attach database ? as {name}", [f"{path.resolve().as_uri()}?mode=ro&immutable=1"])
        schema: dict[str, Any] = {
            name: con.execute(f"select type, name, sql from {name}.sqlite_master order by type, name").fetchall()
            for name in ("a", "b")
        }
        if schema["a"] != schema["b"]:
            return "other tables or indexes"
        for table in [row[1] for row in schema["a"] if row[0] == "table"]:
            name = _name(table)
            counts = [con.execute(f"select count(*) from {side}.{name}").fetchone()[0] for side in ("a", "b")]
            if counts[0] != counts[1]:
                return f"table {table}: {counts[0]} rows became {counts[1]}"
            row = con.execute(f"select * from a.{name} except select * from b.{name} limit 1").fetchone()
            if row is not None:
                return f"table {table}: a row is not there any more: {_short(row)}"
    return ""
