"""The method of a run: the code and data that compute, as a tree in the store.

Rules of this file: the method is every source and data file of the floors that compute (``format``, ``tables``,
``warehouse``, ``catalog``, ``screening``), the dbt project with its contracts in ``warehouse/`` and the queries of the
catalog in ``sql/``, and nothing else; a checkout
and an installed wheel hold the same files and so give the same tree id. Compiled bytecode, tests and the command
line are not part of it. Versions of libraries are recorded in the manifest's environment.
"""

from pathlib import Path
from typing import Final

from omphalos.format.ids import ObjectId, blob_id
from omphalos.format.tree import build_tree
from omphalos.shipped import package_folder, shipped
from omphalos.store.store import Store
from omphalos.store.trees import put_paths

# Plans of the marts for engines that a person may build them on later; a run executes DuckDB's.
NOT_OF_A_RUN: Final = frozenset({"warehouse/compiled/postgres.json", "warehouse/compiled/sqlite.json"})
COMPUTING_FLOORS: Final = ("format", "tables", "warehouse", "catalog", "screening")
SUFFIXES: Final = frozenset({".py", ".toml", ".json", ".csv", ".txt", ".sql", ".yml"})


def method_files() -> dict[str, Path]:
    """Return every file of the method: its path within the method, and where it lies."""
    package = package_folder()
    files = {f"omphalos/{name}": package / name for name in ("__init__.py", "shipped.py")}
    for floor in COMPUTING_FLOORS:
        files |= _below(package / floor, f"omphalos/{floor}")
    files |= _below(shipped("warehouse"), "warehouse") | _below(shipped("sql"), "sql")
    return {name: path for name, path in files.items() if name not in NOT_OF_A_RUN}


def _below(folder: Path, prefix: str) -> dict[str, Path]:
    return {
        f"{prefix}/{path.relative_to(folder).as_posix()}": path
        for path in sorted(folder.rglob("*"))
        if path.suffix in SUFFIXES and path.is_file()
    }


def put_method(store: Store) -> ObjectId:
    """Put the method into the store and return its tree id, so that a run carries the code that made it."""
    blobs = {}
    for name, path in method_files().items():
        data = path.read_bytes()
        blobs[name] = (len(data), store.objects.put("blob", data))
    tree, _ = put_paths(store, blobs)
    return tree


def hash_method() -> ObjectId:
    """Return the tree id of the installed method; nothing is stored."""
    files = []
    for name, path in method_files().items():
        data = path.read_bytes()
        files.append((name, len(data), blob_id(data)))
    return build_tree(files)[-1].id
