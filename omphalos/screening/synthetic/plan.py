"""Which rows of the synthetic feed are defective, and which carry a planted match.

Rules of this file: positions are counted, not chanced, so the shares are known exactly: every block of a hundred
shipments holds one defective row and every block of fifty one planted match. A planted row is never defective, and
never the row whose declaration_id a defective row repeats, so that no planted match is lost to quarantine.
"""

from dataclasses import dataclass

import numpy as np

from omphalos.screening.synthetic.draws import U64, Bools, Draws

DEFECT_BLOCK = 100
PLANT_BLOCK = 50

# Five kinds in turn: a feed of five hundred shipments has one of each.
DEFECTS = ("BAD_DATE", "BAD_HS_CHAPTER", "UNKNOWN_COUNTRY", "NEGATIVE_VALUE", "DUPLICATE_ID")
BAD_DATE, BAD_HS_CHAPTER, UNKNOWN_COUNTRY, NEGATIVE_VALUE, DUPLICATE_ID = range(5)


@dataclass(frozen=True)
class Defect:
    """One defective row: its number (1-based, header not counted) and what is wrong with it."""

    source_row: int
    kind: str


def _defect_position(draws: Draws, hundred: U64) -> U64:
    """Return the place of the defective row within its block: 1 to 99, so that the row before it is in the block."""
    return draws.below("defect.position", hundred, DEFECT_BLOCK - 1) + np.uint64(1)


def defect_kinds(draws: Draws, rows: U64) -> tuple[Bools, U64]:
    """Return which of the 0-based rows are defective, and the number of the kind each would have."""
    block = rows // np.uint64(DEFECT_BLOCK)
    turn = draws.below("defect.turn", np.zeros(1, dtype=np.uint64), len(DEFECTS))[0]
    return rows % np.uint64(DEFECT_BLOCK) == _defect_position(draws, block), (block + turn) % np.uint64(len(DEFECTS))


def planted(draws: Draws, rows: U64) -> Bools:
    """Return which of the 0-based rows carry a planted match."""
    block = rows // np.uint64(PLANT_BLOCK)
    hundred = rows // np.uint64(DEFECT_BLOCK)
    defective = _defect_position(draws, hundred).astype(np.int64)
    # Two places of the block may be barred, the defective row and the one before it: draw among the other 48.
    barred = defective - 1 - (rows % np.uint64(DEFECT_BLOCK) // np.uint64(PLANT_BLOCK)).astype(np.int64) * PLANT_BLOCK
    position = draws.below("plant.position", block, PLANT_BLOCK - 2).astype(np.int64)
    position += 2 * (position >= barred)
    found: Bools = (rows % np.uint64(PLANT_BLOCK)).astype(np.int64) == position
    return found
