"""Noise for the screening benchmark: what filers do to a name, one class at a time.

Rules of this file: a class is a pure function of the name and a seed. No weight of the matcher was fitted on any class
(the fit saw held-out aliases and trade parties only), so for the weights every class is a class left out. Rules
written by hand are another matter: `WRITTEN_FOR` says which families of rules had a class in mind.
"""

from collections.abc import Callable
from random import Random

_NEAR_KEYS = {
    "A": "SQ", "B": "VN", "C": "XV", "D": "SF", "E": "WR", "F": "DG", "G": "FH", "H": "GJ", "I": "UO", "J": "HK",
    "K": "JL", "L": "K", "M": "N", "N": "BM", "O": "IP", "P": "O", "Q": "WA", "R": "ET", "S": "AD", "T": "RY",
    "U": "YI", "V": "CB", "W": "QE", "X": "ZC", "Y": "TU", "Z": "X",
}  # fmt: skip
_TAILS = (
    "NO 12 INDUSTRIAL ROAD, BLOCK {n}", "TAX ID {n}", "TEL {n} 555", "P.O. BOX {n}", "PLOT {n} SECTOR 5 ZONE C",
)  # fmt: skip
_FORMS = ("LTD", "LLC", "CO LTD", "JSC", "GMBH", "SA", "INC", "CORP", "PJSC", "FZE", "OOO", "PVT LTD")
_OCR = {"O": "0", "I": "1", "S": "5", "B": "8", "L": "I", "M": "RN", "D": "O", "E": "F"}
_SOUNDS = (
    ("KH", "H"), ("OU", "U"), ("EE", "I"), ("OO", "U"), ("DJ", "J"), ("PH", "F"), ("CH", "TCH"), ("Y", "I"),
    ("TS", "C"), ("Q", "K"), ("MM", "M"), ("SS", "S"), ("W", "V"), ("ZH", "J"), ("SH", "CH"), ("AI", "AY"),
    ("EI", "EY"),
)  # fmt: skip


def _typo(name: str, seed: int) -> str:
    random = Random(seed)
    letters = list(name.upper())
    places = [i for i, letter in enumerate(letters) if letter in _NEAR_KEYS]
    if not places:
        return name
    place = random.choice(places)
    how = random.randrange(4)
    if how == 0:
        letters[place] = random.choice(_NEAR_KEYS[letters[place]])
    elif how == 1:
        del letters[place]
    elif how == 2:
        letters.insert(place, letters[place])
    elif place + 1 < len(letters):
        letters[place], letters[place + 1] = letters[place + 1], letters[place]
    return "".join(letters)


def _typos(name: str, seed: int) -> str:
    return _typo(_typo(name, seed), seed + 1)


def _reorder(name: str, seed: int) -> str:
    words = name.replace(",", "").split()
    Random(seed).shuffle(words)
    return " ".join(words)


def _space(name: str, seed: int) -> str:
    random = Random(seed)
    spaces = [i for i, letter in enumerate(name) if letter == " "]
    if spaces and random.random() < 0.6:
        place = random.choice(spaces)
        return name[:place] + name[place + 1 :]
    words = [word for word in name.split() if len(word) > 5]
    if not words:
        return name.replace(" ", "", 1)
    word = random.choice(words)
    cut = random.randrange(2, len(word) - 1)
    return name.replace(word, f"{word[:cut]} {word[cut:]}", 1)


def _tail(name: str, seed: int) -> str:
    random = Random(seed)
    return f"{name} {random.choice(_TAILS).format(n=random.randrange(100, 10**7))}"


def _form(name: str, seed: int) -> str:
    return f"{name} {Random(seed).choice(_FORMS)}"


def _drop(name: str, seed: int) -> str:
    words = name.split()
    if len(words) < 4:
        return name
    del words[Random(seed).randrange(len(words))]
    return " ".join(words)


def _initial(name: str, seed: int) -> str:
    words = name.replace(",", "").split()
    if len(words) < 3:
        return name
    place = Random(seed).randrange(len(words))
    words[place] = words[place][0]
    return " ".join(words)


def _ocr(name: str, seed: int) -> str:
    places = [i for i, letter in enumerate(name.upper()) if letter in _OCR]
    if not places:
        return name
    place = Random(seed).choice(places)
    return name[:place] + _OCR[name[place].upper()] + name[place + 1 :]


def _sound(name: str, seed: int) -> str:
    upper = name.upper()
    able = [pair for pair in _SOUNDS if pair[0] in upper]
    if not able:
        return name
    old, new = Random(seed).choice(able)
    return upper.replace(old, new)


NOISE: dict[str, Callable[[str, int], str]] = {
    "one typo": _typo,
    "two typos": _typos,
    "word order": _reorder,
    "space lost or added": _space,
    "address or number behind": _tail,
    "legal form added": _form,
    "word dropped": _drop,
    "initial": _initial,
    "misread letter": _ocr,
    "other transcription": _sound,
}

WRITTEN_FOR = {
    "one typo": "edit distance of words; misspelt legal forms (dev misses were read)",
    "two typos": "keys with two letters left out; misspelt legal forms (dev misses were read)",
    "word order": "sorted tokens",
    "space lost or added": "joined tokens; legal forms written together with a name (dev misses were read)",
    "address or number behind": "tails (tails.toml), after this class had 0.727 on the test half without them",
    "legal form added": "legal forms",
    "word dropped": "coverage of the better side",
    "initial": "likeness of an initial; J STOCK COMPANY (dev misses were read)",
    "misread letter": "one digit taken for a letter, in legal forms too",
    "other transcription": "sound keys",
}
