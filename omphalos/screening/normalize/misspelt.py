"""Legal forms that a filer misspelt by one letter, or wrote together with the name.

Rules of this file: only the long words of legal forms are set right (LIMITED, not LTD), by one letter (added, left out,
changed, or two exchanged), so that no other word is taken for one; words that are words of their own are kept; the
table is made once from the words below; the outcome is a pure function of the words of a folded name.
"""

from string import ascii_uppercase, digits
from typing import Final

_LONG: Final = ("LIMITED", "COMPANY", "CORPORATION", "LIABILITY", "INCORPORATED")
_OWN: Final = frozenset({"LIMITER", "LIMITES", "ILLIMITED", "COMPANYS", "LIABILITYS", "CORPORATIONS", "INCORPORATES"})
_GLUED_BEHIND: Final = (("CORPORATION", 3), ("COMPANY", 3), ("LIMITED", 3), ("GMBH", 4), ("LLC", 4), ("LTD", 4))
_GLUED_BEFORE: Final = (("OOO", 4),)


def _one_off(word: str) -> set[str]:
    """Return what is one letter off ``word``."""
    made = {word[:i] + word[i + 1 :] for i in range(len(word))}
    made |= {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}
    made |= {word[:i] + char + word[i + 1 :] for i in range(len(word)) for char in ascii_uppercase + digits}
    made |= {word[:i] + char + word[i:] for i in range(len(word) + 1) for char in ascii_uppercase}
    return made - {word}


_RIGHT: Final = {wrong: word for word in _LONG for wrong in sorted(_one_off(word) - _OWN)}
_JOINT: Final = frozenset((_one_off("JOINT") | {"J"}) - {"POINT", "JOINS", "JOIN"})
_STOCK: Final = frozenset(_one_off("STOCK") | {"S"})


def set_right(words: list[str]) -> list[str]:
    """Return the words of a folded name with misspelt legal forms set right and those written together set apart.

    ``[]`` gives ``[]``; words that need nothing give an equal list; doing it twice changes nothing more.
    """
    out: list[str] = []
    for word in words:
        out += _apart(_RIGHT.get(word, word))
    for place in range(len(out) - 1):
        if out[place] in _JOINT and out[place + 1] == "STOCK":
            out[place] = "JOINT"
        elif out[place] == "JOINT" and out[place + 1] in _STOCK and out[place + 2 : place + 3] == ["COMPANY"]:
            out[place + 1] = "STOCK"
    return out


def _apart(word: str) -> list[str]:
    """Return a word, and the legal form it ends or begins with, each by itself."""
    for form, least in _GLUED_BEHIND:
        if len(word) >= len(form) + least and word.endswith(form) and word[: -len(form)].isalpha():
            return [word[: -len(form)], form]
    for form, least in _GLUED_BEFORE:
        if len(word) >= len(form) + least and word.startswith(form) and word[len(form) :].isalpha():
            return [form, word[len(form) :]]
    return [word]
