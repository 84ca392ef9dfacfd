"""The shipments of the synthetic feed, chunk by chunk.

Rules of this file: row ``i`` is a function of (seed, i), and of the registry's size where a match is planted, so
neither the chunking nor the number of shipments changes it; columns are made with integer arithmetic over whole
chunks, names once per distinct party of a chunk; memory is bounded by the chunk.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from omphalos.screening.synthetic import plan
from omphalos.screening.synthetic.draws import U64, Bools, Draws
from omphalos.screening.synthetic.entities import Entity
from omphalos.screening.synthetic.lexicon import goods, lexicon
from omphalos.screening.synthetic.names import (
    EXPORTER,
    FORWARDER,
    IMPORTER,
    KIND_BITS,
    countries_of,
    join,
    parties,
    sectors_of,
)
from omphalos.screening.synthetic.variations import VARIATIONS, supports, vary

COLUMNS = (
    "declaration_id",
    "flow",
    "date",
    "reporter",
    "exporter",
    "exporter_country",
    "importer",
    "importer_country",
    "consignee",
    "notify_party",
    "end_user",
    "hs_code",
    "description",
    "origin",
    "destination",
    "value",
    "currency",
    "quantity",
    "unit",
    "net_mass_kg",
)
ROLES = ("exporter", "importer", "consignee", "notify_party", "end_user")
CHUNK = 200_000

_FIRST_DAY = datetime.date(2023, 1, 1)
_DAYS = 547  # eighteen months, to 30 June 2024

# The party population grows with the row: this many at the start, one more every so many rows.
_POPULATION = 40
_ROWS_PER_EXPORTER = 2
_PARTNERS = 8  # importers an exporter ships to, the first ones far more often

_FLOWS = ("import", "export", "transit", "reexport")
_BAD_DATES = ("2023-02-30", "31/31/2023", "2024-13-05", "not stated")
_BAD_HS = ("0042.31.90", "00731815", "7712.30.00.00", "77471500")
_UNKNOWN_COUNTRIES = ("Ruritania", "Freedonia", "Elbonia", "Sylvania")
_TAILS = ("00", "10", "20", "90")
_SUFFIXES = (
    "",
    "",
    "",
    ", as per invoice",
    ", lot 7",
    " (second consignment)",
    ' - marked "A"',
    " / order 4471",
)
# Minor units of each currency for 100 US cents, frozen at plausible levels.
_CURRENCIES = {"USD": 100, "EUR": 92, "CNY": 715, "AED": 367, "TRY": 2900, "GBP": 79}
_CURRENCY_SHARES = ("USD",) * 58 + ("EUR",) * 22 + ("CNY",) * 8 + ("AED",) * 5 + ("TRY",) * 4 + ("GBP",) * 3


def quoted(texts: Any) -> Any:
    """Return a string array with the cells quoted that need it (RFC 4180), and no others."""
    needy = pc.match_substring_regex(texts, '[,"\n\r]')
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(needy, join('"', doubled, '"'), texts)


def _texts(items: list[str]) -> Any:
    return quoted(pa.array(items, pa.string()))


def _pick(pool: Any, index: U64) -> Any:
    return pool.take(pa.array(index))


def _digits(numbers: U64) -> Any:
    return pc.cast(pa.array(numbers), pa.string())


def _decimal(numbers: U64, pool: Any) -> Any:
    """Return integers scaled by the pool's length as decimals; the pool holds the padded fractions in order."""
    scale = np.uint64(len(pool))
    return join(_digits(numbers // scale), ".", _pick(pool, numbers % scale))


def _fractions(digits: int) -> Any:
    return pa.array([f"{n:0{digits}d}" for n in range(10**digits)], pa.string())


@dataclass(frozen=True)
class Chunk:
    """The bytes of some rows of the feed, and the truth rows that belong to them."""

    feed: bytes
    truth: list[tuple[str, str, str, str]]


@dataclass
class _Rows:
    """What is known of the rows of a chunk before they become text."""

    rows: U64
    numbers: dict[str, U64]  # party number per role
    filled: dict[str, Bools]  # whether the role is filled
    sector: U64
    exporter_rank: U64


@dataclass(frozen=True)
class _Plants:
    """The planted matches of a chunk, in row order."""

    at: list[int]  # positions in the chunk
    role: list[int]
    name: list[str]
    country: list[int]
    truth: list[tuple[str, str, str, str]]


class FeedMaker:
    """Makes the feed of one seed and registry.

    Args:
        listed: the entities that may be planted; with none that can be, nothing is planted.
    """

    def __init__(self, draws: Draws, listed: list[Entity]) -> None:
        self._draws = draws
        words, wares = lexicon(), goods()
        self._eligible = [[entity for entity in listed if supports(entity, variation)] for variation in VARIATIONS]
        days = [(_FIRST_DAY + datetime.timedelta(days=n)).isoformat() for n in range(_DAYS)]
        self._dates = _texts([*days, *(day[:7] for day in days), *_BAD_DATES])
        self._countries = _texts([*words.country_codes, *words.country_words, *_UNKNOWN_COUNTRIES])
        self._hs = _texts([text for code in wares.hs6 for text in _hs_writings(code)] + list(_BAD_HS))
        self._descriptions = _texts([text + suffix for text in wares.descriptions for suffix in _SUFFIXES])
        self._units = _texts(list(wares.units))
        self._by_piece = np.array([unit in ("PCS", "PAIR") for unit in wares.units])
        self._currencies = list(_CURRENCIES)
        self._two, self._three, self._four = _fractions(2), _fractions(3), _fractions(4)

    def chunks(self, shipments: int, size: int) -> Iterator[Chunk]:
        """Yield the rows in order, at most ``size`` at a time."""
        for start in range(0, shipments, size):
            yield self._chunk(np.arange(start, min(start + size, shipments), dtype=np.uint64))

    def _chunk(self, rows: U64) -> Chunk:
        made = self._relations(rows)
        defective, kind = plan.defect_kinds(self._draws, rows)
        defects = {number: defective & (kind == number) for number in range(len(plan.DEFECTS))}
        plants = self._plants(rows)
        columns: dict[str, Any] = {}
        countries = self._party_columns(made, plants, columns)
        self._place_columns(made, countries, defects[plan.UNKNOWN_COUNTRY], columns)
        self._goods_columns(made, defects, columns)
        day = self._draws.below("date", rows, _DAYS)
        month_only = self._draws.chance("date.month", rows, 30)
        bad_day = np.uint64(2 * _DAYS) + self._draws.below("date.bad", rows, len(_BAD_DATES))
        date = np.where(defects[plan.BAD_DATE], bad_day, day + month_only * np.uint64(_DAYS))
        columns["date"] = _pick(self._dates, date)
        columns["declaration_id"] = _declaration_ids(rows - defects[plan.DUPLICATE_ID])
        columns["net_mass_kg"] = join(columns["net_mass_kg"], "\n")
        text = join(*(columns[name] for name in COLUMNS), separator=",")
        return Chunk(_bytes(text), plants.truth)

    def _relations(self, rows: U64) -> _Rows:
        """Draw who trades with whom: an exporter, one of its standing partners, and whoever belongs to that pair."""
        draws = self._draws
        kinds = {"exporter": EXPORTER, "importer": IMPORTER, "forwarder": FORWARDER}

        def number(kind: str, rank: U64) -> U64:
            return (rank << KIND_BITS) | np.uint64(kinds[kind])

        population = np.uint64(_POPULATION) + rows // np.uint64(_ROWS_PER_EXPORTER)
        exporter = draws.skewed_below("exporter", rows, population)
        partner = draws.skewed_below("partner", rows, np.full(len(rows), _PARTNERS, dtype=np.uint64))
        relation = exporter * np.uint64(_PARTNERS) + partner
        others = np.uint64(_POPULATION) + exporter * np.uint64(2)
        importer = number("importer", draws.skewed_below("importer", relation, others))
        consignee = number("importer", draws.skewed_below("consignee", relation, others))
        consignee = np.where(draws.chance("consignee.same", rows, 600), importer, consignee)
        forwarders = np.uint64(_POPULATION) + exporter // np.uint64(8)
        exporter_number = number("exporter", exporter)
        always = np.ones(len(rows), dtype=np.bool_)
        return _Rows(
            rows,
            {
                "exporter": exporter_number,
                "importer": importer,
                "consignee": consignee,
                "notify_party": number("forwarder", draws.skewed_below("notify", relation, forwarders)),
                "end_user": number("importer", draws.skewed_below("end_user", relation, others)),
            },
            {
                "exporter": always,
                "importer": always,
                "consignee": draws.chance("consignee.filled", rows, 600),
                "notify_party": draws.chance("notify.filled", rows, 220),
                "end_user": draws.chance("end_user.filled", rows, 120),
            },
            sectors_of(draws, exporter_number),
            exporter,
        )

    def _plants(self, rows: U64) -> _Plants:
        """Draw the planted matches; the classes take turns, so each has its share."""
        draws = self._draws
        if not self._eligible[0]:
            return _Plants([], [], [], [], [])
        at = np.flatnonzero(plan.planted(draws, rows))
        chosen = rows[at]
        turn = chosen // np.uint64(plan.PLANT_BLOCK)
        turn += draws.below("plant.turn", np.zeros(1, dtype=np.uint64), len(VARIATIONS))
        classes: list[int] = (turn % np.uint64(len(VARIATIONS))).tolist()
        roles = np.array([0] * 3 + [1] * 9 + [2] * 5 + [3] + [4] * 2)[draws.below("plant.role", chosen, 20)].tolist()
        picks = [draws.bits(label, chosen).tolist() for label in ("plant.entity", "plant.again", "plant.bits")]
        ids = _declaration_ids(chosen).to_pylist()
        plants = _Plants(at.tolist(), roles, [], [], [])
        for here in range(len(ids)):
            wanted = classes[here] if self._eligible[classes[here]] else 0
            eligible, variation = self._eligible[wanted], VARIATIONS[wanted]
            # The smaller of two draws: the first entities of the registry trade most.
            entity = eligible[min(((picks[n][here] >> 32) * len(eligible)) >> 32 for n in (0, 1))]
            plants.name.append(vary(entity, variation, picks[2][here]))
            plants.country.append(entity.country)
            plants.truth.append((ids[here], ROLES[roles[here]], entity.entity_id, variation))
        return plants

    def _party_columns(self, made: _Rows, plants: _Plants, columns: dict[str, Any]) -> dict[str, U64]:
        """Fill the five party columns; return the country numbers of exporter and importer."""
        length = len(made.rows)
        numbers = np.concatenate([made.numbers[role][made.filled[role]] for role in ROLES])
        distinct, inverse = np.unique(numbers, return_inverse=True)
        unlisted = parties(self._draws, distinct)
        names = quoted(pa.concat_arrays([unlisted.names, pa.array(["", *plants.name], pa.string())]))
        empty = len(distinct)
        at, role_of = np.array(plants.at, dtype=np.int64), np.array(plants.role, dtype=np.int64)
        taken = 0
        for number, role in enumerate(ROLES):
            index = np.full(length, empty, dtype=np.int64)
            count = int(made.filled[role].sum())
            index[made.filled[role]] = inverse[taken : taken + count]
            taken += count
            mine = role_of == number
            index[at[mine]] = empty + 1 + np.flatnonzero(mine)
            columns[role] = names.take(pa.array(index))
        countries = {role: countries_of(self._draws, made.numbers[role]) for role in ("exporter", "importer")}
        # Three planted parties in four show the listed country; the others keep the row's own.
        shown = self._draws.chance("plant.country", made.rows[at], 750)
        listed = np.array(plants.country, dtype=np.uint64)
        for number, role in enumerate(("exporter", "importer")):
            mine = (role_of == number) & shown
            countries[role][at[mine]] = listed[mine]
        return countries

    def _country_cells(self, label: str, rows: U64, country: U64, unknown: Bools | None = None) -> Any:
        """Return codes, now and then the country's name, and an unknown name where the row is to be defective."""
        known = np.uint64(len(lexicon().country_codes))
        index = country + self._draws.chance(label + ".words", rows, 110) * known
        if unknown is not None:
            bad = known * np.uint64(2) + self._draws.below(label + ".unknown", rows, len(_UNKNOWN_COUNTRIES))
            index = np.where(unknown, bad, index)
        return _pick(self._countries, index)

    def _place_columns(self, made: _Rows, countries: dict[str, U64], unknown: Bools, columns: dict[str, Any]) -> None:
        draws, rows = self._draws, made.rows
        exporter, importer = countries["exporter"], countries["importer"]
        known = len(lexicon().country_codes)

        def elsewhere(label: str, usual: U64) -> U64:
            return np.where(draws.chance(label + ".else", rows, 130), draws.below(label, rows, known), usual)

        flow = np.array([0] * 54 + [1] * 39 + [2] * 4 + [3] * 3, dtype=np.uint64)[draws.below("flow", rows, 100)]
        columns["flow"] = _pick(_texts(list(_FLOWS)), flow)
        reporter = np.where(flow == 0, importer, exporter)
        in_exporter = draws.chance("country.which", rows, 500)
        columns["reporter"] = _pick(self._countries, reporter)
        columns["exporter_country"] = self._country_cells("exporter.cell", rows, exporter, unknown & in_exporter)
        columns["importer_country"] = self._country_cells("importer.cell", rows, importer)
        columns["origin"] = self._country_cells("origin.cell", rows, elsewhere("origin", exporter))
        destination = elsewhere("destination", importer)
        columns["destination"] = self._country_cells("destination.cell", rows, destination, unknown & ~in_exporter)

    def _goods_columns(self, made: _Rows, defects: dict[int, Bools], columns: dict[str, Any]) -> None:
        draws, rows, wares = self._draws, made.rows, goods()
        # Each exporter deals in up to four goods of its sector.
        dealt_in = made.exporter_rank * np.uint64(4) + draws.below("good", rows, 4)
        good = made.sector * np.uint64(wares.per_sector) + draws.below("exporter.good", dealt_in, wares.per_sector)
        columns["description"] = _pick(
            self._descriptions, good * np.uint64(len(_SUFFIXES)) + draws.below("suffix", rows, len(_SUFFIXES))
        )
        writing = _HS_SHARES[draws.below("hs.writing", rows, len(_HS_SHARES))] * np.uint64(len(_TAILS))
        writing += draws.below("hs.tail", dealt_in, len(_TAILS))
        writings = np.uint64(_HS_WRITINGS * len(_TAILS))
        bad_hs = np.uint64(len(wares.hs6)) * writings + draws.below("hs.bad", rows, len(_BAD_HS))
        columns["hs_code"] = _pick(self._hs, np.where(defects[plan.BAD_HS_CHAPTER], bad_hs, good * writings + writing))
        floor = wares.sector_grams[made.sector] << draws.below("mass.octave", rows, wares.sector_octaves[made.sector])
        grams = floor + draws.below("mass", rows, floor)
        columns["net_mass_kg"] = _decimal(grams, self._three)
        columns["unit"] = _pick(self._units, good)
        per_unit = wares.grams_per_unit[good]
        pieces = np.maximum(grams // per_unit, np.uint64(1))
        measured = _decimal(grams * np.uint64(1000) // per_unit, self._three)
        columns["quantity"] = pc.if_else(pa.array(self._by_piece[good]), _digits(pieces), measured)
        self._value_columns(rows, grams * wares.cents_per_kg[good], defects[plan.NEGATIVE_VALUE], columns)

    def _value_columns(self, rows: U64, millicents: U64, negative: Bools, columns: dict[str, Any]) -> None:
        """Fill value and currency; ``millicents`` is the usual value in thousandths of a US cent."""
        draws = self._draws
        shares = np.array([self._currencies.index(code) for code in _CURRENCY_SHARES], dtype=np.uint64)
        currency = shares[draws.below("currency", rows, len(shares))]
        columns["currency"] = _pick(_texts(self._currencies), currency)
        rate = np.array([_CURRENCIES[code] for code in self._currencies], dtype=np.uint64)[currency]
        bargain = np.uint64(60) + draws.below("value.bargain", rows, 101)  # 60 to 160 per cent of the usual price
        minor = np.maximum(millicents // np.uint64(1000) * bargain // np.uint64(100) * rate // np.uint64(100), 1)
        plain = _decimal(minor, self._two)
        # Converted amounts come with more decimals than the currency has.
        finer = _decimal(minor * np.uint64(100) + draws.below("value.fine", rows, 100), self._four)
        value = pc.if_else(pa.array(draws.chance("value.four", rows, 70)), finer, plain)
        sign = _pick(pa.array(["", "-"], pa.string()), negative.astype(np.uint64))
        columns["value"] = join(sign, value)


_HS_WRITINGS = 5
_HS_SHARES = np.array([0] * 34 + [1] * 20 + [2] * 25 + [3] * 13 + [4] * 8, dtype=np.uint64)


def _hs_writings(code: str) -> list[str]:
    """Return the ways one subheading is written, in the order of the shares, four national tails each."""
    dotted = f"{code[:4]}.{code[4:]}"
    return [
        *(code + tail for tail in _TAILS),
        *(code + tail + "00" for tail in _TAILS),
        *(f"{dotted}.{tail}" for tail in _TAILS),
        *(f"{dotted}.{tail}.00" for tail in _TAILS),
        *(code for _ in _TAILS),
    ]


def _declaration_ids(rows: U64) -> Any:
    return join("D", pc.utf8_lpad(_digits(rows + np.uint64(1)), width=10, padding="0"))


def _bytes(texts: Any) -> bytes:
    """Return the texts of a freshly computed array, one after the other, without touching a row."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return bytes(memoryview(data)[int(ends[0]) : int(ends[-1])])
