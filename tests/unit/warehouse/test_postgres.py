"""A real PostgreSQL server, started on loopback and stopped by its process id: the same marts, and its failures."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from omphalos.tables.contract import load_contract
from omphalos.tables.fingerprint import fingerprint
from omphalos.warehouse.build import ModelFailed
from omphalos.warehouse.engine import EngineError
from omphalos.warehouse.marts import build_target, tables_of
from omphalos.warehouse.postgres_engine import Postgres, SchemaNotOurs

SECONDS = 30


def program(name: str, need_tool: Callable[[str], str]) -> str:
    """Return where a server program is: Debian keeps them off the path."""
    found = shutil.which(name) or max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), default=None)
    return str(found) if found else need_tool(name)


def as_nobody(folder: Path) -> dict[str, object]:
    """Return what makes a child run as the user postgres where the tests run as root; the server refuses root."""
    if os.geteuid() != 0:
        return {}
    for path in (folder, *folder.parents):
        if path == Path("/"):
            break
        if path.stat().st_uid == 0 and path.stat().st_mode & 0o001 == 0:
            path.chmod(path.stat().st_mode | 0o011)
    shutil.chown(folder, "postgres")
    return {"user": "postgres", "group": "postgres", "extra_groups": []}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, need_tool: Callable[[str], str]) -> Iterator[str]:
    """Start a server in a locale of its own, and give the conninfo that reaches it."""
    initdb, postgres = program("initdb", need_tool), program("postgres", need_tool)
    folder = tmp_path_factory.mktemp("postgres")
    user = as_nobody(folder)
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"}
    data = folder / "data"
    subprocess.run(
        [initdb, "-D", data, "-U", "omphalos", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
        check=True, capture_output=True, env=environment, cwd=folder, timeout=SECONDS * 2, **user,
    )  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
    arguments = [postgres, "-D", data, *(part for setting in settings for part in ("-c", setting))]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(arguments, env=environment, cwd=folder, stdout=log, stderr=log, **user)
    try:
        end = time.monotonic() + SECONDS
        while process.poll() is None and time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield f"host=127.0.0.1 port={port} user=omphalos dbname=postgres"
    finally:
        process.send_signal(signal.SIGINT)  # the server's fast shutdown
        process.wait(SECONDS)


def query(server: str, sql: str) -> list[tuple]:
    """Run one statement in a connection of its own."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as con:
        cursor = con.execute(sql)
        return cursor.fetchall() if cursor.description else []


def test_three_engines_give_equal_tables(server: str, small_run: Path, work: Path) -> None:
    """The fingerprint of every mart is equal on DuckDB, SQLite and PostgreSQL, and what stays in the schema has it."""
    tables = tables_of(small_run)
    built = {}
    for target in ("duckdb", "sqlite", "postgres"):
        (work / target).mkdir()
        built[target] = build_target(target, tables, work / target, server=server, schema="three")
    assert built["duckdb"].marts == built["sqlite"].marts == built["postgres"].marts
    assert built["duckdb"].tests == built["postgres"].tests
    engine = Postgres(server, "three", work, fresh=False)
    for name, mart in built["duckdb"].marts.items():
        contract = load_contract(name)
        assert (mart.rows, mart.fingerprint) == fingerprint(engine.batches(name, contract), contract)
    engine.close(keep=False)


def test_postgres_gives_back_what_it_took(server: str, work: Path) -> None:
    """Hostile text, NULL beside the empty text, and the marks of COPY keep their fingerprint."""
    spec = importlib.util.spec_from_file_location("engines", Path(__file__).with_name("test_engines.py"))
    assert spec is not None
    assert spec.loader is not None
    engines = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(engines)
    rows = {(text, n): (other, n * 2**62 - 1) for text in engines.HOSTILE for n, other in enumerate([None, "", text])}
    table = engines.table_of({key: (text, min(n, 2**63 - 1)) for key, (text, n) in rows.items()})
    pq.write_table(table, work / "things.parquet")
    engine = Postgres(server, "things", work)
    engine.load("things", engines.CONTRACT, work / "things.parquet")
    expected = fingerprint(table.to_batches(), engines.CONTRACT)
    assert expected == fingerprint(engine.batches("things", engines.CONTRACT), engines.CONTRACT)
    engine.close(keep=False)


def test_a_second_build_replaces_the_first(server: str, small_run: Path, work: Path) -> None:
    """The schema is made anew, in one transaction."""
    tables = tables_of(small_run)
    first = build_target("postgres", tables, work, server=server, schema="again")
    assert first.marts == build_target("postgres", tables, work, server=server, schema="again").marts


def test_a_schema_of_somebody_else_is_not_touched(server: str, small_run: Path, work: Path) -> None:
    """A schema without the mark of omphalos stays as it is."""
    query(server, "create schema theirs")
    query(server, "create table theirs.kept as select 1 as one")
    with pytest.raises(SchemaNotOurs, match="theirs"):
        build_target("postgres", tables_of(small_run), work, server=server, schema="theirs")
    assert [(1,)] == query(server, "select one from theirs.kept")


def test_a_server_that_stops_halfway_keeps_what_it_had(server: str, small_run: Path, work: Path) -> None:
    """A connection that dies during a build gives an error that names the model; the schema is as it was."""
    tables = tables_of(small_run)
    build_target("postgres", tables, work, server=server, schema="halfway")
    before = query(server, "select * from halfway.list_growth order by 1, 2")
    engine = Postgres(server, "halfway", work)
    query(server, f"select pg_terminate_backend({engine.con.info.backend_pid})")
    from omphalos.warehouse.build import build
    from omphalos.warehouse.marts import plan_for
    from omphalos.warehouse.project import project_folder

    with pytest.raises((ModelFailed, EngineError), match=r"terminat|closed|lost"):
        build(engine, plan_for("postgres", work), project_folder(), tables)
    engine.close(keep=False)
    assert before == query(server, "select * from halfway.list_growth order by 1, 2")


def test_a_server_that_is_not_there_is_said(small_run: Path, work: Path) -> None:
    """No server at the address: an error with a hint, at once."""
    with pytest.raises(EngineError, match="cannot be reached"):
        build_target("postgres", tables_of(small_run), work, server="host=127.0.0.1 port=1 user=x dbname=x")


def test_the_catalog_answers_alike_on_postgres(
    server: str, small_run: Path, earlier_registry: Path, work: Path
) -> None:
    """Every query of the catalog gives its expected bytes on the server, too; a query without end is ended."""
    from omphalos.catalog.answer import render
    from omphalos.catalog.execute import QueryFailed, QueryLimits, QueryTimeout, Where, execute, execute_ad_hoc
    from omphalos.catalog.query import load_catalog

    build_target("postgres", tables_of(small_run), work, server=server, schema="catalog")
    engine = Postgres(server, "catalog_before", work)
    engine.load("registry", load_contract("registry"), earlier_registry)
    engine.close(keep=True)
    where = Where("postgres", small_run, server, "catalog", before_schema="catalog_before")
    expected = Path(__file__).resolve().parents[1] / "catalog" / "expected"
    for name, query in load_catalog().items():
        first, _, body = (expected / f"{name}.csv").read_bytes().partition(b"\n")
        given = dict(part.split("=", 1) for part in first.decode().removeprefix("#").split())
        assert body.decode() == render(execute(query, query.bind(given), where), "csv").decode(), name
    endless = "with recursive n(i) as (select 1 union all select i from n where i = 1) select count(*) from n a, n b"
    with pytest.raises(QueryTimeout):
        execute_ad_hoc(endless, where, QueryLimits(seconds=1))
    with pytest.raises(QueryFailed, match="no schema 'nowhere'"):
        execute_ad_hoc("select 1 as one", Where("postgres", small_run, server, "nowhere"))
    with pytest.raises(QueryFailed, match="cannot be reached"):
        execute_ad_hoc("select 1 as one", Where("postgres", small_run, "host=127.0.0.1 port=1 user=x dbname=x"))
    with pytest.raises(QueryFailed, match="read-only"):
        execute_ad_hoc("create table catalog.x as select 1 as one", where)


@pytest.mark.slow
def test_dbt_itself_builds_the_same_on_postgres(server: str, small_run: Path, work: Path) -> None:
    """dbt's own build on the server, unit tests included, gives the record of the shipped plan."""
    tables = tables_of(small_run)
    (work / "plan").mkdir()
    (work / "dbt").mkdir()
    shipped = build_target("postgres", tables, work / "plan", server=server, schema="plan")
    by_dbt = build_target("postgres", tables, work / "dbt", server=server, schema="by_dbt", with_dbt=True)
    assert shipped.record == by_dbt.record
