"""``omphalos sql``: the analyst catalog: list its questions, show one, run one, or run a query of one's own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from omphalos.cli.main import App, Verb, VerbGroup
from omphalos.cli.output import escape
from omphalos.format.errors import ErrorKind, OmphalosError

if TYPE_CHECKING:
    from omphalos.catalog.execute import QueryLimits, Where
    from omphalos.runs.lookup import Run

FORMATS = ("table", "csv", "json", "markdown", "parquet")
LOG = "artifacts/queries.jsonl"


class BadParameter(OmphalosError):
    """A ``--param`` is not of the form name=value."""

    kind = ErrorKind.USAGE
    id = "badParameter"


@click.group(cls=VerbGroup, examples=["omphalos sql list", "omphalos sql run next_items"])
def command() -> None:
    """Ask the analyst catalog, or ask in SQL; read-only, over the verified tables of a run."""


@command.command("list", cls=Verb, examples=["omphalos sql list", "omphalos sql list review"])
@click.argument("area", required=False)
@click.pass_obj
def list_queries(app: App, area: str | None) -> None:
    """List the questions of the catalog, or of one AREA (briefing, review, audit, investigations)."""
    from omphalos.catalog.query import describe, load_catalog

    queries = [query for name, query in load_catalog().items() if area in (None, name.partition("/")[0])]
    if area is not None and not queries:
        raise click.UsageError(f"there is no area {area!r}: briefing, review, audit, investigations")
    if app.out.json:
        app.out.document("omphalos.sql-list/1", {"queries": [describe(query) for query in queries]})
        return
    width = max(len(query.name) for query in queries)
    for query in queries:
        app.out.text(f"{query.name:<{width}}  {query.question}")


@command.command("show", cls=Verb, examples=["omphalos sql show next_items", "omphalos sql show audit/rows_of_tables"])
@click.argument("name", metavar="QUERY")
@click.pass_obj
def show(app: App, name: str) -> None:
    """Show a query: its question, grain, parameters, caveat and text."""
    from omphalos.catalog.query import describe, find_query

    query = find_query(name)
    if app.out.json:
        app.out.document("omphalos.sql-show/1", {"query": describe(query)})
        return
    out = app.out
    out.text(f"{out.style(query.name, bold=True)}: {query.question}")
    out.text(f"grain    {query.grain}")
    out.text(f"tables   {', '.join(query.tables)}")
    out.text(f"engines  {', '.join(query.engines)}")
    out.text(f"caveat   {query.caveat}")
    for parameter, about in sorted(query.parameters.items()):
        default = "required" if about.default is None else f"default {about.default}"
        out.text(f"--param {parameter}=...  {about.kind}, {default}: {about.about}")
    out.text()
    out.text(query.sql.strip())


def _run_options(function: Any) -> Any:
    for option in (
        click.option("--run", "run_name", default="latest", metavar="RUN", help="The run to ask (default: latest)."),
        click.option("--format", "form", type=click.Choice(FORMATS), default="table", help="How to write the answer."),
        click.option("--engine", type=click.Choice(["duckdb", "sqlite"]), default="duckdb", help="What executes it."),
        click.option("--seconds", type=click.IntRange(1, 86_400), default=60, help="Give up after this time."),
        click.option("--rows", type=click.IntRange(1, 10_000_000), default=1_000_000, help="Give at most these rows."),
    ):
        function = option(function)
    return function


@command.command(
    "run", cls=Verb, examples=["omphalos sql run next_items", "omphalos sql run items_of_party --param party=P0123"]
)
@click.argument("name", metavar="QUERY")
@click.option("--param", "given", multiple=True, metavar="NAME=VALUE", help="The value of a parameter.")
@_run_options
@click.pass_obj
def run_query(app: App, /, name: str, given: tuple[str, ...], **options: Any) -> None:
    """Run QUERY of the catalog over a run; parameters are bound, never pasted into the text."""
    from omphalos.catalog.answer import record
    from omphalos.catalog.execute import execute
    from omphalos.catalog.query import find_query

    query = find_query(name)
    values = query.bind(_pairs(given))
    with _place(app, options) as (run, where, limits):
        answer = execute(query, values, where, limits)
        _say(app, run, answer, record(query, values, where.engine, answer), options["form"])


@command.command(
    "query",
    cls=Verb,
    examples=[
        'omphalos sql query "select band, count(*) as items from review group by band order by band"',
        'omphalos sql query "select name from registry order by name limit 5" --format csv',
    ],
)
@click.argument("text", metavar="SQL")
@_run_options
@click.pass_obj
def query_text(app: App, /, text: str, **options: Any) -> None:
    """Run one select of your own over a run, read-only; it is put on the log of queries like any other."""
    from omphalos.catalog.answer import ad_hoc_record
    from omphalos.catalog.execute import execute_ad_hoc
    from omphalos.catalog.query import ad_hoc

    sql = ad_hoc(text)
    with _place(app, options) as (run, where, limits):
        answer = execute_ad_hoc(sql, where, limits)
        _say(app, run, answer, ad_hoc_record(sql, where.engine, answer), options["form"])


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadParameter(f"not a parameter: {text}", hint="write --param name=value", undone="no query was run")
        if name in values:
            raise BadParameter(f"parameter {name} is given twice", undone="no query was run")
        values[name] = value
    return values


@contextmanager
def _place(app: App, options: dict[str, Any]) -> Iterator[tuple["Run", "Where", "QueryLimits"]]:
    """Open the verified tables of the run a query asks, under the limits it was given."""
    from omphalos.catalog.execute import QueryLimits, Where
    from omphalos.runs.lookup import resolve_run
    from omphalos.runs.tables import verified_tables

    store = app.store()
    run = resolve_run(store, options["run_name"])
    with verified_tables(store, run) as folder:
        limits = QueryLimits(seconds=options["seconds"], rows=options["rows"])
        yield run, Where(options["engine"], folder), limits


def _say(app: App, run: Any, answer: Any, record: dict[str, Any], form: str) -> None:
    from omphalos.catalog.answer import render

    _log(app, {"run_id": run.run_id, "run": run.id.hex(), **record})
    if app.out.json:
        rows = msgspec.json.decode(render(answer, "json"))
        app.out.document("omphalos.sql-run/1", {"run_id": run.run_id, "record": record, "rows": rows})
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(render(answer, form))  # type: ignore[arg-type]  # click let only known formats through
    sys.stdout.buffer.flush()
    if answer.truncated:
        app.out.warning("there are more rows than the limit; --rows raises it")


def _log(app: App, entry: dict[str, Any]) -> None:
    """Append the query to the store's log of queries, so that what was asked can be shown later."""
    path = app.store().root / LOG
    line = msgspec.json.encode({"at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **entry}, order="deterministic")
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as stream:
            stream.write(line + b"\n")
    except OSError as error:
        app.out.warning(f"the query was not logged: {escape(str(error.strerror).lower())}")
