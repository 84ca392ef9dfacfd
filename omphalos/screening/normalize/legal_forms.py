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

from omphalos.screening.normalize.misspelt import set_right
from omphalos.screening.normalize.native import native_words, spell
from omphalos.screening.normalize.tails import tail_at
from omphalos.screening.normalize.text import MAX_NAME_CHARACTERS, fold, script_of

# (words of the spelling, their number, canonical tokens)
_Spelling = tuple[list[str], int, list[str]]
_Index = dict[str, tuple[_Spelling, ...]]
_PLACES: Final = ("anywhere", "edges", "end", "start")


@dataclass(frozen=True, slots=True)
class NameForms:
    """The comparison forms of one name.

    ``full`` has every legal form in its canonical token and ends with ``tail`` (an address, a number, another party:
    `tails`). ``core`` is without both, with words of other scripts in Latin spelling (`native`); it equals ``full``
    where nothing else is left. ``legal_forms`` are the canonical tokens, sorted, joined by spaces.
    ``low_information`` is 1 where the name alone cannot tell one party from another.
    """

    full: str
    core: str
    legal_forms: str
    script: str
    low_information: int
    tail: str = ""


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
        self.marks = (tuple(words["care_of"]), tuple(words["care_of_slash"]))
        self.care_of = re.compile(rf"(?<= )(?:{'|'.join(words['care_of'])})(?= )")
        self.care_of_slash = re.compile(rf"(?<= )(?:{'|'.join(words['care_of_slash'])})(?= )")
        self.glued = tuple(words["glued"])
        # Legal forms in scripts that write no spaces stay as they are until they are folded.
        self.native = native_words(
            spelling for form in data["form"] for place in _PLACES for spelling in form.get(place, ())
        )


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

CARE_OF, CARE_OF_SLASH = _TABLE.marks
"""What stands before another party of the same cell: as it is, and only where the cell has a slash."""


def name_forms(name: str) -> NameForms:
    """Return the comparison forms of ``name``; total for any ``str``, of which the first 2,000 characters count."""
    name = name[:MAX_NAME_CHARACTERS]
    script = script_of(name)
    if script in {"Kore", "Hani", "Jpan"}:
        for form in _TABLE.glued:
            name = name.replace(form, f" {form} ")
    words = set_right(fold(name).split(" "))
    folded = " ".join(words)
    cut = _tail_at(folded, words, "/" in name)
    full, core, forms = _take_forms(words[:cut])
    spelled = name if name.isascii() else spell(name, _TABLE.native)
    if spelled != name:
        # Translated or vocalized words are an interpretation: they stand in the core, never in the full form.
        again = set_right(fold(spelled).split(" "))
        _, core, more = _take_forms(again[: _tail_at(" ".join(again), again, "/" in name)])
        forms = [*forms, *(token for token in more if token in full.split(" "))]
    tail = " ".join(words[cut:])
    if tail:
        full = f"{full} {tail}"
    if len(full) > MAX_NAME_CHARACTERS:
        full, tail = full[:MAX_NAME_CHARACTERS].rstrip(), ""
    core = core[:MAX_NAME_CHARACTERS].rstrip()
    low_information = int(_says_too_little(core) or folded in _TABLE.placeholders)
    return NameForms(full, core or full, " ".join(sorted(set(forms))), script, low_information, tail)


def _tail_at(folded: str, words: list[str], slash: bool) -> int:
    """Return where the tail of a folded name begins; a name of which too little would be left has none."""
    cut = tail_at(words)
    if " C" in folded or " O" in folded:
        mark = _TABLE.care_of.search(folded) or (_TABLE.care_of_slash.search(folded) if slash else None)
        if mark:
            cut = min(cut, folded[: mark.start()].count(" "))
    place = _number_behind_form(words)
    cut = min(cut, place)
    if cut < len(words) and _says_too_little(_take_forms(words[:cut])[1]):
        return len(words)
    return cut


def _number_behind_form(words: list[str]) -> int:
    """Return where a post code stands right behind an unambiguous legal form, or the number of words."""
    index = _TABLE.middle
    if index.keys().isdisjoint(words):
        return len(words)
    for position in range(1, len(words) - 2):
        for spelling, length, _ in index.get(words[position], ()):
            end = position + length
            if words[position:end] == spelling and end + 1 < len(words) and _is_code(words[end]):
                return end
    return len(words)


def _is_code(word: str) -> bool:
    return word.isdigit() and len(word) > 1


def _take_forms(words: list[str]) -> tuple[str, str, list[str]]:
    """Return the full form, the core (empty where nothing is left) and the canonical tokens found."""
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
    forms = [*head, *(middle or ()), *tail]
    full = [*head, *_canonical_middle(words[low:high], middle), *tail] if forms else words
    return " ".join(full), " ".join(body), forms


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
