"""Apply a pure function to the distinct values of a query, and leave the result as a table to join back.

Rules of this file: Python sees each distinct value once and never a row; values pass in Arrow batches, so memory is
bounded by one batch, and DuckDB holds (and spills) the rest. What the table holds does not depend on the order in which
the values came.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from omphalos.screening.normalize.legal_forms import name_forms

BATCH_VALUES: Final = 65_536
MAPPED: Final = "_mapped_batch"


def map_distinct(
    con: Any, table: str, source: str, schema: Any, convert: Callable[[list[str]], Sequence[list[Any]]]
) -> None:
    """Make the temporary table ``table`` with column ``v`` (VARCHAR) and the columns of ``schema``.

    Args:
        con: a DuckDB connection.
        table: name of the table to make, replacing one of that name.
        source: a SELECT of distinct, non-NULL texts in a column ``v``.
        schema: pyarrow schema of the further columns.
        convert: maps a batch of values to one list per column of ``schema``, each as long as the batch.
    """
    keys = f"{table}_distinct"
    con.execute(f"CREATE OR REPLACE TEMP TABLE {keys} AS SELECT row_number() OVER () AS n, v FROM ({source})")
    total = con.execute(f"SELECT count(*) FROM {keys}").fetchone()[0]
    full = pa.schema([pa.field("v", pa.string()), *schema])
    con.register(MAPPED, full.empty_table())
    con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT * FROM {MAPPED}")
    con.unregister(MAPPED)
    for low in range(0, total, BATCH_VALUES):
        values = con.execute(
            f"SELECT v FROM {keys} WHERE n > ? AND n <= ?", [low, low + BATCH_VALUES]
        ).to_arrow_table()["v"]
        columns = convert(values.to_pylist())
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        con.register(MAPPED, pa.table([values.cast(pa.string()), *arrays], schema=full))
        con.execute(f"INSERT INTO {table} SELECT * FROM {MAPPED}")
        con.unregister(MAPPED)
    con.execute(f"DROP TABLE {keys}")


_FORMS: Final = pa.schema(
    [
        ("full_form", pa.string()),
        ("core_form", pa.string()),
        ("legal_forms", pa.string()),
        ("script", pa.string()),
        ("low_information", pa.int64()),
        ("tail_form", pa.string()),
    ]
)


def map_forms(con: Any, table: str, source: str) -> None:
    """Make the temporary table ``table``: ``v``, and the comparison forms of each name that ``source`` selects."""

    def convert(names: list[str]) -> list[list[Any]]:
        found = [name_forms(name) for name in names]
        return [
            [forms.full for forms in found],
            [forms.core for forms in found],
            [forms.legal_forms for forms in found],
            [forms.script for forms in found],
            [forms.low_information for forms in found],
            [forms.tail for forms in found],
        ]

    map_distinct(con, table, source, _FORMS, convert)
