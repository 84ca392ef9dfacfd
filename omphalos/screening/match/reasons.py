"""Reason codes: what the alignment of two names showed, in words a lawyer can read.

Rules of this file: one table holds every code with its meaning and whether it speaks against the match; the
documentation and the SQL are made from it. A match lists its codes in alphabetical order, joined by ``;``: ``reasons``
holds all of them, ``against`` those that speak against the match.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One code: ``condition`` is SQL over the columns of the scored pair."""

    code: str
    against: bool
    meaning: str
    condition: str


REASONS: tuple[Reason, ...] = (
    Reason(
        "ADDRESS_TAIL",
        False,
        "Behind one of the names stands an address, a number or another party, which was set aside.",
        "tail_differs",
    ),
    Reason(
        "CARE_OF",
        False,
        "The name compared stands behind c/o, o/b of or on behalf of in the cell: it is not the party filed first.",
        "behind",
    ),
    Reason(
        "COUNTRY_CONFLICT",
        True,
        "The party's country is known and is none of the countries of the listed entity.",
        "country_relation = 'conflict'",
    ),
    Reason(
        "COUNTRY_SUPPORT",
        False,
        "The party's country is one of the countries of the listed entity.",
        "country_relation = 'support'",
    ),
    Reason(
        "EXACT",
        False,
        "Both names are equal once letter case, accents, punctuation, spelling of legal forms, and an address or "
        "number behind one of them (ADDRESS_TAIL) are set aside.",
        "equal_full",
    ),
    Reason(
        "EXTRA_TOKENS",
        True,
        "At least one word of one name has no counterpart in the other.",
        "extra",
    ),
    Reason(
        "JOINED_TOKENS",
        False,
        "Words that are written apart in one name are written together in the other.",
        "joined",
    ),
    Reason(
        "LEGAL_FORM_DIFF",
        False,
        "The legal forms (such as limited or joint stock company) differ, or only one name has one.",
        "legal_differs",
    ),
    Reason(
        "LOW_INFORMATION_NAME",
        True,
        "One of the names consists of so little, or of such common words, that many parties could bear it.",
        "low",
    ),
    Reason(
        "NUMBER_MISMATCH",
        True,
        "A word with a digit in one name is missing from the other.",
        "numbers",
    ),
    Reason(
        "SAME_MEANING",
        False,
        "A word of one name has its counterpart in another language, or shortened, in the other.",
        "reworded",
    ),
    Reason(
        "TOKEN_REORDER",
        False,
        "The words stand in another order.",
        "reordered",
    ),
    Reason(
        "TRANSLIT",
        False,
        "The names are written in different scripts, or a word of one is another transcription of a word of the other.",
        "scripts_differ OR sound",
    ),
    Reason(
        "TYPE_MISMATCH",
        True,
        "The listed entity is a vessel or an aircraft, which cannot be a party of a shipment, or a person while the "
        "party has a legal form.",
        "craft OR (person AND party_has_form)",
    ),
    Reason(
        "TYPO",
        False,
        "At least one word differs from its counterpart by a few letters.",
        "typo",
    ),
    Reason(
        "WEAK_ALIAS",
        True,
        "The publisher of the list itself marks the matched name as a weak alias.",
        "name_kind = 'weak'",
    ),
)


def codes_sql(against_only: bool = False) -> str:
    """Return an SQL expression for the codes that hold, sorted and joined by ``;`` (empty text where none holds)."""
    cases = (
        f"CASE WHEN {reason.condition} THEN '{reason.code}' END"
        for reason in sorted(REASONS, key=lambda reason: reason.code)
        if reason.against or not against_only
    )
    return f"concat_ws(';', {', '.join(cases)})"
