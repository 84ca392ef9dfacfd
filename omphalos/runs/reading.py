"""A run for an analyst in Python: its tables as Arrow, pandas or DuckDB, read when asked, from bytes that were checked.

Rules of this file: bytes are hashed when they are first used and what was hashed is what is read, never the file again;
nothing is loaded before it is asked for, neither a table nor a library; nothing is written. ``omphalos.open`` is the
way in.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import blob_id, from_hex, to_hex
from omphalos.format.manifest import FILE_NAME, MAX_BYTES, Artifact, Manifest, check_manifest, decode_manifest

PARQUET: Final = "application/vnd.apache.parquet"


class NotInRun(OmphalosError):
    """The run has no such table or file."""

    kind = ErrorKind.NOT_FOUND
    id = "notInRun"


class BytesChanged(OmphalosError):
    """A file is not what the run recorded."""

    kind = ErrorKind.NEGATIVE
    id = "bytesChanged"


class _Source(Protocol):
    """Where the bytes of a run come from; what it gives is still to be checked."""

    def read(self, file: Artifact) -> bytes:
        """Return the bytes of an artifact."""


class _Directory:
    """A run directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, file: Artifact) -> bytes:
        path = self._folder / file.path
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as stream:
                return stream.read(file.size + 1)
        except OSError as error:
            raise BytesChanged(f"{file.path} cannot be read: {os.strerror(error.errno or 0).lower()}") from error


class _Objects:
    """The store that records the run."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def read(self, file: Artifact) -> bytes:
        return bytes(self._store.objects.read("blob", from_hex(file.blake3)))


class Run:
    """A recorded run, open for reading.

    ``run.tables`` names its tables; ``run.arrow(name)``, ``run.pandas(name)`` and ``run.relation(name)`` give one;
    ``run.bytes(path)`` gives any file. Each file is read and checked once.
    """

    def __init__(self, manifest: Manifest, source: _Source) -> None:
        self.manifest = manifest
        self._source = source
        self._files = {file.path: file for file in manifest.artifacts}
        self._tables = {
            file.path.rsplit("/", 1)[-1].removesuffix(".parquet"): file
            for file in manifest.artifacts
            if file.media_type == PARQUET and file.rows is not None
        }
        self._arrow: dict[str, Any] = {}
        self._connection: Any = None

    @property
    def run_id(self) -> str:
        """The run_id."""
        return self.manifest.run_id

    @property
    def tables(self) -> Mapping[str, int]:
        """The tables by name, in order of name, and how many rows each has."""
        return {name: self._tables[name].rows or 0 for name in sorted(self._tables)}

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of all artifacts, in order."""
        return tuple(self._files)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __repr__(self) -> str:
        return f"<omphalos run {self.run_id}: {len(self._tables)} tables, {len(self._files)} files>"

    def bytes(self, path: str) -> bytes:
        """Return the bytes of a file of the run.

        Raises:
            NotInRun: the run has no such file.
            BytesChanged: it is not what the run recorded.
        """
        file = self._files.get(path)
        if file is None:
            raise NotInRun(f"the run {self.run_id} has no file {path!r}", hint=_near(path, self._files))
        data = self._source.read(file)
        if len(data) != file.size or to_hex(blob_id(data)) != file.blake3:
            hint = f"'omphalos verify {self.run_id}' lists what differs"
            raise BytesChanged(f"{path} is not what the run recorded", hint=hint)
        return data

    def arrow(self, table: str) -> Any:
        """Return a table as a ``pyarrow.Table``; text is ``string``, numbers are ``int64``.

        Raises:
            NotInRun: the run has no such table.
            BytesChanged: its file is not what the run recorded.
        """
        if table not in self._arrow:
            if table not in self._tables:
                raise NotInRun(f"the run {self.run_id} has no table {table!r}", hint=_near(table, self._tables))
            import pyarrow as pa
            import pyarrow.parquet as pq

            data = self.bytes(self._tables[table].path)
            # Not read_table, which goes through the dataset library and loads pandas.
            with pq.ParquetFile(pa.BufferReader(data)) as file:
                self._arrow[table] = file.read()
        return self._arrow[table]

    def pandas(self, table: str) -> Any:
        """Return a table as a ``pandas.DataFrame``; a column of numbers with gaps has the type ``Int64``.

        Raises:
            NotInRun, BytesChanged: as ``arrow``.
        """
        rows = self.arrow(table)
        import pandas as pd
        import pyarrow as pa

        # Without this a whole number beside a gap would become a float and lose digits.
        return rows.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)

    def relation(self, table: str) -> Any:
        """Return a table as a DuckDB relation, on one connection for the whole run, in memory.

        The table is known to the connection by its name, so a relation may refer to others that were asked for before.

        Raises:
            NotInRun, BytesChanged: as ``arrow``.
        """
        rows = self.arrow(table)
        if self._connection is None:
            import duckdb

            self._connection = duckdb.connect()
            self._connection.execute("set autoinstall_known_extensions = false")
            self._connection.execute("set enable_external_access = false; set lock_configuration = true")
        self._connection.register(table, rows)
        return self._connection.table(table)


def _near(name: str, known: Mapping[str, Artifact]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, 3)
    return f"did you mean {', '.join(near)}?" if near else f"it has: {', '.join(sorted(known)[:12])}"


def open_run(run: str | Path, store: str | Path) -> Run:
    """Return the run that ``run`` names; see ``omphalos.open``.

    Raises:
        OmphalosError: nothing is called so, or its manifest is damaged.
    """
    folder = Path(run)
    if (folder / FILE_NAME).is_file():
        with (folder / FILE_NAME).open("rb") as stream:
            manifest = decode_manifest(stream.read(MAX_BYTES + 1))
        findings = check_manifest(manifest)
        if findings:
            raise BytesChanged(f"the manifest of {folder} does not hold: {findings[0].id.value}: {findings[0].detail}")
        return Run(manifest, _Directory(folder))
    from omphalos.runs.lookup import resolve_run
    from omphalos.store.store import Store

    opened = Store.find(Path(store))
    return Run(resolve_run(opened, str(run)).manifest, _Objects(opened))
