"""The tables of a recorded run as files whose bytes were just found to be those recorded.

Rules of this file: whoever reads a table gets verified bytes or an error, never a file that was changed since; a run
without a directory is checked out for the time it is needed; nothing is written beside the run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import from_hex
from omphalos.runs.execute import RUNS_FOLDER
from omphalos.runs.lookup import Run
from omphalos.store.checkout import checkout
from omphalos.store.hashing import hash_file
from omphalos.store.store import Store

ENDINGS = (".parquet", ".sqlite")
READ_BY_QUERIES = ("application/vnd.apache.parquet", "application/vnd.sqlite3")


class TableChanged(OmphalosError):
    """A table in the run directory is not what the run recorded."""

    kind = ErrorKind.NEGATIVE
    id = "tableChanged"


@contextmanager
def verified_tables(store: Store, run: Run) -> Iterator[Path]:
    """Give a folder that holds the tables of ``run`` and no others, every one of them hashed first.

    Raises:
        TableChanged: the run directory holds something else than the run recorded.
    """
    directory = store.root / RUNS_FOLDER / run.run_id
    files = [file for file in run.manifest.artifacts if file.media_type in READ_BY_QUERIES]
    if directory.is_dir():
        for file in files:
            path = directory / file.path
            if path.is_symlink() or not path.is_file() or hash_file(path).id.hex() != file.blake3:
                raise TableChanged(
                    f"{file.path} in the run directory is not what the run recorded",
                    hint=f"'omphalos verify {run.run_id}' lists what differs",
                    undone="no query was run",
                )
        # A query reads what lies in the folders of tables, so a table that nobody recorded must not lie there.
        recorded = {file.path for file in files}
        for path in sorted(path for ending in ENDINGS for path in directory.glob(f"*/*{ending}")):
            if path.relative_to(directory).as_posix() not in recorded:
                raise TableChanged(
                    f"{path.relative_to(directory)} in the run directory is no table that the run recorded",
                    hint=f"'omphalos verify {run.run_id}' lists what differs",
                    undone="no query was run",
                )
        yield directory
        return
    with TemporaryDirectory(prefix="omphalos-") as scratch:
        folder = Path(scratch) / "run"
        checkout(store, from_hex(run.manifest.tree), folder)
        yield folder
