"""``omphalos explain``: why one party of a run is on the review table beside one listed entity."""

import os
from typing import Any

import click

from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape


@click.command(
    cls=Verb,
    examples=[
        'omphalos explain latest "Zarubin Precision Instruments" SYN-000060',
        "omphalos explain latest P01ab ofac:",
    ],
)
@click.argument("run_name", metavar="RUN")
@click.argument("party")
@click.argument("entity")
@click.option("--threads", type=click.IntRange(1, 1024), default=None, help="Threads of the engine.")
@click.option("--memory", metavar="SIZE", default=None, help="Memory the engine may use, such as 2GiB.")
@click.pass_obj
def command(app: App, run_name: str, party: str, entity: str, threads: int | None, memory: str) -> Exit:
    """Explain a match of RUN: names as read and compared, which tokens met, features, weights, and the sum.

    PARTY and ENTITY are an id, the beginning of one id, or a name. The match is computed again from the run's own
    tables; that it does not come out as recorded under the method that made it is a negative verdict.
    """
    from omphalos.runs.explain import explain_match
    from omphalos.runs.lookup import resolve_run
    from omphalos.screening.review.explain import Effort

    store = app.store()
    run = resolve_run(store, run_name)
    effort = Effort(threads or len(os.sched_getaffinity(0)), memory)
    found = explain_match(store, run, party, entity, effort)
    if app.out.json:
        app.out.document("omphalos.explain/1", found)
    else:
        for line in told(found):
            app.out.text(line)
    return Exit.NEGATIVE if found["method"]["same"] and not found["recomputed"]["equal"] else Exit.DONE


def told(found: dict[str, Any]) -> list[str]:
    """Return the explanation as lines for a person; text from outside is escaped."""
    party, entity, name, recorded = found["party"], found["entity"], found["name"], found["recorded"]
    lines = [
        f"{recorded['band'].upper()} {recorded['score_bp']}: {escape(party['name'])} "
        f"may be {escape(entity['name'])} (rank {recorded['match_rank']} of the party's entities)",
        *_held(found),
        "",
        f"party       {party['party_id']}  {escape(party['name'])}",
        *_forms(party),
        f"  country   {party['country'] or 'unknown'}",
        f"entity      {escape(entity['entity_id'])}  {escape(entity['name'])}",
        f"  name      {escape(name['name'])} ({name['name_kind']}, number {name['name_no']})",
        *_forms(name),
        f"  countries {entity['countries'] or 'unknown'}: {recorded['country_relation']}",
        f"  type      {entity['entity_type']}",
        f"  record    {entity['record_hash']}, listed {escape(entity['listed_on'] or 'unknown')}",
        "",
        "reasons",
        *(
            f"  {'-' if reason['against'] else '+'} {reason['code']}: {reason['meaning']}"
            for reason in found["reasons"]
        ),
        "",
        *_facts(found["facts"]),
        "tokens (likeness in basis points)",
        *(
            f"  {escape(one['party'])} = {escape(one['name'])}  {one['likeness_bp']}  {one['how']}"
            for one in found["tokens"]["met"]
        ),
        *_unmet(found["tokens"]),
        "",
        *_arithmetic(found),
        "",
        f"rivals      {len(found['rivals']) or 'none'}",
        *(
            f"  {one['match_rank']}. {one['score_bp']} {one['band']}  {escape(one['entity_id'])}  {escape(one['name'])}"
            for one in found["rivals"]
        ),
        *_review(found["review"]),
        "",
        "NOT CHECKED",
        *(f"  {text}" for text in found["not_checked"]),
    ]
    return [*lines, *_again(found)]


def _held(found: dict[str, Any]) -> list[str]:
    """Return a line that says why the band is below that of the score, where it is."""
    score, limits = found["recorded"]["score_bp"], found["thresholds"]
    band = "high" if score >= limits["high_bp"] else "medium" if score >= limits["medium_bp"] else "low"
    if band == found["recorded"]["band"] or found["recorded"]["band"] == "high":  # an identifier gives the band high
        return []
    kind = "a weak alias" if found["name"]["name_kind"] == "weak" else "one word that a vessel or aircraft is called by"
    return [f"the score is that of the band {band}, but the name is {kind}, which says little by itself"]


def _forms(form: dict[str, Any]) -> list[str]:
    legal = f"  legal form {escape(form['legal_forms'])}" if form["legal_forms"] else ""
    tail = [f"  set aside {escape(form['tail_form'])}"] if form.get("tail_form") else []
    return [f"  full form {escape(form['full_form'])}", f"  core form {escape(form['core_form'])}{legal}", *tail]


def _facts(facts: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"  {one['fact']} {escape(one['kind'])}: {escape(one['party_value'])} / {escape(one['listed_value'])}"
        for one in facts
    ]
    return ["facts beyond names (as filed / as listed)", *lines, ""] if lines else []


def _unmet(tokens: dict[str, Any]) -> list[str]:
    lines = []
    for side, of in (("party", "party"), ("name", "listed name")):
        met = {word for one in tokens["met"] for word in one[side].split(" ")}
        lines += [
            f"  {escape(one['token'])}: no counterpart ({of}, {one['information_milli']} thousandths of a bit)"
            for one in tokens[side]
            if one["token"] not in met
        ]
    return lines


def _arithmetic(found: dict[str, Any]) -> list[str]:
    sums = found["arithmetic"]
    total = sum(one["weight"] for one in found["features"])
    lines = [f"score (weights version {found['weights_version']})"]
    lines += [f"  {one['feature']:<14} {one['value_bp']:>6} x {one['weight']:>3}" for one in found["features"]]
    lines.append(f"  mean           {sums['mean_bp']:>6}   sum of the above by {total}")
    lines.append(f"  base           {sums['base_bp']:>6}   stretched to {sums['stretch_percent']} %; 10000 where equal")
    lines += [f"  {one['step']:<14} {one['bp']:>+6}" for one in sums["steps"]]
    lines.append(f"  score          {sums['score_bp']:>6}")
    return lines


def _review(review: dict[str, Any]) -> list[str]:
    if not review:
        return []
    lines = [
        "",
        f"review      place {review['review_rank']}, {review.get('state', 'open')}, {review['shipments']} shipments",
    ]
    if review.get("verdict"):
        until = f" until {review['expires']}" if review["expires"] else ""
        lines.append(f"  {review['verdict']} {review['decided']}{until} by {escape(review['reviewer'])}")
        lines.append(f"  {escape(review['decision_reason'])}")
    lines.append(f"  shipments {escape(review['sample_shipments'].replace(';', ' '))}")
    if review.get("flags"):
        lines.append(f"  red flags {escape(review['flags'].replace(';', ' '))}")
    return lines


def _again(found: dict[str, Any]) -> list[str]:
    if found["recomputed"]["equal"]:
        return ["", "computed again: equal to what the run recorded"]
    what = ", ".join(found["recomputed"]["differing"]) or "the arithmetic"
    if found["method"]["same"]:
        return ["", f"COMPUTED AGAIN, DIFFERENT: {what}"]
    return ["", f"computed again by another method than the run's, different: {what}"]
