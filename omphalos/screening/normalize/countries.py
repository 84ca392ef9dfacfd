"""Country words to ISO 3166-1 alpha-2 codes, from the project's own table (``countries.toml``).

Rules of this file: a word resolves to one code or to none, never to a guess. Spellings are compared as folded words
without articles, in any order, so "Korea, Republic of" needs no entry beside "Republic of Korea". Words that are known
and stand for no single place (``Soviet Union``, ``Virgin Islands``) resolve to none.
"""

import re
import tomllib
from importlib.resources import files
from typing import Any, Final

from omphalos.screening.normalize.text import fold, script_of

_STOP_WORDS: Final = frozenset(
    {"THE", "OF", "AND", "A", "AN", "IN", "DE", "DEL", "LA", "LE", "LES", "LAS", "LOS", "EL", "DU", "DES", "DER", "DO"}
    | {"DA", "DOS", "DAS", "D", "L", "ET", "Y", "E", "I", "UND", "II"}
)
# "Republic of X" is X, except where the words before the name tell two states apart.
_STYLES: Final = frozenset({"REPUBLIC", "REPUBLICA", "REPUBLIQUE", "REPUBLIK", "KINGDOM", "REINO", "ROYAUME"})
_STYLE_MATTERS: Final = frozenset({"CD", "CG", "CN", "KP", "KR", "TW"})
_PARENTHESES: Final = re.compile(r"^([^()]*)\(([^()]*)\)([^()]*)$")
_CODE_AND_NAME: Final = re.compile(r"^([A-Z]{2,3})\s*[,:/-]\s*(.{3,})$")
_MAX_CHARACTERS: Final = 200


def _key(text: str) -> str:
    """Return what a spelling is looked up by: its folded words, sorted, without articles; "ST" is read as "SAINT".

    Names in other scripts than Latin keep their words and order: a folded Chinese syllable may look like an article.
    """
    words = fold(text).removeprefix("REGION ").split()
    if script_of(text) != "Latn":
        return " ".join(words)
    words = ["SAINT" if word in {"ST", "STE", "SAINTE"} else word for word in words]
    kept = [word for word in words if word not in _STOP_WORDS]
    return " ".join(sorted(kept or words))


class _Countries:
    """The table, read once: codes, spellings, and what is refused on purpose."""

    def __init__(self) -> None:
        data: dict[str, Any] = tomllib.loads(
            files("omphalos.screening.normalize").joinpath("countries.toml").read_text(encoding="utf-8")
        )
        self.by_code: dict[str, str] = {}
        self.by_name: dict[str, str] = {}
        self.refused_codes = frozenset(data["unresolved"]["codes"])
        self.refused_names = frozenset(_key(name) for name in data["unresolved"]["names"])
        self.iso = frozenset(data["countries"])
        for code, (alpha3, numeric, *names) in (data["countries"] | data["extensions"]).items():
            for spelling in (code, alpha3, numeric):
                if spelling:
                    self._add(self.by_code, spelling, code)
            for name in names:
                self._add(self.by_name, _key(name), code)
        for spelling, code in data["other_codes"].items():
            self._add(self.by_code, spelling, code)
        self.codes = tuple(sorted({*data["countries"], *data["extensions"]}))

    @staticmethod
    def _add(table: dict[str, str], spelling: str, code: str) -> None:
        if table.setdefault(spelling, code) != code:
            raise ValueError(f"countries.toml: {spelling!r} stands for both {table[spelling]} and {code}")


_TABLE: Final = _Countries()

COUNTRY_CODES: Final[tuple[str, ...]] = _TABLE.codes
"""Every code ``country_code`` can return, sorted: ISO 3166-1 alpha-2, and XK and EU."""


def country_code(text: str) -> str | None:
    """Return the alpha-2 code a country cell stands for, or None where it stands for no single country.

    Accepts alpha-2, alpha-3 and three-digit numeric codes, names in several languages and word orders, a name with its
    other name in parentheses, and a code followed by its own name ("VN, VIET NAM"). Beyond ISO 3166-1 it returns XK
    (Kosovo) and EU (European Union).
    """
    text = text.strip()
    if not text or len(text) > _MAX_CHARACTERS:
        return None
    found = _lookup(text)
    if found is not None:
        return found
    # Two spellings in one cell count only when they say the same: "Turkey (Turkiye)", never "China (Taiwan)".
    parts = _PARENTHESES.match(text)
    if parts:
        outside, inside = _lookup(f"{parts[1]} {parts[3]}"), _lookup(parts[2])
        return outside if outside == inside else None
    parts = _CODE_AND_NAME.match(text.upper())
    if parts:
        code, name = _lookup(parts[1]), _lookup(parts[2])
        return code if code == name else None
    return None


def _lookup(text: str) -> str | None:
    folded = fold(text)
    if not folded:
        return None
    # A word of another script is never a code, even where it folds to one (Egypt's Arabic name to MSR, Montserrat).
    code = _TABLE.by_code.get(folded) if script_of(text) in {"Latn", "Zyyy"} else None
    if code is not None:
        return code
    key = _key(text)
    if folded in _TABLE.refused_codes or key in _TABLE.refused_names:
        return None
    found = _TABLE.by_name.get(key)
    if found is None and not _STYLES.isdisjoint(words := key.split()):
        found = _TABLE.by_name.get(" ".join(word for word in words if word not in _STYLES))
        return None if found in _STYLE_MATTERS else found
    return found
