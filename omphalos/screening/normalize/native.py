"""Names in other scripts, spelled in Latin letters the way their bearers and English lists spell them.

Rules of this file: words of the table (``native.toml``) are replaced, everything else stays for `text.fold` to
transliterate; a run of Chinese characters the table does not know is read as one word (Han writes no spaces), by the
sounds of foreign names where it consists of the characters that write them; the outcome is a pure function of the text.
It is an interpretation, so it serves the core form only.

Arabic script: the article before a word of the table is set apart; "Abd al-" and "-al-Din" and "-Allah" behind another
word become ABDUL, UDDIN and ULLAH, which the matcher's lexicon knows in their other spellings.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from anyascii import anyascii

_HAN: Final = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u3005"
_KANA: Final = "\u3041-\u30ff"
_HANGUL: Final = "\uac00-\ud7a3"
_GLUED: Final = re.compile(f"[{_HAN}{_KANA}{_HANGUL}]+")
_HAN_RUN: Final = re.compile(f"[{_HAN}]+")
_ARABIC: Final = re.compile("[\u0620-\u06d3\u06fa-\u06ff\u064b-\u065f\u0670]+")
_ARABIC_PLAIN: Final = str.maketrans(
    "\u0623\u0625\u0622\u0671\u06cc\u0649\u0626\u06a9\u06c1\u06be\u06c3\u0629\u0624\u06d2",
    "\u0627\u0627\u0627\u0627\u064a\u064a\u064a\u0643\u0647\u0647\u0647\u0647\u0648\u064a",
    "\u0621\u0640\u200c\u0654",
)
_ARTICLE: Final = "\u0627\u0644"
_ABD: Final = "\u0639\u0628\u062f"
_ALLAH: Final = "\u0627\u0644\u0644\u0647"
_DIN: Final = "\u0627\u0644\u062f\u064a\u0646"
_WORD: Final = 8  # characters of an unknown run that are read as one word; a longer one is read by syllables


@dataclass(frozen=True, slots=True)
class NativeWords:
    """``words``: unspaced text → Latin; ``longest``: characters of the longest; ``arabic``: plain word → Latin.

    ``transcribed``: Chinese character → the sound it stands for in foreign names; ``telling``: those that tell such a
    name from a Chinese one; ``variants``: code of a character → code of its plain form.
    """

    words: dict[str, str]
    longest: int
    arabic: dict[str, str]
    variants: dict[int, int]
    transcribed: dict[str, str]
    telling: frozenset[str]


def native_words(kept: Iterable[str]) -> NativeWords:
    """Return the table; the texts in ``kept`` (legal forms) stand for themselves where the table lacks them."""
    data: dict[str, Any] = tomllib.loads(
        files("omphalos.screening.normalize").joinpath("native.toml").read_text(encoding="utf-8")
    )
    pairs = data["variants"]
    variants = {ord(old): ord(new) for old, new in zip(pairs["written"], pairs["plain"], strict=True) if old != new}
    words = {text.translate(variants): text for text in kept if _GLUED.fullmatch(text)}
    for section in ("han", "kana", "hangul"):
        for latin, spellings in data[section].items():
            for spelling in spellings.split():
                words[spelling.translate(variants)] = latin
    arabic = {
        plain_arabic(spelling): latin for latin, spellings in data["arabic"].items() for spelling in spellings.split()
    }
    sounds = dict(data["transcription"])
    telling = frozenset(sounds.pop("telling"))
    transcribed = {char: latin for latin, chars in sounds.items() for char in chars.split()}
    return NativeWords(words, max(map(len, words)), arabic, variants, transcribed, telling)


def plain_arabic(word: str) -> str:
    """Return an Arabic word without marks, with one form of each letter that countries write differently."""
    bare = "".join(char for char in word if unicodedata.category(char) != "Mn")
    return bare.translate(_ARABIC_PLAIN)


def spell(name: str, table: NativeWords) -> str:
    """Return ``name`` with the words the table knows in Latin letters, set apart by spaces."""
    text = unicodedata.normalize("NFKC", name)
    text = _GLUED.sub(lambda found: f" {_spell_glued(found[0], table)} ", text)
    return _spell_arabic(text, table) if _ARABIC.search(text) else text


def _spell_glued(run: str, table: NativeWords) -> str:
    """Cut a run into words of the table, the longest first, and what lies between them.

    A single character that stands in the middle of a foreign name is a part of that name, whatever it means alone.
    """
    looked = run.translate(table.variants)
    parts: list[str] = []
    rest = place = 0
    while place < len(run):
        for length in range(min(table.longest, len(run) - place), 0, -1):
            latin = table.words.get(looked[place : place + length])
            if latin is not None and (length > 1 or not _inside_foreign(looked, rest, place, table)):
                parts += [_unknown(run[rest:place], table), latin]
                place = rest = place + length
                break
        else:
            place += 1
    parts.append(_unknown(run[rest:], table))
    return " ".join(part for part in parts if part)


def _inside_foreign(run: str, begin: int, place: int, table: NativeWords) -> bool:
    """Say whether the character at ``place`` goes on a foreign name that began at ``begin``."""
    return (
        place - begin >= 2
        and run[place] in table.transcribed
        and all(char in table.transcribed for char in run[begin:place])
        and not table.telling.isdisjoint(run[begin:place])
    )


def _unknown(text: str, table: NativeWords) -> str:
    """Return text without words of the table: Chinese characters as one word, all else as it is."""
    return _HAN_RUN.sub(lambda found: _syllables(found[0], table), text)


def _syllables(run: str, table: NativeWords) -> str:
    plain = run.translate(table.variants)
    told = sum(char in table.telling for char in plain)
    if told and (len(run) > 2 or told == 2) and all(char in table.transcribed for char in plain):
        return f" {''.join(table.transcribed[char] for char in plain)} "
    return run if len(run) > _WORD else f" {''.join(anyascii(char).strip() for char in run)} "


def _spell_arabic(text: str, table: NativeWords) -> str:
    """Spell the Arabic words of a text one after the other, since the article and "Abd" depend on their neighbours."""
    out: list[str] = []
    before = ""
    for part in re.split("([\u0620-\u06d3\u06fa-\u06ff\u064b-\u065f\u0670]+)", text):
        if not _ARABIC.fullmatch(part):
            out.append(part)
            before = before if not part.strip() else ""
            continue
        word = plain_arabic(part)
        if word.startswith(_ABD + _ARTICLE) and word != _ABD + _ALLAH:
            tail = word[len(_ABD + _ARTICLE) :]
            out.append(f" ABDUL {table.arabic.get(tail, tail)} ")
        elif before == _ABD and word == _ALLAH:
            out[-2:] = [" ABDULLAH "]
        elif before == _ABD and word.startswith(_ARTICLE):
            tail = word[len(_ARTICLE) :]
            out[-2:] = [f" ABDUL {table.arabic.get(tail, tail)} "]
        elif before and word == _ALLAH:
            out.append(" ULLAH ")
        elif before and word == _DIN:
            out.append(" UDDIN ")
        elif word in table.arabic:
            out.append(f" {table.arabic[word]} ")
        elif word.startswith(_ARTICLE) and word[len(_ARTICLE) :] in table.arabic:
            out.append(f" AL {table.arabic[word[len(_ARTICLE) :]]} ")
        else:
            out.append(part)
        before = word
    return "".join(out)
