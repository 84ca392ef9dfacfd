"""Text as it is kept, and text as it is compared.

Two forms, never mixed: ``clean_text`` is what tables show (as filed, only made well-formed), ``fold`` is what names are
compared by: upper-case ASCII words, digits kept, nothing else. Rules of this file: every function is total, defined for
any ``str`` of any length, pure, and independent of locale, environment and order of calls. What is folded to what, and
why, stands in ``docs/normalization.md``.
"""

import re
import unicodedata
from typing import Final

from anyascii import anyascii

MAX_NAME_CHARACTERS: Final = 2000

_CONTROLS: Final = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " ") | dict.fromkeys(
    range(0xD800, 0xE000), "\ufffd"
)
# What is written with an apostrophe is one word: O'BRIEN, QA'IDA, COTE D'IVOIRE. The marks below all stand for one.
_APOSTROPHES: Final = frozenset("'`´ʹʻʼʽʾʿˈ‘’‛′＇ʿʾ\u055a\u05f3")
# Arabic letters that the plain transliteration drops, although Latin spellings of the same names write them.
_ARABIC: Final = {
    "\u0627": "A", "\u0623": "A", "\u0625": "A", "\u0622": "A", "\u0671": "A", "\u0629": "A", "\u0649": "A",
    "\u0648": "W", "\u064a": "Y", "\u06cc": "Y", "\u0626": "Y", "\u0624": "W", "\u0621": "", "\u0639": "A",
    "\u0640": "",
}  # fmt: skip
_ABBREVIATION: Final = re.compile(r"(?<![A-Z0-9])[A-Z](?:\.[A-Z])+(?![A-Z0-9])")
_ARABIC_ARTICLE: Final = re.compile(r"(?<!\w)\u0627\u0644(?=[\u0620-\u064a\u066e-\u06d3]{2})")
_LATIN_WORD: Final = re.compile(r"[A-Za-zÀ-ʯ]")
_LOOKALIKE_SCRIPTS: Final = re.compile(r"[\u0370-\u03ff\u0400-\u04ff]")
_MIXED_WORD: Final = re.compile(r"[A-Za-z\u0370-\u03ff\u0400-\u04ff]+")
_CYRILLIC_LATIN: Final = dict(zip("АВЕЅІЈКМНОРСТУХаеѕіјорсухԁԛԝһ", "ABESIJKMHOPCTYXaesijopcyxdqwh", strict=True))
_LATIN_CYRILLIC: Final = dict(zip("ABEKMHOPCTYXaeopcyx", "АВЕКМНОРСТУХаеорсух", strict=True))
_GREEK_LATIN: Final = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧορν", "ABEZHIKMNOPTYXopv", strict=True))
_LATIN_GREEK: Final = dict(zip("ABEZHIKMNOPTYXopv", "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧορν", strict=True))

# ISO 15924 codes by the first word of a character's Unicode name: stable, and free of a table of our own.
_SCRIPTS: Final = {
    "LATIN": "Latn", "CYRILLIC": "Cyrl", "GREEK": "Grek", "ARABIC": "Arab", "HEBREW": "Hebr", "ARMENIAN": "Armn",
    "GEORGIAN": "Geor", "CJK": "Hani", "HIRAGANA": "Kana", "KATAKANA": "Kana", "HANGUL": "Kore", "THAI": "Thai",
    "DEVANAGARI": "Deva", "BENGALI": "Beng", "TAMIL": "Taml", "TELUGU": "Telu", "GUJARATI": "Gujr", "GURMUKHI": "Guru",
    "KANNADA": "Knda", "MALAYALAM": "Mlym", "SINHALA": "Sinh", "KHMER": "Khmr", "LAO": "Laoo", "MYANMAR": "Mymr",
    "ETHIOPIC": "Ethi", "MONGOLIAN": "Mong", "TIBETAN": "Tibt", "SYRIAC": "Syrc", "THAANA": "Thaa",
}  # fmt: skip


class _FoldTable(dict[int, str]):
    """What each character folds to; filled on demand, at most one entry per character of Unicode."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _fold_character(chr(code))
        return folded


def _fold_character(char: str) -> str:
    """Return the upper-case ASCII form of one character: letters, digits, a dot, or a space for all else."""
    if char in _APOSTROPHES:
        return ""
    if char == ".":
        return "."
    if char == "&":
        return " AND "
    if char in _ARABIC:
        return _ARABIC[char]
    category = unicodedata.category(char)
    if category[0] not in "LMN":
        # Format characters (zero-width joiners, bidirectional marks) are invisible: they must not split a word.
        return "" if category == "Cf" else " "
    if char == "\u30fc":  # the Japanese mark that only lengthens the vowel before it
        return ""
    ascii_form = "".join(c for c in anyascii(char).upper() if c.isalnum())
    # One Chinese character is one syllable and one unit of meaning; without a dictionary no larger word is known.
    return f" {ascii_form} " if _is_ideograph(char) else ascii_form


def _is_ideograph(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff" or "\uf900" <= char <= "\ufaff" or char >= "\U00020000"


_FOLD: Final = _FoldTable()


class _ScriptTable(dict[str, str]):
    """The ISO 15924 code of each letter, "" for what is no letter; filled on demand."""

    def __missing__(self, char: str) -> str:
        self[char] = script = _script_of_character(char)
        return script


def _script_of_character(char: str) -> str:
    if unicodedata.category(char)[0] != "L":
        return ""
    words = unicodedata.name(char, "").replace("FULLWIDTH ", "").replace("HALFWIDTH ", "").split(" ", 1)
    return _SCRIPTS.get(words[0], "Zzzz")


_SCRIPT: Final = _ScriptTable()


def clean_text(text: str) -> str:
    """Return ``text`` as filed, made well-formed: NFC, control characters to spaces, white space collapsed and trimmed.

    A lone surrogate, which no encoding can carry, becomes U+FFFD.
    """
    if text.isascii():
        if text.isprintable() and "  " not in text and not text.startswith(" ") and not text.endswith(" "):
            return text
        return " ".join(text.translate(_CONTROLS).split())
    return " ".join(unicodedata.normalize("NFC", text.translate(_CONTROLS)).split())


def fold(text: str) -> str:
    """Return the comparison form of ``text``: upper-case ASCII letters and digits in words parted by one space.

    The first 2,000 characters count, and the result is at most 2,000 long; ``fold(fold(t)) == fold(t)``.
    """
    text = text[:MAX_NAME_CHARACTERS]
    if not text.isascii():
        # NFKC, not NFKD: full-width, ligatures and circled forms are resolved, and letters stay whole for the table
        # (decomposed, Cyrillic й would lose its breve and Hangul its syllables).
        text = unicodedata.normalize("NFKC", text)[:MAX_NAME_CHARACTERS]
        if _LOOKALIKE_SCRIPTS.search(text) and _LATIN_WORD.search(text):
            text = _MIXED_WORD.sub(_one_script, text)
        text = _ARABIC_ARTICLE.sub("\u0627\u0644 ", text)
    if "&" in text:
        text = text.replace("&amp;", "&").replace("&AMP;", "&").replace("&nbsp;", " ").replace("&NBSP;", " ")
    text = text.translate(_FOLD)
    if "." in text:
        text = _ABBREVIATION.sub(_undotted, text).replace(".", " ")
    text = " ".join(text.split())
    return text if len(text) <= MAX_NAME_CHARACTERS else text[:MAX_NAME_CHARACTERS].rstrip()


def _undotted(match: re.Match[str]) -> str:
    return match[0].replace(".", "")


def _one_script(match: re.Match[str]) -> str:
    """Return a word that mixes Latin with look-alike letters of one other script in a single script.

    Whichever side can be rewritten wholly in the other's letters gives way; where both can, Latin stays.
    """
    word = match[0]
    latin = [char for char in word if char.isascii()]
    others = [char for char in word if not char.isascii()]
    if not latin or not others:
        return word
    if min(others) >= "\u0400":
        lookalikes, back = _CYRILLIC_LATIN, _LATIN_CYRILLIC
    elif max(others) < "\u0400":
        lookalikes, back = _GREEK_LATIN, _LATIN_GREEK
    else:
        return word
    if all(char in lookalikes for char in others):
        return "".join(lookalikes.get(char, char) for char in word)
    if all(char in back for char in latin):
        return "".join(back.get(char, char) for char in word)
    return word


def script_of(text: str) -> str:
    """Return the ISO 15924 code of the script most letters of ``text`` are in.

    ``Zyyy`` where there is no letter, ``Jpan`` for Chinese characters written together with kana, ``Zzzz`` for scripts
    this table does not name. Between equal counts the first code in alphabetical order stands.
    """
    if text.isascii():
        return "Latn" if any(map(str.isalpha, text)) else "Zyyy"
    counts: dict[str, int] = {}
    for char in text[:MAX_NAME_CHARACTERS]:
        script = _SCRIPT[char]
        if script:
            counts[script] = counts.get(script, 0) + 1
    if "Kana" in counts:
        counts["Jpan"] = counts.pop("Kana") + counts.pop("Hani", 0)
    if not counts:
        return "Zyyy"
    return min(counts, key=lambda script: (-counts[script], script))
