"""Where defects and planted matches fall: counted shares, and never in each other's way."""

import numpy as np
import pytest

from omphalos.screening.synthetic import plan
from omphalos.screening.synthetic.draws import Draws

ROWS = np.arange(200_000, dtype=np.uint64)


@pytest.mark.parametrize("seed", [0, 1, (1 << 64) - 1])
def test_one_defect_in_every_hundred(seed: int) -> None:
    """Every block of a hundred has one defective row, never its first, and the kinds take turns."""
    defective, kinds = plan.defect_kinds(Draws(seed), ROWS)

    blocks = defective.reshape(-1, 100)
    assert (blocks.sum(axis=1) == 1).all()
    assert not blocks[:, 0].any()
    assert blocks[:, 1].any()
    assert blocks[:, 99].any()
    of_defects = kinds[defective].astype(np.int64)
    assert ((of_defects[1:] - of_defects[:-1]) % len(plan.DEFECTS) == 1).all()


@pytest.mark.parametrize("seed", [0, 1, (1 << 64) - 1])
def test_one_planted_match_in_every_fifty(seed: int) -> None:
    """Every block of fifty has one planted row, at any place of the block."""
    blocks = plan.planted(Draws(seed), ROWS).reshape(-1, 50)

    assert (blocks.sum(axis=1) == 1).all()
    assert blocks.any(axis=0).all()


@pytest.mark.parametrize("seed", [0, 1, 2, (1 << 64) - 1])
def test_planted_rows_survive_quarantine(seed: int) -> None:
    """No planted row is defective, and none has its declaration_id repeated by a defective row."""
    defective, _ = plan.defect_kinds(Draws(seed), ROWS)
    planted = plan.planted(Draws(seed), ROWS)

    assert not (planted & defective).any()
    assert not (planted[:-1] & defective[1:]).any()
