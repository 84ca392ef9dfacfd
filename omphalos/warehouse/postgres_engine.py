"""PostgreSQL as the warehouse's engine.

Rules of this file: everything is built in one schema within one transaction, so that a failure, or a server that stops
halfway, leaves the database as it was. Text of the run is stored with the collation "C", so that order and minima
follow the bytes whatever the database's locale. Data goes in and comes out by COPY; there is no loop over rows. A
schema that omphalOS did not make is never touched.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

from omphalos.format.errors import ErrorKind
from omphalos.tables.contract import Contract
from omphalos.tables.write import BATCH
from omphalos.warehouse.engine import EngineError, first_line, values_select

MARK: Final = "omphalos warehouse: made by omphalos, replaced by the next build"


class PostgresMissing(EngineError):
    """The driver of PostgreSQL is not installed."""

    kind = ErrorKind.USAGE
    id = "postgresDriverMissing"


class SchemaNotOurs(EngineError):
    """The schema that is to be built exists and was not made by omphalOS."""

    kind = ErrorKind.USAGE
    id = "schemaNotOurs"


def driver() -> Any:
    """Return the module psycopg.

    Raises:
        PostgresMissing: it is not installed.
    """
    try:
        import psycopg  # an extra: only who names this target needs it
    except ImportError as error:
        raise PostgresMissing(
            "the PostgreSQL driver is not installed", hint="pip install 'omphalos[postgres]'"
        ) from error
    return psycopg


class Postgres:
    """A schema of a PostgreSQL database; see ``engine.Engine``.

    Args:
        conninfo: how to reach the server, as libpq reads it (``postgresql://…`` or ``host=… dbname=…``).
        schema: the schema to build.
        scratch: a folder for tables on their way back.
        fresh: make the schema anew; otherwise go on with the one that is there.
    """

    def __init__(self, conninfo: str, schema: str, scratch: Path, *, fresh: bool = True) -> None:
        self._psycopg = driver()
        self._scratch = scratch
        try:
            self.con: Any = self._psycopg.connect(conninfo, connect_timeout=10, client_encoding="UTF8")
        except self._psycopg.Error as error:
            raise EngineError(
                f"the PostgreSQL server cannot be reached: {first_line(error)}",
                hint="check --server, or PGHOST, PGPORT, PGUSER and PGDATABASE",
            ) from error
        try:
            self._open(schema, fresh)
        except EngineError:
            self.close(keep=False)
            raise

    def _open(self, schema: str, fresh: bool) -> None:
        sql = self._psycopg.sql
        if self._fetch("show server_encoding") != "UTF8":
            raise EngineError("the PostgreSQL database is not encoded in UTF-8")
        comment = self._fetch(
            "select coalesce(obj_description(oid, 'pg_namespace'), '') from pg_namespace where nspname = %s", schema
        )
        if comment is not None and comment != MARK:
            raise SchemaNotOurs(
                f"the schema {schema} exists and was not made by omphalos", hint="name another schema, or drop it"
            )
        name = sql.Identifier(schema)
        make = (
            sql.SQL("drop schema if exists {} cascade").format(name),
            sql.SQL("create schema {}").format(name),
            sql.SQL("comment on schema {} is {}").format(name, sql.Literal(MARK)),
        )
        enter = (
            sql.SQL("set local search_path to {}").format(name),
            sql.SQL("set local time zone 'UTC'"),
        )
        for statement in (*(make if fresh else ()), *enter):
            self._execute(statement)

    def load(self, name: str, contract: Contract, parquet: Path) -> None:
        """Copy a Parquet file into a table with the declared key."""
        kinds = {"text": 'text collate "C"', "int": "bigint"}
        columns = ", ".join(f"{c.name} {kinds[c.kind]}{'' if c.nullable else ' not null'}" for c in contract.column)
        self._execute(f'create table "{name}" ({columns}, primary key ({", ".join(contract.key)}))')
        statement = f'copy "{name}" ({", ".join(contract.names)}) from stdin (format csv)'
        options = pv.WriteOptions(include_header=False, quoting_style="needed")
        try:
            with pq.ParquetFile(parquet) as source, self.con.cursor() as cursor, cursor.copy(statement) as copy:
                for batch in source.iter_batches(batch_size=BATCH, columns=list(contract.names)):
                    buffer = io.BytesIO()
                    pv.write_csv(batch, buffer, options)
                    copy.write(buffer.getvalue())
        except (self._psycopg.Error, pa.ArrowException, OSError) as error:
            raise EngineError(f"table {name} cannot be loaded: {first_line(error)}") from error
        self._execute(f'analyze "{name}"')

    def seed(self, name: str, columns: list[str], rows: list[list[str]]) -> None:
        """Make a small table of text."""
        self.make(name, values_select(columns, rows), table=True)

    def make(self, name: str, sql: str, *, table: bool, slice_by: str = "") -> None:
        """Make a view or table; a table is analyzed, because the next one is planned by what it holds."""
        self._execute(f'create {"table" if table else "view"} "{name}" as {sql}')
        if not table:
            return
        # Text that a model writes itself would have the database's collation, and a query would sort by that.
        others = self._fetch(
            "select string_agg(format('alter column %%I type text collate \"C\"', attname), ', ') from pg_attribute "
            "where attrelid = to_regclass(%s) and attnum > 0 and atttypid = 'text'::regtype "
            "and attcollation <> (select oid from pg_collation where collname = 'C')",
            f'"{name}"',
        )
        if others:
            self._execute(f'alter table "{name}" {others}')
        self._execute(f'analyze "{name}"')

    def count(self, sql: str) -> int:
        """Return the number of rows of a select."""
        return int(self._fetch(f"select count(*) from ({sql}\n) as counted"))

    def batches(self, name: str, contract: Contract) -> Iterator[Any]:
        """Yield the rows in key order."""
        path = self._scratch / f"{name}.csv"
        order = ", ".join(
            f'{c.name} collate "C"' if c.kind == "text" else c.name
            for c in (next(c for c in contract.column if c.name == key) for key in contract.key)
        )
        statement = f'copy (select {", ".join(contract.names)} from "{name}" order by {order}) to stdout (format csv)'
        try:
            with self.con.cursor() as cursor, cursor.copy(statement) as copy, path.open("wb") as file:
                for block in copy:
                    file.write(block)
        except self._psycopg.Error as error:
            raise EngineError(f"table {name}: {first_line(error)}") from error
        if path.stat().st_size:
            yield from _read_csv(path, contract)
        path.unlink()

    def close(self, *, keep: bool) -> None:
        """Commit what was built, or leave the database as it was, and close the connection."""
        try:
            if keep:
                self.con.commit()
            else:
                self.con.rollback()
        except self._psycopg.Error as error:
            if keep:
                raise EngineError(f"PostgreSQL did not keep what was built: {first_line(error)}") from error
        finally:
            self.con.close()

    def _execute(self, statement: Any) -> None:
        try:
            self.con.execute(statement)
        except self._psycopg.Error as error:
            raise EngineError(first_line(error)) from error

    def _fetch(self, statement: str, *parameters: str) -> Any:
        try:
            row = self.con.execute(statement, parameters or None).fetchone()
        except self._psycopg.Error as error:
            raise EngineError(first_line(error)) from error
        return None if row is None else row[0]


def _read_csv(path: Path, contract: Contract) -> Iterator[Any]:
    schema = contract.arrow_schema()
    read = pv.ReadOptions(column_names=list(contract.names))
    convert = pv.ConvertOptions(
        column_types={field.name: field.type for field in schema},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = pv.ParseOptions(newlines_in_values=True)
    with pv.open_csv(path, read_options=read, parse_options=parse, convert_options=convert) as reader:
        yield from reader
