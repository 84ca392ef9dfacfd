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

from omphalos.catalog.query import BEFORE, EngineName, Query
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.tables.check import quote
from omphalos.tables.fingerprint import fingerprint

_BATCH: Final = 10_000
WAREHOUSE_FILE: Final = "warehouse/warehouse.sqlite"
# What a server shows of an earlier run: the tables that queries compare.
COMPARED: Final = ("registry",)
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


@contextmanager
def opened(tables: Mapping[str, Path], limits: QueryLimits) -> Iterator[Any]:
    """Open DuckDB with a view on each Parquet file, and with sight of nothing else; for one query or many.

    Raises:
        QueryFailed: a file is not there or is no Parquet file.
    """
    config = {"threads": limits.threads, "memory_limit": limits.memory_limit, "temp_directory": ""}
    with duckdb.connect(config=config) as con:
        con.execute("set TimeZone = 'UTC'; set autoinstall_known_extensions = false")
        con.execute("set autoload_known_extensions = false")
        con.execute(f"set allowed_paths = [{', '.join(quote(str(path)) for path in tables.values())}]")
        con.execute("set enable_external_access = false; set lock_configuration = true")
        try:
            for name, path in tables.items():
                con.execute(f'create view "{name}" as select * from read_parquet({quote(str(path))})')
        except duckdb.Error as error:
            raise QueryFailed(f"table {name} cannot be read: {_first_line(error)}") from error
        yield con


def on_duckdb(con: Any, sql: str, values: Mapping[str, str | int], limits: QueryLimits) -> tuple[Any, bool]:
    """Run a text on DuckDB (``opened``); return the Arrow table and whether it was cut.

    Raises:
        QueryFailed, QueryTimeout: as their names say.
    """
    with _time_limit(limits.seconds, con.interrupt) as expired:
        try:
            reader = con.execute(sql, dict(values)).to_arrow_reader(_BATCH)
            return _cut(reader.schema, iter(reader), limits.rows)
        except (duckdb.Error, pa.ArrowException) as error:
            raise _failed(error, expired, limits) from error


def on_sqlite(
    sql: str, values: Mapping[str, str | int], file: Path, limits: QueryLimits, before: Path | None = None
) -> tuple[list[str], Any, bool]:
    """Run a text on a SQLite file; return the column names, the rows, and whether they were cut.

    Args:
        sql, values, limits: the query.
        file: the warehouse file of a run.
        before: that of an earlier run, whose tables are then there as ``before_…``.

    Raises:
        QueryFailed, QueryTimeout: as their names say; a damaged file is a failure.
    """
    for needed in (file, *((before,) if before else ())):
        if not needed.is_file():
            raise QueryFailed(f"there is no {needed.name} in the run directory", hint="check the run out first")
    con = sqlite3.connect(_uri(file), uri=True, check_same_thread=False, isolation_level=None)
    try:
        if before is not None:
            _attach_before(con, before)
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


def _uri(file: Path) -> str:
    return f"{file.resolve().as_uri()}?mode=ro&immutable=1"


def _attach_before(con: sqlite3.Connection, before: Path) -> None:
    """Show the tables of an earlier run's warehouse file as temporary views."""
    try:
        con.execute("attach ? as before_run", (_uri(before),))
        names = con.execute("select name from before_run.sqlite_schema where type in ('table', 'view')").fetchall()
        for (name,) in names:
            plain = name.replace('"', '""')  # the file may come from anywhere, and so may the names in it
            con.execute(f'create temp view "{BEFORE}{plain}" as select * from before_run."{plain}"')
    except sqlite3.Error as error:
        raise QueryFailed(f"the warehouse file of the earlier run cannot be read: {_first_line(error)}") from error


def on_postgres(
    sql: str, values: Mapping[str, str | int], where: "Where", limits: QueryLimits
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
        con = psycopg.connect(where.server, connect_timeout=10, client_encoding="UTF8")
    except psycopg.Error as error:
        raise QueryFailed(
            f"the PostgreSQL server cannot be reached: {_first_line(error)}",
            hint="check --server, or PGHOST, PGPORT, PGUSER and PGDATABASE",
        ) from error
    try:
        with con:
            name = psycopg.sql.Identifier(where.schema)
            found = con.execute("select 1 from pg_namespace where nspname = %s", (where.schema,)).fetchone()
            if found is None:
                hint = f"'omphalos warehouse build --target postgres --schema {where.schema}' makes it"
                raise QueryFailed(f"there is no schema {where.schema!r} on the server", hint=hint)
            if where.before_schema:
                _before_schema(con, psycopg, where.before_schema)
            con.execute("set transaction read only")
            con.execute(psycopg.sql.SQL("set local search_path to {}").format(name))
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


def _before_schema(con: Any, psycopg: Any, schema: str) -> None:
    """Show the registry of an earlier build's schema as a temporary view; what is read of two runs are their lists."""
    view = psycopg.sql.SQL("create temporary view {} as select * from {}")
    for table in COMPARED:
        name, there = psycopg.sql.Identifier(BEFORE + table), psycopg.sql.Identifier(schema, table)
        con.execute(view.format(name, there))


@dataclass(frozen=True)
class Where:
    """Where a query runs: the engine and what it needs of a run directory or a server.

    ``before`` (or ``before_schema`` on a server) is an earlier run, for the queries that compare two: a query reads its
    tables under the names of the tables with ``before_`` in front.
    """

    engine: EngineName
    run: Path
    server: str = ""
    schema: str = "omphalos"
    before: Path | None = None
    before_schema: str = ""


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
    if query.compares and where.before is None and not where.before_schema:
        raise QueryFailed(f"query {query.name} compares two runs", hint="name the earlier one with --against RUN")
    if where.engine == "duckdb":
        tables = _tables_at(where)
        missing = [name for name in query.tables if name not in tables]
        if missing:
            raise QueryFailed(f"the run has no table {', '.join(missing)}", hint="was it made by an older version?")
        with opened({name: tables[name] for name in query.tables}, limits) as con:
            return ask(con, query, values, limits)
    names, rows, cut = _rows_on(query.sql, values, where, limits)
    return _answer(query, names, _by_column(names, rows), cut)


def ask(con: Any, query: Query, values: Mapping[str, str | int], limits: QueryLimits) -> Answer:
    """Run a query of the catalog on DuckDB as ``opened``, as ``execute`` does.

    Raises:
        QueryFailed, QueryTimeout, FingerprintError: as ``execute``.
    """
    raw, cut = on_duckdb(con, query.sql, values, limits)
    return _answer(query, raw.schema.names, raw.columns, cut)


def _answer(query: Query, names: list[str], columns: list[Any], cut: bool) -> Answer:
    if names != list(query.columns):
        raise QueryFailed(f"query {query.name} gave the columns {', '.join(names)}, not those it declares")
    kinds = {"text": pa.large_string(), "int": pa.int64()}
    try:
        arrays = [_array(column, kinds[kind]) for column, kind in zip(columns, query.columns.values(), strict=True)]
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
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
        with opened(_tables_at(where), limits) as con:
            raw, cut = on_duckdb(con, sql, {}, limits)
        names, columns = raw.schema.names, raw.columns
    else:
        names, rows, cut = _rows_on(sql, {}, where, limits)
        columns = _by_column(names, rows)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise QueryFailed(f"the query gives several columns called {twice[0]!r}", hint="name each of them with 'as'")
    return Answer(pa.table([_plain(column) for column in columns], names=names), cut, "")


def _tables_at(where: Where) -> dict[str, Path]:
    tables = run_tables(where.run)
    if where.before is not None:
        tables |= {f"{BEFORE}{name}": path for name, path in run_tables(where.before).items()}
    return tables


def _rows_on(
    sql: str, values: Mapping[str, str | int], where: Where, limits: QueryLimits
) -> tuple[list[str], Any, bool]:
    if where.engine == "sqlite":
        before = where.before / WAREHOUSE_FILE if where.before else None
        return on_sqlite(sql, values, where.run / WAREHOUSE_FILE, limits, before)
    return on_postgres(sql, values, where, limits)


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
    if expired:
        return _timeout(limits)
    line = _first_line(error)
    unknown = any(words in line for words in ("does not exist", "not found", "no such"))  # a table or column
    hint = "'omphalos warehouse docs' describes the tables and their columns" if unknown else ""
    return QueryFailed(f"the query cannot be run: {line}", hint=hint)


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
