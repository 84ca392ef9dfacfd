"""Find every row of a relation that breaks the contract of its table.

Rules of this file: one pass in the engine for all rules, and one more for each rule that is broken; no Python loop over
rows, and nothing is held that grows with them; each broken rule of
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
    rules = [(column.name, reason, broken) for column in contract.column for reason, broken in _rules(column)]
    # One pass tells which rules are broken at all; mostly none is.
    asked = ", ".join(f"coalesce(bool_or({broken}), false)" for _, _, broken in rules)
    found = con.execute(f"select {asked} from {relation}").fetchone()
    rejects = [
        f"select {row}, {quote(name)}, {quote(reason)}, "
        f"left(cast({name} as varchar), {EXCERPT_CHARACTERS}) from {relation} where {broken}"
        for (name, reason, broken), any_broken in zip(rules, found, strict=True)
        if any_broken
    ]
    return _append(con, into, rejects)


def duplicates(con: Any, relation: str, contract: Contract, *, row: str, into: str) -> int:
    """Append to ``into`` one reject for each row whose key stood before (smallest ``row`` stays); return how many."""
    key = ", ".join(contract.key)
    named = ", ".join(f"{name} as key_{n}" for n, name in enumerate(contract.key))
    same = " and ".join(f"d.key_{n} is not distinct from r.{name}" for n, name in enumerate(contract.key))
    value = " || ', ' || ".join(f"cast(r.{name} as varchar)" for name in contract.key)
    return _append(
        con,
        into,
        [
            # Groups and not a window: what is held for each key is one number, and it can go to disk.
            f"select r.{row}, {quote(','.join(contract.key))}, 'duplicateKey', left({value}, {EXCERPT_CHARACTERS}) "
            f"from {relation} r join (select {named}, min({row}) as first_row from {relation} "
            f"group by {key} having count(*) > 1) d on {same} where r.{row} > d.first_row"
        ],
    )


def is_in_key_order(con: Any, relation: str, contract: Contract) -> bool:
    """Say whether the rows of ``relation``, as they stand, ascend strictly by key: then no key stands twice.

    One pass that holds one row; where a NULL would have to be compared the answer is no.
    """
    before = ", ".join(f"lag({name}) over () as before_{n}" for n, name in enumerate(contract.key))
    after = ascends = ""
    for n, name in reversed(list(enumerate(contract.key))):
        ascends = f"({name} > before_{n}{f' or ({name} = before_{n} and {after})' if after else ''})"
        after = ascends
    key = ", ".join(contract.key)
    row = con.execute(
        f"select count(*) filter (not coalesce({ascends}, false)) from (select {key}, {before} from {relation})"
    ).fetchone()
    return int(row[0]) <= 1  # the first row has none before it


def _append(con: Any, into: str, selects: list[str]) -> int:
    count = f"select count(*) from {into}"
    before = int(con.execute(count).fetchone()[0])
    for select in selects:
        con.execute(f"insert into {into} {select}")
    return int(con.execute(count).fetchone()[0]) - before
