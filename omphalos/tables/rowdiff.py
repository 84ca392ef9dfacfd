"""Differences of two tables by a key: rows added, removed and changed, with the cells that changed.

Rules of this file: a key that stands twice is refused with a list, never paired by chance; NULL is a value of its own,
and no empty text; everything happens in one DuckDB connection that may read the two files and spill into a scratch
folder, within ``Limits.memory_limit``; rows come in order of the key, text by its bytes, NULL first. Columns only one
side has, and columns of another kind, are reported; the latter are compared as text. A cell of more than ``MAX_CELL``
characters is shown by its beginning, its length and its SHA-256.
"""

import csv
import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import duckdb

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.tables.check import quote

Form = Literal["parquet", "csv"]
State = Literal["added", "removed", "changed"]
Cell = str | int | None

MAX_CELL: Final = 4096
SHOWN_OF_CELL: Final = 200
SHOWN_DUPLICATES: Final = 5
_HEADER_CHARACTERS: Final = 1 << 20
_BATCH: Final = 1000
_WHOLE: Final = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT"})


class TableUnreadable(OmphalosError):
    """A file that should hold a table cannot be read as one."""

    kind = ErrorKind.INCOMPLETE
    id = "tableUnreadable"


class UnknownColumn(OmphalosError):
    """A column that should be part of a key is not in the table."""

    kind = ErrorKind.USAGE
    id = "unknownColumn"


class NoKey(OmphalosError):
    """No key is declared for a table, or the two sides declare different ones."""

    kind = ErrorKind.USAGE
    id = "noKey"


class DuplicateKey(OmphalosError):
    """A key stands in more than one row; ``count`` says how many keys do, ``keys`` lists the first."""

    kind = ErrorKind.USAGE
    id = "duplicateKey"

    def __init__(self, side: str, columns: Sequence[str], keys: list[tuple[Cell, ...]], count: int) -> None:
        shown = "; ".join(", ".join("NULL" if cell is None else repr(cell) for cell in key) for key in keys)
        more = f" and {count - len(keys)} more" if count > len(keys) else ""
        super().__init__(
            f"{side}: {count} keys ({', '.join(columns)}) stand in more than one row: {shown}{more}",
            hint="name columns that are unique together with --key, once for each",
            undone="the rows were not compared",
        )
        self.keys = keys
        self.count = count


@dataclass(frozen=True, slots=True)
class TablePath:
    """A file that holds a table; ``label`` names it in messages."""

    path: Path
    form: Form
    label: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What the engine may spend."""

    threads: int = 2
    memory_limit: str = "1GiB"


@dataclass(frozen=True, slots=True)
class Schema:
    """How the columns differ: ``(name, kind)`` on one side only, and ``(name, old kind, new kind)``."""

    added: tuple[tuple[str, str], ...]
    removed: tuple[tuple[str, str], ...]
    changed: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows on both sides and what became of them; ``cells`` are the changed cells by column, in order of columns."""

    before: int
    after: int
    added: int
    removed: int
    changed: int
    cells: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row that differs: its key, and by column the old and the new cell; of an added row there is no old one."""

    state: State
    key: tuple[tuple[str, Cell], ...]
    cells: tuple[tuple[str, Cell, Cell], ...]


class Comparison:
    """Two tables held against each other; see ``comparing``."""

    def __init__(self, con: Any, key: Sequence[str], schema: Schema, counts: Counts, names: "_Names") -> None:
        self.key = tuple(key)
        self.schema = schema
        self.counts = counts
        self._con = con
        self._names = names

    def rows(self, limit: int | None = None) -> Iterator[RowChange]:
        """Yield the rows that differ in order of the key, at most ``limit``."""
        names, keys = self._names, len(self.key)
        order = ", ".join(f"k{i} nulls first" for i in range(keys))
        cells = [f"{side}{i}" for i in range(len(names.common)) for side in "on"]
        cells += [f"x{i}" for i in range(len(names.removed))] + [f"y{i}" for i in range(len(names.added))]
        kinds = {row[0]: str(row[1]) for row in self._con.execute("describe differing").fetchall()}
        shown = ", ".join(_shown(name, kinds[name]) for name in [*(f"k{i}" for i in range(keys)), *cells])
        cut = "" if limit is None else f" limit {int(limit)}"
        cursor = self._con.execute(f"select state, {shown} from differing order by {order}{cut}")
        while batch := cursor.fetchmany(_BATCH):
            for state, *values in batch:
                yield self._change(("added", "removed", "changed")[state], values)

    def _change(self, state: State, values: list[Any]) -> RowChange:
        names, keys = self._names, len(self.key)
        key = tuple(zip(self.key, values[:keys], strict=True))
        rest = values[keys:]
        pairs = list(zip(names.common, rest[0::2], rest[1::2], strict=False))
        alone = rest[2 * len(names.common) :]
        cells: list[tuple[str, Cell, Cell]] = []
        if state == "changed":
            cells += [(name, old, new) for name, old, new in pairs if (old, type(old)) != (new, type(new))]
        elif state == "added":
            cells += [(name, None, new) for name, _, new in pairs]
            cells += [(name, None, new) for name, new in zip(names.added, alone[len(names.removed) :], strict=True)]
        else:
            cells += [(name, old, None) for name, old, _ in pairs]
            cells += [(name, old, None) for name, old in zip(names.removed, alone, strict=False)]
        return RowChange(state, key, tuple(cells))


@dataclass(frozen=True, slots=True)
class _Names:
    common: tuple[str, ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]


@contextmanager
def comparing(
    before: TablePath, after: TablePath, key: Sequence[str], scratch: Path, limits: Limits
) -> Iterator[Comparison]:
    """Compare two tables by a key; the rows can be read inside the block.

    Args:
        before: the old table.
        after: the new one.
        key: the columns that name a row, in order.
        scratch: an empty folder for what does not fit into memory.
        limits: threads and memory.

    Raises:
        TableUnreadable: a file is no such table, or the disk is too small for what memory cannot hold.
        UnknownColumn: a column of the key is not in both.
        DuplicateKey: a key stands twice.
    """
    spill = scratch / "spill"
    spill.mkdir()
    with duckdb.connect(config={"threads": limits.threads, "memory_limit": limits.memory_limit}) as con:
        con.execute(f"set temp_directory = {quote(str(spill))}; set preserve_insertion_order = false")
        con.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
        con.execute("set autoinstall_known_extensions = false; set autoload_known_extensions = false")
        paths = ", ".join(quote(str(table.path)) for table in (before, after))
        con.execute(f"set allowed_paths = [{paths}]; set allowed_directories = [{quote(str(spill))}]")
        con.execute("set enable_external_access = false; set lock_configuration = true")
        columns = [_open(con, table, name) for table, name in ((before, "a"), (after, "b"))]
        for table, found in zip((before, after), columns, strict=True):
            _check_key(table, found, key)
        schema, names = _schema(columns[0], columns[1], key)
        try:
            for table, name in ((before, "a"), (after, "b")):
                _refuse_duplicates(con, table, name, key)
            counts = _compare(con, columns[0], columns[1], key, names, schema)
        except duckdb.Error as error:
            raise TableUnreadable(
                f"{before.label} and {after.label} cannot be compared: {_first_line(error)}",
                hint="a damaged table, or too little memory or disk; --memory raises what may be used",
                undone="the rows were not compared",
            ) from error
        yield Comparison(con, key, schema, counts, names)


def _open(con: Any, table: TablePath, name: str) -> dict[str, str]:
    """Make a view of a file; return its columns and kinds in order."""
    path = quote(str(table.path))
    try:
        if table.form == "parquet":
            relation = f"read_parquet({path})"
        else:
            columns = ", ".join(f"{quote(column)}: 'VARCHAR'" for column in _header(table))
            relation = (
                f"read_csv({path}, auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', "
                f"nullstr = '', allow_quoted_nulls = false, compression = 'none', columns = {{{columns}}})"
            )
        con.execute(f"create view {name} as select * from {relation}")
        return {row[0]: str(row[1]) for row in con.execute(f"describe {name}").fetchall()}
    except duckdb.Error as error:
        raise TableUnreadable(
            f"{table.label} cannot be read as a table: {_first_line(error)}",
            hint="without --rows the files are compared by their bytes",
            undone="the rows were not compared",
        ) from error


def _header(table: TablePath) -> list[str]:
    try:
        with table.path.open(encoding="utf-8", newline="") as stream:
            names = next(csv.reader([stream.readline(_HEADER_CHARACTERS)], strict=True), [])
    except (csv.Error, UnicodeDecodeError) as error:
        raise TableUnreadable(
            f"{table.label} has no header that can be read", undone="the rows were not compared"
        ) from error
    if not names or len({name.lower() for name in names}) != len(names) or not all(names):
        raise TableUnreadable(
            f"{table.label} has no header of distinct column names", undone="the rows were not compared"
        )
    return names


def _check_key(table: TablePath, columns: dict[str, str], key: Sequence[str]) -> None:
    for name in key:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            known = f"its columns are {', '.join(list(columns)[:30])}"
            raise UnknownColumn(
                f"{table.label} has no column {name!r}",
                hint=f"did you mean {near[0]}? {known}" if near else known,
                undone="the rows were not compared",
            )


def _schema(old: dict[str, str], new: dict[str, str], key: Sequence[str]) -> tuple[Schema, _Names]:
    schema = Schema(
        added=tuple((name, kind) for name, kind in new.items() if name not in old),
        removed=tuple((name, kind) for name, kind in old.items() if name not in new),
        changed=tuple((name, kind, new[name]) for name, kind in old.items() if new.get(name, kind) != kind),
    )
    common = tuple(name for name in old if name in new and name not in key)
    return schema, _Names(common, tuple(name for name, _ in schema.removed), tuple(name for name, _ in schema.added))


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _refuse_duplicates(con: Any, table: TablePath, view: str, key: Sequence[str]) -> None:
    columns = ", ".join(map(_identifier, key))
    con.execute(
        f"create temp table twice as select {columns}, count(*) as n from {view} group by {columns} having count(*) > 1"
    )
    (count,) = con.execute("select count(*) from twice").fetchone()
    if count:
        kinds = {row[0]: str(row[1]) for row in con.execute("describe twice").fetchall()}
        shown = ", ".join(
            _identifier(name) if kinds[name] in _WHOLE else _shown(_value(name, kinds[name], False)) for name in key
        )
        order = ", ".join(f"{_identifier(name)} nulls first" for name in key)
        first = con.execute(f"select {shown} from twice order by {order} limit {SHOWN_DUPLICATES}").fetchall()
        raise DuplicateKey(table.label, key, first, count)
    con.execute("drop table twice")


def _compare(
    con: Any, old: dict[str, str], new: dict[str, str], key: Sequence[str], names: _Names, schema: Schema
) -> Counts:
    """Put what differs into the table ``differing``; return the counts."""
    other = {name for name, _, _ in schema.changed}

    def values(columns: dict[str, str], alone: Sequence[str], mark: str) -> str:
        found = [f"{_value(name, columns[name], name in other)} as k{i}" for i, name in enumerate(key)]
        found += [f"{_value(name, columns[name], name in other)} as v{i}" for i, name in enumerate(names.common)]
        found += [f"{_value(name, columns[name], False)} as {mark}{i}" for i, name in enumerate(alone)]
        return ", ".join(["true as present", *found])

    keys, common = range(len(key)), range(len(names.common))
    differs = ["a.present is null", "b.present is null", *(f"a.v{i} is distinct from b.v{i}" for i in common)]
    chosen = ["case when a.present is null then 0 when b.present is null then 1 else 2 end as state"]
    chosen += [f"case when a.present is null then b.k{i} else a.k{i} end as k{i}" for i in keys]
    chosen += [f"a.v{i} as o{i}, b.v{i} as n{i}" for i in common]
    chosen += [f"a.x{i}" for i in range(len(names.removed))] + [f"b.y{i}" for i in range(len(names.added))]
    con.execute(
        f"create temp table differing as select {', '.join(chosen)} "
        f"from (select {values(old, names.removed, 'x')} from a) a "
        f"full outer join (select {values(new, names.added, 'y')} from b) b "
        f"on {' and '.join(f'a.k{i} is not distinct from b.k{i}' for i in keys)} where {' or '.join(differs)}"
    )
    sums = [f"count(*) filter (where state = {state})" for state in range(3)]
    sums += [f"count(*) filter (where state = 2 and o{i} is distinct from n{i})" for i in common]
    added, removed, changed, *cells = con.execute(f"select {', '.join(sums)} from differing").fetchone()
    before, after = con.execute("select (select count(*) from a), (select count(*) from b)").fetchone()
    by_column = tuple((name, count) for name, count in zip(names.common, cells, strict=True) if count)
    return Counts(before, after, added, removed, changed, by_column)


def _value(name: str, kind: str, as_text: bool) -> str:
    """Return SQL for a column as it is compared: whole numbers and text as they are, all else as text."""
    plain = kind in _WHOLE or kind == "VARCHAR"
    return f"cast({_identifier(name)} as varchar)" if as_text or not plain else _identifier(name)


def _shown(column: str, kind: str = "VARCHAR") -> str:
    """Return SQL for a cell as it is shown: of a long text its beginning, its length and its digest."""
    if kind != "VARCHAR":
        return column
    long = (
        f"left({column}, {SHOWN_OF_CELL}) || '… (' || length({column}) || ' characters, sha256 ' || "
        f"sha256({column}) || ')'"
    )
    return f"case when length({column}) > {MAX_CELL} then {long} else {column} end"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
