"""How a word sounds, roughly: two keys that spellings of one word in different transcriptions have in common.

Rules of this file: pure functions of one folded word (upper-case ASCII); a table of rewriting rules, longest first, no
learned part. ``sound`` keeps three classes of vowels; ``skeleton`` keeps consonants only, so that a word from a script
that writes no vowels (MHMD) meets its Latin spellings (MUHAMMAD, MOHAMED). Both merge what transcriptions of Arabic,
Persian, Cyrillic, Greek, Chinese (Wade-Giles) and Korean into Latin letters confuse: KH and H, Q and K, SH and SCH, TS
and C, W and OU, PH and F, doubled letters.

The idea is that of Soundex and its successors (Russell 1918; Philips 1990); the classes are our own.
"""

import re
from typing import Final

# Longest spelling first. A lower-case letter stands for a class: s for S and Z, c for CH, j for DJ and ZH, x for KH.
_RULES: Final = {
    "SHCH": "c", "SHTCH": "c", "TSCH": "c", "DZH": "j", "DSCH": "j", "TCH": "c", "TSH": "c", "SCH": "c", "CH": "c",
    "SH": "c", "ZH": "j", "DJ": "j", "DZ": "j", "J": "j", "KH": "x", "GH": "g", "PH": "f", "TH": "t", "DH": "t",
    "TS": "s", "TZ": "s", "CE": "sI", "CI": "sI", "CY": "sI", "CK": "k", "QU": "kU", "SZ": "c", "CZ": "c", "X": "ks",
    "C": "k", "K": "k", "Q": "k", "G": "g", "S": "s", "Z": "s", "F": "f", "V": "v", "T": "t", "D": "d",
    "B": "b", "P": "p", "L": "l", "M": "m", "N": "n", "R": "r",
    "OO": "U", "OU": "U", "OW": "U", "EE": "I", "EI": "I", "EY": "I", "AI": "I", "AY": "I", "IE": "I", "IY": "I",
    "YI": "I", "IA": "IA", "YA": "IA", "YE": "I", "YU": "IU", "IU": "IU", "AU": "AU", "AW": "AU", "UW": "U", "WU": "U",
    "O": "U", "U": "U", "W": "W", "E": "I", "I": "I", "Y": "I", "A": "A", "H": "",
}  # fmt: skip
_UNITS: Final = re.compile("|".join(sorted(_RULES, key=lambda unit: (-len(unit), unit))))
_DOUBLE: Final = re.compile(r"([B-DF-HJ-NP-TV-XZ])\1+")
_SAME_VOWEL: Final = re.compile(r"([AIU])\1+")
_VOWELS: Final = re.compile("[AIUW]")
_MISREAD: Final = str.maketrans("01358", "OIESB")
_LETTERS: Final = re.compile("[A-Z]")


def sound_keys(word: str) -> tuple[str, str]:
    """Return (sound, skeleton) of a folded word; empty texts where it has a digit or no letter.

    A single digit among at least three letters is taken for the letter it is misread from (0 for O, 1 for I, 5 for S).
    """
    digits = sum(char.isdigit() for char in word)
    if digits:
        if digits > 1 or len(word) < 4 or not word.isascii():
            return "", ""
        word = word.translate(_MISREAD)
        if any(char.isdigit() for char in word):
            return "", ""
    if not _LETTERS.match(word):
        return "", ""
    single = _DOUBLE.sub(r"\1", word)
    coded = _UNITS.sub(lambda found: _RULES[found[0]], single[0].replace("H", "h") + single[1:])
    if not coded:
        return "", ""
    sound = _SAME_VOWEL.sub(r"\1", coded)
    first = (
        "v"
        if coded[0] == "W"
        else "A"
        if coded[0] in "AIU" and single[0] != "Y"
        else "y"
        if coded[0] == "I"
        else coded[0]
    )
    return sound, first + _VOWELS.sub("", coded[1:])
