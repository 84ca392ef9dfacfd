"""What the warehouse asks of an engine, and what the engines share.

Rules of this file: an engine starts empty, takes in tables by contract, makes views and tables from compiled SQL, and
gives tables back as Arrow batches in key order with the contract's types. What a driver raises leaves an engine only as
``EngineError``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.tables.contract import Contract


class EngineError(OmphalosError):
    """An engine refused a statement, or cannot be reached."""

    kind = ErrorKind.INCOMPLETE
    id = "engineFailed"


class Engine(Protocol):
    """One database in which marts are built.

    Every method raises ``EngineError`` with the first line of what the driver said.
    """

    def load(self, name: str, contract: Contract, parquet: Path) -> None:
        """Make the table ``name`` available, read from a Parquet file that holds it by contract."""

    def seed(self, name: str, columns: list[str], rows: list[list[str]]) -> None:
        """Make a small table of text."""

    def make(self, name: str, sql: str, *, table: bool, slice_by: str = "") -> None:
        """Make the view or table ``name`` from a select.

        ``slice_by`` names a column of text by which it may be made in parts, where an engine gains by that: each row
        of it follows from rows of its sources with the same value there, or that have no such column.
        """

    def count(self, sql: str) -> int:
        """Return the number of rows of a select."""

    def batches(self, name: str, contract: Contract) -> Iterator[Any]:
        """Yield the rows of a relation in key order, as Arrow batches with the contract's types."""

    def close(self, *, keep: bool) -> None:
        """Give up the connection; ``keep`` says whether what was built is to stay."""


def first_line(error: BaseException) -> str:
    """Return the first line that says something of a driver's message, shortened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def literal(text: str) -> str:
    """Return ``text`` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def values_select(columns: list[str], rows: list[list[str]]) -> str:
    """Return a select of constant text rows; in one text for all engines."""
    names = ", ".join(f"cast({column} as text) as {column}" for column in columns)
    constants = ",\n".join("(" + ", ".join(map(literal, row)) + ")" for row in rows)
    return f"with constants({', '.join(columns)}) as (values\n{constants}\n)\nselect {names} from constants"
