"""``omphalos sql``: the analyst catalog: list its questions, show one, run one, or run a query of one's own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
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

FORMATS = ("table", "csv", "json", "markdown", "parquet", "spreadsheet")
ENGINES = ("duckdb", "sqlite", "postgres")
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
    for line in query.sql.strip().split("\n"):
        out.text(line)


def _run_options(function: Any) -> Any:
    for option in (
        click.option("--run", "run_name", default="latest", metavar="RUN", help="The run to ask (default: latest)."),
        click.option("--format", "form", type=click.Choice(FORMATS), default="table", help="How to write the answer."),
        click.option("--against", metavar="RUN", help="An earlier run, for a query that compares two."),
        click.option("--engine", type=click.Choice(ENGINES), default="duckdb", help="What executes it."),
        click.option("--server", default="", metavar="DSN", help="How to reach PostgreSQL, as libpq reads it."),
        click.option("--schema", default="omphalos", metavar="NAME", help="The schema to ask on PostgreSQL."),
        click.option("--against-schema", default="", metavar="NAME", help="The schema of an earlier run there."),
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
@click.option("--record", is_flag=True, help="Record the answer as a run of its own; its run_id is said on stderr.")
@_run_options
@click.pass_obj
def run_query(app: App, /, name: str, given: tuple[str, ...], record: bool, **options: Any) -> None:
    """Run QUERY of the catalog over a run; parameters are bound, never pasted into the text.

    With --record the answer becomes a derived run, which holds the query, its parameters, the rows, and the manifest of
    the run that was asked; 'omphalos certify' asks the same question again.
    """
    from omphalos.catalog.answer import record as record_of
    from omphalos.catalog.execute import execute
    from omphalos.catalog.query import find_query

    query = find_query(name)
    values = query.bind(_pairs(given))
    with _place(app, options) as (asked, where, limits):
        derived = _record(app, query, values, where.engine, asked, limits) if record else None
        answer = execute(query, values, where, limits)
        _say(app, asked, answer, record_of(query, values, where.engine, answer), options["form"], derived)


def _record(app: App, query: Any, values: Any, engine: Any, asked: "Asked", limits: Any) -> str:
    """Record the answer as a derived run and return its run_id."""
    from omphalos.cli.run import machine
    from omphalos.runs.derived import EARLIER, PARENT, NotRecordable, record_query

    runs = {role: run for role, run in ((PARENT, asked.run), (EARLIER, asked.against)) if run is not None}
    if PARENT not in runs:
        raise NotRecordable(
            "an answer of a PostgreSQL server cannot be recorded: nothing proves that its tables are those of the run",
            hint="ask with --engine duckdb or sqlite",
            undone="no query was run",
        )
    outcome = record_query(app.store(), query, values, engine, runs, limits, machine(None, "2GiB", lambda _: None))
    again = " again, with the same answer" if outcome.again else ""
    app.out.message(f"recorded as {outcome.run_id}{again}")
    return outcome.run_id


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
    with _place(app, options) as (asked, where, limits):
        answer = execute_ad_hoc(sql, where, limits)
        _say(app, asked, answer, ad_hoc_record(sql, where.engine, answer), options["form"])


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


@dataclass(frozen=True)
class Asked:
    """The runs that a query is asked of; none where a server is asked, which does not say what it holds."""

    run: "Run | None"
    against: "Run | None"


@contextmanager
def _place(app: App, options: dict[str, Any]) -> Iterator[tuple[Asked, "Where", "QueryLimits"]]:
    """Open the verified tables of the run a query asks, under the limits it was given."""
    from omphalos.catalog.execute import QueryLimits, Where
    from omphalos.runs.tables import verified_tables

    limits = QueryLimits(seconds=options["seconds"], rows=options["rows"])
    store = app.store()
    if options["engine"] == "postgres":
        server, schema, earlier = options["server"], options["schema"], options["against_schema"]
        yield Asked(None, None), Where("postgres", store.root, server, schema, before_schema=earlier), limits
        return
    if options["server"] or options["against_schema"]:
        raise click.UsageError("--server and --against-schema are for --engine postgres")
    run = _asked(app, options["run_name"])
    with ExitStack() as stack:
        folder = stack.enter_context(verified_tables(store, run))
        against = _asked(app, options["against"]) if options["against"] else None
        before = stack.enter_context(verified_tables(store, against)) if against else None
        yield Asked(run, against), Where(options["engine"], folder, before=before), limits


def _asked(app: App, name: str) -> "Run":
    """Return the run of a name; of the answer to a query, the run that it was asked of."""
    from omphalos.runs.derived import asked_of
    from omphalos.runs.lookup import resolve_run

    run = resolve_run(app.store(), name)
    parent = asked_of(app.store(), run)
    if parent is not run:
        app.out.message(f"{run.run_id} is the answer to a query; {parent.run_id} is asked")
    return parent


def _say(app: App, asked: Asked, answer: Any, record: dict[str, Any], form: str, derived: str | None = None) -> None:
    from omphalos.catalog.answer import render

    run, against = asked.run, asked.against
    place = {
        "run_id": run.run_id if run else None,
        "run": run.id.hex() if run else None,
        "against": against.run_id if against else None,
        "recorded": derived,
    }
    _log(app, {**place, **record})
    if app.out.json:
        rows = msgspec.json.decode(render(answer, "json"))
        members = {"run_id": place["run_id"], "against": place["against"], "recorded": derived}
        app.out.document("omphalos.sql-run/1", {**members, "record": record, "rows": rows})
        return
    data = render(answer, form)  # type: ignore[arg-type]  # click let only known formats through
    app.out.file(data, f"an answer as {form}")
    if not answer.table.num_rows:
        name = record["query"]
        hint = f"; 'omphalos sql show {name}' has what its parameters are compared with" if record["parameters"] else ""
        app.out.message(f"no row answers this{hint}")
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
