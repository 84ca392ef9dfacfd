"""Synthetic job data: a feed, a registry, and the truth about the matches planted between them.

Rules of this file: the three files are a function of the parameters alone, down to the byte, on any machine. They are
UTF-8 in NFC, with line feeds, a header line, and quotes only where RFC 4180 needs them. No cell begins like a
spreadsheet formula; the one cell in five hundred that begins with a minus sign is a negative value, and defective.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omphalos.format.errors import OmphalosError
from omphalos.screening.synthetic import plan
from omphalos.screening.synthetic.draws import Draws
from omphalos.screening.synthetic.entities import HEADER, MAX_ENTITIES, entities
from omphalos.screening.synthetic.feed import CHUNK, COLUMNS, FeedMaker

MAX_SHIPMENTS = 1_000_000_000
TRUTH_HEADER = ("declaration_id", "role", "entity_id", "variation")


class SyntheticParamsError(OmphalosError):
    """The parameters are outside what can be generated."""

    id = "badSyntheticParams"


@dataclass(frozen=True)
class SyntheticParams:
    """What determines the data.

    Args:
        seed: 0 to 2^64 - 1.
        shipments: rows of the feed, 0 to 10^9.
        entities: rows of the registry, 0 to 100,000.

    Raises:
        SyntheticParamsError: a number is out of its range.
    """

    seed: int
    shipments: int
    entities: int

    def __post_init__(self) -> None:
        for name, value, most in (
            ("seed", self.seed, (1 << 64) - 1),
            ("shipments", self.shipments, MAX_SHIPMENTS),
            ("entities", self.entities, MAX_ENTITIES),
        ):
            if not 0 <= value <= most:
                raise SyntheticParamsError(f"{name} is {value}", hint=f"use 0 to {most}")


@dataclass(frozen=True)
class SyntheticFiles:
    """Where the three files lie."""

    feed: Path
    registry: Path
    truth: Path


def _cell(text: str) -> str:
    if any(letter in text for letter in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _lines(rows: Iterable[Iterable[str]]) -> bytes:
    return "".join(",".join(map(_cell, row)) + "\n" for row in rows).encode("utf-8")


def generate(params: SyntheticParams, out: Path, *, chunk: int = CHUNK) -> SyntheticFiles:
    """Write ``feed.csv``, ``registry.csv`` and ``truth.csv`` into the folder ``out``, which is made if absent.

    A feed of more shipments begins with the bytes of a feed of fewer, given the same seed and entities; so do the
    registry and the truth. Truth rows are in ascending order of declaration_id, of which each occurs once.

    Args:
        chunk: shipments in memory at a time; it does not change a byte.

    Raises:
        OSError: a file cannot be written.
        TooManyEntitiesError: the word parts do not yield so many distinct names.
    """
    files = SyntheticFiles(out / "feed.csv", out / "registry.csv", out / "truth.csv")
    draws = Draws(params.seed)
    listed = entities(draws, params.entities)
    out.mkdir(parents=True, exist_ok=True)
    with files.registry.open("wb") as registry:
        registry.write(_lines([HEADER]))
        registry.write(_lines(entity.row for entity in listed))
    with files.feed.open("wb") as feed, files.truth.open("wb") as truth:
        feed.write(_lines([COLUMNS]))
        truth.write(_lines([TRUTH_HEADER]))
        for piece in FeedMaker(draws, listed).chunks(params.shipments, chunk):
            feed.write(piece.feed)
            truth.write(_lines(piece.truth))
    return files


def defects(params: SyntheticParams) -> list[plan.Defect]:
    """Return the defective rows of the feed in order: one in each full hundred, the kinds taking turns."""
    found = []
    for start in range(0, params.shipments, CHUNK):
        rows = np.arange(start, min(start + CHUNK, params.shipments), dtype=np.uint64)
        defective, kinds = plan.defect_kinds(Draws(params.seed), rows)
        for row, kind in zip(rows[defective].tolist(), kinds[defective].tolist(), strict=True):
            found.append(plan.Defect(row + 1, plan.DEFECTS[kind]))
    return found
