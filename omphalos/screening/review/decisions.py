"""Decisions of earlier reviews: read from JSON lines, and laid over the matches of this run.

Rules of this file: the schema of a line is closed, and one bad line refuses the whole file, because a decision that
is silently skipped puts a dismissed pair back and a decision that is misread takes an open one away. A decision
changes the state of a pair and its place in the queue, never a match, a score or a limit. Whether it has
expired is judged by a day the plan determines, never by a clock. What names nothing of this run is reported.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, TypeAlias

import duckdb
import pyarrow as pa

from omphalos.format import strictjson
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.screening.job import ReviewSpec, is_day

Con: TypeAlias = duckdb.DuckDBPyConnection

VERDICTS: Final = ("dismissed", "confirmed", "escalated", "withdrawn")
STATES: Final = ("open", "reopened", "escalated", "confirmed", "suppressed")
IN_QUEUE: Final = ("open", "reopened", "escalated")
MAX_LINE_BYTES: Final = 1 << 14
MAX_DECISIONS: Final = 500_000
MAX_LISTED: Final = 1_000  # decisions of one kind that the report lists; it counts all

_FIELDS: Final = (
    "party_id", "entity_id", "record_hash", "verdict", "reviewer", "reason", "decided", "expires",
)  # fmt: skip
_COLUMNS: Final = pa.schema([("line", pa.int64()), *((name, pa.string()) for name in _FIELDS)])
_PARTY: Final = re.compile(r"P[0-9a-f]{20}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST: Final = {"entity_id": 512, "reviewer": 200, "reason": 2000}  # characters


class DecisionsError(OmphalosError):
    """A file of decisions cannot be taken; the message names the line."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "badDecisions"


@dataclass(frozen=True, slots=True)
class Decided:
    """What reading the decisions gave: how many lines, and the day on which they are judged, if there is one."""

    decisions: int
    as_of: str | None
    as_of_from: str  # job, feed or nothing


def parse_decision(line: bytes, number: int) -> dict[str, str | None]:
    """Return the members of one line of decisions.

    Args:
        line: the bytes between two line ends.
        number: its number, from 1, for messages.

    Raises:
        DecisionsError: the line is not exactly one decision.
    """
    if len(line) > MAX_LINE_BYTES:
        raise _bad(number, f"is longer than {MAX_LINE_BYTES} bytes", "one decision is one line")
    try:
        found = strictjson.parse(line, max_bytes=MAX_LINE_BYTES, max_depth=4)
    except strictjson.JsonError as error:
        raise _bad(number, f"is not strict JSON: {error.message}", "one JSON object a line, in UTF-8") from error
    if not isinstance(found, dict):
        raise _bad(number, "is not a JSON object", "one JSON object a line")
    odd = sorted(found.keys() ^ set(_FIELDS))
    if odd:
        what = "lacks" if odd[0] in _FIELDS else "has the unknown member"
        raise _bad(number, f"{what} {_short(odd[0])}", f"its members are {', '.join(_FIELDS)}")
    members: dict[str, str | None] = {}
    for name in _FIELDS:
        value = found[name]
        if value is None and name == "expires":
            members[name] = None
        elif isinstance(value, str):
            members[name] = value
        else:
            raise _bad(number, f"has a {name} that is no text", "expires alone may be null")
    _check_values(members, number)
    return members


def _check_values(members: dict[str, str | None], number: int) -> None:
    text = {name: value or "" for name, value in members.items()}
    if not _PARTY.fullmatch(text["party_id"]):
        raise _bad(number, f"has the party_id {_short(text['party_id'])}", "copy party_id from the review table")
    if not _DIGEST.fullmatch(text["record_hash"]):
        raise _bad(number, "has a record_hash that is not 64 hex digits", "copy record_hash from the review table")
    if text["verdict"] not in VERDICTS:
        raise _bad(number, f"has the verdict {_short(text['verdict'])}", f"one of {', '.join(VERDICTS)}")
    for name, most in _LONGEST.items():
        value = text[name]
        if not value.strip() or len(value) > most:
            raise _bad(number, f"has a {name} that is empty or longer than {most} characters", "say who and why")
        if any(not character.isprintable() for character in value):
            raise _bad(number, f"has a control or format character in {name}", "write it as plain text")
    for name in ("decided", "expires"):
        if members[name] is not None and not is_day(text[name]):
            raise _bad(number, f"has a {name} that is no day", "write a day of the calendar, such as 2026-01-31")
    if members["expires"] is None and text["verdict"] == "dismissed":
        raise _bad(number, "dismisses without an end", "give expires a day, so that the pair is looked at again")
    if members["expires"] is not None and text["expires"] < text["decided"]:
        raise _bad(number, "expires before it was decided", "check the two days")


def _bad(number: int, what: str, hint: str) -> DecisionsError:
    return DecisionsError(f"line {number} of the decisions {what}", hint=hint)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file with their numbers; a line that is too long is cut behind the limit, not held."""
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(MAX_LINE_BYTES + 2):
            number += 1
            if number > MAX_DECISIONS:
                raise DecisionsError(
                    f"there are more than {MAX_DECISIONS} decisions", hint="leave out those that later ones replaced"
                )
            yield number, line.removesuffix(b"\n")


def load_decisions(con: Con, path: Path | None) -> int:
    """Make the table ``decisions`` (line and the members of a decision, NULL where null); return how many there are.

    Raises:
        DecisionsError: a line is not exactly one decision, or there are too many.
    """
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS.names}
    for number, line in _lines(path) if path is not None else ():
        members = parse_decision(line, number)
        columns["line"].append(number)
        for name in _FIELDS:
            columns[name].append(members[name])
    table = pa.table(columns, schema=_COLUMNS)
    con.register("arriving_decisions", table)
    con.execute("CREATE OR REPLACE TABLE decisions AS SELECT * FROM arriving_decisions ORDER BY line")
    con.unregister("arriving_decisions")
    return int(table.num_rows)


def apply_decisions(con: Con, spec: ReviewSpec) -> Decided:
    """Make ``pair_states`` from ``decisions``, ``party_matches``, ``registry`` and the days of ``trade_feed``.

    One row per row of ``party_matches`` that has a decision: party_id, entity_id, state, state_reason (why it is open
    again), verdict, decided, expires, reviewer, decision_reason, decision_line. Of several decisions about a pair the
    one decided last counts, and of one day the one that stands last. Expired means that ``expires`` is before the day
    of ``spec``, or, where it names none, before the latest day of a shipment.

    Raises:
        DecisionsError: a decision expires and there is no day to judge it by.
    """
    count, ending = _row(con, "SELECT count(*), count(expires) FROM decisions")
    day, origin = spec.as_of or None, "job"
    if day is None:
        (day,) = _row(
            con,
            "SELECT max(coalesce(ship_date, strftime(last_day(CAST(ship_month || '-01' AS DATE)), '%Y-%m-%d'))) "
            "FROM trade_feed",
        )
        origin = "feed" if day is not None else "nothing"
    if ending and day is None:
        raise DecisionsError(
            "no shipment has a date, so nothing tells whether a decision has expired",
            hint="set review.as_of to the day of this screening",
            undone="no run was recorded",
        )
    con.execute(
        """
        CREATE OR REPLACE TABLE pair_states AS
        WITH latest AS (
            SELECT * FROM decisions
            QUALIFY row_number() OVER (PARTITION BY party_id, entity_id ORDER BY decided DESC, line DESC) = 1),
        judged AS (
            SELECT d.*, CASE WHEN d.verdict = 'withdrawn' THEN NULL
                             WHEN d.record_hash <> r.record_hash THEN 'recordChanged'
                             WHEN d.expires < $day THEN 'expired' END AS state_reason
            FROM latest d JOIN party_matches m USING (party_id, entity_id) JOIN registry r USING (entity_id))
        SELECT party_id, entity_id,
               CASE WHEN verdict = 'withdrawn' THEN 'open' WHEN state_reason IS NOT NULL THEN 'reopened'
                    WHEN verdict = 'dismissed' THEN 'suppressed' ELSE verdict END AS state,
               state_reason, verdict, decided, expires, reviewer, reason AS decision_reason, line AS decision_line
        FROM judged ORDER BY party_id, entity_id""",
        {"day": day},
    )
    return Decided(int(count), day, origin)


def decisions_report(con: Con, decided: Decided) -> dict[str, Any]:
    """Return what became of the decisions: counts, those that name nothing of this run, and those open again."""
    listed = {
        "entity_gone": "e.entity_id IS NULL",
        "party_gone": "e.entity_id IS NOT NULL AND p.party_id IS NULL",
        "not_matched": "e.entity_id IS NOT NULL AND p.party_id IS NOT NULL AND m.party_id IS NULL",
    }
    joined = """
        FROM decisions d LEFT JOIN registry e USING (entity_id) LEFT JOIN parties p USING (party_id)
        LEFT JOIN party_matches m USING (party_id, entity_id) WHERE """
    lost: dict[str, Any] = {}
    for name, where in listed.items():
        (number,) = _row(con, f"SELECT count(*) {joined} {where}")
        rows = con.execute(
            f"SELECT d.line, d.party_id, d.entity_id, d.verdict, d.decided {joined} {where} ORDER BY d.line LIMIT ?",
            [MAX_LISTED],
        ).fetchall()
        names = ("line", "party_id", "entity_id", "verdict", "decided")
        lost[name] = {"decisions": int(number), "listed": [dict(zip(names, row, strict=True)) for row in rows]}
    reopened = con.execute(
        "SELECT decision_line, party_id, entity_id, verdict, state_reason FROM pair_states WHERE state = 'reopened' "
        "ORDER BY decision_line LIMIT ?",
        [MAX_LISTED],
    ).fetchall()
    names = ("line", "party_id", "entity_id", "verdict", "because")
    states = dict(con.execute("SELECT state, count(*) FROM review GROUP BY state").fetchall())
    (superseded,) = _row(con, "SELECT count(*) - count(DISTINCT (party_id, entity_id)) FROM decisions")
    return {
        "decisions": decided.decisions,
        "superseded": int(superseded),
        "as_of": decided.as_of,
        "as_of_from": decided.as_of_from,
        "pairs": [{"state": state, "pairs": int(states.get(state, 0))} for state in STATES],
        **lost,
        "reopened": {
            "decisions": int(_row(con, "SELECT count(*) FROM pair_states WHERE state = 'reopened'")[0]),
            "listed": [dict(zip(names, row, strict=True)) for row in reopened],
        },
        "most_listed": MAX_LISTED,
    }


def _row(con: Con, sql: str) -> tuple[Any, ...]:
    (row,) = con.execute(sql).fetchall()
    return tuple(row)
