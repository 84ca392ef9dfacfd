"""The listed entities: distinct words, and an honest end when there are no more."""

import pytest

from omphalos.screening.synthetic import entities as module
from omphalos.screening.synthetic.draws import Draws
from omphalos.screening.synthetic.entities import TooManyEntitiesError, entities


def test_distinctive_words_are_distinct() -> None:
    """No two of many entities share a distinctive word, though first draws do collide."""
    roots = [entity.primary.root.casefold() for entity in entities(Draws(4), 6000)]

    assert len(roots) == len(set(roots))


def test_too_many_entities(monkeypatch: pytest.MonkeyPatch) -> None:
    """When taken words cannot be redrawn any more, the error says how many entities were asked for."""
    monkeypatch.setattr(module, "_MOST_REDRAWS", 0)

    with pytest.raises(TooManyEntitiesError, match="no 6000 entities with distinct names can be made"):
        entities(Draws(4), 6000)


def test_persons_are_listed_surname_first() -> None:
    """A person is listed as SURNAME, Given, and is called the other way round, or the same where family comes first."""
    people = [entity for entity in entities(Draws(4), 600) if entity.primary.person and entity.primary.spaced]

    assert len(people) > 100
    for entity in people:
        surname, given = entity.names[0].split(", ")
        assert surname == surname.upper()
        called = f"{surname} {given}" if entity.primary.family_first else f"{given} {surname}"
        assert called.upper() == entity.primary.text.upper()
