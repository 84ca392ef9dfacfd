"""A small world for the matcher: parties and list names in, ``party_matches`` out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from omphalos.screening.match import MatchParams, MatchReport, match_parties
from omphalos.screening.normalize.legal_forms import name_forms

FORMS = ("full_form", "core_form", "legal_forms", "script", "tail_form")
TEXT, INT = pa.string(), pa.int64()


@dataclass
class Entity:
    """A listed entity with its names as (kind, name)."""

    entity_id: str
    names: list[tuple[str, str]]
    entity_type: str = "organization"
    country: str | None = None
    countries: str | None = None


@dataclass
class Outcome:
    """What a match made."""

    report: MatchReport
    rows: list[dict[str, Any]] = field(default_factory=list)

    def one(self) -> dict[str, Any]:
        """Return the only match."""
        assert len(self.rows) == 1, self.rows
        return self.rows[0]

    def codes(self) -> set[str]:
        """Return the reason codes of the only match."""
        return set(self.one()["reasons"].split(";"))


def forms(name: str) -> dict[str, Any]:
    """Return the comparison columns of a name."""
    made = name_forms(name)
    return dict(zip(FORMS, (made.full, made.core, made.legal_forms, made.script, made.tail), strict=True)) | {
        "low_information": made.low_information
    }


def put(con: Any, table: str, columns: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Make ``table`` with typed columns out of ``rows``."""
    schema = pa.schema(list(columns.items()))
    con.register("rows", pa.Table.from_pylist(rows, schema=schema))
    con.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM rows")
    con.unregister("rows")


def fill(con: Any, parties: list[tuple[str, str | None]], entities: list[Entity]) -> None:
    """Make ``parties``, ``registry`` and ``registry_forms``."""
    shape = dict.fromkeys(FORMS, TEXT) | {"low_information": INT}
    put(
        con,
        "parties",
        {"party_id": TEXT, "name": TEXT, "country": TEXT} | shape,
        [{"party_id": f"P{i}", "name": n, "country": c} | forms(n) for i, (n, c) in enumerate(parties)],
    )
    put(
        con,
        "registry",
        dict.fromkeys(("entity_id", "entity_type", "country", "countries"), TEXT),
        [
            {"entity_id": e.entity_id, "entity_type": e.entity_type, "country": e.country, "countries": e.countries}
            for e in entities
        ],
    )
    put(
        con,
        "registry_forms",
        {"entity_id": TEXT, "name_no": INT, "name_kind": TEXT, "name": TEXT} | shape,
        [
            {"entity_id": e.entity_id, "name_no": no, "name_kind": kind, "name": name} | forms(name)
            for e in entities
            for no, (kind, name) in enumerate(e.names)
        ],
    )


def run(
    parties: list[str | tuple[str, str | None]],
    entities: list[Entity],
    params: MatchParams | None = None,
    threads: int = 2,
) -> Outcome:
    """Match parties (names, or names with a country) against entities."""
    with duckdb.connect(config={"threads": threads}) as con:
        fill(con, [(p, None) if isinstance(p, str) else p for p in parties], entities)
        report = match_parties(con, params or MatchParams(), threads)
        rows = con.execute("SELECT * FROM party_matches").to_arrow_table().to_pylist()
    return Outcome(report, rows)


@pytest.fixture
def world() -> type[Entity]:
    """Return the class of listed entities."""
    return Entity


@pytest.fixture
def match() -> Callable[..., Outcome]:
    """Return a function that matches parties against entities."""
    return run


@pytest.fixture
def one_name() -> Callable[..., Outcome]:
    """Return a function that matches one party name against one listed name."""

    def against(party: str, listed: str, params: MatchParams | None = None, **more: Any) -> Outcome:
        kind = more.pop("kind", "primary")
        country = more.pop("party_country", None)
        return run([(party, country)], [Entity("t:1", [(kind, listed)], **more)], params)

    return against
