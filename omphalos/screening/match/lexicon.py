"""Words with a known meaning: trade words in many languages, places, and given names that are one name.

Rules of this file: the words are data beside the code (``lexicon.toml``); a word has one meaning; words are folded, so
the table holds upper-case ASCII only. A trade word or a place says what a business does or where, not who it is.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar, Final

from omphalos.format.errors import ErrorKind, OmphalosError

TRADE: Final = 1
PLACE: Final = 2


class LexiconError(OmphalosError):
    """The table of words contradicts itself or has another shape."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "match-lexicon"


@dataclass(frozen=True, slots=True)
class Lexicon:
    """``meaning``: word → the word that stands for its meaning; ``kind``: word → TRADE or PLACE."""

    version: int
    meaning: dict[str, str]
    kind: dict[str, int]


def parse_lexicon(text: str) -> Lexicon:
    """Return the lexicon in ``text`` (TOML).

    Raises:
        LexiconError: the text is no TOML, has another shape, or gives a word two meanings.
    """
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LexiconError(f"the lexicon is not TOML: {error}") from error
    meaning: dict[str, str] = {}
    kind: dict[str, int] = {}
    try:
        for section, flag in (("trade", TRADE), ("names", 0), ("places", PLACE)):
            for head, others in document[section].items():
                for word in (head, *others.split()):
                    if meaning.setdefault(word, head) != head:
                        raise LexiconError(f"the lexicon gives {word} two meanings")
                    if flag:
                        kind[word] = flag
        for section, flag in (("trade_words", TRADE), ("place_words", PLACE)):
            for word in document[section]["words"].split():
                kind.setdefault(word, flag)
        version = int(document["version"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise LexiconError(f"the lexicon has another shape: {error}") from error
    return Lexicon(version, {word: head for word, head in meaning.items() if word != head}, kind)


@cache
def load_lexicon() -> Lexicon:
    """Return the lexicon that ships with the package."""
    return parse_lexicon(files(__package__).joinpath("lexicon.toml").read_text(encoding="utf-8"))
