"""Find every row of a relation that breaks the contract of its table.

Rules of this file: one pass in the engine for each kind of rule and no Python loop over rows; each broken rule of
each row is one reject with the row's number, the field, a reason code and an excerpt of the value. Nothing is
repaired here.
"""

from typing import Any, Final

from omphalos.tables.contract import CODE_PATTERNS, Column, Contract

EXCERPT_CHARACTERS: Final = 200


def quote(text: str) -> str:
    """Return ``text`` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _rules(column: Column) -> list[tuple[str, str]]:
    """Return (reason, SQL condition that is true where the rule is broken) for one column."""
    name = column.name
    rules: list[tuple[str, str]] = []
    if not column.nullable:
        rules.append(("missingValue", f"{name} is null"))
    if column.min is not None:
        rules.append(("belowMinimum", f"{name} < {column.min}"))
    if column.max is not None:
        rules.append(("aboveMaximum", f"{name} > {column.max}"))
    if column.one_of:
        rules.append(("notAllowed", f"{name} not in ({', '.join(map(quote, column.one_of))})"))
    if column.code is not None:
        rules.append(("badCode", f"not regexp_full_match({name}, {quote(CODE_PATTERNS[column.code])})"))
    if column.max_bytes is not None:
        rules.append(("tooLong", f"strlen({name}) > {column.max_bytes}"))
    if column.kind == "text":
        # Only text beyond ASCII (more bytes than characters) can be anything but NFC.
        rules.append(("notNfc", f"strlen({name}) <> length({name}) and nfc_normalize({name}) <> {name}"))
    return rules


def violations(con: Any, relation: str, contract: Contract, *, row: str, into: str) -> int:
    """Append to ``into`` one reject for each broken column rule of each row; return how many.

    Args:
        con: a DuckDB connection.
        relation: the relation to check; it has the contract's columns and the column ``row``.
        contract: the contract to hold it to.
        row: the column that numbers the rows.
        into: an existing table with the columns (source_row bigint, field varchar, reason varchar, value varchar).
    """
    rejects = [
        f"select {row}, {quote(column.name)}, {quote(reason)}, "
        f"left(cast({column.name} as varchar), {EXCERPT_CHARACTERS}) from {relation} where {broken}"
        for column in contract.column
        for reason, broken in _rules(column)
    ]
    return _append(con, into, rejects)


def duplicates(con: Any, relation: str, contract: Contract, *, row: str, into: str) -> int:
    """Append to ``into`` one reject for each row whose key stood before (smallest ``row`` stays); return how many."""
    key = ", ".join(contract.key)
    value = " || ', ' || ".join(f"cast({name} as varchar)" for name in contract.key)
    return _append(
        con,
        into,
        [
            f"select {row}, {quote(','.join(contract.key))}, 'duplicateKey', left({value}, {EXCERPT_CHARACTERS}) "
            f"from (select *, row_number() over (partition by {key} order by {row}) as nth from {relation}) "
            "where nth > 1"
        ],
    )


def _append(con: Any, into: str, selects: list[str]) -> int:
    count = f"select count(*) from {into}"
    before = int(con.execute(count).fetchone()[0])
    for select in selects:
        con.execute(f"insert into {into} {select}")
    return int(con.execute(count).fetchone()[0]) - before
