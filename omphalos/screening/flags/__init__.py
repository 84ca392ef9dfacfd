"""Red flags: signals that a feed and the matches in it raise, each with its rule, reason and source as data."""

from omphalos.screening.flags.data import Flag, FlagDataError, FlagParams, load_flags, parse_flags
from omphalos.screening.flags.rules import build_shipment_flags, flags_report

__all__ = [
    "Flag",
    "FlagDataError",
    "FlagParams",
    "build_shipment_flags",
    "flags_report",
    "load_flags",
    "parse_flags",
]
