"""Which names of the registry a party is compared with: equal names, and names that share telling words.

Rules of this file: the outcome is a pure function of the tables and the parameters (integer weights, total orders, no
hash or thread order); work is done in batches of bounded size, so that memory follows the batch and not the product of
both sides; whatever a limit leaves out is counted in the report.

Method: an inverted index from words to names, entered by every word that a word of the party may stand for (`fuzzy`),
neighbouring words written as one included; the rarest words of a party first, until a fixed number of names was looked
at. Names are ordered by how much of both sides the shared words say. Names without information of their own
(`low_information`) meet equal names only.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa

from omphalos.screening.match.integers import FULL, Ints, cut_by_cost, distinct, in_order, spans, starts, whole
from omphalos.screening.match.params import MatchParams, Weights, load_weights
from omphalos.screening.match.tokens import Side, Tokens
from omphalos.screening.normalize.behind import names_behind
from omphalos.screening.normalize.mapping import map_distinct, map_forms

FORM_CHARS = 512  # a form is compared up to here; the longest real list names stay below 350
CHUNK = 1 << 16  # parties whose words are chosen at once
THREADS = 2  # of the matcher's own; they change no byte
POSTINGS = 1 << 20  # index entries gathered at once
PARTIES = 1 << 12  # looked up at once; their words have numbers below 2 ** 19, being at most 120 each

Con: TypeAlias = duckdb.DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class CandidateReport:
    """What the candidate step saw and left out; all members are counts."""

    party_forms: int  # distinct (full, core, legal forms, script, low information) of the parties
    party_forms_empty: int  # of them without a letter or digit: they match nothing
    party_forms_low: int  # of them compared with equal names only
    names: int  # names of the registry
    names_empty: int
    names_low: int
    tails_set_aside: int  # parties and names of which an address, a number or another party was set aside
    names_behind: int  # names behind "c/o" and the like, compared as well
    forms_cut: int  # forms longer than FORM_CHARS, compared by their beginning
    words: int  # distinct words of both sides, neighbouring words written as one included
    words_alike: int  # pairs of a party's and a name's word that may stand for one another
    entries_left_out: int  # words of party forms not looked up, since rarer ones had found enough names
    candidates_equal: int  # by an equal full, core or joined form
    candidates_words: int  # by shared words only


@dataclass(frozen=True, slots=True)
class Candidates:
    """The outcome of the candidate step: the report, and the tokens the scores are made of."""

    report: CandidateReport
    tokens: Tokens


def build_candidates(
    con: Con, params: MatchParams, weights: Weights | None = None, threads: int = THREADS
) -> Candidates:
    """Fill the temporary tables ``match_party_forms``, ``match_names`` and ``match_candidates`` from the base tables.

    ``match_candidates`` is (form_no, name_form, weight_bp, equal): form_no numbers distinct party forms, name_form the
    distinct forms of names in order of their first holder (entity_id, name_no), weight_bp is the overlap (10000 for
    equal names). Per party form at most ``params.max_candidates`` cores of names come from shared words, by weight
    descending and then the order of names.
    """
    weights = weights or load_weights()
    _make_forms(con)
    parties, names = (
        con.execute(f"SELECT core FROM match_{side}_cores ORDER BY core_no").to_arrow_table().column("core").to_pylist()
        for side in ("party", "name")
    )
    tokens = Tokens(parties, names, weights)
    left_out = _word_candidates(con, tokens, params, weights, threads)
    _join_candidates(con)
    count = _counter(con)
    return Candidates(
        CandidateReport(
            party_forms=count("match_party_forms"),
            party_forms_empty=count("match_party_forms", "core_form = ''"),
            party_forms_low=count("match_party_forms", "low AND core_form <> ''"),
            names=count("match_names"),
            names_empty=count("match_names", "core_form = ''"),
            names_low=count("match_names", "low AND core_form <> ''"),
            tails_set_aside=count("match_parties", "tail <> '' AND NOT behind") + count("match_names", "tail <> ''"),
            names_behind=count("match_parties", "behind"),
            forms_cut=count("match_party_forms", f"length(full_form) > {FORM_CHARS}")
            + count("match_names", f"length(full_form) > {FORM_CHARS}"),
            words=len(tokens.words),
            words_alike=len(tokens.alike.value),
            entries_left_out=left_out,
            candidates_equal=count("match_candidates", "equal"),
            candidates_words=count("match_candidates", "NOT equal"),
        ),
        tokens,
    )


def _counter(con: Con) -> Any:
    def count(table: str, where: str = "true") -> int:
        row = con.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()
        return int(row[0]) if row else 0

    return count


# The full form is compared without its tail (an address, a number, another party), which stands at its end.
_FORM_COLUMNS = """
    CASE WHEN coalesce(tail_form, '') = '' THEN coalesce(full_form, '')
         ELSE left(full_form, length(full_form) - length(tail_form) - 1) END AS full_form,
    coalesce(core_form, '') AS core_form,
    replace(coalesce(core_form, ''), ' ', '') AS joined, coalesce(legal_forms, '') AS legal_forms,
    coalesce(script, '') AS script, coalesce(low_information, 0) <> 0 OR coalesce(core_form, '') = '' AS low
"""


def make_behind(con: Con, parties: str) -> None:
    """Make ``match_behind``: the forms of the names behind "c/o" and the like in the cells of ``parties``.

    One row per distinct such name of a party (party_id, country, name and the forms); most feeds have few, so only
    cells that hold a slash or one of the words are looked at.
    """
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE match_cells AS
        SELECT party_id, country, name FROM {parties}
        WHERE contains(name, '/') OR regexp_matches(name, '(?i)behalf|care')""")
    map_distinct(
        con, "match_behind_names", "SELECT DISTINCT name AS v FROM match_cells WHERE name IS NOT NULL",
        pa.schema([("behind", pa.list_(pa.string()))]), lambda names: [[list(names_behind(name)) for name in names]],
    )  # fmt: skip
    con.execute("""
        CREATE OR REPLACE TEMP TABLE match_cells AS
        SELECT DISTINCT party_id, country, unnest(behind) AS name
        FROM match_cells c JOIN match_behind_names b ON b.v = c.name""")
    map_forms(con, "match_behind_forms", "SELECT DISTINCT name AS v FROM match_cells")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE match_behind AS
        SELECT c.party_id, c.country, c.name, f.* EXCLUDE (v)
        FROM match_cells c JOIN match_behind_forms f ON f.v = c.name ORDER BY c.party_id, c.name""")
    for table in ("match_cells", "match_behind_names", "match_behind_forms"):
        con.execute(f"DROP TABLE temp.{table}")


def _make_forms(con: Con) -> None:
    """Number the distinct party forms, the names and the distinct cores of both sides, in total orders."""
    make_behind(con, "parties")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE match_parties AS
        SELECT party_id, country, coalesce(tail_form, '') AS tail, false AS behind, {_FORM_COLUMNS} FROM parties
        UNION ALL
        SELECT party_id, country, tail_form, true, {_FORM_COLUMNS} FROM match_behind""")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE match_party_forms AS
        SELECT row_number() OVER (ORDER BY full_form, core_form, legal_forms, script, low) - 1 AS form_no, *
        FROM (SELECT DISTINCT full_form, core_form, joined, legal_forms, script, low FROM match_parties)""")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE match_parties AS
        SELECT p.party_id, p.country, p.tail, p.behind, f.form_no FROM match_parties p
        JOIN match_party_forms f USING (full_form, core_form, joined, legal_forms, script, low)""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE match_names AS
        SELECT row_number() OVER (ORDER BY f.entity_id, f.name_no) - 1 AS row_no, f.*,
               coalesce(r.entity_type, 'unknown') IN ('vessel', 'aircraft') AS craft,
               coalesce(r.entity_type, 'unknown') = 'person' AS person
        FROM (SELECT entity_id, name_no, name_kind, name, coalesce(tail_form, '') AS tail, {_FORM_COLUMNS}
              FROM registry_forms) f
        LEFT JOIN registry r ON r.entity_id = f.entity_id""")
    # Equal names of several entities are worked once. A form is numbered by its first holder (entity_id, name_no).
    con.execute("""
        CREATE OR REPLACE TEMP TABLE match_name_forms AS
        SELECT row_number() OVER (ORDER BY first) - 1 AS name_form, * EXCLUDE (first)
        FROM (SELECT full_form, core_form, joined, legal_forms, script, low, min(row_no) AS first
              FROM match_names GROUP BY ALL)""")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE match_names AS
        SELECT n.*, f.name_form FROM match_names n
        JOIN match_name_forms f USING (full_form, core_form, joined, legal_forms, script, low)""")
    for side, table, number in (("party", "match_party_forms", "form_no"), ("name", "match_name_forms", "name_form")):
        con.execute(f"""
            CREATE OR REPLACE TEMP TABLE match_{side}_cores AS
            SELECT row_number() OVER (ORDER BY first) - 1 AS core_no, core
            FROM (SELECT left(core_form, {FORM_CHARS}) AS core, min({number}) AS first
                  FROM {table} WHERE core_form <> '' GROUP BY ALL)""")


@dataclass(frozen=True, slots=True)
class _Index:
    """Word → words it may stand for, and word → names that hold it, both as ranges of flat arrays."""

    stand_edges: Ints
    stand_word: Ints
    stand_value: Ints
    edges: Ints
    names: Ints
    mass: Ints  # information of each name
    cost: Ints  # names that are looked at for a word


def _index(tokens: Tokens, chosen: Ints) -> _Index:
    """Build the index of the names ``chosen`` (core numbers)."""
    words = len(tokens.words)
    side = tokens.name
    sizes = np.diff(side.entry_edges)
    owner = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
    allowed = np.zeros(len(sizes), dtype=bool)
    allowed[chosen] = True
    kept = allowed[owner]
    packed = distinct(side.entry_token[kept] << 32 | owner[kept])
    holders, names = packed >> 32, packed & 0xFFFFFFFF
    frequency = np.bincount(holders, minlength=words).astype(np.int64)
    held = np.flatnonzero(frequency)
    word = np.concatenate([held, tokens.alike.party])
    other = np.concatenate([held, tokens.alike.name])
    value = np.concatenate([np.full(len(held), FULL, dtype=np.int64), tokens.alike.value])
    order = np.lexsort((other, word))
    word, other, value = word[order], other[order], value[order]
    cost = np.zeros(words, dtype=np.int64)
    np.add.at(cost, word, frequency[other])
    stand_edges = starts(np.bincount(word, minlength=words).astype(np.int64))
    return _Index(stand_edges, other, value, starts(frequency), names, _mass(tokens, side), cost)


def _mass(tokens: Tokens, side: Side) -> Ints:
    sizes = np.diff(side.edges)
    mass = np.zeros(len(sizes), dtype=np.int64)
    np.add.at(mass, np.repeat(np.arange(len(sizes)), sizes), tokens.information[side.tokens])
    return mass


def _word_candidates(con: Con, tokens: Tokens, params: MatchParams, weights: Weights, threads: int) -> int:
    """Fill ``match_core_pairs`` (party_core, name_core, weight_bp); return how many words were not looked up."""
    con.execute("CREATE OR REPLACE TEMP TABLE match_core_pairs (party_core BIGINT, name_core BIGINT, weight_bp BIGINT)")
    sql = """SELECT core_no FROM match_{0}_cores
             WHERE core IN (SELECT left(core_form, {1}) FROM {2} WHERE NOT low) ORDER BY core_no"""
    names = whole(con.execute(sql.format("name", FORM_CHARS, "match_name_forms")).to_arrow_table().column(0))
    parties = whole(con.execute(sql.format("party", FORM_CHARS, "match_party_forms")).to_arrow_table().column(0))
    index = _index(tokens, names)
    edges, owner, word, work, left_out = _looked_up(tokens.party, parties, index, weights)
    mass = _mass(tokens, tokens.party)[parties]

    def look(batch: tuple[int, int]) -> Any:
        begin, end = batch
        of = slice(int(edges[begin]), int(edges[end]))
        party, name, weight = _overlaps(
            owner[of].astype(np.int64) - begin,
            word[of].astype(np.int64),
            mass[begin:end],
            index,
            tokens,
            params.max_candidates,
            weights.floor_bp,
        )
        return pa.table({"p": parties[party + begin], "n": name, "w": weight})

    with ThreadPoolExecutor(threads) as pool:
        for table in in_order(pool, look, cut_by_cost(work, POSTINGS, PARTIES), threads):
            con.register("match_batch", table)
            con.execute("INSERT INTO match_core_pairs SELECT p, n, w FROM match_batch")
            con.unregister("match_batch")
    return left_out


def _looked_up(side: Side, parties: Ints, index: _Index, weights: Weights) -> tuple[Ints, Ints, Ints, Ints, int]:
    """Return which words of the cores ``parties`` are looked up: the rarest first, until enough names are found.

    (edges of each party in the next two, party, word, names looked at per party, how many words were left out). Worked
    for `CHUNK` parties at a time, since the orders on the way take several times the room of what comes out.
    """
    owners, words, left_out = [], [], 0
    work = np.zeros(len(parties), dtype=np.int64)
    for begin in range(0, len(parties), CHUNK):
        chosen = parties[begin : begin + CHUNK]
        sizes = np.diff(side.entry_edges)[chosen]
        entry = np.repeat(side.entry_edges[chosen], sizes) + spans(sizes)
        owner = np.repeat(np.arange(len(chosen), dtype=np.int64), sizes)
        packed = distinct(owner << 32 | side.entry_token[entry])  # a word that a name repeats counts once
        owner, word = packed >> 32, packed & 0xFFFFFFFF
        cost = index.cost[word]
        owner, word, cost = owner[cost > 0], word[cost > 0], cost[cost > 0]
        order = np.lexsort((word, cost, owner))
        owner, word, cost = owner[order], word[order], cost[order]
        counts = np.bincount(owner, minlength=len(chosen)).astype(np.int64)
        running = np.cumsum(cost)
        first = starts(counts)[:-1]
        before = running - cost
        spent = running - np.repeat(before[first[counts > 0]], counts[counts > 0])
        taken = (spent <= weights.postings) | (spans(counts) == 0)
        left_out += int(len(taken) - taken.sum())
        owners.append((owner[taken] + begin).astype(np.int32))
        words.append(word[taken].astype(np.int32))
        np.add.at(work, owner[taken] + begin, cost[taken])
    owner = np.concatenate(owners) if owners else np.zeros(0, dtype=np.int32)
    word = np.concatenate(words) if words else np.zeros(0, dtype=np.int32)
    return starts(np.bincount(owner, minlength=len(parties)).astype(np.int64)), owner, word, work, left_out


def _overlaps(
    owner: Ints, word: Ints, mass: Ints, index: _Index, tokens: Tokens, most: int, floor_bp: int
) -> tuple[Ints, Ints, Ints]:
    """Return (party, name, overlap in basis points): the best ``most`` names of each party of a batch."""
    fan = index.stand_edges[word + 1] - index.stand_edges[word]
    at = np.repeat(index.stand_edges[word], fan) + spans(fan)
    entry = np.repeat(np.arange(len(owner), dtype=np.int64), fan)
    other = index.stand_word[at]
    says = tokens.information[other] * index.stand_value[at] // FULL
    fan = index.edges[other + 1] - index.edges[other]
    name = index.names[np.repeat(index.edges[other], fan) + spans(fan)]
    # One row per word: word of a party (19 bits), name (24 bits), information (20 bits, thousandths of a bit). A word
    # of the party counts once in a name, where it says most.
    packed = np.repeat(entry, fan) << 44 | name << 20 | np.repeat(np.minimum(says, (1 << 20) - 1), fan)
    packed.sort()
    pair = packed >> 20
    last = np.ones(len(pair), dtype=bool)
    last[:-1] = pair[1:] != pair[:-1]
    packed = packed[last]
    packed = owner[packed >> 44] << 44 | packed & ((1 << 44) - 1)
    packed.sort()
    pair = packed >> 20
    fresh = np.flatnonzero(np.concatenate([np.ones(min(1, len(pair)), dtype=bool), pair[1:] != pair[:-1]]))
    shared = np.add.reduceat(packed & ((1 << 20) - 1), fresh) if len(fresh) else np.zeros(0, dtype=np.int64)
    party, name = pair[fresh] >> 24, pair[fresh] & 0xFFFFFF
    own, theirs = mass[party], index.mass[name]
    # Half by both sides, half by the listed name alone: an address behind a name must not hide it.
    shared = np.minimum(shared, np.minimum(own, theirs))
    weight = FULL * shared // (own + theirs) + FULL * shared // (2 * np.maximum(theirs, 1))
    kept = weight >= floor_bp
    party, name, weight = party[kept], name[kept], weight[kept]
    order = np.lexsort((name, -weight, party))
    party, name, weight = party[order], name[order], weight[order]
    rank = spans(np.bincount(party, minlength=len(mass)).astype(np.int64))
    top = rank < most
    return party[top], name[top], weight[top]


def _join_candidates(con: Con) -> None:
    """Join core pairs and equal forms to the forms of names; what is equal is never cut by a limit."""
    equal = " UNION ".join(
        f"""SELECT p.form_no, n.name_form FROM match_party_forms p JOIN match_name_forms n ON p.{column} = n.{column}
            WHERE p.{column} <> '' {unless}"""
        for column, unless in (
            ("full_form", ""),
            ("core_form", ""),
            ("joined", "AND NOT p.low AND NOT n.low"),
        )
    )
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE match_candidates AS
        WITH equal AS ({equal}),
        alike AS (
            SELECT p.form_no, n.name_form, c.weight_bp
            FROM match_core_pairs c
            JOIN match_party_cores pc ON pc.core_no = c.party_core
            JOIN match_party_forms p ON left(p.core_form, {FORM_CHARS}) = pc.core AND NOT p.low
            JOIN match_name_cores nc ON nc.core_no = c.name_core
            JOIN match_name_forms n ON left(n.core_form, {FORM_CHARS}) = nc.core AND NOT n.low)
        SELECT form_no, name_form, {FULL} AS weight_bp, true AS equal FROM equal
        UNION ALL
        SELECT form_no, name_form, weight_bp, false FROM alike ANTI JOIN equal USING (form_no, name_form)
        ORDER BY form_no, name_form""")
