"""Feeds: from the declared bytes of a shipment file to the tables ``raw_feed`` and ``raw_rejects``, all text."""

from omphalos.screening.feeds.decode import (
    DecodedFeed,
    FeedDamaged,
    FeedError,
    FeedNotReadable,
    FeedNotText,
    FeedShapeError,
    decode_feed,
)
from omphalos.screening.feeds.load import FeedCounts, load_raw

__all__ = [
    "DecodedFeed",
    "FeedCounts",
    "FeedDamaged",
    "FeedError",
    "FeedNotReadable",
    "FeedNotText",
    "FeedShapeError",
    "decode_feed",
    "load_raw",
]
