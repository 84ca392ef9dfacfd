"""Legal forms in company names: found, made canonical, and told apart from the name itself.

Rules of this file: the table is ``legal_forms.toml``, read once and checked when read. Longest spelling first, from the
end inwards, then from the start, then in the middle; what remains is the core. A short form counts only where the table
says so, since "AS", "SA" or "PT" are words and initials elsewhere in a name.
"""

import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from omphalos.screening.normalize.text import MAX_NAME_CHARACTERS, fold, script_of

# (words of the spelling, their number, canonical tokens)
_Spelling = tuple[list[str], int, list[str]]
_Index = dict[str, tuple[_Spelling, ...]]
_PLACES: Final = ("anywhere", "edges", "end", "start")


@dataclass(frozen=True, slots=True)
class NameForms:
    """The comparison forms of one name.

    ``full`` has every legal form in its canonical token, ``core`` is without them (and without what follows a "c/o");
    ``core`` equals ``full`` where nothing else is left. ``legal_forms`` are the canonical tokens, sorted, joined by
    spaces. ``low_information`` is 1 where the name alone cannot tell one party from another.
    """

    full: str
    core: str
    legal_forms: str
    script: str
    low_information: int


class _LegalForms:
    """The table, indexed by the first and by the last word of every spelling."""

    def __init__(self) -> None:
        data: dict[str, Any] = tomllib.loads(
            files("omphalos.screening.normalize").joinpath("legal_forms.toml").read_text(encoding="utf-8")
        )
        found: dict[str, dict[tuple[str, ...], list[str]]] = {place: {} for place in _PLACES}
        for form in data["form"]:
            token = form["token"].split()
            if not set(form) <= {"token", *_PLACES}:
                raise ValueError(f"legal_forms.toml: unknown key beside token {form['token']!r}")
            for place in _PLACES:
                for spelling in form.get(place, ()):
                    for words in _variants(spelling):
                        if found[place].setdefault(words, token) != token:
                            raise ValueError(f"legal_forms.toml: {' '.join(words)!r} stands for two forms")
        self.tokens = tuple(sorted({word for form in data["form"] for word in form["token"].split()}))
        first = {**found["anywhere"], **found["edges"], **found["start"]}
        last = {**found["anywhere"], **found["edges"], **found["end"]}
        for token in self.tokens:  # a canonical token is a spelling of itself, so that full forms stay as they are
            if (token,) not in first and (token,) not in last:
                last[(token,)] = [token]
        self.first = _index(first, 0)
        self.last = _index(last, -1)
        self.middle = _index(found["anywhere"], 0)
        words = data["words"]
        self.generic = frozenset(words["generic"].split())
        self.placeholders = frozenset(fold(text) for text in words["placeholders"])
        self.care_of = re.compile(rf"(?<= )(?:{'|'.join(words['care_of'])})(?= )")
        self.care_of_slash = re.compile(rf"(?<= )(?:{'|'.join(words['care_of_slash'])})(?= )")
        self.glued = tuple(words["glued"])


def _variants(spelling: str) -> set[tuple[str, ...]]:
    """Return the folded words of a spelling: as written, and with its dots dropped and parted."""
    return {
        tuple(words)
        for text in (spelling, spelling.replace(".", ""), spelling.replace(".", " "))
        if (words := fold(text).split())
    }


def _index(spellings: dict[tuple[str, ...], list[str]], position: int) -> _Index:
    index: dict[str, list[_Spelling]] = {}
    for words in sorted(spellings, key=lambda words: (-len(words), words)):
        index.setdefault(words[position], []).append((list(words), len(words), spellings[words]))
    return {word: tuple(found) for word, found in index.items()}


_TABLE: Final = _LegalForms()

LEGAL_FORM_TOKENS: Final[tuple[str, ...]] = _TABLE.tokens
"""Every canonical token, sorted."""


def name_forms(name: str) -> NameForms:
    """Return the comparison forms of ``name``; total for any ``str``, of which the first 2,000 characters count."""
    name = name[:MAX_NAME_CHARACTERS]
    script = script_of(name)
    if script in {"Kore", "Hani", "Jpan"}:
        for form in _TABLE.glued:
            name = name.replace(form, f" {form} ")
    folded = fold(name)
    words = folded.split(" ")
    low, high = 0, len(words)
    tail: list[str] = []
    last = _TABLE.last
    while high:
        for spelling, length, token in last.get(words[high - 1], ()):
            if length <= high and words[high - length : high] == spelling:
                high -= length
                tail[:0] = token
                break
        else:
            break
    head: list[str] = []
    first = _TABLE.first
    while low < high:
        for spelling, length, token in first.get(words[low], ()):
            if length <= high - low and words[low : low + length] == spelling:
                low += length
                head += token
                break
        else:
            break
    body, middle = _strip_middle(words[low:high])
    core = " ".join(body)
    forms = [*head, *(middle or ()), *tail]
    if forms:
        full = " ".join([*head, *_canonical_middle(words[low:high], middle), *tail])[:MAX_NAME_CHARACTERS].rstrip()
    else:
        full = folded
    core = _before_care_of(core, "/" in name)
    low_information = int(_says_too_little(core) or folded in _TABLE.placeholders)
    legal_forms = " ".join(sorted(set(forms)))
    return NameForms(full, core or full, legal_forms, script, low_information)


def _before_care_of(core: str, slash: bool) -> str:
    """Return what stands before a "c/o" or "on behalf of"; the core itself where nothing does."""
    if " C" not in core and " O" not in core:
        return core
    mark = _TABLE.care_of.search(core) or (_TABLE.care_of_slash.search(core) if slash else None)
    return core[: mark.start()].rstrip() if mark else core


def _strip_middle(words: list[str]) -> tuple[list[str], list[str] | None]:
    """Return the words without the unambiguous forms among them, and those forms (None where there are none)."""
    index = _TABLE.middle
    if index.keys().isdisjoint(words):
        return words, None
    kept: list[str] = []
    forms: list[str] = []
    position = 0
    while position < len(words):
        for spelling, length, token in index.get(words[position], ()):
            if words[position : position + length] == spelling:
                forms += token
                position += length
                break
        else:
            kept.append(words[position])
            position += 1
    return kept, forms or None


def _canonical_middle(words: list[str], forms: list[str] | None) -> list[str]:
    """Return the words with each unambiguous form among them replaced by its canonical token."""
    if forms is None:
        return words
    index = _TABLE.middle
    out: list[str] = []
    position = 0
    while position < len(words):
        for spelling, length, token in index.get(words[position], ()):
            if words[position : position + length] == spelling:
                out += token
                position += length
                break
        else:
            out.append(words[position])
            position += 1
    return out


def _says_too_little(core: str) -> bool:
    """Say whether a core holds nothing but trade words, numbers and single letters, or at most two characters."""
    if len(core) <= 2:
        return True
    generic = _TABLE.generic
    return all(word in generic or len(word) == 1 or word.isdigit() for word in core.split(" "))
