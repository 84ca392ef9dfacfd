"""Synthetic feed, registry and truth for the reference job and for tests of scale.

The public names are the four below; the other modules of this folder serve ``generate``.
"""

from omphalos.screening.synthetic.generate import SyntheticFiles, SyntheticParams, defects, generate

__all__ = ["SyntheticFiles", "SyntheticParams", "defects", "generate"]
