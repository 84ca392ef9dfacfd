"""From what a reader found to the tables of a registry: drafts of entities, and the builder that takes or rejects them.

Rules of this file: every source record ends as an entity, a name, an address, or a reject with file, record number and
reason, and ``finish`` proves it; nothing depends on the order of a set.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.screening.registries.base import (
    ENTITY_TYPES,
    NAME_KINDS,
    SCHEMAS,
    Columns,
    CountryCode,
    FileCounts,
    RegistryCounts,
    RegistryRecords,
    clean,
    excerpt,
    iso_date,
    joined,
    record_hash,
)
from omphalos.screening.registries.relations import RawRelation, relation_rows

MAX_NAME_CHARS: Final = 2_000
MAX_ID_CHARS: Final = 200
MAX_NAMES_PER_ENTITY: Final = 5_000

_SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ALPHA2 = re.compile(r"[A-Z]{2}")


class BadSourceError(OmphalosError):
    """A source name cannot stand before the colon of an entity id."""

    kind = ErrorKind.USAGE
    id = "badRegistrySource"


class DuplicateEntityError(OmphalosError):
    """One native id stands for records of different content."""

    kind = ErrorKind.NEGATIVE
    id = "duplicateEntity"


class EmptyRegistryError(OmphalosError):
    """A registry holds no entity that can be screened against."""

    kind = ErrorKind.USAGE
    id = "emptyRegistry"


class UnaccountedRecordsError(OmphalosError):
    """A reader lost or invented a source record: a defect of the reader, never of the file."""

    kind = ErrorKind.INCOMPLETE
    id = "unaccountedRecords"


@dataclass(frozen=True)
class Origin:
    """Where an item stands: file, 1-based record number, and the field within it.

    ``field`` None means that the item *is* that record, so that refusing the item refuses the record.
    """

    file: str
    row: int
    field: str | None = None


@dataclass(frozen=True)
class RawName:
    """A further name of an entity, as filed."""

    kind: str
    text: str
    origin: Origin


@dataclass(frozen=True)
class RawAddress:
    """An address of an entity, as filed; the country in words, or as ``code`` where the reader resolved it already."""

    address: str | None
    city: str | None
    country: str | None
    origin: Origin
    code: str | None = None


@dataclass(frozen=True)
class RawIdentifier:
    """An identifier of an entity: its kind in lower case with hyphens, its value, its country in words."""

    kind: str
    value: str
    country: str | None
    origin: Origin


@dataclass
class Draft:
    """One entity as a reader found it; the builder cleans, checks and accepts or rejects it.

    ``content`` is the whole source record, names and addresses included, as JSON values: ``record_hash`` is over it.
    ``countries`` are country words, the primary one first; countries of addresses are added behind them.
    ``dependents`` are further source records that belong to this entity and carry no item of their own.
    """

    origin: Origin
    native_id: str
    entity_type: str
    name: str | None
    content: object
    countries: Sequence[str | None] = ()
    address_country_first: bool = False
    programs: Sequence[str] = ()
    listed_on: str | None = None
    citation: str | None = None
    remarks: str | None = None
    names: list[RawName] = field(default_factory=list)
    addresses: list[RawAddress] = field(default_factory=list)
    identifiers: list[RawIdentifier] = field(default_factory=list)
    relations: list[RawRelation] = field(default_factory=list)
    dependents: list[Origin] = field(default_factory=list)


class Builder:
    """Collects drafts and rejects of one source and turns them into ``RegistryRecords``."""

    def __init__(self, source: str, country_code: CountryCode) -> None:
        if not _SOURCE.fullmatch(source):
            raise BadSourceError(
                f"{excerpt(source)!r} is not a source name",
                hint="use lower-case letters, digits, '-' and '_', at most 64 characters",
            )
        self.source = source
        self._country_code = country_code
        self._codes: dict[str, str | None] = {}
        self._unknown: Counter[str] = Counter()
        self._records: Counter[str] = Counter()
        self._used: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._seen: dict[str, str] = {}
        self._clashes: dict[str, None] = {}
        self._entities: list[tuple[Any, ...]] = []
        self._names: list[tuple[Any, ...]] = []
        self._addresses: list[tuple[Any, ...]] = []
        self._identifiers: list[tuple[Any, ...]] = []
        self._relations: list[tuple[Any, ...]] = []
        self._rejects: list[tuple[Any, ...]] = []

    def saw(self, file: str, records: int) -> None:
        """Count ``records`` source records of ``file``; each must end as used or rejected."""
        self._records[file] += records

    def reject(self, origin: Origin, reason: str, value: str | None) -> None:
        """Record why a record (``origin.field`` None) or one field of it was refused."""
        if origin.field is None:
            self._refused[origin.file] += 1
        shown = None if value is None else excerpt(value)
        self._rejects.append((self.source, origin.file, origin.row, origin.field, reason, shown))

    def clash(self, native_id: str) -> None:
        """Note that ``native_id`` stands for different records; ``finish`` refuses the registry for it."""
        self._clashes.setdefault(native_id)

    def country(self, words: str | None) -> str | None:
        """Return the alpha-2 code of a country in words; words nobody knows are counted and give None."""
        code = self.peek_country(words)
        text, _ = clean(words)
        if code is None and text is not None:
            self._unknown[excerpt(text)] += 1
        return code

    def peek_country(self, words: str | None) -> str | None:
        """Return the alpha-2 code of ``words`` or None, without counting words nobody knows."""
        text, _ = clean(words)
        if text is None:
            return None
        if text not in self._codes:
            code = self._country_code(text)
            self._codes[text] = code if code is not None and _ALPHA2.fullmatch(code) else None
        return self._codes[text]

    def add(self, draft: Draft) -> bool:
        """Take one entity; say whether it was accepted. A refused one takes its dependent records with it."""
        native_id, reason = clean(draft.native_id, MAX_ID_CHARS)
        if native_id is None:
            return self._refuse(draft, "idMissing" if reason is None else "idInvalid", draft.native_id)
        name, reason = clean(draft.name, MAX_NAME_CHARS)
        if name is None:
            reason = {None: "nameMissing", "textTooLong": "nameTooLong"}.get(reason, reason) or "nameMissing"
            return self._refuse(draft, reason, draft.name)
        digest = record_hash(draft.content)
        if native_id in self._seen:
            if self._seen[native_id] != digest:
                self.clash(native_id)
            return self._refuse(draft, "duplicateRecord", name)
        self._seen[native_id] = digest
        self._used[draft.origin.file] += 1
        for origin in draft.dependents:
            self._used[origin.file] += 1
        entity_id = f"{self.source}:{native_id}"
        self._add_names(entity_id, name, draft.names)
        codes = [code for code in map(self.country, draft.countries) if code]
        address_codes = self._add_addresses(entity_id, draft.addresses)
        codes = address_codes + codes if draft.address_country_first else codes + address_codes
        self._add_identifiers(entity_id, draft.identifiers)
        self._add_relations(entity_id, draft)
        self._entities.append(
            (
                entity_id,
                self.source,
                native_id,
                draft.entity_type if draft.entity_type in ENTITY_TYPES else "unknown",
                name,
                codes[0] if codes else None,
                joined(codes),
                joined([text for text in (self._field(draft, "programs", one) for one in draft.programs) if text]),
                self._date(draft),
                self._field(draft, "citation", draft.citation),
                self._field(draft, "remarks", draft.remarks),
                digest,
            )
        )
        return True

    def finish(self) -> RegistryRecords:
        """Return the registry.

        Raises:
            DuplicateEntityError: when a native id stands for records of different content; lists the first ten.
            EmptyRegistryError: when no entity was accepted.
            UnaccountedRecordsError: when a source record is neither used nor rejected.
        """
        if self._clashes:
            shown = ", ".join(list(self._clashes)[:10])
            raise DuplicateEntityError(
                f"{self.source}: {len(self._clashes)} ids stand for more than one record: {shown}",
                hint="the files are damaged or of different lists; fetch them again",
            )
        files = {}
        for file in sorted(self._records):
            one = FileCounts(self._records[file], self._used[file], self._refused[file])
            if one.records != one.used + one.rejected:
                raise UnaccountedRecordsError(
                    f"{self.source}: {file} has {one.records} records, {one.used} used, {one.rejected} rejected",
                    hint="this is a defect of the reader; report it with the file",
                )
            files[file] = one
        if not self._entities:
            raise EmptyRegistryError(
                f"{self.source} holds no entity: {sum(self._records.values())} records read, "
                f"{sum(self._refused.values())} rejected",
                hint="check that the format named for this registry is the format of its files",
            )
        per_entity = Counter(row[0] for row in self._names)
        kinds = Counter(row[2] for row in self._names)
        reasons = Counter(row[4] for row in self._rejects)
        self._rejects.sort(key=lambda row: (row[1], row[2], row[3] or "", row[4], row[5] or ""))
        counts = RegistryCounts(
            entities=len(self._entities),
            names={kind: kinds[kind] for kind in NAME_KINDS},
            addresses=len(self._addresses),
            identifiers=len(self._identifiers),
            rejected={reason: reasons[reason] for reason in sorted(reasons)},
            files=files,
            unknown_countries={word: self._unknown[word] for word in sorted(self._unknown)},
            most_names=max(per_entity.values()),
        )
        return RegistryRecords(
            self.source,
            _columns("registry", sorted(self._entities, key=lambda row: row[0])),
            _columns("registry_names", sorted(self._names, key=lambda row: row[:2])),
            _columns("registry_addresses", sorted(self._addresses, key=lambda row: row[:2])),
            _columns("registry_identifiers", sorted(self._identifiers, key=lambda row: row[:2])),
            _columns("registry_relations", sorted(self._relations, key=lambda row: row[:2])),
            _columns("registry_rejects", self._rejects),
            counts,
        )

    def _refuse(self, draft: Draft, reason: str, value: str | None) -> bool:
        self.reject(draft.origin, reason, value)
        # An item that is a record of its own is refused with its entity; a field goes down with its record.
        items = [one.origin for one in draft.names] + [one.origin for one in draft.addresses]
        for origin in (*items, *draft.dependents):
            if origin.field is None:
                self.reject(origin, "entityRejected", draft.native_id)
        return False

    def _add_names(self, entity_id: str, primary: str, names: Sequence[RawName]) -> None:
        self._names.append((entity_id, 0, "primary", primary))
        taken = {primary}
        # Aliases before weak aliases, so that a name filed as both keeps the stronger kind.
        for raw in sorted(names, key=lambda one: NAME_KINDS.index(one.kind)):
            text, reason = clean(raw.text, MAX_NAME_CHARS)
            if text is None:
                reason = {None: "nameMissing", "textTooLong": "nameTooLong"}.get(reason, reason) or "nameMissing"
            elif text in taken:
                reason = "duplicateName"
            elif len(taken) >= MAX_NAMES_PER_ENTITY:
                reason = "tooManyNames"
            if reason is not None or text is None:
                self.reject(raw.origin, reason or "nameMissing", raw.text)
                continue
            self._names.append((entity_id, len(taken), raw.kind, text))
            taken.add(text)
            if raw.origin.field is None:
                self._used[raw.origin.file] += 1

    def _add_addresses(self, entity_id: str, addresses: Sequence[RawAddress]) -> list[str]:
        codes = []
        number = 0
        for raw in addresses:
            address, address_reason = clean(raw.address)
            city, city_reason = clean(raw.city)
            code = raw.code or self.country(raw.country)
            words, country_reason = clean(raw.country)
            reason = address_reason or city_reason or country_reason
            if reason is None and address is None and city is None and words is None:
                reason = "emptyRecord"
            if reason is not None:
                self.reject(
                    raw.origin, reason, ", ".join(part for part in (raw.address, raw.city, raw.country) if part)
                )
                continue
            self._addresses.append((entity_id, number, address, city, code))
            number += 1
            if code is not None:
                codes.append(code)
            if raw.origin.field is None:
                self._used[raw.origin.file] += 1
        return codes

    def _add_identifiers(self, entity_id: str, identifiers: Sequence[RawIdentifier]) -> None:
        taken: set[tuple[str, str, str | None]] = set()
        for raw in identifiers:
            value, reason = clean(raw.value, MAX_NAME_CHARS)
            code = self.country(raw.country)
            if value is None:
                self.reject(raw.origin, reason or "valueMissing", raw.value)
            elif (raw.kind, value, code) not in taken:
                self._identifiers.append((entity_id, len(taken), raw.kind, value, code))
                taken.add((raw.kind, value, code))

    def _add_relations(self, entity_id: str, draft: Draft) -> None:
        rows, refused = relation_rows(draft.relations, clean, MAX_NAME_CHARS, MAX_ID_CHARS)
        self._relations += [(entity_id, *row) for row in rows]
        for reason, text in refused:
            self.reject(Origin(draft.origin.file, draft.origin.row, "relations"), reason, text)

    def _field(self, draft: Draft, name: str, text: str | None) -> str | None:
        tidy, reason = clean(text)
        if reason is not None:
            self.reject(Origin(draft.origin.file, draft.origin.row, name), reason, text)
        return tidy

    def _date(self, draft: Draft) -> str | None:
        text, reason = clean(draft.listed_on)
        day = None if text is None else iso_date(text)
        if reason is not None or (text is not None and day is None):
            self.reject(
                Origin(draft.origin.file, draft.origin.row, "listed_on"), reason or "dateUnreadable", draft.listed_on
            )
        return day


def _columns(table: str, rows: Sequence[tuple[Any, ...]]) -> Columns:
    return {name: [row[at] for row in rows] for at, (name, _, _) in enumerate(SCHEMAS[table])}
