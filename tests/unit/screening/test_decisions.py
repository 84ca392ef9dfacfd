"""Decisions of earlier reviews: what a line may be, and what it changes in a run."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from omphalos.screening.job import ReviewSpec
from omphalos.screening.review import decisions
from omphalos.screening.review.decisions import (
    DecisionsError,
    apply_decisions,
    decisions_report,
    load_decisions,
    parse_decision,
)

HASH = "ab" * 32
GOOD = {
    "party_id": "P" + "0" * 20,
    "entity_id": "ofac:1",
    "record_hash": HASH,
    "verdict": "dismissed",
    "reviewer": "A. Reviewer",
    "reason": "other line of business",
    "decided": "2026-01-10",
    "expires": "2026-12-31",
}


def line(**members: Any) -> bytes:
    """Return a good line with some members replaced."""
    return json.dumps({**GOOD, **members}).encode()


def test_a_good_line() -> None:
    """A line with exactly the members of a decision is taken as it stands."""
    assert parse_decision(line(), 1) == GOOD
    assert parse_decision(line(verdict="confirmed", expires=None), 1)["expires"] is None


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"", "is not strict JSON"),
        (b"[]", "is not a JSON object"),
        (b"\xff", "is not strict JSON"),
        (b'{"a":1,"a":1}', "is not strict JSON"),
        (b"[" * 20, "is not strict JSON"),
        (line() + b"\r", "is not strict JSON"),
        (line(more=""), "has the unknown member 'more'"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "reviewer"}).encode(), "lacks 'reviewer'"),
        (line(reason=None), "has a reason that is no text"),
        (line(decided=20260110), "has a decided that is no text"),
        (line(party_id="P" + "0" * 19), "has the party_id"),
        (line(party_id="p" + "0" * 20), "has the party_id"),
        (line(entity_id=" "), "has a entity_id that is empty"),
        (line(entity_id="x" * 513), "has a entity_id that is empty or longer than 512"),
        (line(record_hash=HASH[1:]), "has a record_hash"),
        (line(verdict="dismiss"), "has the verdict 'dismiss'"),
        (line(reviewer=""), "has a reviewer that is empty"),
        (line(reason="a\u202eb"), "control or format character in reason"),
        (line(reason="a\nb"), "control or format character in reason"),
        (line(decided="2026-02-30"), "has a decided that is no day"),
        (line(decided="20260110"), "has a decided that is no day"),
        (line(decided="2026-01-10T00:00"), "has a decided that is no day"),
        (line(expires="2026-01-09"), "expires before it was decided"),
        (line(expires=None), "dismisses without an end"),
        (line(reason="x" * 20_000), "is longer than 16384 bytes"),
    ],
)
def test_a_bad_line(bad: bytes, said: str) -> None:
    """A line that is not exactly one decision is refused, and the message says which line and why."""
    with pytest.raises(DecisionsError, match=r"^line 7 of the decisions ") as caught:
        parse_decision(bad, 7)
    assert said in caught.value.message


def write(folder: Path, *lines: bytes) -> Path:
    """Write a file of decisions."""
    path = folder / "decisions.jsonl"
    path.write_bytes(b"".join(one + b"\n" for one in lines))
    return path


def test_the_line_that_is_bad_is_named(tmp_path: Path) -> None:
    """The number in the message counts every line; an empty line is a bad one."""
    with duckdb.connect() as con, pytest.raises(DecisionsError, match=r"^line 3 "):
        load_decisions(con, write(tmp_path, line(), line(), b"", line()))


def test_a_line_without_end_is_not_held(tmp_path: Path) -> None:
    """A line longer than the limit is refused after the limit was read, not after all of it."""
    with duckdb.connect() as con, pytest.raises(DecisionsError, match="line 1 of the decisions is longer"):
        load_decisions(con, write(tmp_path, b"x" * 3_000_000))


def test_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with more decisions than the limit is refused."""
    monkeypatch.setattr(decisions, "MAX_DECISIONS", 2)
    with duckdb.connect() as con:
        assert load_decisions(con, write(tmp_path, line(), line())) == 2
        with pytest.raises(DecisionsError, match="more than 2 decisions"):
            load_decisions(con, write(tmp_path, line(), line(), line()))


def test_the_last_line_may_lack_its_end(tmp_path: Path) -> None:
    """A file whose last line has no newline holds that line too."""
    path = tmp_path / "d"
    path.write_bytes(line() + b"\n" + line())
    with duckdb.connect() as con:
        assert load_decisions(con, path) == 2


PARTIES = [f"P{number:020}" for number in range(6)]


@pytest.fixture
def con() -> Any:
    """Return a connection where parties 0 to 4 match entity e:1, whose record has the hash HASH."""
    with duckdb.connect() as con:
        con.execute("CREATE TABLE trade_feed (ship_date TEXT, ship_month TEXT)")
        con.execute("INSERT INTO trade_feed VALUES ('2026-02-10', '2026-02'), (NULL, '2026-02')")
        con.execute("CREATE TABLE registry (entity_id TEXT, record_hash TEXT)")
        con.executemany("INSERT INTO registry VALUES (?, ?)", [("e:1", HASH), ("e:2", HASH)])
        con.execute("CREATE TABLE parties (party_id TEXT)")
        con.executemany("INSERT INTO parties VALUES (?)", [(party,) for party in PARTIES])
        con.execute("CREATE TABLE party_matches (party_id TEXT, entity_id TEXT)")
        con.executemany("INSERT INTO party_matches VALUES (?, 'e:1')", [(party,) for party in PARTIES[:5]])
        yield con


def states(con: Any, path: Path, spec: ReviewSpec | None = None) -> dict[str, tuple[str, str | None]]:
    """Apply the decisions; return the state and its reason by the last digit of the party."""
    load_decisions(con, path)
    apply_decisions(con, spec or ReviewSpec())
    rows = con.execute("SELECT party_id, state, state_reason FROM pair_states").fetchall()
    return {party[-1]: (state, reason) for party, state, reason in rows}


def about(party: int, **members: Any) -> bytes:
    """Return a line about one party and entity e:1."""
    return line(**{"party_id": PARTIES[party], "entity_id": "e:1", **members})


def test_states(con: Any, tmp_path: Path) -> None:
    """Each verdict gives its state; a changed record and a decision that has expired open the pair again."""
    path = write(
        tmp_path,
        about(0),
        about(1, verdict="confirmed", expires=None),
        about(2, verdict="escalated", expires=None),
        about(3, record_hash="cd" * 32),
        about(4, expires="2026-02-27"),
    )
    assert states(con, path) == {
        "0": ("suppressed", None),
        "1": ("confirmed", None),
        "2": ("escalated", None),
        "3": ("reopened", "recordChanged"),
        "4": ("reopened", "expired"),
    }


def test_the_day_of_the_plan_judges(con: Any, tmp_path: Path) -> None:
    """A decision counts on its last day; the day is the job's, or the latest of the feed (a month: its last day)."""
    path = write(tmp_path, about(0, expires="2026-02-28"))
    assert states(con, path)["0"] == ("suppressed", None)
    assert states(con, path, ReviewSpec(as_of="2026-02-28"))["0"] == ("suppressed", None)
    assert states(con, path, ReviewSpec(as_of="2026-03-01"))["0"] == ("reopened", "expired")


def test_no_day_is_an_error(con: Any, tmp_path: Path) -> None:
    """Where nothing tells the day and a decision expires, the job must say it; one that never expires needs no day."""
    con.execute("UPDATE trade_feed SET ship_date = NULL, ship_month = NULL")
    with pytest.raises(DecisionsError, match="no shipment has a date"):
        states(con, write(tmp_path, about(0)))
    assert states(con, write(tmp_path, about(0, verdict="confirmed", expires=None)))["0"] == ("confirmed", None)


def test_a_later_decision_wins(con: Any, tmp_path: Path) -> None:
    """Of several decisions the day counts before the line, and of one day the last line; a withdrawal opens."""
    path = write(
        tmp_path,
        about(0, decided="2026-01-11", verdict="confirmed"),
        about(0, decided="2026-01-10"),
        about(1, verdict="confirmed"),
        about(1),
        about(2),
        about(2, verdict="withdrawn", expires=None, record_hash="cd" * 32),
    )
    found = states(con, path)
    assert found == {"0": ("confirmed", None), "1": ("suppressed", None), "2": ("open", None)}


def test_what_is_gone_is_reported(con: Any, tmp_path: Path) -> None:
    """Decisions about an entity, a party or a match that is gone change nothing and are listed with their lines."""
    path = write(tmp_path, about(0, entity_id="gone:1"), about(0, party_id="P" + "f" * 20), about(5), about(0))
    assert states(con, path) == {"0": ("suppressed", None)}
    con.execute("CREATE TABLE review AS SELECT coalesce(state, 'open') AS state FROM party_matches "
                "LEFT JOIN pair_states USING (party_id, entity_id)")  # fmt: skip
    report = decisions_report(con, apply_decisions(con, ReviewSpec()))
    assert [report[name]["listed"][0]["line"] for name in ("entity_gone", "party_gone", "not_matched")] == [1, 2, 3]
    assert {row["state"]: row["pairs"] for row in report["pairs"]}["suppressed"] == 1
    assert (report["decisions"], report["superseded"], report["as_of"]) == (4, 0, "2026-02-28")
