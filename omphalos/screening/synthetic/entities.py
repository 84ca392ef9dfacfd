"""The listed entities of the synthetic registry.

Rules of this file: entity ``n`` depends on (seed, n) and on the entities before it, so a bigger registry extends a
smaller one; no two entities, and no two names of one entity, share a distinctive word; vessels are listed but are
never planted as parties.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from omphalos.format.errors import OmphalosError
from omphalos.screening.synthetic.draws import Draws
from omphalos.screening.synthetic.lexicon import lexicon
from omphalos.screening.synthetic.names import (
    REDRAWN,
    Parts,
    Shape,
    compose,
    pick_activities,
    pick_countries,
    pick_regions,
    place_texts,
    root_texts,
    sectors_of,
)

MAX_ENTITIES = 100_000
_MOST_REDRAWS = 100

HEADER = (
    "entity_id",
    "entity_type",
    "name",
    "aliases",
    "weak_aliases",
    "country",
    "addresses",
    "identifiers",
    "programs",
    "listed_on",
    "remarks",
)

# How a name in a region of two scripts is listed: in both, or in one alone (then the other one is unlisted).
_NATIVE_AND_LATIN, _LATIN_AND_NATIVE, _NATIVE_ONLY, _LATIN_ONLY = range(4)
_WRITINGS = np.array([_NATIVE_AND_LATIN] * 4 + [_LATIN_AND_NATIVE] * 2 + [_NATIVE_ONLY] * 2 + [_LATIN_ONLY] * 2)

_PROGRAMS = ("SYN-PROLIFERATION", "SYN-DIVERSION", "SYN-MILITARY-END-USE", "SYN-TRANSSHIPMENT", "SYN-UNVERIFIED")
_VESSEL_WORDS = ("", " STAR", " SPIRIT", " PIONEER", " GLORY", " 7", " EXPRESS", " QUEEN")
_FIRST_LISTING = datetime.date(2014, 1, 1).toordinal()
_LISTING_DAYS = 3600  # up to November 2023, before the last shipments


class TooManyEntitiesError(OmphalosError):
    """The word parts do not yield so many entities with distinct words."""

    id = "tooManySyntheticEntities"


@dataclass(frozen=True)
class Writing:
    """One name in one script, in the parts a variation needs."""

    front: str
    lead: str
    root: str
    activity: str
    back: str
    person: bool
    spaced: bool
    family_first: bool

    @property
    def text(self) -> str:
        """The name in its usual order."""
        return self.front + self.lead + self.root + self.activity + self.back

    @property
    def listed(self) -> str:
        """The name as a list writes it: a person as ``SURNAME, Given`` where the script has words."""
        if not self.person or not self.spaced:
            return self.text
        if self.family_first:
            return f"{self.front.strip().upper()}, {self.root}"
        return f"{self.root.upper()}, {self.front.strip()}"


@dataclass(frozen=True)
class Entity:
    """One listed entity: its row of the registry, and what the variations need to know."""

    row: tuple[str, ...]
    names: tuple[str, ...]  # primary first, then aliases, not the weak ones
    primary: Writing
    former: str  # a listed former name, or empty
    unlisted: str  # the name in the script the list does not show, or empty
    forms: tuple[tuple[str, str], ...]  # (prefix, suffix) of every legal form of the region in the primary's script
    vessel: bool
    country: int  # number into the lexicon's countries

    @property
    def entity_id(self) -> str:
        """The id under which the registry lists the entity."""
        return self.row[0]


class _Columns:
    """The draws of all entities, one column per label, made when first asked for."""

    def __init__(self, draws: Draws, count: int) -> None:
        self._draws, self._numbers = draws, np.arange(count, dtype=np.uint64)
        self._columns: dict[str, list[int]] = {}

    def below(self, number: int, label: str, bound: int) -> int:
        column = self._columns.get(label)
        if column is None:
            column = self._draws.below("entity." + label, self._numbers, bound).tolist()
            self._columns[label] = column
        return column[number]


class _Scalars:
    """The draws of one entity. A label is always asked for with the same bound."""

    def __init__(self, columns: _Columns, number: int) -> None:
        self._columns, self._number = columns, number

    def below(self, label: str, bound: int) -> int:
        return self._columns.below(self._number, label, bound)

    def happens(self, label: str, per_mille: int) -> bool:
        return self.below(label + "?", 1000) < per_mille


def _words(parts: Parts) -> list[str]:
    roots = root_texts(parts, np.ones(len(parts.region), dtype=np.bool_)).to_pylist()
    return [root.casefold() for root in roots]


def _distinct_parts(draws: Draws, shape: Shape) -> Parts:
    """Return two names per entity (present and former), redrawing those whose distinctive word was taken."""
    count = len(shape.region)
    counters = np.arange(count, dtype=np.uint64)
    parts = compose(draws, "entity", counters, shape, listed=True)
    words = _words(parts)
    for _ in range(_MOST_REDRAWS):
        first: dict[str, int] = {}
        for at, word in enumerate(words):
            first.setdefault(word, at)
        again = np.array([at for at, word in enumerate(words) if first[word] != at], dtype=np.int64)
        if not len(again):
            return parts
        counters[again] += REDRAWN
        some = Shape(shape.region[again], shape.person[again], shape.activity[again])
        redrawn = compose(draws, "entity", counters[again], some, listed=True)
        for place, column in parts.places.items():
            column[again] = redrawn.places[place]
        for at, word in zip(again.tolist(), _words(redrawn), strict=True):
            words[at] = word
    raise TooManyEntitiesError(
        f"no {count // 2} entities with distinct names can be made", hint="ask for fewer entities"
    )


def _writings(parts: Parts, *, latin: bool) -> list[Writing]:
    words = lexicon()
    flags = np.full(len(parts.region), latin)
    columns = [place_texts(parts, place, flags).to_pylist() for place in ("front", "lead", "activity", "back")]
    columns.append(root_texts(parts, flags).to_pylist())
    people, regions = parts.person.tolist(), parts.region.tolist()
    return [
        Writing(
            front=front,
            lead=lead,
            root=root,
            activity=activity,
            back=back,
            person=person,
            spaced=latin or words.spaced[region],
            family_first=words.family_first[region],
        )
        for front, lead, activity, back, root, person, region in zip(*columns, people, regions, strict=True)
    ]


def _imo_number(serial: int) -> str:
    """Return seven digits with the check digit of IMO Resolution A.1117(30), out of a range no ship has (3…)."""
    six = f"{300_000 + serial % 100_000:06d}"
    check = sum(int(digit) * weight for digit, weight in zip(six, range(7, 1, -1), strict=True)) % 10
    return f"{six}{check}"


def _identifiers(draw: _Scalars, kind: str, number: int) -> str:
    if kind == "vessel":
        return f"imo:{_imo_number(number)}"
    found = []
    if kind == "person":
        if draw.happens("passport", 500):
            found.append(f"passport:X{draw.below('passport.number', 100_000_000):08d}")
    else:
        if draw.happens("registration", 600):
            found.append(f"registration:{draw.below('registration.number', 1_000_000_000):09d}")
        if draw.happens("tax", 300):
            found.append(f"tax:{draw.below('tax.number', 4_000_000_000):010d}")
    return "|".join(found)


def _programs(draw: _Scalars) -> str:
    first = draw.below("program", len(_PROGRAMS))
    if draw.happens("program.two", 200):
        second = (first + 1 + draw.below("program.second", len(_PROGRAMS) - 1)) % len(_PROGRAMS)
        return "|".join(sorted((_PROGRAMS[first], _PROGRAMS[second])))
    return _PROGRAMS[first]


def _weak_alias(draw: _Scalars, name: Writing) -> str:
    if not draw.happens("weak", 220):
        return ""
    if name.person or draw.happens("weak.root", 400):
        return name.root
    initials = "".join(word[0] for word in (name.lead + name.root + name.activity).split())
    return (initials + name.root[-1:]).upper()


def _entity(
    draw: _Scalars,
    number: int,
    *,
    kind: str,
    region: int,
    country: int,
    present: tuple[Writing, Writing],
    former: Writing,
) -> Entity:
    """Make one entity out of its present name (native, Latin) and its former one (Latin)."""
    words = lexicon()
    native, latin = present
    names: tuple[str, ...]
    formerly = former.listed if draw.happens("former", 400) else ""
    unlisted = ""
    weak = ""
    if kind == "vessel":
        primary = latin
        word = _VESSEL_WORDS[draw.below("vessel.word", len(_VESSEL_WORDS))]
        formerly = former.root.upper() if formerly else ""
        names = (latin.root.upper() + word, formerly)
    else:
        writing = _WRITINGS[draw.below("writing", len(_WRITINGS))] if words.two_scripts[region] else _LATIN_ONLY
        primary = native if writing in (_NATIVE_AND_LATIN, _NATIVE_ONLY) else latin
        other = latin if primary is native else native
        both = writing in (_NATIVE_AND_LATIN, _LATIN_AND_NATIVE)
        unlisted = other.text if words.two_scripts[region] and not both else ""
        names = (primary.listed, other.listed if both else "", formerly)
        weak = _weak_alias(draw, primary)
    names = tuple(name for name in names if name)
    town = former.root.capitalize() if not formerly else f"New {former.root.capitalize()}"
    street = f"{1 + draw.below('house', 240)} {latin.root.capitalize()} Street"
    listed_on = datetime.date.fromordinal(_FIRST_LISTING + draw.below("listed", _LISTING_DAYS))
    return Entity(
        row=(
            f"SYN-{number + 1:06d}",
            kind,
            names[0],
            "|".join(names[1:]),
            weak,
            words.country_codes[country],
            f"{street}, {town}" if draw.happens("address", 700) else "",
            _identifiers(draw, kind, number),
            _programs(draw),
            listed_on.isoformat(),
            "Invented for test data" if draw.happens("remark", 150) else "",
        ),
        names=names,
        primary=primary,
        former=formerly,
        unlisted=unlisted,
        forms=words.forms[region][int(primary is latin)],
        vessel=kind == "vessel",
        country=country,
    )


def entities(draws: Draws, count: int) -> list[Entity]:
    """Return the first ``count`` entities of the seed.

    Raises:
        TooManyEntitiesError: the word parts do not yield so many distinct names.
    """
    return list(_entities(draws, count)) if count else []


def _entities(draws: Draws, count: int) -> Iterator[Entity]:
    numbers = np.arange(count, dtype=np.uint64)
    share = draws.below("entity.kind", numbers, 100)
    kinds = np.where(share < 68, "organization", np.where(share < 92, "person", "vessel"))
    region = pick_regions(draws, "entity", numbers)
    country = pick_countries(draws, "entity", numbers, region)
    activity = pick_activities(draws, "entity", numbers, sectors_of(draws, numbers))
    parts = _distinct_parts(draws, Shape(region.repeat(2), (kinds == "person").repeat(2), activity.repeat(2)))
    natives, latins = _writings(parts, latin=False), _writings(parts, latin=True)
    columns = _Columns(draws, count)
    for number in range(count):
        yield _entity(
            _Scalars(columns, number),
            number,
            kind=str(kinds[number]),
            region=int(region[number]),
            country=int(country[number]),
            present=(natives[2 * number], latins[2 * number]),
            former=latins[2 * number + 1],
        )
