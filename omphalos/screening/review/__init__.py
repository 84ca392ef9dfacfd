"""What a person works with: the review table, earlier decisions, explanations, and packets of evidence.

Rules of this package: it reads what the matching made and never changes it; every order is total and stated; text
from a feed or list is data, wherever it is shown.
"""

from omphalos.screening.review.table import add_open_exposure, build_party_flags, build_review

__all__ = ["add_open_exposure", "build_party_flags", "build_review"]
