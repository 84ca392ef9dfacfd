"""A query of the catalog: its front matter, its parameters, its text, and the checks that hold it to the rules.

Rules of this file: the front matter is TOML in the first comment of the file, read with a closed schema; a query is one
``select`` of the dialect that the three engines share; the parameters it uses are those it declares, and each has a
kind and bounds; a value that came from outside is checked here before an engine sees it, and is bound, never pasted.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.shipped import shipped
from omphalos.tables.contract import CODE_PATTERNS, INT_MAX, INT_MIN, Column, Contract

EngineName = Literal["duckdb", "sqlite", "postgres"]
ENGINES: Final[tuple[EngineName, ...]] = ("duckdb", "sqlite", "postgres")
AREAS: Final = ("briefing", "review", "audit", "investigations")
PATTERNS: Final[dict[str, str]] = {
    **CODE_PATTERNS,
    "month-or-none": f"{CODE_PATTERNS['month']}|0000-00",
    "hs6-or-none": f"{CODE_PATTERNS['hs6']}|",
}
# In front of the name of a table: that of the earlier of two runs.
BEFORE: Final = "before_"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_FRONT = re.compile(r"/\*---\n(.*?)\n---\*/\n(.*)\Z", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")*")|(?P<comment>--[^\n]*|/\*.*?\*/)"""
    r"""|\$(?P<parameter>[A-Za-z_]\w*)|(?P<word>[A-Za-z_]\w*)|(?P<number>[0-9][0-9.eE]*)|(?P<space>\s+)|(?P<mark>.)""",
    re.DOTALL,
)
# What no query may say: everything that writes or reaches out of the tables of the run.
FORBIDDEN: Final = frozenset(
    re.findall(
        r"\w+",
        """alter analyze attach begin call checkpoint commit copy create deallocate delete detach drop execute explain
        export grant import insert install into listen load lock merge notify pragma prepare reindex release reset
        revoke rollback savepoint set show truncate update use vacuum
        dblink getenv glob lo_export lo_import load_extension parquet_scan pg_ls_dir pg_read_binary_file pg_read_file
        pg_sleep pg_terminate_backend query query_table randomblob read_blob read_csv read_csv_auto read_json
        read_json_auto read_parquet read_text set_config sniff_csv""",
    )
)
# What a query of the catalog may not say besides: it depends on the moment, or means another thing on another engine.
NOT_SHARED: Final = frozenset(
    re.findall(
        r"\w+",
        """avg concat current_date current_time current_timestamp current_user date_diff date_trunc extract greatest
        group_concat ilike instr interval least like localtime median now printf random regexp similar stddev strftime
        string_agg to_char""",
    )
)


class QueryError(OmphalosError):
    """A query of the catalog breaks the rules of the catalog."""

    kind = ErrorKind.USAGE
    id = "badQuery"


class UnknownQuery(OmphalosError):
    """There is no query of that name."""

    kind = ErrorKind.NOT_FOUND
    id = "unknownQuery"


class ParameterError(OmphalosError):
    """A parameter is missing, unknown, of the wrong type, or outside its range."""

    kind = ErrorKind.USAGE
    id = "badParameter"


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One parameter; without ``default`` it must be given."""

    kind: Literal["text", "int"]
    about: str
    default: str | int | None = None
    min: int | None = None
    max: int | None = None
    one_of: tuple[str, ...] = ()
    code: str | None = None
    max_bytes: int = 1000

    def read(self, name: str, value: str) -> str | int:
        """Return the typed value of what a person wrote.

        Raises:
            ParameterError: it is not of the kind, or outside the bounds.
        """
        if self.kind == "int":
            if not re.fullmatch(r"-?[0-9]{1,19}", value, re.ASCII):
                raise ParameterError(f"parameter {name} is {value[:60]!r}, which is no whole number")
            number = int(value)
            low, high = INT_MIN if self.min is None else self.min, INT_MAX if self.max is None else self.max
            if not low <= number <= high:
                raise ParameterError(f"parameter {name} is {number}; it must lie between {low} and {high}")
            return number
        if self.one_of and value not in self.one_of:
            raise ParameterError(
                f"parameter {name} is {value[:60]!r}; it must be one of {', '.join(map(repr, self.one_of))}"
            )
        if self.code is not None and not re.fullmatch(PATTERNS[self.code], value, re.ASCII):
            raise ParameterError(f"parameter {name} is {value[:60]!r}, which is no {self.code}")
        if len(value.encode("utf-8", "surrogatepass")) > self.max_bytes or "\0" in value or not _sound(value):
            raise ParameterError(f"parameter {name} is no text of up to {self.max_bytes} bytes")
        return value


class Query(msgspec.Struct, frozen=True):
    """One question of the catalog.

    ``name`` is ``area/question``; ``columns`` and ``key`` declare the answer, whose order is that of the text.
    """

    name: str
    question: str
    grain: str
    key: tuple[str, ...]
    columns: dict[str, Literal["text", "int"]]
    tables: tuple[str, ...]
    engines: tuple[EngineName, ...]
    caveat: str
    parameters: dict[str, Parameter]
    sql: str

    @property
    def compares(self) -> bool:
        """Whether the query reads two runs."""
        return any(table.startswith(BEFORE) for table in self.tables)

    @property
    def contract(self) -> Contract:
        """The contract of the answer: its columns, and the key that proves the grain."""
        columns = tuple(
            Column(name=name, kind=kind, about=self.question, nullable=name not in self.key)
            for name, kind in self.columns.items()
        )
        return Contract(table="answer", version=1, grain=self.grain, key=self.key, column=columns)

    def bind(self, given: Mapping[str, str]) -> dict[str, str | int]:
        """Return the value of every parameter, in order of name.

        Args:
            given: what a person wrote, by name.

        Raises:
            ParameterError: one is missing, unknown, of the wrong type or out of range.
        """
        unknown = sorted(set(given) - set(self.parameters))
        if unknown:
            raise ParameterError(
                f"query {self.name} has no parameter {', '.join(unknown)}",
                hint=f"it has: {', '.join(sorted(self.parameters)) or 'none'}",
            )
        values: dict[str, str | int] = {}
        for name, parameter in sorted(self.parameters.items()):
            if name in given:
                values[name] = parameter.read(name, given[name])
            elif parameter.default is not None:
                values[name] = parameter.default
            else:
                raise ParameterError(f"query {self.name} needs the parameter {name}: {parameter.about}")
        return values

    def bind_typed(self, given: Mapping[str, Any]) -> dict[str, str | int]:
        """Return the value of every parameter, as ``bind``, of values that have a type: a number is no text.

        Raises:
            ParameterError: as ``bind``, or a value is of another type than the front matter says.
        """
        for name, value in given.items():
            declared = self.parameters.get(name)
            if declared is not None and type(value) is not (int if declared.kind == "int" else str):
                wanted = "a whole number, without quotes" if declared.kind == "int" else "a text in quotes"
                raise ParameterError(f"parameter {name} of query {self.name} must be {wanted}")
        return self.bind({name: str(value) for name, value in given.items()})


class _Front(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    question: str
    grain: str
    key: tuple[str, ...]
    columns: dict[str, Literal["text", "int"]]
    tables: tuple[str, ...]
    engines: tuple[EngineName, ...]
    caveat: str
    parameters: dict[str, Parameter] = {}


def tokens(sql: str) -> list[tuple[str, str]]:
    """Return the tokens of an SQL text as (kind, text): text, quoted, parameter, word, number, mark."""
    found = []
    for match in _TOKEN.finditer(sql):
        kind = str(match.lastgroup)
        if kind not in ("space", "comment"):
            found.append((kind, match.group(kind)))
    return found


def check_select(sql: str, where: str, banned: frozenset[str] = FORBIDDEN) -> None:
    """Refuse what is not one select, or uses a word that a query may not use.

    The engines' own sandboxes stand behind this; here the message is better.

    Raises:
        QueryError: with the word.
    """
    found = tokens(sql)
    marks = [text for kind, text in found if kind == "mark"]
    if "'" in marks or '"' in marks or "\0" in sql or not _sound(sql):
        raise QueryError(f"{where}: a text or name does not end, or a character is not allowed")
    if found and found[-1] == ("mark", ";"):
        found.pop()
        marks.pop()
    words = [text.lower() for kind, text in found if kind == "word"]
    if ";" in marks:
        raise QueryError(f"{where}: more than one statement")
    if not words or words[0] not in ("select", "with"):
        raise QueryError(f"{where}: a query is one select, or begins with 'with'")
    said = sorted(set(words) & banned)
    if said:
        raise QueryError(f"{where}: {said[0]!r} has no place in a query")


def parse_query(text: str, name: str) -> Query:
    """Read a query file and hold it to the rules of the catalog.

    Args:
        text: the file.
        name: ``area/question``, from its path.

    Raises:
        QueryError: it has no front matter, or breaks a rule; the message says which.
    """
    match = _FRONT.match(text)
    if match is None:
        raise QueryError(f"query {name} does not begin with its front matter")
    try:
        front = msgspec.convert(tomllib.loads(match.group(1)), _Front)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise QueryError(f"front matter of query {name}: {error}") from error
    sql = match.group(2).strip() + "\n"
    where = f"query {name}"
    check_select(sql, where, FORBIDDEN | NOT_SHARED)
    found = tokens(sql)
    for problem in _problems(front, found, sql):
        raise QueryError(f"{where}: {problem}")
    query = Query(name=name, sql=sql, **{field: getattr(front, field) for field in _Front.__struct_fields__})
    for parameter, declared in front.parameters.items():
        if declared.default is not None and declared.read(parameter, str(declared.default)) != declared.default:
            raise QueryError(f"{where}: the default of {parameter} is of another kind")
    return query


def _problems(front: _Front, found: list[tuple[str, str]], sql: str) -> list[str]:
    """Return what is wrong with a query, the first thing first."""
    problems = []
    used = {text for kind, text in found if kind == "parameter"}
    words = [(i, text) for i, (kind, text) in enumerate(found) if kind == "word"]
    if used != set(front.parameters):
        problems.append(f"parameters used and declared differ: {', '.join(sorted(used ^ set(front.parameters)))}")
    problems += [
        f"parameter {name} is bound to the unknown code {parameter.code}"
        for name, parameter in front.parameters.items()
        if parameter.code not in (None, *PATTERNS)
    ]
    steps = {text for i, text in words if found[i + 1 : i + 3] == [("word", "as"), ("mark", "(")]}
    sources = {found[i + 1][1] for i, text in words if text in ("from", "join") and found[i + 1][0] == "word"}
    if sources - steps - {"distinct"} != set(front.tables):
        differ = sorted((sources - steps - {"distinct"}) ^ set(front.tables))
        problems.append(f"tables read and declared differ: {', '.join(differ)}")
    if not front.key or set(front.key) - set(front.columns):
        problems.append("the key is not among the columns")
    problems += [f"bad name {name!r}" for name in (*front.columns, *front.parameters) if not _NAME.match(name)]
    if not re.search(r"^order by\b", sql, re.MULTILINE):
        problems.append("there is no order by at the end")
    if ("mark", "/") in found or ("mark", "*") in [
        pair for i, pair in enumerate(found) if found[i - 1] != ("mark", "(")
    ]:
        problems.append("a division or a star: engines differ, and columns are named")
    if not front.engines or not all(
        (front.question.endswith("?"), front.grain.startswith("one row per"), front.caveat)
    ):
        problems.append("a question ends with '?', a grain begins with 'one row per', and there is a caveat")
    return problems


def load_catalog(folder: Path | None = None) -> dict[str, Query]:
    """Return every query of the catalog by name, in order of area and name.

    Args:
        folder: the catalog; the shipped one by default.

    Raises:
        QueryError: one of them breaks a rule.
    """
    root = folder or shipped("sql")
    return {
        name: parse_query(path.read_text("utf-8"), name)
        for area in AREAS
        for path in sorted((root / area).glob("*.sql"))
        if _NAME.match(path.stem) and (name := f"{area}/{path.stem}")
    }


def is_query_name(name: str) -> bool:
    """Say whether a text has the form of a query's name, ``area/question``."""
    area, slash, question = name.partition("/")
    return area in AREAS and bool(slash) and _NAME.match(question) is not None


def find_query(name: str, folder: Path | None = None) -> Query:
    """Return the query that is called ``area/question``, or ``question`` where that is unique.

    Raises:
        UnknownQuery: there is none, or more than one.
        QueryError: it breaks a rule.
    """
    return pick_query(name, load_catalog(folder))


def pick_query(name: str, catalog: Mapping[str, Query]) -> Query:
    """Return the query of a loaded catalog that is called ``area/question`` or ``question``.

    Raises:
        UnknownQuery: there is none, or more than one.
    """
    found = [query for full, query in catalog.items() if name in (full, full.partition("/")[2])]
    if len(found) != 1:
        import difflib

        names = [*catalog, *(full.partition("/")[2] for full in catalog)]
        near = difflib.get_close_matches(name, names, 3)
        raise UnknownQuery(
            f"there is no query {name[:100]!r}" if not found else f"{name!r} is the name of several queries",
            hint=f"did you mean {', '.join(near)}?" if near else "'omphalos sql list' shows them",
        )
    return found[0]


def _sound(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def ad_hoc(sql: str) -> str:
    """Return an ad-hoc query ready to run, without a semicolon at its end.

    Raises:
        QueryError: it is not one select, uses a word that writes or reaches out, or a parameter.
    """
    check_select(sql, "the query")
    found = tokens(sql)
    if any(kind == "parameter" for kind, _ in found):
        raise QueryError("the query: an ad-hoc query has no parameters")
    return sql.strip().removesuffix(";").strip()


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that a job names, by its full name, and the values it gives: those that are not the defaults, by name."""

    name: str
    values: tuple[tuple[str, str | int], ...] = ()

    def plain(self) -> str | dict[str, Any]:
        """Return what a configuration says of it: the name alone where every parameter has its default."""
        return {"name": self.name, "params": dict(self.values)} if self.values else self.name


def answerable(asked: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[Asked, ...]:
    """Return the queries that a run is to answer by itself while it is made, in order of full name.

    Args:
        asked: the name of each, and the values of parameters, typed as the front matter types them.

    Raises:
        UnknownQuery: there is no such query.
        QueryError: one needs a second run, or is named twice.
        ParameterError: as ``Query.bind_typed``.
    """
    found: dict[str, Asked] = {}
    wanted = list(asked)
    catalog = load_catalog() if wanted else {}
    for name, given in wanted:
        query = pick_query(name, catalog)
        if query.compares:
            raise QueryError(f"{query.name} compares two runs", hint="'omphalos sql run' asks it of recorded runs")
        if query.name in found:
            raise QueryError(f"{query.name} is named twice", hint="each is answered once")
        values = query.bind_typed(given)
        other = {k: v for k, v in values.items() if v != query.parameters[k].default}
        found[query.name] = Asked(query.name, tuple(other.items()))
    return tuple(found[name] for name in sorted(found))


def describe(query: Query) -> dict[str, Any]:
    """Return what ``sql show --json`` says of a query, in plain values."""
    return dict(msgspec.to_builtins(query))
