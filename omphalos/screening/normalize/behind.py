"""The parties behind a party: what a cell names behind "c/o", "o/b of" or "on behalf of".

Rules of this file: the marks are data (``care_of`` and ``care_of_slash`` in ``legal_forms.toml``, the same that cut a
tail); the text behind a mark is given as filed, so that other scripts keep their letters; the outcome is a pure
function of the name; of one cell at most `MOST` are taken.
"""

import re
from typing import Final

from omphalos.screening.normalize.legal_forms import CARE_OF, CARE_OF_SLASH
from omphalos.screening.normalize.text import MAX_NAME_CHARACTERS

MOST: Final = 3  # "A c/o B c/o C c/o D" ends at D


def _spelled(mark: str) -> str:
    """Return a pattern for a mark as people write it: its words parted by spaces or dots."""
    return r"[\s.]+".join(map(re.escape, mark.split(" ")))


def _slashed(mark: str) -> str:
    """Return a pattern for a mark of single letters with slashes between them (O/B OF)."""
    letters = mark.split(" ")
    pieces = [letters[0]]
    for letter in letters[1:]:
        pieces += [r"\s*/\s*" if len(letter) == 1 else r"\.?\s+", letter]
    return "".join(pieces)


_MARKS: Final = re.compile(
    rf"(?<![^\W_])(?:{'|'.join([*map(_slashed, CARE_OF_SLASH), *map(_spelled, CARE_OF)])})(?![^\W_])[\s.:,;-]*",
    re.IGNORECASE,
)


def names_behind(name: str) -> tuple[str, ...]:
    """Return the names behind the marks of ``name``, in order; those without a letter or digit are left out."""
    _, *behind = _MARKS.split(name[:MAX_NAME_CHARACTERS], maxsplit=MOST)
    trimmed = (part.strip(" ,;:-()") for part in behind)
    return tuple(part for part in trimmed if any(map(str.isalnum, part)))
