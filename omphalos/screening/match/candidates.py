"""Which names of the registry a party is compared with: equal names, and names that share rare character 3-grams.

Rules of this file: the outcome is a pure function of the tables and the parameters (integer weights, total orders, no
hash or thread order); work is done in batches of bounded size, so that memory follows the batch and not the product of
both sides; whatever a limit leaves out is counted in the report.

Method: an inverted index of character 3-grams with inverse document frequency, as in name search engines, here with
integer information content (`integers.log2_milli`) and the weighted Dice overlap of the two gram sets. 3-grams do not
cross token borders, so the order of tokens does not matter. Names without information of their own (`low_information`)
meet equal names only.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa

from omphalos.screening.match.integers import FULL, Ints, cut_by_cost, information_milli, spans, starts, texts, whole
from omphalos.screening.match.params import MatchParams, Weights, load_weights

FORM_CHARS = 512  # a form is compared up to here; the longest real list names stay below 350
CELLS = 1 << 22  # of the dense (party, name) batch: 32 MiB as int64
POSTINGS = 1 << 22  # index entries gathered at once

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
    forms_cut: int  # forms longer than FORM_CHARS, compared by their beginning
    grams: int  # distinct 3-grams of the registry
    grams_dropped: int  # of them too frequent to select anybody
    candidates_equal: int  # by an equal full, core or joined form
    candidates_gram: int  # by 3-grams only
    candidates_gated: int  # one-word names of vessels and aircraft, dropped where the full forms differ


def build_candidates(con: Con, params: MatchParams, weights: Weights | None = None) -> CandidateReport:
    """Fill the temporary tables ``match_party_forms``, ``match_names`` and ``match_candidates`` from the base tables.

    ``match_candidates`` is (form_no, row_no, weight_bp, equal): form_no numbers distinct party forms, row_no the names
    of ``registry_forms`` in order of (entity_id, name_no), weight_bp is the gram overlap (10000 for equal names).
    Per party form at most ``params.max_candidates`` names come from grams, by (weight desc, entity_id, name_no).
    """
    weights = weights or load_weights()
    _make_forms(con)
    grams, dropped = _gram_candidates(con, params, weights)
    _join_candidates(con, params)
    count = _counter(con)
    return CandidateReport(
        party_forms=count("match_party_forms"),
        party_forms_empty=count("match_party_forms", "full_form = ''"),
        party_forms_low=count("match_party_forms", "low AND full_form <> ''"),
        names=count("match_names"),
        names_empty=count("match_names", "full_form = ''"),
        names_low=count("match_names", "low AND full_form <> ''"),
        forms_cut=count("match_party_forms", f"length(full_form) > {FORM_CHARS}")
        + count("match_names", f"length(full_form) > {FORM_CHARS}"),
        grams=grams,
        grams_dropped=dropped,
        candidates_equal=count("match_candidates", "equal"),
        candidates_gram=count("match_candidates", "NOT equal"),
        candidates_gated=count("match_all_candidates") - count("match_candidates"),
    )


def _counter(con: Con) -> Any:
    def count(table: str, where: str = "true") -> int:
        row = con.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()
        return int(row[0]) if row else 0

    return count


_FORM_COLUMNS = """
    coalesce(full_form, '') AS full_form, coalesce(core_form, '') AS core_form,
    replace(coalesce(core_form, ''), ' ', '') AS joined, coalesce(legal_forms, '') AS legal_forms,
    coalesce(script, '') AS script, coalesce(low_information, 0) <> 0 OR coalesce(core_form, '') = '' AS low
"""


def _make_forms(con: Con) -> None:
    """Number the distinct party forms, the names and the distinct cores of both sides, in total orders."""
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE match_party_forms AS
        SELECT row_number() OVER (ORDER BY full_form, core_form, legal_forms, script, low) - 1 AS form_no, *
        FROM (SELECT DISTINCT {_FORM_COLUMNS} FROM parties)""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE match_names AS
        SELECT row_number() OVER (ORDER BY f.entity_id, f.name_no) - 1 AS row_no, f.*,
               coalesce(r.entity_type, 'unknown') IN ('vessel', 'aircraft') AS craft
        FROM (SELECT entity_id, name_no, name_kind, name, {_FORM_COLUMNS} FROM registry_forms) f
        LEFT JOIN registry r ON r.entity_id = f.entity_id""")
    for side, table, number in (("party", "match_party_forms", "form_no"), ("name", "match_names", "row_no")):
        # A core is numbered by its first holder: for names that is the tie-break order (entity_id, name_no).
        con.execute(f"""
            CREATE OR REPLACE TEMP TABLE match_{side}_cores AS
            SELECT row_number() OVER (ORDER BY first) - 1 AS core_no, core
            FROM (SELECT left(core_form, {FORM_CHARS}) AS core, min({number}) AS first
                  FROM {table} WHERE core_form <> '' GROUP BY ALL)""")


@dataclass(frozen=True, slots=True)
class _Grams:
    """The distinct 3-grams of every text: ``codes`` sorted within each text, ``sizes`` per text."""

    codes: Ints
    sizes: Ints


def gram_sets(forms: list[str]) -> _Grams:
    """Return the distinct character 3-grams of each form, with one space before and after every token.

    A gram is packed into one integer (three code points of 21 bits). Grams over a border between tokens are left out.
    """
    padded = [f" {form} " for form in forms]
    lengths = np.array([len(text) for text in padded], dtype=np.int64)
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
    if len(points) < 3:
        return _Grams(np.zeros(0, np.int64), np.zeros(len(forms), np.int64))
    owner = np.repeat(np.arange(len(forms), dtype=np.int64), lengths)
    codes = (points[:-2] << 42) | (points[1:-1] << 21) | points[2:]
    inside = (points[1:-1] != 32) & (owner[:-2] == owner[2:])
    owner, codes = owner[:-2][inside], codes[inside]
    order = np.lexsort((codes, owner))
    owner, codes = owner[order], codes[order]
    fresh = np.ones(len(codes), dtype=bool)
    fresh[1:] = (codes[1:] != codes[:-1]) | (owner[1:] != owner[:-1])
    return _Grams(codes[fresh], np.bincount(owner[fresh], minlength=len(forms)).astype(np.int64))


@dataclass(frozen=True, slots=True)
class _Index:
    """Names by gram: gram number → names that hold it; with the information of each gram and the sum per name."""

    vocabulary: Ints
    edges: Ints
    names: Ints
    information: Ints
    rare: Ints  # information of a gram the registry does not hold, as an array of one
    mass: Ints
    dropped: int


def _build_index(cores: list[str], weights: Weights) -> _Index:
    grams = gram_sets(cores)
    vocabulary, place = np.unique(grams.codes, return_inverse=True)
    owner = np.repeat(np.arange(len(cores), dtype=np.int64), grams.sizes)
    frequency = np.bincount(place, minlength=len(vocabulary)).astype(np.int64)
    total = max(len(cores), weights.names_floor)
    information = information_milli(frequency, total)
    capped = frequency > max(weights.df_cap_floor, len(cores) // weights.df_cap_share)
    information[capped] = 0
    mass = np.zeros(len(cores), dtype=np.int64)
    np.add.at(mass, owner, information[place])
    kept = ~capped[place]
    order = np.lexsort((owner[kept], place[kept]))
    frequency[capped] = 0
    return _Index(
        vocabulary,
        starts(frequency),
        owner[kept][order],
        information,
        information_milli(np.ones(1, np.int64), total),
        mass,
        int(capped.sum()),
    )


def _gram_candidates(con: Con, params: MatchParams, weights: Weights) -> tuple[int, int]:
    """Fill ``match_core_pairs`` (party_core, name_core, weight_bp); return the grams indexed and dropped."""
    con.execute("CREATE OR REPLACE TEMP TABLE match_core_pairs (party_core BIGINT, name_core BIGINT, weight_bp BIGINT)")
    sql = """SELECT core_no, core FROM match_{0}_cores
             WHERE core IN (SELECT left(core_form, {1}) FROM {2} WHERE NOT low) ORDER BY core_no"""
    names = con.execute(sql.format("name", FORM_CHARS, "match_names")).to_arrow_table()
    parties = con.execute(sql.format("party", FORM_CHARS, "match_party_forms")).to_arrow_table()
    if not names.num_rows or not parties.num_rows:
        return 0, 0
    index = _build_index(names.column("core").to_pylist(), weights)
    name_numbers, party_numbers = whole(names.column("core_no")), whole(parties.column("core_no"))
    forms = texts(parties.column("core"))
    step = 16_384  # party cores whose grams are held at once
    for begin in range(0, len(forms), step):
        grams = gram_sets(forms[begin : begin + step].tolist())
        for party, name, weight in _overlaps(grams, index, params.max_candidates, weights.floor_bp):
            table = pa.table({"p": party_numbers[party + begin], "n": name_numbers[name], "w": weight})
            con.register("match_batch", table)
            con.execute("INSERT INTO match_core_pairs SELECT p, n, w FROM match_batch")
            con.unregister("match_batch")
    return len(index.vocabulary), index.dropped


def _overlaps(grams: _Grams, index: _Index, most: int, floor_bp: int) -> list[tuple[Ints, Ints, Ints]]:
    """Return (party, name, weighted Dice in basis points) per batch: the best ``most`` names of each party."""
    found = np.searchsorted(index.vocabulary, grams.codes)
    found = np.minimum(found, len(index.vocabulary) - 1)
    known = index.vocabulary[found] == grams.codes
    information = np.where(known, index.information[found], index.rare[0])
    fan = np.where(known, index.edges[found + 1] - index.edges[found], 0)
    owner = np.repeat(np.arange(len(grams.sizes), dtype=np.int64), grams.sizes)
    mass = np.zeros(len(grams.sizes), dtype=np.int64)
    np.add.at(mass, owner, information)
    work = np.zeros(len(grams.sizes), dtype=np.int64)
    np.add.at(work, owner, fan)
    edges = starts(grams.sizes)
    width = len(index.mass)
    result = []
    for begin, end in cut_by_cost(work, POSTINGS, max(1, CELLS // width)):
        of = slice(int(edges[begin]), int(edges[end]))
        fans = fan[of]
        names = index.names[np.repeat(index.edges[found[of]], fans) + spans(fans)]
        cell = np.repeat(owner[of] - begin, fans) * width + names
        # float64 sums of integers far below 2**53 are exact in any order
        shared = np.bincount(cell, weights=np.repeat(information[of], fans), minlength=(end - begin) * width)
        least = mass[begin:end] * floor_bp // (2 * FULL - floor_bp)  # Dice >= floor needs at least this much shared
        cells = np.flatnonzero(shared.reshape(end - begin, width) >= np.maximum(least, 1)[:, None])
        party, name = cells // width, cells % width
        common = shared[cells].astype(np.int64)
        weight = 2 * FULL * common // (mass[begin:end][party] + index.mass[name])
        keep = weight >= floor_bp
        party, name, weight = party[keep], name[keep], weight[keep]
        order = np.lexsort((name, -weight, party))
        party, name, weight = party[order], name[order], weight[order]
        rank = spans(np.bincount(party, minlength=end - begin).astype(np.int64))
        top = rank < most
        result.append((party[top] + begin, name[top], weight[top]))
    return result


def _join_candidates(con: Con, params: MatchParams) -> None:
    """Join core pairs and equal forms to names, cut per party form, gate one-word names of vessels and aircraft.

    The best names of a party lie within its best cores: a core is numbered by its first name, so a name outside the
    best ``max_candidates`` cores has at least that many names before it.
    """
    equal = " UNION ".join(
        f"""SELECT p.form_no, n.row_no FROM match_party_forms p JOIN match_names n ON p.{column} = n.{column}
            WHERE p.{column} <> '' {unless}"""
        for column, unless in (
            ("full_form", ""),
            ("core_form", ""),
            ("joined", "AND NOT p.low AND NOT n.low"),
        )
    )
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE match_all_candidates AS
        WITH equal AS ({equal}),
        gram AS (
            SELECT p.form_no, n.row_no, c.weight_bp
            FROM match_core_pairs c
            JOIN match_party_cores pc ON pc.core_no = c.party_core
            JOIN match_party_forms p ON left(p.core_form, {FORM_CHARS}) = pc.core AND NOT p.low
            JOIN match_name_cores nc ON nc.core_no = c.name_core
            JOIN match_names n ON left(n.core_form, {FORM_CHARS}) = nc.core AND NOT n.low
            QUALIFY row_number() OVER (PARTITION BY p.form_no ORDER BY c.weight_bp DESC, n.row_no)
                    <= {params.max_candidates})
        SELECT form_no, row_no, {FULL} AS weight_bp, true AS equal FROM equal
        UNION ALL
        SELECT form_no, row_no, weight_bp, false FROM gram ANTI JOIN equal USING (form_no, row_no)""")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE match_candidates AS
        SELECT c.* FROM match_all_candidates c
        JOIN match_names n USING (row_no) JOIN match_party_forms p USING (form_no)
        WHERE NOT (n.craft AND instr(n.core_form, ' ') = 0 AND n.full_form <> p.full_form)
        ORDER BY c.form_no, c.row_no""")
