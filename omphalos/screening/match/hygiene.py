"""What a registry's own records make of matching: names that are compared with care, and parties on several lists.

Rules of this file: nothing is dropped and nothing is merged. A name that is not compared like others stands in
``registry_hygiene`` with the reason and with what is done instead; a party that several lists name keeps each list's
own record, and ``registry_links`` says which records share a name or an identifier. A link is no proof of one party:
the basis and the countries stand beside it. Work is linear in the names: a record is linked to the first of another
list that shares the value, not to all of them.
"""

from typing import Any, Final

from omphalos.screening.match.candidates import FORM_CHARS

# (reason, what is done instead, SQL condition, meaning); one row per name and reason that holds.
HANDLING: Final = (
    ("noLetters", "never-compared", "core_form = ''", "The name has no letter or digit."),
    (
        "onlyLegalForms", "exact-only",
        "low AND core_form <> '' AND legal_forms <> '' "
        "AND list_has_all(string_split(legal_forms, ' '), string_split(core_form, ' '))",
        "Nothing but legal forms, such as Joint Stock Company.",
    ),
    (
        "fewLetters", "exact-only",
        "low AND core_form <> '' AND length(core_form) <= 2",
        "Two letters or digits, or fewer, beside legal forms.",
    ),
    (
        "onlyTradeWords", "exact-only",
        "low AND length(core_form) > 2 AND NOT (legal_forms <> '' "
        "AND list_has_all(string_split(legal_forms, ' '), string_split(core_form, ' ')))",
        "Nothing but trade words, numbers, single letters, or a placeholder.",
    ),
    (
        "oneWordCraft", "exact-only",
        "entity_type IN ('vessel', 'aircraft') AND core_form <> '' AND instr(core_form, ' ') = 0",
        "One word names a vessel or an aircraft, and could be the name of any party.",
    ),
    ("weakAlias", "lowered", "name_kind = 'weak'", "The publisher itself marks the alias as weak."),
    ("longName", "cut", f"length(full_form) > {FORM_CHARS}", f"Compared by its first {FORM_CHARS} characters."),
)  # fmt: skip

_CLASS: Final = "CASE WHEN r.entity_type IN ('person', 'vessel', 'aircraft') THEN r.entity_type ELSE 'body' END"


def build_hygiene(con: Any) -> None:
    """Make ``registry_hygiene`` and ``registry_links``, each in order of its key.

    ``registry_hygiene``: entity_id, name_no, source, name, name_kind, reason, handling. ``registry_links``: entity_id,
    other_entity_id, basis (name or identifier), value, countries (agree, differ, unknown). Reads ``registry``,
    ``registry_forms`` and ``registry_identifiers``.
    """
    cases = " UNION ALL ".join(
        f"SELECT entity_id, name_no, source, name, name_kind, '{reason}' AS reason, '{handling}' AS handling "
        f"FROM named WHERE {condition}"
        for reason, handling, condition, _ in HANDLING
    )
    con.execute(f"""
        CREATE OR REPLACE TABLE registry_hygiene AS
        WITH named AS (
            SELECT n.entity_id, n.name_no, r.source, n.name, n.name_kind, r.entity_type,
                   coalesce(n.full_form, '') AS full_form, coalesce(n.core_form, '') AS core_form,
                   coalesce(n.legal_forms, '') AS legal_forms, coalesce(n.low_information, 0) <> 0 AS low
            FROM registry_forms n JOIN registry r USING (entity_id))
        {cases} ORDER BY entity_id, name_no, reason""")
    con.execute(f"""
        CREATE OR REPLACE TABLE registry_links AS
        WITH shared AS (
            SELECT DISTINCT 'name' AS basis, {_CLASS} AS class, n.full_form AS value, r.entity_id, r.source
            FROM registry_forms n JOIN registry r USING (entity_id)
            WHERE n.name_kind <> 'weak' AND coalesce(n.low_information, 1) = 0 AND n.full_form <> ''
              AND (instr(n.core_form, ' ') > 0 OR r.entity_type NOT IN ('person', 'vessel', 'aircraft'))
            UNION ALL
            SELECT DISTINCT 'identifier', i.identifier_kind, i.identifier_kind || ' ' || i.value, r.entity_id,
                   r.source
            FROM registry_identifiers i JOIN registry r USING (entity_id) WHERE length(i.value) >= 5),
        first AS (
            SELECT basis, class, value, min(entity_id) AS one, arg_min(source, entity_id) AS one_source
            FROM shared GROUP BY ALL),
        second AS (
            SELECT f.basis, f.class, f.value, min(s.entity_id) AS two
            FROM first f JOIN shared s USING (basis, class, value) WHERE s.source <> f.one_source GROUP BY ALL),
        pairs AS (
            SELECT DISTINCT s.entity_id, s.basis, s.value,
                   CASE WHEN s.source <> f.one_source THEN f.one ELSE t.two END AS other_entity_id
            FROM shared s JOIN first f USING (basis, class, value) JOIN second t USING (basis, class, value))
        SELECT p.entity_id, p.other_entity_id, p.basis, p.value,
               CASE WHEN coalesce(a.countries, a.country) IS NULL OR coalesce(b.countries, b.country) IS NULL
                    THEN 'unknown'
                    WHEN list_has_any(string_split(coalesce(a.countries, a.country), ';'),
                                      string_split(coalesce(b.countries, b.country), ';'))
                    THEN 'agree' ELSE 'differ' END AS countries
        FROM pairs p JOIN registry a ON a.entity_id = p.entity_id JOIN registry b ON b.entity_id = p.other_entity_id
        ORDER BY entity_id, other_entity_id, basis, value""")


def hygiene_report(con: Any) -> dict[str, Any]:
    """Return the counts of ``registry_hygiene`` by list and reason, and of ``registry_links`` by pair of lists."""
    names = con.execute(
        "SELECT source, reason, handling, count(*) FROM registry_hygiene GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    links = con.execute("""
        SELECT a.source, b.source, l.basis, count(DISTINCT l.entity_id) FROM registry_links l
        JOIN registry a ON a.entity_id = l.entity_id JOIN registry b ON b.entity_id = l.other_entity_id
        GROUP BY ALL ORDER BY ALL""").fetchall()
    return {
        "names": [{"source": s, "reason": r, "handling": h, "names": n} for s, r, h, n in names],
        "links": [{"source": s, "other_source": o, "basis": b, "entities": n} for s, o, b, n in links],
        "meaning": {reason: meaning for reason, _, _, meaning in HANDLING},
    }
