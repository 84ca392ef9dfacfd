"""Why is this row here: one match of a recorded run, computed again from the run's own tables and told in full.

Rules of this file: it reads Parquet files of a run and nothing else; it computes with the matcher itself, not with a
copy of it, and says whether the outcome equals what was recorded; every list has a stated order; the document holds
text and integers. A match is a candidate for review, and the document says what was not looked at.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, TypeAlias

import duckdb

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.screening.match.candidates import FORM_CHARS, build_candidates, make_behind
from omphalos.screening.match.facts import FACT_REASONS, FactReason, add_matches, load_facts, weigh_facts
from omphalos.screening.match.fuzzy import EDIT, KINDS, PART, SOUND
from omphalos.screening.match.integers import FULL
from omphalos.screening.match.lexicon import load_lexicon
from omphalos.screening.match.params import MatchParams, load_weights
from omphalos.screening.match.reasons import REASONS, Reason
from omphalos.screening.match.score import score_candidates
from omphalos.screening.match.tokens import TOKENS, Tokens
from omphalos.screening.review.arithmetic import redo

Con: TypeAlias = duckdb.DuckDBPyConnection

TABLES: Final = {
    "parties": "normalized", "shipment_parties": "normalized", "registry": "registry", "registry_names": "registry",
    "party_matches": "matches", "match_facts": "matches", "review": "review",
}  # fmt: skip
MAX_RIVALS: Final = 50
MAX_FACTS: Final = 200
_GUESSES: Final = 5
_GUESS_FROM: Final = 20_000  # names that are compared with what was typed
_KINDS: Final = {EDIT: "edit", SOUND: "sound", PART: "part"}
_MEANING: Final[dict[str, Reason | FactReason]] = {
    **{reason.code: reason for reason in REASONS},
    **{reason.code: reason for reason in FACT_REASONS},
}
NOT_CHECKED: Final = (
    "whether the party and the entity are the same: a match is a candidate for review, never an identification",
    "ownership, beyond the links that a list itself states",
    "whether the list record and the shipment are true",
)


class NoSuchMatch(OmphalosError):
    """The run has no such party, no such entity, or no match of the two."""

    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    id: ClassVar[str] = "noSuchMatch"


class SeveralMean(OmphalosError):
    """What was typed may mean several parties or entities."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "severalMean"


class NotExplicable(OmphalosError):
    """The run does not hold the tables that an explanation is made from."""

    kind: ClassVar[ErrorKind] = ErrorKind.INCOMPLETE
    id: ClassVar[str] = "notExplicable"


@dataclass(frozen=True, slots=True)
class Effort:
    """What an explanation may spend; it never changes the document."""

    threads: int = 2
    memory_limit: str = "2GiB"


def explain(folder: Path, party: str, entity: str, params: MatchParams, effort: Effort = Effort()) -> dict[str, Any]:
    """Return why the party matched the entity, as a document.

    Args:
        folder: holds the tables of a run, already verified.
        party: id, unique beginning of an id, or name of a party.
        entity: the same of an entity.
        params: the parameters of the run.
        effort: threads and memory.

    Raises:
        NoSuchMatch, SeveralMean: as they say.
        NotExplicable: the run was made by a version that did not record what is needed.
    """
    config = {"threads": effort.threads, "memory_limit": effort.memory_limit}
    with duckdb.connect(config=config) as con:
        con.execute("SET autoinstall_known_extensions = false")
        for name, part in TABLES.items():
            path = folder / part / f"{name}.parquet"
            if not path.is_file():
                raise NotExplicable(
                    f"the run holds no {part}/{name}.parquet",
                    hint="it was made by another version; the review table has its reasons",
                    undone="nothing was explained",
                )
            con.from_parquet(str(path)).create_view(f"recorded_{name}")
        found = find_party(con, party)
        pair = (found, find_entity(con, entity, found))
        recorded = _one(con, "SELECT * FROM recorded_party_matches WHERE party_id = ? AND entity_id = ?", *pair)
        if recorded is None:
            matched = con.execute(
                "SELECT entity_id FROM recorded_party_matches WHERE party_id = ? ORDER BY match_rank LIMIT 5", [pair[0]]
            ).fetchall()
            hint = f"that party matched {', '.join(row[0] for row in matched)}" if matched else "it matched no entity"
            raise NoSuchMatch(f"{pair[0]} did not match {pair[1]}", hint=hint, undone="nothing was explained")
        return _document(con, pair, recorded, params)


def find_party(con: Con, text: str) -> str:
    """Return the party that ``text`` means: an id, a name, or the beginning of exactly one id.

    Of several parties with one name, those that matched something come into question. Raises as `explain`.
    """
    return _find(
        con, "party", text,
        "SELECT party_id AS id, name, party_id IN (SELECT party_id FROM recorded_party_matches) AS matched "
        "FROM recorded_parties",
    )  # fmt: skip


def find_entity(con: Con, text: str, party: str) -> str:
    """Return the entity that ``text`` means, as `find_party`; of several, those that ``party`` matched."""
    return _find(
        con, "entity", text,
        "SELECT entity_id AS id, name, entity_id IN (SELECT entity_id FROM recorded_party_matches WHERE party_id = $p) "
        "AS matched FROM recorded_registry_names",
        p=party,
    )  # fmt: skip


def _find(con: Con, what: str, text: str, source: str, **more: str) -> str:
    undone = "nothing was explained"
    ways = ["id = $t", "name = $t", "upper(name) = upper($t)"]
    # An entity may be named without its list, as the publisher does.
    ways += ["ends_with(id, ':' || $t)", "starts_with(id, $t)"] if text else []
    for way in ways:
        rows = con.execute(
            f"SELECT id, bool_or(matched) FROM ({source}) WHERE {way} GROUP BY id ORDER BY id", {**more, "t": text}
        ).fetchall()
        likely = [row[0] for row in rows if row[1]] or [row[0] for row in rows]
        if len(likely) == 1:
            return str(likely[0])
        if likely:
            shown = ", ".join(likely[:_GUESSES]) + (f" and {len(likely) - _GUESSES} more" if likely[_GUESSES:] else "")
            raise SeveralMean(f"{text!r} may mean {shown}", hint="give an id", undone=undone)
    # The most relevant first: names of what matched.
    names = [
        row[0]
        for row in con.execute(
            f"SELECT name, bool_or(matched) AS m FROM ({source}) GROUP BY name ORDER BY m DESC, name LIMIT $most",
            {**more, "most": _GUESS_FROM},
        ).fetchall()
    ]
    folded = {name.upper(): name for name in reversed(names)}
    near = difflib.get_close_matches(text.upper()[:200], folded, n=1, cutoff=0.5)
    hint = f"did you mean '{folded[near[0]]}'?" if near else "the review table has party_id and entity_id"
    raise NoSuchMatch(f"the run has no {what} {text!r}", hint=hint, undone=undone)


def _document(con: Con, pair: tuple[str, str], recorded: dict[str, Any], params: MatchParams) -> dict[str, Any]:
    party = _one(con, "SELECT * FROM recorded_parties WHERE party_id = ?", pair[0]) or {}
    entity = _one(con, "SELECT * FROM recorded_registry WHERE entity_id = ?", pair[1]) or {}
    name = _one(
        con, "SELECT * FROM recorded_registry_names WHERE entity_id = ? AND name_no = ?", pair[1], recorded["name_no"]
    ) or {}  # fmt: skip
    review = _one(con, "SELECT * FROM recorded_review WHERE party_id = ? AND entity_id = ?", *pair) or {}
    again, tokens = _recompute(con, pair, params)
    compared = _compared(con, pair[0], name) if "CARE_OF" in recorded["reasons"].split(";") else party
    weights = load_weights()
    facts = con.execute(
        "SELECT fact, kind, party_value, listed_value, strength_bp, detail FROM recorded_match_facts "
        "WHERE party_id = ? AND entity_id = ? ORDER BY ALL LIMIT ?",
        [*pair, MAX_FACTS],
    ).to_arrow_table().to_pylist()  # fmt: skip
    sums = redo(recorded, entity["entity_type"], weights, params.threshold_bp, facts)
    return {
        "party": {key: party.get(key) for key in ("party_id", "name", "country", *_FORMS)},
        "entity": {
            **{key: entity[key] for key in ("entity_id", "name", "source", "entity_type", "programs", "listed_on")},
            "countries": entity["countries"] or entity["country"],
            "record_hash": entity["record_hash"],
        },
        "name": {key: name.get(key) for key in ("name_no", "name_kind", "name", *_FORMS)},
        "recorded": {key: recorded[key] for key in ("score_bp", "band", "match_rank", "country_relation")},
        "reasons": [
            {"code": code, "against": _MEANING[code].against, "meaning": _MEANING[code].meaning}
            for code in recorded["reasons"].split(";")
            if code in _MEANING
        ],
        "facts": facts,
        "tokens": _tokens(con, tokens, compared, name),
        "features": [{"feature": key, "value_bp": value, "weight": weight} for key, value, weight in sums.features],
        "weights_version": weights.version,
        "arithmetic": {
            "mean_bp": sums.mean_bp,
            "stretch_percent": weights.stretch_percent,
            "base_bp": sums.base_bp,
            "scale_bp": weights.scale_bp,
            "steps": [{"step": key, "bp": amount} for key, amount in sums.steps],
            "score_bp": sums.score_bp,
        },
        "thresholds": {key: getattr(params, key) for key in ("threshold_bp", "medium_bp", "high_bp")},
        "recomputed": {
            "equal": again == recorded and sums.score_bp == recorded["score_bp"],
            "differing": sorted(key for key in recorded if again is None or again.get(key) != recorded[key]),
        },
        "review": {
            key: review[key]
            for key in (
                "review_rank", "state", "state_reason", "verdict", "decided", "expires", "reviewer", "decision_reason",
                "roles", "shipments", "value_minor", "sample_shipments", "flags",
            )
            if key in review
        },
        "rivals": _rivals(con, pair),
        "not_checked": list(NOT_CHECKED),
    }  # fmt: skip


_FORMS: Final = ("full_form", "core_form", "legal_forms", "script", "low_information", "tail_form")


def _rivals(con: Con, pair: tuple[str, str]) -> list[dict[str, Any]]:
    """Return the other entities the party matched, by rank; at most MAX_RIVALS."""
    names = ("entity_id", "name", "source", "matched_name", "score_bp", "band", "match_rank", "against")
    rows = con.execute(
        "SELECT m.entity_id, r.name, r.source, m.matched_name, m.score_bp, m.band, m.match_rank, m.against "
        "FROM recorded_party_matches m JOIN recorded_registry r USING (entity_id) "
        "WHERE m.party_id = ? AND m.entity_id <> ? ORDER BY m.match_rank LIMIT ?",
        [*pair, MAX_RIVALS],
    ).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]


def _recompute(con: Con, pair: tuple[str, str], params: MatchParams) -> tuple[dict[str, Any] | None, Tokens]:
    """Match the party again, against the whole registry; return its row about the entity, and the tokens.

    What was found beyond names is taken as recorded; how it weighs is computed again.
    """
    con.execute("CREATE TABLE registry AS SELECT * FROM recorded_registry")
    con.execute("CREATE TABLE registry_forms AS SELECT * FROM recorded_registry_names")
    _make_parties(con, pair[0])
    candidates = build_candidates(con, params)
    score_candidates(con, candidates.tokens, params)
    con.execute("DELETE FROM party_matches WHERE party_id <> ?", [pair[0]])
    con.execute("CREATE OR REPLACE TABLE parties AS SELECT * FROM recorded_parties WHERE party_id = ?", [pair[0]])
    con.execute("CREATE TABLE match_facts AS SELECT * FROM recorded_match_facts WHERE party_id = ?", [pair[0]])
    add_matches(con, params, load_facts())
    weigh_facts(con, params, load_facts())
    again = _one(con, "SELECT * FROM party_matches WHERE party_id = ? AND entity_id = ?", *pair)
    return again, candidates.tokens


def _compared(con: Con, party: str, name: Mapping[str, Any]) -> dict[str, Any]:
    """Return the core of the name behind "c/o" that was compared: the best of them, as `score` chooses."""
    found = _one(
        con,
        """
        SELECT f.core_form FROM match_pairs m
        JOIN match_parties p USING (form_no) JOIN match_party_forms f USING (form_no)
        JOIN match_names n USING (name_form)
        WHERE p.behind AND p.party_id = ? AND n.entity_id = ? AND n.name_no = ?
        ORDER BY m.base_bp DESC, m.full_bp DESC, form_no LIMIT 1""",
        party, name.get("entity_id"), name.get("name_no"),
    )  # fmt: skip
    return found or {"core_form": ""}


def _make_parties(con: Con, party: str) -> None:
    """Make ``parties``: the party, and for each word that other parties may bear upon, one that uses it.

    Two things that other parties write bear upon a score (`tokens`, `fuzzy`). A word of the lexicon stands for its
    meaning, and a meaning is as near to a word of the registry as the nearest spelling that any party uses. What the
    party writes apart is compared more widely as one word where another party writes that word by itself.
    """
    lexicon = load_lexicon()
    words = sorted({*lexicon.meaning, *lexicon.meaning.values()})
    two, three = "t[i] || t[i + 1]", "t[i] || t[i + 1] || t[i + 2]"
    # A vessel is never compared by its name.
    con.execute("""
        CREATE TEMP VIEW named AS SELECT * FROM recorded_parties
        WHERE party_id IN (SELECT party_id FROM recorded_shipment_parties WHERE role <> 'vessel')""")
    make_behind(con, "named")
    con.execute(
        f"""
        CREATE TABLE parties AS
        WITH cores AS (
            SELECT core_form, min(party_id) AS party_id, bool_or(party_id = $party) AS own,
                   string_split(left(core_form, {FORM_CHARS}), ' ')[1:{TOKENS}] AS t
            FROM (SELECT core_form, party_id FROM named UNION ALL SELECT core_form, party_id FROM match_behind)
            WHERE core_form <> '' GROUP BY core_form),
        used AS (
            SELECT party_id, own, 1 AS many, unnest(t) AS word FROM cores
            UNION ALL
            SELECT party_id, own, 2, unnest(list_transform(range(1, len(t)), lambda i: {two})) FROM cores
            UNION ALL
            SELECT party_id, own, 3, unnest(list_transform(range(1, len(t) - 1), lambda i: {three})) FROM cores),
        wanted AS (SELECT unnest($words) AS word UNION SELECT word FROM used WHERE own AND many > 1),
        witnesses AS (SELECT min(party_id) AS party_id FROM used SEMI JOIN wanted USING (word) GROUP BY word, many)
        SELECT * FROM named
        WHERE party_id = $party OR party_id IN (SELECT party_id FROM witnesses) ORDER BY party_id""",
        {"party": party, "words": words},
    )


def _tokens(con: Con, tokens: Tokens, party: Mapping[str, Any], name: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tokens of both core forms, what each says in thousandths of a bit, and which met which."""
    numbers = [
        con.execute(f"SELECT core_no FROM match_{side}_cores WHERE core = left(?, {FORM_CHARS})", [core]).fetchone()
        for side, core in (("party", party["core_form"]), ("name", name["core_form"]))
    ]
    if numbers[0] is None or numbers[1] is None:
        return {"party": [], "name": [], "met": []}
    left, right = int(numbers[0][0]), int(numbers[1][0])
    words = [form["core_form"][:FORM_CHARS].split(" ")[:TOKENS] for form in (party, name)]
    told = []
    for side, number, spelled in ((tokens.party, left, words[0]), (tokens.name, right, words[1])):
        first = int(side.edges[number])
        held = side.tokens[first : int(side.edges[number + 1])].tolist()
        told.append(
            [
                {"token": word, "stands_for": str(tokens.words[at]), "information_milli": int(tokens.information[at])}
                for word, at in zip(spelled, held, strict=True)
            ]
        )
    met = [
        {
            "party": " ".join(words[0][at[0] : at[1] + 1]),
            "name": " ".join(words[1][there[0] : there[1] + 1]),
            "likeness_bp": alike,
            "how": "equal" if alike == FULL else _KINDS.get(alike % KINDS, "equal"),
        }
        for at, there, alike in tokens.meetings(left, right)
    ]
    return {"party": told[0], "name": told[1], "met": met}


def _one(con: Con, sql: str, *values: Any) -> dict[str, Any] | None:
    rows: list[dict[str, Any]] = con.execute(sql, list(values)).to_arrow_table().to_pylist()
    return rows[0] if rows else None
