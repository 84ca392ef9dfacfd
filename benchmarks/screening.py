"""Screening quality on real lists: who is found at an alert rate of 2 percent, beside other scorers.

Usage: ``python benchmarks/screening.py [--data DIR] [--half dev|test] [--protocol strict,open] [--scorers]
[--logic-v2 PYTHON]``, where PYTHON is an interpreter that has nomenklatura (it scores the eight best entities per party
of the same candidates). Thresholds are set on the trade
parties of the dev half and never moved; with ``--half test`` they are applied to other entities and other trade
parties. Nothing may be chosen by looking at the test half.

"Found" means that an entity the query stands for is among the matches at or above the threshold; "first" that it also
leads them.
"""

import argparse
import json
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from rapidfuzz import fuzz, process
from rapidfuzz.distance import JaroWinkler
from screening_data import Forms, Half, Query, make_halves
from screening_noise import NOISE, WRITTEN_FOR

from omphalos.screening.match import MatchParams
from omphalos.screening.match.candidates import build_candidates
from omphalos.screening.match.score import score_candidates

ROOT = Path(__file__).resolve().parents[1]
ALERTS = 200  # of 10,000 trade parties
SIZES = {"alias": 1500, "native": 500, "noise": 150, "open alias": 800, "open native": 400}
COLUMNS = ("full_form", "core_form", "legal_forms", "script", "low_information", "tail_form")
Hits = dict[int, list[tuple[int, str]]]  # query → (score, entity), best first


@dataclass
class Scored:
    """What the scorers said of one half."""

    hits: dict[str, Hits] = field(default_factory=dict)
    candidates: dict[int, set[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    pairs: int = 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--protocol", default="strict,open", help="strict, open, or both (docs/design/0004)")
    parser.add_argument("--half", choices=("dev", "test"), default="dev")
    parser.add_argument("--scorers", action="store_true", help="also the other scorers, on the same candidates")
    parser.add_argument("--logic-v2", type=Path, help="an interpreter with nomenklatura")
    parser.add_argument("--misses", type=Path, help="write what was not found as JSON lines (dev only)")
    args = parser.parse_args()
    forms = Forms()
    for protocol in args.protocol.split(","):
        measure(args, protocol, forms)


def measure(args: argparse.Namespace, protocol: str, forms: Forms) -> None:
    """Measure one protocol and print its table."""
    halves = make_halves(args.data, NOISE, SIZES, protocol, forms)
    print(f"protocol {protocol}, half {args.half}")
    scored = {
        half: score_half(halves[half], forms, args.scorers, args.logic_v2) for half in dict.fromkeys(("dev", args.half))
    }
    thresholds = {name: threshold(halves["dev"], hits) for name, hits in scored["dev"].hits.items()}
    report(halves[args.half], scored[args.half], thresholds)
    if any(query.kind in NOISE for query in halves["dev"].queries):
        suite(halves, scored, args.half)
        classes(halves[args.half], scored[args.half].hits["omphalos"], thresholds["omphalos"])
    if args.misses and args.half == "dev":
        path = args.misses.with_name(f"{args.misses.stem}-{protocol}.jsonl")
        misses(halves["dev"], scored["dev"], thresholds["omphalos"], path)


def everyone(half: Half) -> list[Query]:
    """Return all queries of a half, the trade parties last, plain and with the noise of the queries."""
    noisy = []
    for number, query in enumerate(half.negatives):
        kind = list(NOISE)[number % len(NOISE)]
        noisy.append(Query(NOISE[kind](query.name, number), frozenset(), f"trade, {kind}"))
    return [*half.queries, *half.negatives, *noisy]


def score_half(half: Half, forms: Forms, others: bool, logic_v2: Path | None) -> Scored:
    """Score all queries of one half by the matcher, and by the others on the same candidates."""
    queries = everyone(half)
    scored = Scored()
    with duckdb.connect(config={"threads": 2, "memory_limit": "2GiB"}) as con:
        _fill(con, half, queries, forms)
        began = time.perf_counter()
        made = build_candidates(con, MatchParams())
        middle = time.perf_counter()
        scored.pairs = score_candidates(con, made.tokens, MatchParams(threshold_bp=1, medium_bp=2, high_bp=3))
        scored.seconds = {"candidates": middle - began, "omphalos": time.perf_counter() - middle}
        rows = con.execute("SELECT party_id, score_bp, entity_id FROM party_matches ORDER BY party_id, match_rank")
        scored.hits["omphalos"] = _hits(rows.fetchall())
        best = con.execute("""
            SELECT m.party_id, q.name, m.matched_name, r.entity_type, m.entity_id FROM party_matches m
            JOIN parties q USING (party_id) JOIN registry r USING (entity_id)
            WHERE m.match_rank <= 8 ORDER BY ALL""").fetchall()
        pairs = con.execute("""
            SELECT q.party_id, n.entity_id, q.name, n.name, q.core_form, n.core_form
            FROM match_candidates c JOIN match_names n USING (name_form) JOIN match_parties p USING (form_no)
            JOIN parties q USING (party_id) ORDER BY ALL""").fetchall()
    for row in pairs:
        scored.candidates.setdefault(int(row[0]), set()).add(row[1])
    if others:
        _others(pairs, scored)
    if logic_v2:
        _logic_v2(logic_v2, best, scored)
    return scored


def _fill(con: Any, half: Half, queries: list[Query], forms: Forms) -> None:
    def table(name: str, rows: list[dict[str, Any]]) -> None:
        con.register("rows", pa.Table.from_pylist(rows))
        con.execute(f"CREATE TABLE {name} AS SELECT * FROM rows")
        con.unregister("rows")

    def made(name: str) -> dict[str, Any]:
        got = forms(name)
        return dict(
            zip(COLUMNS, (got.full, got.core, got.legal_forms, got.script, got.low_information, got.tail), strict=True)
        )

    table(
        "parties",
        [{"party_id": str(i), "name": q.name, "country": "", **made(q.name)} for i, q in enumerate(queries)],
    )
    table(
        "registry",
        [
            {"entity_id": e.entity_id, "entity_type": e.entity_type, "country": e.country, "countries": e.country}
            for e in half.entities
        ],
    )
    table(
        "registry_forms",
        [
            {"entity_id": e.entity_id, "name_no": no, "name_kind": kind, "name": name, **made(name)}
            for e in half.entities
            for no, (kind, name) in enumerate(e.names)
        ],
    )


def _hits(rows: list[tuple[Any, ...]]) -> Hits:
    found: Hits = defaultdict(list)
    for party, score, entity in rows:
        found[int(party)].append((score, entity))
    return found


def _others(pairs: list[tuple[Any, ...]], scored: Scored) -> None:
    """Score the same pairs by other scorers; of an entity the best name counts, ties go to the smaller id."""
    upper = [(row[2].upper(), row[3].upper()) for row in pairs]
    cores = [(row[4], row[5]) for row in pairs]
    calls = {
        "rapidfuzz WRatio": lambda: process.cpdist(*zip(*upper, strict=True), scorer=fuzz.WRatio),
        "WRatio, folded core": lambda: process.cpdist(*zip(*cores, strict=True), scorer=fuzz.WRatio),
        "Jaro-Winkler, folded core": lambda: process.cpdist(
            *zip(*cores, strict=True), scorer=JaroWinkler.normalized_similarity
        ),
        "token sort, folded core": lambda: process.cpdist(*zip(*cores, strict=True), scorer=fuzz.token_sort_ratio),
        "char-3 TF-IDF cosine": lambda: _cosine(cores),
    }
    for name, call in calls.items():
        began = time.perf_counter()
        values = call()
        scored.seconds[name] = time.perf_counter() - began
        best: dict[tuple[int, str], float] = {}
        for row, value in zip(pairs, values, strict=True):
            key = (int(row[0]), row[1])
            best[key] = max(best.get(key, 0.0), float(value))
        ordered = sorted(best.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
        scored.hits[name] = _hits([(party, value, entity) for (party, entity), value in ordered])


def _logic_v2(python: Path, rows: list[tuple[Any, ...]], scored: Scored) -> None:
    """Score the best pairs by logic-v2, in another interpreter."""
    lines = "".join(json.dumps(row[1:4]) + "\n" for row in rows)
    script = str(Path(__file__).with_name("screening_logic_v2.py"))
    done = subprocess.run([str(python), script], input=lines, capture_output=True, text=True, check=True)
    *values, seconds = json.loads(done.stdout)
    scored.seconds["logic-v2"] = seconds
    print(f"logic-v2: {len(values)} pairs in {seconds:.1f} processor s, {len(values) / seconds:.0f} a second")
    ordered = sorted(zip(rows, values, strict=True), key=lambda item: (int(item[0][0]), -item[1], item[0][4]))
    scored.hits["logic-v2, 8 best"] = _hits([(row[0], value, row[4]) for row, value in ordered])


def _cosine(cores: list[tuple[str, str]]) -> list[float]:
    from collections import Counter
    from math import log, sqrt

    def grams(text: str) -> Counter[str]:
        padded = f" {text} "
        return Counter(padded[i : i + 3] for i in range(len(padded) - 2))

    vectors = {text: grams(text) for pair in cores for text in pair}
    names = {pair[1] for pair in cores}
    holders = Counter(gram for name in names for gram in vectors[name])
    idf = {gram: log((1 + len(names)) / (1 + count)) + 1 for gram, count in holders.items()}
    rare = log(1 + len(names)) + 1
    weighted = {}
    for text, vector in vectors.items():
        raw = {gram: count * idf.get(gram, rare) for gram, count in vector.items()}
        norm = sqrt(sum(value * value for value in raw.values())) or 1.0
        weighted[text] = {gram: value / norm for gram, value in raw.items()}
    return [sum(v * weighted[b].get(g, 0.0) for g, v in weighted[a].items()) for a, b in cores]


def threshold(half: Half, hits: Hits) -> float:
    """Return the lowest score at which at most ``ALERTS`` of 10,000 trade parties (of the protocol) have a match."""
    first = len(half.queries) + (len(half.negatives) if half.noisy else 0)
    tops = sorted(
        (hits[i][0][0] if hits.get(i) else 0 for i in range(first, first + len(half.negatives))), reverse=True
    )
    allowed = len(tops) * ALERTS // 10_000
    limit = tops[allowed]
    return min((score for score in tops[:allowed] if score > limit), default=limit + 1)


def report(half: Half, scored: Scored, thresholds: dict[str, float]) -> None:
    """Print a table per scorer: recall at the frozen threshold, by kind of query, and the alerts on this half."""
    queries = everyone(half)
    kinds = sorted({query.kind for query in half.queries})
    kinds = ["alias near", "alias far", "native", "native, near", *[kind for kind in kinds if kind in NOISE]]
    numbers = {kind: [i for i, query in enumerate(half.queries) if query.kind == kind] for kind in kinds}
    # Of the native names those that are transcriptions, which is what published comparisons measure.
    numbers["native, near"] = [i for i in numbers["native"] if half.queries[i].spelled]
    first = len(half.queries)
    plain = range(first, first + len(half.negatives))
    noisy = range(first + len(half.negatives), len(queries))
    print(f"{len(half.entities)} entities, {sum(len(e.names) for e in half.entities)} names, {scored.pairs} pairs")
    print(json.dumps({name: round(value, 2) for name, value in scored.seconds.items()}))
    print("| scorer | threshold | alerts | alerts, noisy | " + " | ".join(kinds) + " |")
    print("|---" * (len(kinds) + 4) + "|")
    shares = []
    for kind in kinds:
        reached = sum(bool(scored.candidates.get(i, set()) & queries[i].truth) for i in numbers[kind])
        shares.append(f"{reached / max(1, len(numbers[kind])):.3f} of {len(numbers[kind])}")
    print("| among the candidates | | | | " + " | ".join(shares) + " |")
    for name, hits in scored.hits.items():
        limit = thresholds[name]
        alerts = [
            sum(1 for i in group if hits.get(i) and hits[i][0][0] >= limit) / max(1, len(group))
            for group in (plain, noisy)
        ]
        cells = []
        for kind in kinds:
            found = leads = 0
            for i in numbers[kind]:
                over = [entity for score, entity in hits.get(i, []) if score >= limit]
                found += bool(queries[i].truth & set(over))
                leads += bool(over) and over[0] in queries[i].truth
            total = max(1, len(numbers[kind]))
            cells.append(f"{found / total:.3f} ({leads / total:.3f})")
        print(f"| {name} | {limit:.4g} | {alerts[0]:.4f} | {alerts[1]:.4f} | " + " | ".join(cells) + " |")


def outcomes(half: Half, hits: Hits) -> list[tuple[float, int]]:
    """Return (best score, 1 right, 0 wrong) of each noise query and each trade party with noise, best first."""
    found = []
    for i, query in enumerate(everyone(half)):
        if hits.get(i) and (query.kind in NOISE or query.kind.startswith("trade, ")):
            found.append((hits[i][0][0], int(hits[i][0][1] in query.truth)))
    return sorted(found, reverse=True)


def suite(halves: dict[str, Half], scored: dict[str, Scored], half: str) -> None:
    """Print recall and precision of all noise classes together, at the lowest threshold with P >= 0.95 on dev."""
    print("| scorer | threshold | noise classes together, R | P |\n|---|---|---|---|")
    for name, hits in scored["dev"].hits.items():
        limit, right = 0.0, 0
        for number, (score, good) in enumerate(outcomes(halves["dev"], hits), 1):
            right += good
            if right >= 0.95 * number:
                limit = score
        over = [good for score, good in outcomes(halves[half], scored[half].hits[name]) if score >= limit]
        wanted = sum(query.kind in NOISE for query in halves[half].queries)
        print(f"| {name} | {limit:.4g} | {sum(over) / wanted:.3f} | {sum(over) / max(1, len(over)):.3f} |")


def classes(half: Half, hits: Hits, limit: float) -> None:
    """Print recall and precision of each noise class at the frozen threshold, and what was written with it in mind."""
    print(
        "| noise class | R | P | rules written with it in mind (no weight was fitted on any class) |\n|---|---|---|---|"
    )
    queries = everyone(half)
    for kind in sorted(NOISE):
        own = [i for i, query in enumerate(queries) if query.kind == kind]
        led = [hits[i][0][1] in queries[i].truth for i in own if hits.get(i) and hits[i][0][0] >= limit]
        trade = [i for i, query in enumerate(queries) if query.kind == f"trade, {kind}"]
        # As many trade parties as queries, so that precision does not depend on how many of either there are.
        wrong = sum(1 for i in trade if hits.get(i) and hits[i][0][0] >= limit) * len(own) / max(1, len(trade))
        precision = sum(led) / max(1.0, len(led) + wrong)
        print(f"| {kind} | {sum(led) / max(1, len(own)):.3f} | {precision:.3f} | {WRITTEN_FOR[kind]} |")


def misses(half: Half, scored: Scored, limit: float, path: Path) -> None:
    """Write what the matcher did not find on the dev half, and its false alerts, for a person to read."""
    by_id = {entity.entity_id: entity for entity in half.entities}
    hits = scored.hits["omphalos"]
    with path.open("w", encoding="utf-8") as stream:
        for i, query in enumerate(everyone(half)):
            got = hits.get(i, [])
            best = next((score for score, entity in got if entity in query.truth), 0)
            if (query.truth and best >= limit) or (not query.truth and (not got or got[0][0] < limit)):
                continue
            names = sorted({name for one in query.truth & by_id.keys() for _, name in by_id[one].names})
            top = [(score, [n for _, n in by_id[one].names][:6]) for score, one in got[:2]]
            candidate = bool(scored.candidates.get(i, set()) & query.truth)
            record = {
                "kind": query.kind + (", near" if query.spelled else ""),
                "name": query.name,
                "score": best,
                "candidate": candidate,
                "truth": names,
                "top": top,
            }
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
