"""The warehouse file has the indexes that the catalog looks things up by, and the view that stands for a table."""

import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omphalos.catalog.query import find_query
from omphalos.tables.contract import load_contract
from omphalos.tables.fingerprint import fingerprint


@pytest.mark.parametrize(
    ("name", "uses"),
    [
        ("review/items_of_entity", ["SEARCH review USING INDEX review_by_entity_id"]),
        ("review/items_of_party", ["SEARCH review USING PRIMARY KEY"]),
        ("review/next_items", ["SEARCH review USING INDEX review_by_review_rank"]),
        ("review/items_with_something_against", ["USING INDEX review_by_review_rank"]),
        ("review/items_near_a_threshold", ["SEARCH review USING INDEX review_by_score_bp"]),
        ("audit/matches_of_shipment", ["SEARCH shipment_parties USING PRIMARY KEY", "SEARCH review USING PRIMARY KEY"]),
        ("audit/shipment_as_filed", ["SEARCH trade_feed USING PRIMARY KEY"]),
        (
            "investigations/shipments_of_entity",
            ["SEARCH review USING INDEX review_by_entity_id", "shipment_parties_by_party_id", "SEARCH trade_feed"],
        ),
        ("investigations/shipments_of_party", ["shipment_parties_by_party_id", "SEARCH trade_feed USING PRIMARY KEY"]),
        ("investigations/counterparties_of_entity", ["SEARCH counterparties_of_listed USING PRIMARY KEY"]),
    ],
)
def test_a_lookup_uses_an_index(run: Path, name: str, uses: list[str]) -> None:
    """A question about one thing searches by key or index and does not read the table."""
    query = find_query(name)
    values = {p: "x" if declared.default is None else declared.default for p, declared in query.parameters.items()}
    with sqlite3.connect(f"file:{run / 'warehouse/warehouse.sqlite'}?mode=ro", uri=True) as db:
        plan = "\n".join(row[3] for row in db.execute("explain query plan " + query.sql, values))
    for use in uses:
        assert use in plan


def test_the_queries_of_the_briefing_read_marts_alone(run: Path) -> None:
    """A briefing reads tables that are small already: no query of it touches a table with a row for each shipment."""
    large = {"trade_feed", "shipment_parties", "entity_matches", "flagged_shipments", "price_outliers"}
    from omphalos.catalog.query import load_catalog

    for name, query in load_catalog().items():
        if name.startswith(("briefing/", "review/")):
            assert not large & set(query.tables), name


def test_the_view_of_the_matches_is_the_table_of_the_matches(run: Path) -> None:
    """What the warehouse file derives from two tables has the fingerprint of the Parquet file, row for row."""
    contract = load_contract("entity_matches")
    recorded = fingerprint(pq.read_table(run / "matches/entity_matches.parquet").to_batches(), contract)
    with sqlite3.connect(f"file:{run / 'warehouse/warehouse.sqlite'}?mode=ro", uri=True) as db:
        rows = db.execute(
            f"select {', '.join(contract.names)} from entity_matches order by {contract.order}"
        ).fetchall()
        assert ("view",) == db.execute("select type from sqlite_master where name = 'entity_matches'").fetchone()
    columns = zip(*rows, strict=True)
    arrays = [pa.array(c, field.type) for c, field in zip(columns, contract.arrow_schema(), strict=True)]
    again = fingerprint([pa.RecordBatch.from_arrays(arrays, names=list(contract.names))], contract)
    assert recorded[0] > 5
    assert recorded == again
