"""The contract of a table: columns, kinds, nullability, ranges, codes, key and grain, as data.

Rules of this file: a column is ``text`` or ``int`` and nothing else (money in minor units, scores in basis points,
booleans 0 and 1, dates as ISO-8601 text), so the same content means the same thing on every engine. A contract
file with an unknown member, a key that is no column, or a nullable key is refused when it is read. Contracts are
found by name among the shipped files; the caller never passes a path from outside.
"""

import re
import tomllib
from functools import cache
from typing import Any, Final, Literal

import msgspec
import pyarrow as pa

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.shipped import shipped

Code = Literal["iso3166-alpha2", "iso4217", "hs6", "hs-chapter", "date", "month", "digest", "codes"]

# Full-match patterns of the codes a text column may be bound to (RE2 syntax, as DuckDB runs them).
CODE_PATTERNS: Final[dict[str, str]] = {
    "iso3166-alpha2": "[A-Z]{2}",
    "iso4217": "[A-Z]{3}",
    "hs6": "[0-9]{6}",
    "hs-chapter": "0[1-9]|[1-9][0-9]",
    "date": "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
    "month": "[0-9]{4}-(0[1-9]|1[0-2])",
    "digest": "[0-9a-f]{64}",
    "codes": "[A-Za-z0-9._-]+(;[A-Za-z0-9._-]+)*",
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1


class ContractError(OmphalosError):
    """A shipped contract is missing or contradicts itself."""

    kind = ErrorKind.USAGE
    id = "badContract"


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column: its kind, whether NULL may stand in it, and what its values must obey.

    ``min`` and ``max`` bound an ``int``; ``one_of``, ``code`` and ``max_bytes`` bound a ``text`` (UTF-8 bytes).
    ``scale`` says how many decimal digits an integer carries (2 for cents, 3 for thousandths).
    """

    name: str
    kind: Literal["text", "int"]
    about: str
    nullable: bool = False
    min: int | None = None
    max: int | None = None
    scale: int = 0
    one_of: tuple[str, ...] = ()
    code: Code | None = None
    max_bytes: int | None = None


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The declared shape of one table; ``grain`` says in a sentence what one row is.

    ``index`` lists the columns by which the table is looked up in the SQLite file, beside its key. ``view`` is a select
    over other tables of a run that gives the very same rows: the SQLite file holds it in place of a copy.
    """

    table: str
    version: int
    grain: str
    key: tuple[str, ...]
    column: tuple[Column, ...]
    index: tuple[tuple[str, ...], ...] = ()
    view: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The column names in declared order."""
        return tuple(column.name for column in self.column)

    @property
    def order(self) -> str:
        """The ``order by`` list of the declared key (binary order for text on every engine used)."""
        return ", ".join(self.key)

    def arrow_schema(self) -> Any:
        """Return the pyarrow schema: ``large_string`` for text, ``int64`` for int, declared nullability."""
        kinds = {"text": pa.large_string(), "int": pa.int64()}
        return pa.schema([pa.field(c.name, kinds[c.kind], nullable=c.nullable) for c in self.column])

    def select(self, relation: str, *, ordered: bool = False) -> str:
        """Return SQL that reads the columns of ``relation`` with the declared types, in key order.

        Args:
            relation: a table, view or subquery.
            ordered: its rows stand in key order already, so they are not sorted.
        """
        casts = ", ".join(
            f"cast({c.name} as {'varchar' if c.kind == 'text' else 'bigint'}) as {c.name}" for c in self.column
        )
        return f"select {casts} from {relation}" + ("" if ordered else f" order by {self.order}")


def parse_contract(text: str, *, where: str) -> Contract:
    """Read a contract from TOML.

    Raises:
        ContractError: the text is no contract, or it contradicts itself; ``where`` names it in the message.
    """
    try:
        contract = msgspec.convert(tomllib.loads(text), Contract)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ContractError(f"contract {where} cannot be read: {error}") from error
    columns = {column.name: column for column in contract.column}
    problems = [f"bad name {name!r}" for name in (contract.table, *contract.names) if not _NAME.match(name)]
    if len(columns) != len(contract.column):
        problems.append("a column is declared twice")
    if not contract.key:
        problems.append("there is no key")
    for name in contract.key:
        if name not in columns:
            problems.append(f"key {name!r} is no column")
        elif columns[name].nullable:
            problems.append(f"key {name!r} is nullable")
    problems += [
        f"index on {name!r}, which is no column" for on in contract.index for name in on if name not in columns
    ]
    if contract.view and contract.index:
        problems.append("a view has no index")
    for column in contract.column:
        if column.kind == "int" and (column.one_of or column.code or column.max_bytes):
            problems.append(f"column {column.name!r} is an int with rules of a text")
        if column.kind == "text" and (column.min is not None or column.max is not None or column.scale):
            problems.append(f"column {column.name!r} is a text with rules of an int")
    if problems:
        raise ContractError(f"contract {where} contradicts itself: {'; '.join(problems)}")
    return contract


@cache
def load_contract(table: str) -> Contract:
    """Return the shipped contract of ``table``.

    Raises:
        ContractError: there is none, or it is not sound.
    """
    path = shipped("warehouse") / "contracts" / f"{table}.toml"
    if not _NAME.match(table) or not path.is_file():
        raise ContractError(f"there is no contract for table {table!r}", hint="contracts ship in warehouse/contracts")
    contract = parse_contract(path.read_text("utf-8"), where=path.name)
    if contract.table != table:
        raise ContractError(f"contract {path.name} declares table {contract.table!r}")
    return contract
