"""Every query of the catalog: expected rows on DuckDB and SQLite, a total order, and the house rules of its text."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlglot
from sqlglot import exp

from omphalos.catalog.answer import record, render
from omphalos.catalog.execute import Where, execute, run_tables
from omphalos.catalog.query import AREAS, Query, load_catalog

CATALOG = load_catalog()
EXPECTED = Path(__file__).resolve().parent / "expected"
FUNCTIONS = {"sum", "count", "min", "max", "coalesce", "cast", "case", "if", "substr", "substring", "length",
             "rownumber", "filter", "and", "or"}  # fmt: skip


def expected(name: str) -> tuple[dict[str, str], bytes]:
    """Return the parameters (first line) and the CSV that a query must give on the small run."""
    first, _, body = (EXPECTED / f"{name}.csv").read_bytes().partition(b"\n")
    given = dict(part.split("=", 1) for part in first.decode().removeprefix("#").split())
    return given, body


def test_there_is_a_query_for_every_area() -> None:
    """The catalog has questions of all four kinds, an expected answer for each, and no answer without a question."""
    assert set(AREAS) == {name.partition("/")[0] for name in CATALOG}
    assert 30 <= len(CATALOG) <= 50
    assert sorted(CATALOG) == sorted(
        p.relative_to(EXPECTED).with_suffix("").as_posix() for p in EXPECTED.rglob("*.csv")
    )
    assert len(CATALOG) == len({query.question for query in CATALOG.values()})


@pytest.mark.parametrize("engine", ["duckdb", "sqlite"])
@pytest.mark.parametrize("name", CATALOG)
def test_a_query_gives_its_expected_rows(run: Path, before: Path, name: str, engine: str) -> None:
    """Rows, order and bytes of the answer are those that were worked out for the small run, on either engine."""
    given, body = expected(name)
    query = CATALOG[name]
    answer = execute(query, query.bind(given), Where(engine, run, before=before))  # type: ignore[arg-type]  # a parameter of the test
    assert body.decode() == render(answer, "csv").decode()
    assert not answer.truncated


@pytest.mark.parametrize("name", CATALOG)
def test_engines_agree_on_the_fingerprint(run: Path, before: Path, name: str) -> None:
    """The fingerprint of the answer, which proves the declared key, does not depend on the engine."""
    query = CATALOG[name]
    values = query.bind(expected(name)[0])
    one, two = (
        record(query, values, e, execute(query, values, Where(e, run, before=before))) for e in ("duckdb", "sqlite")
    )
    assert {**one, "engine": ""} == {**two, "engine": ""}


@pytest.fixture(scope="session")
def reversed_run(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same run with the rows of every table the other way round."""
    folder = tmp_path_factory.mktemp("reversed") / "run"
    for path in run_tables(run).values():
        there = folder / path.relative_to(run)
        there.parent.mkdir(parents=True, exist_ok=True)
        table = pq.read_table(path)
        pq.write_table(table.take(list(range(table.num_rows))[::-1]), there)
    return folder


@pytest.mark.parametrize("name", CATALOG)
def test_the_order_of_an_answer_is_total(run: Path, before: Path, reversed_run: Path, name: str) -> None:
    """Rows stored the other way round give the same bytes: no tie is left to the engine."""
    query = CATALOG[name]
    values = query.bind(expected(name)[0])
    one, two = (
        render(execute(query, values, Where("duckdb", place, before=before)), "csv") for place in (run, reversed_run)
    )
    assert one == two


@pytest.mark.parametrize("query", CATALOG.values(), ids=lambda query: query.name)
def test_an_independent_parser_sees_the_same(query: Query) -> None:
    """One select that reads the declared tables, uses the declared parameters and shared functions, and is ordered."""
    for dialect in ("duckdb", "sqlite", "postgres"):
        statements = sqlglot.parse(query.sql.replace("$", ":"), dialect=dialect)
        assert 1 == len(statements)
    tree = sqlglot.parse_one(query.sql.replace("$", ":"), dialect="postgres")
    assert isinstance(tree, exp.Select)
    assert tree.args.get("order") is not None
    steps = {cte.alias for cte in tree.find_all(exp.CTE)}
    assert set(query.tables) == {table.name for table in tree.find_all(exp.Table)} - steps
    assert set(query.parameters) == {p.name for p in tree.find_all(exp.Placeholder)}
    assert list(query.columns) == [column.alias_or_name for column in tree.expressions]
    used = {type(f).__name__.lower() for f in tree.find_all(exp.Func)}
    assert used <= FUNCTIONS, used - FUNCTIONS
    assert not list(tree.find_all(exp.Div, exp.Like, exp.ILike, exp.Star) if "count(*)" not in query.sql else [])


@pytest.mark.parametrize("query", CATALOG.values(), ids=lambda query: query.name)
def test_required_parameters_are_ids_and_bounds_are_declared(query: Query) -> None:
    """Every whole number has a lower bound, every text without a set of values or a code a length."""
    for parameter in query.parameters.values():
        if parameter.kind == "int":
            assert parameter.min is not None
        else:
            assert parameter.one_of or parameter.code or parameter.max_bytes < 1000


def test_a_recount_finds_what_was_altered(run: Path, tmp_path: Path) -> None:
    """The query that should give no row gives one where an exposure was changed, and one where it is missing."""
    import shutil

    copy = shutil.copytree(run, tmp_path / "run")
    path = copy / "scores/entity_scores.parquet"
    table = pq.read_table(path)
    shipments = table.column("shipments").to_pylist()
    at = table.column_names.index("shipments")
    changed = table.set_column(at, table.schema.field(at), [[shipments[0] + 1, *shipments[1:]]]).slice(0, 3)
    pq.write_table(changed, path)
    query = CATALOG["audit/exposure_recounted"]
    rows = execute(query, {}, Where("duckdb", copy)).table.to_pylist()
    assert [("alpha:1", 4, 3), ("beta:2", None, 3)] == [
        (r["entity_id"], r["recorded_shipments"], r["counted_shipments"]) for r in rows
    ]
