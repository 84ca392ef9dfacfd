"""``omphalos warehouse``: the marts of a run as a database of their own, and the compiled form of the dbt project."""

from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec

from omphalos.cli.main import App, Verb, VerbGroup
from omphalos.format.errors import ErrorKind, OmphalosError


class NoDestination(OmphalosError):
    """A database file was asked for and no place was named, or a place for what is no file."""

    kind = ErrorKind.USAGE
    id = "noDestination"


@click.group(
    cls=VerbGroup,
    examples=["omphalos warehouse build --target sqlite -o marts.sqlite", "omphalos warehouse compile"],
)
def command() -> None:
    """Build the marts of a run on DuckDB, SQLite or PostgreSQL, or compile the dbt project anew."""


@command.command(
    "build",
    cls=Verb,
    examples=[
        "omphalos warehouse build --target duckdb -o marts.duckdb",
        "omphalos warehouse build --target postgres --server 'host=127.0.0.1 dbname=office' --schema q3",
    ],
)
@click.option("--target", type=click.Choice(["duckdb", "sqlite", "postgres"]), default="duckdb", help="The engine.")
@click.option("--run", "run_name", default="latest", metavar="RUN", help="The run (default: latest).")
@click.option("-o", "--output", metavar="FILE", help="The database file to write (DuckDB, SQLite).")
@click.option("--server", default="", metavar="DSN", help="How to reach PostgreSQL, as libpq reads it.")
@click.option("--schema", default="omphalos", metavar="NAME", help="The schema to make on PostgreSQL.")
@click.option("--with-dbt", is_flag=True, help="Let dbt build and test instead of executing what it compiled.")
@click.pass_obj
def build(app: App, target: str, run_name: str, output: str | None, server: str, schema: str, with_dbt: bool) -> None:
    """Build every mart of a run on an engine, test it, and print rows and fingerprint of each."""
    from omphalos.runs.derived import asked_of
    from omphalos.runs.lookup import resolve_run
    from omphalos.runs.tables import verified_tables
    from omphalos.warehouse.marts import build_target, tables_of

    if (output is None) != (target == "postgres"):
        wanted = "a database on a server takes no -o" if output else "name the file with -o FILE"
        raise NoDestination(
            f"{target}: {wanted}", hint="PostgreSQL takes --server and --schema", undone="nothing was built"
        )
    store = app.store()
    run = asked_of(store, resolve_run(store, run_name))
    destination = app.path(output) if output else None
    beside = destination.parent if destination else None
    with verified_tables(store, run) as folder, TemporaryDirectory(prefix=".omphalos-", dir=beside) as work:
        built = build_target(
            target,  # type: ignore[arg-type]  # click let only known targets through
            tables_of(folder),
            Path(work),
            destination=destination,
            server=server,
            schema=schema,
            with_dbt=with_dbt,
        )
    marts = [{"mart": name, "rows": t.rows, "fingerprint": t.fingerprint} for name, t in sorted(built.marts.items())]
    if app.out.json:
        record = msgspec.json.decode(built.record)
        app.out.document("omphalos.warehouse-build/1", {"run_id": run.run_id, "marts": marts, "record": record})
        return
    for mart in marts:
        app.out.text(f"{str(mart['fingerprint'])[:12]} {mart['rows']:>10}  {mart['mart']}")
    for test in built.warnings:
        app.out.warning(f"test {test.name}: {test.failures} rows of {', '.join(test.needs)}")


@command.command("compile", cls=Verb, examples=["omphalos warehouse compile", "omphalos warehouse compile --json"])
@click.pass_obj
def compile_project(app: App) -> None:
    """Compile the dbt project anew for every engine; needed after a model was changed in a source checkout."""
    from omphalos.shipped import shipped
    from omphalos.warehouse.dbt import refresh_plans

    with TemporaryDirectory(prefix="omphalos-") as work:
        changed = refresh_plans(shipped("warehouse"), Path(work))
    names = sorted(path.name for path in changed)
    if app.out.json:
        app.out.document("omphalos.warehouse-compile/1", {"changed": names})
    else:
        app.out.message(f"changed: {', '.join(names)}" if names else "nothing changed")


@command.command(
    "docs", cls=Verb, examples=["omphalos warehouse docs -o marts.html", "omphalos warehouse docs -o marts.html --json"]
)
@click.option("-o", "--output", required=True, metavar="FILE", help="The page to write; it must not exist.")
@click.pass_obj
def docs(app: App, output: str) -> None:
    """Write dbt's documentation of the marts as one HTML page; nothing is sent, and the page fetches nothing."""
    from omphalos.shipped import shipped
    from omphalos.warehouse.dbt import write_docs

    path = app.path(output)
    if path.exists() or not path.parent.is_dir():
        reason = "is there already" if path.exists() else "is in no folder that exists"
        raise NoDestination(f"{output} {reason}", hint="name another file", undone="nothing was written")
    with TemporaryDirectory(prefix="omphalos-") as work:
        write_docs(shipped("warehouse"), path, Path(work))
    if app.out.json:
        app.out.document("omphalos.warehouse-docs/1", {"path": output, "size": path.stat().st_size})
    else:
        app.out.message(f"wrote {output}")
