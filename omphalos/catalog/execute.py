"""Run a query over the tables of a run: read-only, with parameters bound, and an end to rows and time.

Rules of this file: DuckDB sees the Parquet files of the run and nothing else; SQLite opens the warehouse file
immutable, and an authorizer lets it read only; PostgreSQL gets a read-only transaction with a statement timeout. What
comes back is an Arrow table of the declared columns, in the order of the query; its fingerprint proves the declared
key.
"""

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from omphalos.catalog.query import EngineName, Query
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.tables.check import quote
from omphalos.tables.fingerprint import fingerprint

_BATCH: Final = 10_000
_PG_TOKEN = re.compile(
    r"""('(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/)|\$([A-Za-z_]\w*)|(%)""", re.DOTALL
)  # fmt: skip
_ALLOWED: Final = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_SQLITE_BANNED: Final = frozenset(
    re.findall(
        r"\w+",
        """random randomblob load_extension changes total_changes last_insert_rowid current_timestamp current_date
        current_time date time datetime julianday strftime unixepoch timediff readfile writefile edit""",
    )
)


class QueryFailed(OmphalosError):
    """An engine refused a query, or its tables are not there."""

    kind = ErrorKind.USAGE
    id = "queryFailed"


class QueryTimeout(OmphalosError):
    """A query did not end within its time."""

    kind = ErrorKind.INCOMPLETE
    id = "queryTimeout"


@dataclass(frozen=True)
class QueryLimits:
    """How long a query may take, how many rows it may give, and what DuckDB may spend."""

    seconds: int = 60
    rows: int = 1_000_000
    threads: int = 2
    memory_limit: str = "2GiB"


@dataclass(frozen=True)
class Answer:
    """What a query gave: an Arrow table, and whether rows were left out because of the limit.

    ``fingerprint`` is that of the rows in order of the declared key; empty for an ad-hoc query, which declares none.
    """

    table: Any
    truncated: bool
    fingerprint: str


def run_tables(run: Path) -> dict[str, Path]:
    """Return every table of a run directory that queries may read: the Parquet file by name."""
    folders = ("normalized", "registry", "matches", "scores", "review", "marts")
    return {path.stem: path for folder in folders for path in sorted((run / folder).glob("*.parquet"))}


def on_duckdb(
    sql: str, values: Mapping[str, str | int], tables: Mapping[str, Path], limits: QueryLimits
) -> tuple[Any, bool]:
    """Run a text on DuckDB over Parquet files; return the Arrow table and whether it was cut.

    Raises:
        QueryFailed, QueryTimeout: as their names say.
    """
    config = {"threads": limits.threads, "memory_limit": limits.memory_limit, "temp_directory": ""}
    with duckdb.connect(config=config) as con:
        con.execute("set TimeZone = 'UTC'; set autoinstall_known_extensions = false")
        con.execute("set autoload_known_extensions = false")
        con.execute(f"set allowed_paths = [{', '.join(quote(str(path)) for path in tables.values())}]")
        con.execute("set enable_external_access = false; set lock_configuration = true")
        with _time_limit(limits.seconds, con.interrupt) as expired:
            try:
                for name, path in tables.items():
                    con.execute(f'create view "{name}" as select * from read_parquet({quote(str(path))})')
                reader = con.execute(sql, dict(values)).to_arrow_reader(_BATCH)
                return _cut(reader.schema, iter(reader), limits.rows)
            except (duckdb.Error, pa.ArrowException) as error:
                raise _failed(error, expired, limits) from error


def on_sqlite(
    sql: str, values: Mapping[str, str | int], file: Path, limits: QueryLimits
) -> tuple[list[str], Any, bool]:
    """Run a text on a SQLite file; return the column names, the rows, and whether they were cut.

    Raises:
        QueryFailed, QueryTimeout: as their names say; a damaged file is a failure.
    """
    if not file.is_file():
        raise QueryFailed(f"there is no {file.name} in the run directory", hint="check the run out first")
    uri = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
    con = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
    try:
        con.execute("pragma query_only = on")
        con.set_authorizer(_authorize)
        with _time_limit(limits.seconds, con.interrupt) as expired:
            try:
                cursor = con.execute(sql, dict(values))
                names = [column[0] for column in cursor.description]
                rows = cursor.fetchmany(limits.rows + 1)
            except sqlite3.Error as error:
                raise _failed(error, expired, limits) from error
        return names, rows[: limits.rows], len(rows) > limits.rows
    finally:
        con.close()


def on_postgres(
    sql: str, values: Mapping[str, str | int], server: str, schema: str, limits: QueryLimits
) -> tuple[list[str], Any, bool]:
    """Run a text on a PostgreSQL schema; return the column names, the rows, and whether they were cut.

    Raises:
        QueryFailed, QueryTimeout: as their names say.
    """
    try:
        import psycopg  # an extra: only who names this engine needs it
    except ImportError as error:
        raise QueryFailed("the PostgreSQL driver is not installed", hint="pip install 'omphalos[postgres]'") from error
    text = _PG_TOKEN.sub(
        lambda m: m[1].replace("%", "%%") if m[1] else f"%({m[2]})s" if m[2] else "%%", sql
    )  # fmt: skip
    try:
        with psycopg.connect(server, connect_timeout=10, client_encoding="UTF8") as con:
            con.execute("set transaction read only")
            con.execute(psycopg.sql.SQL("set local search_path to {}").format(psycopg.sql.Identifier(schema)))
            con.execute(f"set local statement_timeout = {int(limits.seconds) * 1000}")
            with con.cursor() as cursor:
                cursor.execute(text, dict(values))
                names = [column.name for column in cursor.description or ()]
                rows = cursor.fetchmany(limits.rows + 1)
                return names, rows[: limits.rows], len(rows) > limits.rows
    except psycopg.errors.QueryCanceled as error:
        raise _timeout(limits) from error
    except psycopg.Error as error:
        raise QueryFailed(f"PostgreSQL refused the query: {_first_line(error)}") from error


@dataclass(frozen=True)
class Where:
    """Where a query runs: the engine and what it needs of a run directory or a server."""

    engine: EngineName
    run: Path
    server: str = ""
    schema: str = "omphalos"


def execute(query: Query, values: Mapping[str, str | int], where: Where, limits: QueryLimits = QueryLimits()) -> Answer:
    """Run a query of the catalog with bound values and hold the answer to what it declares.

    Args:
        query: the query.
        values: every parameter (``Query.bind``).
        where: the engine, and the run directory or server.
        limits: rows and time.

    Raises:
        QueryFailed: the engine refused it, a table is missing, or the answer is not what the query declares.
        QueryTimeout: it did not end in time.
        FingerprintError: the declared key does not hold for the answer.
    """
    if where.engine not in query.engines:
        raise QueryFailed(f"query {query.name} does not run on {where.engine}: {', '.join(query.engines)}")
    if where.engine == "duckdb":
        tables = run_tables(where.run)
        missing = [name for name in query.tables if name not in tables]
        if missing:
            raise QueryFailed(f"the run has no table {', '.join(missing)}", hint="was it made by an older version?")
        raw, cut = on_duckdb(query.sql, values, {name: tables[name] for name in query.tables}, limits)
        names, columns = raw.schema.names, raw.columns
    else:
        names, rows, cut = _rows_on(query.sql, values, where, limits)
        columns = _by_column(names, rows)
    if names != list(query.columns):
        raise QueryFailed(f"query {query.name} gave the columns {', '.join(names)}, not those it declares")
    kinds = {"text": pa.large_string(), "int": pa.int64()}
    try:
        arrays = [_array(column, kinds[kind]) for column, kind in zip(columns, query.columns.values(), strict=True)]
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise QueryFailed(f"query {query.name} gave another kind than it declares: {_first_line(error)}") from error
    table = pa.table(arrays, names=names)
    ordered = table.sort_by([(name, "ascending") for name in query.key]).combine_chunks()
    _, digest = fingerprint(ordered.to_batches(), query.contract)
    return Answer(table, cut, digest)


def execute_ad_hoc(sql: str, where: Where, limits: QueryLimits = QueryLimits()) -> Answer:
    """Run an ad-hoc query (``ad_hoc`` gives its text); values that are neither text nor integer become text.

    Raises:
        QueryFailed, QueryTimeout: as ``execute``.
    """
    if where.engine == "duckdb":
        raw, cut = on_duckdb(sql, {}, run_tables(where.run), limits)
        names, columns = raw.schema.names, raw.columns
    else:
        names, rows, cut = _rows_on(sql, {}, where, limits)
        columns = _by_column(names, rows)
    return Answer(pa.table([_plain(column) for column in columns], names=names), cut, "")


def _rows_on(
    sql: str, values: Mapping[str, str | int], where: Where, limits: QueryLimits
) -> tuple[list[str], Any, bool]:
    if where.engine == "sqlite":
        return on_sqlite(sql, values, where.run / "warehouse" / "warehouse.sqlite", limits)
    return on_postgres(sql, values, where.server, where.schema, limits)


def _by_column(names: list[str], rows: Any) -> list[Any]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]


def _array(column: Any, kind: Any) -> Any:
    if isinstance(column, list):
        return pa.array([int(v) if kind == pa.int64() and v is not None and v == int(v) else v for v in column], kind)
    return column.cast(kind)


def _plain(column: Any) -> Any:
    if isinstance(column, list):
        if all(value is None or isinstance(value, int) for value in column):
            return pa.array(column, pa.int64())
        return pa.array([None if value is None else str(value) for value in column], pa.large_string())
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64())
    if pa.types.is_decimal(column.type) and column.type.scale == 0:
        return column.cast(pa.int64())
    try:
        return column.cast(pa.large_string())
    except pa.ArrowException:  # nested values have no cast
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.large_string())


def _cut(schema: Any, batches: Iterator[Any], rows: int) -> tuple[Any, bool]:
    kept, held = [], 0
    for batch in batches:
        kept.append(batch)
        held += batch.num_rows
        if held > rows:
            break
    return pa.Table.from_batches(kept, schema).slice(0, rows), held > rows


@contextmanager
def _time_limit(seconds: int, interrupt: Callable[[], None]) -> Iterator[list[bool]]:
    """Interrupt what runs in the block after its time; the list says whether that happened."""
    expired: list[bool] = []

    def stop() -> None:
        expired.append(True)
        interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
        timer.join()


def _failed(error: Exception, expired: list[bool], limits: QueryLimits) -> OmphalosError:
    return _timeout(limits) if expired else QueryFailed(f"the query cannot be run: {_first_line(error)}")


def _timeout(limits: QueryLimits) -> QueryTimeout:
    return QueryTimeout(
        f"the query did not end within {limits.seconds} seconds", hint="narrow it, or allow more time with --seconds"
    )


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action not in _ALLOWED:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and (second or first or "").lower() in _SQLITE_BANNED:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
