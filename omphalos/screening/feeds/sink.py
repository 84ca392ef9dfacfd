"""The two tables a feed is loaded into, and the mapping from source columns to feed fields.

Rules of this file: ``raw_feed`` has every feed field, ``raw_rejects`` every record that could not be read; a record is
in exactly one of the two under its own number. Readers hand over Arrow batches in record order; nothing here depends on
the order in which threads work, because every row carries its number.
"""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from omphalos.screening.feeds.decode import FeedShapeError
from omphalos.screening.job import FEED_FIELDS, FeedSpec

EXCERPT_CHARACTERS: Final = 200
# Rows DuckDB stores together. Inserts of 50,000 rows cost about twice the processor time (measured).
ROW_GROUP: Final = 122_880
WAITING_BYTES: Final = 64 << 20
_LISTED_COLUMNS: Final = 40


@dataclass(frozen=True, slots=True)
class FeedCounts:
    """What became of a feed's records: ``records == loaded + malformed``, always."""

    records: int
    loaded: int
    malformed: int


def mapped_columns(feed: FeedSpec) -> list[str]:
    """Return the source columns the job maps, each once, sorted."""
    return sorted({column for _, column in feed.columns})


def check_columns(header: Sequence[str], feed: FeedSpec, name: str) -> None:
    """Raise FeedShapeError unless every mapped column stands in ``header`` exactly once."""
    counts = Counter(header)
    for field, column in feed.columns:
        if counts[column] > 1:
            raise FeedShapeError(
                f"the feed {name} has {counts[column]} columns named {column!r}, and feed.columns.{field} maps it",
                hint="rename one of them in the file",
            )
        if not counts[column]:
            near = difflib.get_close_matches(column, counts, n=1)
            listed = ", ".join(repr(text) for text in header[:_LISTED_COLUMNS])
            more = f" and {len(header) - _LISTED_COLUMNS} more" if len(header) > _LISTED_COLUMNS else ""
            raise FeedShapeError(
                f"the feed {name} has no column {column!r}, which feed.columns.{field} maps",
                hint=(f"did you mean {near[0]!r}? " if near else "") + f"its columns: {listed}{more}",
            )


class Sink:
    """Creates ``raw_feed`` and ``raw_rejects`` on a DuckDB connection and fills them batch by batch.

    A context manager: an error drops both tables. There is no transaction around all of it, because DuckDB keeps every
    Arrow table registered in a transaction alive until its end (measured: 4.5 GiB for a million records).
    """

    def __init__(self, con: Any, feed: FeedSpec) -> None:
        self._con = con
        self._columns = mapped_columns(feed)
        self._waiting: list[Any] = []
        self._waiting_bytes = 0
        con.execute(f"CREATE TABLE raw_feed (source_row BIGINT, {', '.join(f'{f} VARCHAR' for f in FEED_FIELDS)})")
        con.execute("CREATE TABLE raw_rejects (source_row BIGINT, field VARCHAR, reason VARCHAR, value VARCHAR)")
        self._insert, self._values = self._statement(feed)
        self.loaded = 0
        self.malformed = 0

    def __enter__(self) -> "Sink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._con.execute("DROP TABLE raw_feed")
            self._con.execute("DROP TABLE raw_rejects")
            return
        self._flush(0)

    def _statement(self, feed: FeedSpec) -> tuple[str, list[str]]:
        """Return the INSERT for one batch and its bound values (null values per column, constants)."""
        source = {field: self._columns.index(column) for field, column in feed.columns}
        constants = dict(feed.constants)
        marks = ", ".join("?" for _ in feed.null_values)
        parts: list[str] = []
        values: list[str] = []
        for field in FEED_FIELDS:
            if field in source:
                cell = f"c{source[field]}"
                parts.append(f"CASE WHEN {cell} IN ({marks}) THEN NULL ELSE {cell} END" if marks else cell)
                values += feed.null_values
            elif field in constants:
                parts.append("?::VARCHAR")
                values.append(constants[field])
            else:
                parts.append("NULL")
        return f"INSERT INTO raw_feed SELECT source_row, {', '.join(parts)} FROM feed_batch", values

    def add(self, source_row: Any, cells: Sequence[Any]) -> None:
        """Load one batch: the record numbers, and one string array per mapped column (sorted by column name)."""
        names = ["source_row", *(f"c{number}" for number in range(len(cells)))]
        batch = pa.table([pa.array(source_row, pa.int64()), *cells], names=names)
        if not batch.num_rows:
            return
        self.loaded += batch.num_rows
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        rows = sum(table.num_rows for table in self._waiting)
        if self._waiting_bytes >= WAITING_BYTES:
            self._flush(0)
        elif rows >= ROW_GROUP:
            self._flush(rows % ROW_GROUP)

    def _flush(self, keep: int) -> None:
        """Insert the waiting rows but the last ``keep``: whole row groups, which DuckDB need not merge later."""
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        ready = table.num_rows - keep
        self._run(self._insert, table.slice(0, ready).combine_chunks(), self._values)
        rest = table.slice(ready)
        self._waiting = [rest] if keep else []
        self._waiting_bytes = rest.nbytes if keep else 0

    def reject(self, source_row: Any, reasons: Sequence[str], excerpts: Any) -> None:
        """Put one batch of records into ``raw_rejects``; ``excerpts`` are texts, cut here to 200 characters."""
        rows = pa.array(source_row, pa.int64())
        value = pc.utf8_slice_codeunits(pa.array(excerpts, pa.string()), 0, EXCERPT_CHARACTERS)
        batch = pa.table([rows, pa.array(reasons, pa.string()), value], names=["source_row", "reason", "value"])
        self._run("INSERT INTO raw_rejects SELECT source_row, NULL, reason, value FROM feed_batch", batch, [])
        self.malformed += batch.num_rows

    def _run(self, statement: str, batch: Any, values: list[str]) -> None:
        if not batch.num_rows:
            return
        self._con.register("feed_batch", batch)
        try:
            self._con.execute(statement, values)
        finally:
            self._con.unregister("feed_batch")

    def counts(self, records: int) -> FeedCounts:
        """Return the counts, after checking that no record was lost or doubled."""
        if records != self.loaded + self.malformed:
            raise AssertionError(f"{records} records, {self.loaded} loaded, {self.malformed} malformed")
        return FeedCounts(records, self.loaded, self.malformed)
