"""What a list says of one entity and another: who is linked to, owned by or directed by whom.

Rules of this file: a relation is kept in the publisher's words and is read from the entity's side; which entity the
other is, is found out later, when the names of the whole registry are known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Clean = Callable[[str | None, int], tuple[str | None, str | None]]


@dataclass(frozen=True)
class RawRelation:
    """The relation, the other's name, and the other's native id where the list gives one.

    The entity is ``linked-to``, ``owned-by``, ``owns``, ``directed-by`` or ``directs`` the other.
    """

    relation: str
    other_name: str
    other_id: str | None = None


def relation_rows(
    relations: Sequence[RawRelation], clean: Clean, most_name: int, most_id: int
) -> tuple[list[tuple[int, str, str, str | None]], list[tuple[str, str]]]:
    """Return (number, relation, other name, other id) of each distinct relation, and (reason, text) of the refused.

    ``clean`` is that of the builder; the other two are its caps, in characters.
    """
    taken: dict[tuple[str, str, str | None], None] = {}
    refused = []
    for raw in relations:
        name, reason = clean(raw.other_name, most_name)
        other, other_reason = clean(raw.other_id, most_id)
        if name is None or other_reason is not None:
            refused.append((reason or other_reason or "nameMissing", raw.other_name))
        else:
            taken.setdefault((raw.relation, name, other))
    return [(number, *row) for number, row in enumerate(taken)], refused
