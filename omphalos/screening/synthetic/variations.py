"""How a planted party differs from the name the list shows: eight classes with known truth.

Rules of this file: every class changes one thing. A variation is a function of the entity and of 64 drawn bits. Only
planted names pass here (two shipments in a hundred), so this may be plain Python.
"""

from dataclasses import replace

from omphalos.screening.synthetic.entities import Entity, Writing

VARIATIONS = (
    "EXACT",
    "TYPO",
    "TOKEN_REORDER",
    "LEGAL_FORM_DIFF",
    "TRANSLIT",
    "JOINED_TOKENS",
    "EXTRA_TOKENS",
    "ALIAS",
)

_EXTRA_INSIDE = (" International", " Group", " Global", " Holding")
_EXTRA_BEHIND = (", Branch 2", " (Head Office)", ", Warehouse 4", " and Partners")
_MIN_TYPO_LETTERS = 6


def _is_latin(text: str) -> bool:
    return all(ord(letter) < 0x0250 or 0x1E00 <= ord(letter) < 0x1F00 for letter in text)


def _with(name: Writing, root: str, activity: str) -> str:
    return replace(name, root=root, activity=activity).listed


def _typo(root: str, bits: int) -> str:
    """Return the word with one inner letter dropped, doubled, swapped with its neighbour, or replaced."""
    kind, at = bits % 4, 1 + (bits >> 8) % (len(root) - 3)
    before, here, after = root[:at], root[at], root[at + 1 :]
    if kind == 1:
        return before + here + here + after
    if kind == 2 and here != after[0]:
        return before + after[0] + here + after[1:]
    if kind == 3:
        # A letter of the same word, so that the script stays the same.
        others = [letter for letter in root[1:] if letter != here]
        if others:
            return before + others[(bits >> 24) % len(others)] + after
    return before + after


def _reordered(name: Writing) -> str:
    if name.person:
        return name.text
    return f"{name.front}{name.activity.strip()} {name.lead}{name.root}{name.back}"


def _other_form(entity: Entity, bits: int) -> str:
    name = entity.primary
    own = (name.front, name.back)
    others = [form for form in (*entity.forms, ("", "")) if form != own]
    front, back = others[bits % len(others)]
    return front + name.lead + name.root + name.activity + back


def _joined(name: Writing) -> str:
    return _with(name, name.root + name.activity.strip().lower(), "")


def _with_extra(name: Writing, bits: int) -> str:
    which = (bits >> 8) % 4
    if bits % 2:
        return name.text + _EXTRA_BEHIND[which]
    return name.front + name.lead + name.root + name.activity + _EXTRA_INSIDE[which] + name.back


def supports(entity: Entity, variation: str) -> bool:
    """Return whether the class can be made out of the entity."""
    name = entity.primary
    if entity.vessel:
        return False
    if variation == "TYPO":
        # One wrong Chinese character or Korean syllable is another word, not a slip of the pen.
        return name.spaced and len(name.root) >= _MIN_TYPO_LETTERS
    if variation == "TOKEN_REORDER":
        return name.spaced
    if variation == "LEGAL_FORM_DIFF":
        return not name.person
    if variation == "JOINED_TOKENS":
        return not name.person and name.spaced
    if variation == "EXTRA_TOKENS":
        return not name.person and _is_latin(name.text)
    if variation == "TRANSLIT":
        return bool(entity.unlisted)
    return variation == "EXACT" or bool(entity.former)


def vary(entity: Entity, variation: str, bits: int) -> str:
    """Return the name as filed; the entity must support the variation."""
    name = entity.primary
    if variation == "TYPO":
        return _with(name, _typo(name.root, bits), name.activity)
    if variation == "TOKEN_REORDER":
        return _reordered(name)
    if variation == "LEGAL_FORM_DIFF":
        return _other_form(entity, bits)
    if variation == "TRANSLIT":
        return entity.unlisted
    if variation == "JOINED_TOKENS":
        return _joined(name)
    if variation == "EXTRA_TOKENS":
        return _with_extra(name, bits)
    return entity.former if variation == "ALIAS" else entity.names[0]
