"""Reader of restricted-party lists as JSON (``bis-entity-json``): Entity List, Denied Persons, MEU, UFLPA, their kin.

One object with ``list_id``, ``count`` and ``entities``; each entity has name, aliases, country in words, address,
effective date, Federal Register citation and notes. The publisher gives no ids, so the native id is the first 16 hex
digits of BLAKE3 over the canonical JSON of (name, country, address, federal_register). Records that agree in those four
and differ elsewhere (two orders against one party) take the first 16 hex digits of their record hash instead.

Rules of this file: ``count`` must be true, else the file is truncated; an exact repeat is a reject; "X (a.k.a., Y)"
left in a name by the publisher gives X and Y; several addresses in one text are split only where the
separator is plain.
"""

import re
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any, Final

from omphalos.screening.registries.base import MAX_TEXT_CHARS, excerpt, record_hash
from omphalos.screening.registries.builder import Builder, Draft, Origin, RawAddress, RawIdentifier, RawName
from omphalos.screening.registries.onefile import OneFileReader
from omphalos.screening.registries.sources import (
    RegistryDamagedError,
    decode,
    parse_json,
    read_bytes,
)

ID_DIGITS: Final = 16
MAX_COUNTRY_CHARS: Final = 60

_TEXT_FIELDS: Final = ("name", "country", "address", "status", "effective_date", "federal_register", "notes")
_ID_FIELDS: Final = ("name", "country", "address", "federal_register")
_MONTHS: Final = (
    "january february march april may june july august september october november december".split()  # noqa: SIM905 (reads better than twelve quoted words)
)
_LONG_DATE = re.compile(r"([A-Za-z]{3,9}) ([0-9]{1,2}), ([0-9]{4})")
_ALSO_KNOWN = re.compile(r"[,;]?[ ]?\(?\b[afn]\.k\.a\.[,:]?(?:[ ]|$)")
_FOLLOWING = re.compile(r"the following [\w-]{1,20} alias(?:es)?:?")
_AND_TAIL = re.compile(r";(?: and)?$")
_USCC = re.compile(r"USCC: ([0-9A-Z]{18})(?: \(([^()]{1,80})\))?")


class BisReader(OneFileReader):
    """Reads the one JSON file of a list."""

    format = "bis-entity-json"
    suffix = ".json"
    what = "JSON file of one list"

    def fill(self, builder: Builder, path: Path) -> None:
        """Read the file; see ``OneFileReader.fill``."""
        text, _ = decode(read_bytes(path), path.name)
        program, entities = _document(parse_json(text, path.name), path.name)
        builder.saw(path.name, len(entities))
        sound: list[tuple[int, dict[str, Any]]] = []
        for row, entity in enumerate(entities, start=1):
            problem = _problem(entity)
            if problem is None:
                sound.append((row, entity))
            else:
                builder.reject(Origin(path.name, row), problem, excerpt(str(entity)))
        # How many different records share the four fields decides whether these alone can name one.
        hashes = {row: record_hash(entity) for row, entity in sound}
        sharing = Counter(short for short, _ in {(_short_id(entity), hashes[row]) for row, entity in sound})
        for row, entity in sound:
            short = _short_id(entity)
            native_id = short if sharing[short] == 1 else hashes[row][:ID_DIGITS]
            builder.add(_draft(builder, Origin(path.name, row), native_id, entity, program))


def _document(value: object, file: str) -> tuple[str, list[Any]]:
    entities = value.get("entities") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(entities, list):
        raise RegistryDamagedError(
            f"{file}: the document is not an object with a list called 'entities'",
            hint="this format is one object per list: list_id, count, entities",
        )
    count = value.get("count")
    if count is not None and count != len(entities):
        raise RegistryDamagedError(
            f"{file}: the list says it has {str(count)[:20]} entities and holds {len(entities)}",
            hint="the file was cut or edited; fetch it again",
        )
    program = value.get("list_id")
    return (program if isinstance(program, str) else ""), entities


def _problem(entity: object) -> str | None:
    """Return why a record cannot be read at all, or None."""
    if not isinstance(entity, dict):
        return "notAnObject"
    for name in _TEXT_FIELDS:
        if not isinstance(entity.get(name), str | None):
            return "wrongType"
    aliases = entity.get("aliases")
    if aliases is not None and not (isinstance(aliases, list) and all(isinstance(one, str) for one in aliases)):
        return "wrongType"
    return None


def _short_id(entity: dict[str, Any]) -> str:
    return record_hash([entity.get(name) for name in _ID_FIELDS])[:ID_DIGITS]


def split_names(text: str) -> list[str]:
    """Return the names in one field: the name itself, then those the publisher left behind "a.k.a." in it."""
    found = []
    for part in _ALSO_KNOWN.split(text):
        name = _AND_TAIL.sub("", part.strip())
        if name.endswith(")") and name.count(")") > name.count("("):
            name = name[:-1]
        name = name.strip()
        if len(name) > 2 and name[0] == "“" and name[-1] == "”":
            name = name[1:-1]
        if name and not _FOLLOWING.fullmatch(name):
            found.append(name)
    return found


def _tail_country(builder: Builder, address: str, listed: str | None) -> str | None:
    """Return the country that ends an address, or None; a short end may be a state, so it must be the listed one."""
    for part in reversed(address.rsplit(",", 2)):
        words = part.strip(" .0123456789-")
        if not any(one.isalpha() for one in words) or len(words) > MAX_COUNTRY_CHARS:
            continue
        # "Moscow Russia" without a comma: the last word alone may be the country, if it is the one listed.
        for tried, sure in ((words, len(words) > 3), (words.replace(".", ""), False), (words.split()[-1], False)):
            code = builder.peek_country(tried)
            if code is not None and (sure or code == listed):
                return code
        return None
    return None


def split_addresses(builder: Builder, text: str, listed: str | None) -> list[tuple[str, str | None]]:
    """Return ``(address, alpha-2 or None)`` for each address in one field.

    "; and" always separates; a bare ";" only where what stands before it ends in a country.
    """
    if len(text) > MAX_TEXT_CHARS:
        return [(text, None)]  # left whole for the builder to refuse
    found: list[tuple[str, str | None]] = []
    held: list[str] = []
    for piece in text.split(";"):
        opened = piece.lstrip()
        begins = opened.startswith("and ")
        if held and (begins or _tail_country(builder, held[-1], listed) is not None):
            found.append((";".join(held), _tail_country(builder, held[-1], listed)))
            held = []
        held.append(opened.removeprefix("and ") if begins else piece)
    found.append((";".join(held), _tail_country(builder, held[-1], listed)))
    return [(address.strip(), code) for address, code in found if address.strip()]


def _day(text: str | None) -> str | None:
    """Return 'YYYY-MM-DD' from that form or from 'June 21, 2022'; anything else as it is, for the builder to refuse."""
    long_form = None if text is None else _LONG_DATE.fullmatch(text.strip())
    if text is None or long_form is None:
        return text
    month = next((at for at, name in enumerate(_MONTHS, start=1) if name.startswith(long_form[1].lower())), 0)
    try:
        return date(int(long_form[3]), month, int(long_form[2])).isoformat()
    except ValueError:
        return text


def _draft(builder: Builder, origin: Origin, native_id: str, entity: dict[str, Any], program: str) -> Draft:
    filed = split_names(entity.get("name") or "")
    at_name = Origin(origin.file, origin.row, "name")
    at_alias = Origin(origin.file, origin.row, "aliases")
    names = [RawName("alias", one, at_name) for one in filed[1:]]
    names += [RawName("alias", one, at_alias) for text in entity.get("aliases") or [] for one in split_names(text)]
    country = entity.get("country")
    listed = builder.peek_country(country) if country else None
    at_address = Origin(origin.file, origin.row, "address")
    notes = entity.get("notes")
    status = entity.get("status")
    return Draft(
        origin=origin,
        native_id=native_id,
        entity_type="unknown",
        name=filed[0] if filed else entity.get("name"),
        content=entity,
        countries=[country],
        programs=[program],
        listed_on=_day(entity.get("effective_date")),
        citation=entity.get("federal_register"),
        remarks="; ".join(part for part in (f"Status: {status}" if status else "", notes or "") if part) or None,
        names=names,
        addresses=[
            RawAddress(address, None, None, at_address, code)
            for address, code in split_addresses(builder, entity.get("address") or "", listed)
        ],
        identifiers=[
            RawIdentifier("uscc", found[1], found[2], Origin(origin.file, origin.row, "notes"))
            for found in _USCC.finditer(notes or "")
        ],
    )
