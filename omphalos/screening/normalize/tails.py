"""What stands behind a name in a party cell: an address, a post box, a telephone or tax number, another party.

Rules of this file: a tail begins at a mark and reaches to the end; the marks are data (``tails.toml``); digits decide,
so that a word such as ROAD or BLOCK alone never cuts a name. Where the tail begins is a pure function of the words.
Nothing is lost: the full form keeps the tail, and the match says that one was set aside (ADDRESS_TAIL).
"""

import tomllib
from importlib.resources import files
from typing import Any, Final

_NEAR: Final = 4  # words between a house number and the word for a street


class _Tails:
    """The table, as sets of words and tuples of words."""

    def __init__(self) -> None:
        data: dict[str, Any] = tomllib.loads(
            files("omphalos.screening.normalize").joinpath("tails.toml").read_text(encoding="utf-8")
        )
        self.box = tuple(tuple(mark.split()) for mark in data["box"])
        self.mail = tuple(tuple(mark.split()) for mark in data["mail"])
        self.box_number = frozenset(data["box_number"].split())
        self.phone = frozenset(data["phone"].split())
        self.number = frozenset(data["number"].split())
        self.filler = frozenset(data["filler"].split())
        self.part = frozenset(data["part"].split())
        self.storey = frozenset(data["storey"].split())
        self.street = frozenset(data["street"].split())
        self.street_first = frozenset(data["street_first"].split())
        self.house = frozenset(data["house"].split())
        self.marks = (
            frozenset(mark[0] for mark in (*self.box, *self.mail))
            | self.box_number | self.phone | self.number | self.part | self.street_first
        )  # fmt: skip


_TAILS: Final = _Tails()


def digits(word: str) -> int:
    """Return how many digits a word has."""
    return sum(map(str.isdigit, word))


def tail_at(words: list[str]) -> int:
    """Return where a tail begins: the position of its first word, never 0; the number of words where there is none."""
    marks = _TAILS.marks
    if len(words) < 3:
        return len(words)
    if not any(map(str.isdigit, "".join(words))) and not {"MAIL", "EMAIL", "BOX"} & set(words):
        return len(words)
    for place in range(1, len(words)):
        word = words[place]
        if (word in marks and _marked(words, place)) or (word[0].isdigit() and _house(words, place)):
            if words[place - 1] in _TAILS.house and place > 1 and word[0].isdigit():
                return place - 1
            return place
    return len(words)


def _marked(words: list[str], place: int) -> bool:
    """Say whether the word at ``place`` is a mark with what a mark needs behind it."""
    word, table = words[place], _TAILS
    for mark in (*table.box, *table.mail):
        if tuple(words[place : place + len(mark)]) == mark:
            return True
    after = words[place + 1 : place + 2]
    if word in table.box_number or word in table.part:
        return bool(after) and after[0][0].isdigit()
    if word in table.phone:
        return _digits_behind(words, place) >= 3
    if word in table.number:
        return _digits_behind(words, place) >= 4
    if word in table.street_first:
        return any(one[0].isdigit() for one in words[place + 2 : place + 2 + _NEAR])
    return False


def _digits_behind(words: list[str], place: int) -> int:
    """Return the digits of the first words behind ``place`` that are no filler, as far as they have some."""
    found = 0
    for word in words[place + 1 : place + 5]:
        count = digits(word)
        if not count and (found or word not in _TAILS.filler):
            break
        found += count
    return found


def _house(words: list[str], place: int) -> bool:
    """Say whether the number at ``place`` is a house number or a storey: a word for it stands behind."""
    if words[place + 1 : place + 2] and words[place + 1] in _TAILS.storey:
        return True
    return any(word in _TAILS.street for word in words[place + 1 : place + 2 + _NEAR])
