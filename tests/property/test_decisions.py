"""Decisions as hostile bytes: a line is one decision or a typed error that names it; states follow the rules."""

import json
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from omphalos.screening.job import ReviewSpec
from omphalos.screening.review.decisions import (
    VERDICTS,
    DecisionsError,
    apply_decisions,
    load_decisions,
    parse_decision,
)

HASHES = ("ab" * 32, "cd" * 32)
GOOD: dict[str, Any] = {
    "party_id": "P" + "0" * 20,
    "entity_id": "e:1",
    "record_hash": HASHES[0],
    "verdict": "dismissed",
    "reviewer": "R",
    "reason": "why",
    "decided": "2026-01-10",
    "expires": "2026-12-31",
}
values = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.text(), max_size=2), st.floats())


def outcome(data: bytes, number: int) -> dict[str, str | None] | DecisionsError:
    """Return the decision, or the error that a line gives."""
    try:
        return parse_decision(data, number)
    except DecisionsError as error:
        return error


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """Bytes are a decision or an error that names the line; no other exception."""
    found = outcome(data, 5)
    if isinstance(found, DecisionsError):
        assert found.message.startswith("line 5 of the decisions ")
        assert found.message.isprintable()
    else:
        assert set(found) == set(GOOD)


@given(st.sampled_from(sorted(GOOD)), values)
def test_any_member(name: str, value: Any) -> None:
    """A line with one member replaced by anything is refused, or is taken with exactly that member."""
    line = json.dumps({**GOOD, name: value}).encode()
    found = outcome(line, 1)
    if isinstance(found, DecisionsError):
        assert found.message.isprintable()
    else:
        assert found == {**GOOD, name: value}
        assert value is None or (isinstance(value, str) and value.isprintable())


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_any_file(lines: list[bytes]) -> None:
    """A file is taken whole or refused whole: no table is made of the lines before a bad one."""
    with TemporaryDirectory() as folder, duckdb.connect() as con:
        path = Path(folder) / "d"
        path.write_bytes(b"\n".join([json.dumps(GOOD).encode(), *lines]))
        try:
            load_decisions(con, path)
        except DecisionsError:
            assert con.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)


days = st.dates(date(2026, 1, 1), date(2026, 1, 6)).map(date.isoformat)
lines = st.fixed_dictionaries(
    {"verdict": st.sampled_from(VERDICTS), "record_hash": st.sampled_from(HASHES), "decided": days, "length": days}
)


@given(st.lists(lines, max_size=6), days)
def test_states_follow_the_rules(given_lines: list[dict[str, str]], as_of: str) -> None:
    """The state of a pair is what a plain reading of its decisions, one after the other, gives."""
    taken = []
    for one in given_lines:
        expires = max(one["decided"], one["length"])
        taken.append({**GOOD, **{k: v for k, v in one.items() if k != "length"}, "expires": expires})
    with TemporaryDirectory() as folder, duckdb.connect() as con:
        path = Path(folder) / "d"
        path.write_text("".join(json.dumps(one) + "\n" for one in taken))
        con.execute("CREATE TABLE trade_feed (ship_date TEXT, ship_month TEXT)")
        con.execute("CREATE TABLE registry AS SELECT 'e:1' AS entity_id, ? AS record_hash", [HASHES[0]])
        con.execute("CREATE TABLE party_matches AS SELECT ? AS party_id, 'e:1' AS entity_id", [GOOD["party_id"]])
        load_decisions(con, path)
        apply_decisions(con, ReviewSpec(as_of=as_of))
        found = con.execute("SELECT state FROM pair_states").fetchall()
    latest: dict[str, Any] | None = None
    for one in taken:
        if latest is None or one["decided"] >= latest["decided"]:
            latest = one
    if latest is None:
        wanted = []
    elif latest["verdict"] == "withdrawn":
        wanted = [("open",)]
    elif latest["record_hash"] != HASHES[0] or latest["expires"] < as_of:
        wanted = [("reopened",)]
    else:
        wanted = [("suppressed" if latest["verdict"] == "dismissed" else latest["verdict"],)]
    assert found == wanted
