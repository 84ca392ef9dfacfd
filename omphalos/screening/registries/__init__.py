"""One reader for each published list format.

``reader_for`` gives the reader of a format by its id; ``readers`` lists them all. How to add one is written in
``docs/howto/add-a-list.md``.
"""

from difflib import get_close_matches
from typing import Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.screening.registries.base import RegistryReader, RegistryRecords
from omphalos.screening.registries.bis import BisReader
from omphalos.screening.registries.csl import CslCsvReader, CslJsonReader
from omphalos.screening.registries.eu import EuCsvReader, EuXmlReader
from omphalos.screening.registries.ofac import OfacReader
from omphalos.screening.registries.ofac_xml import OfacXmlReader
from omphalos.screening.registries.opensanctions import FtmReader, SimpleReader
from omphalos.screening.registries.plain import PlainReader
from omphalos.screening.registries.uk import UkReader
from omphalos.screening.registries.un import UnReader

__all__ = ["RegistryReader", "RegistryRecords", "UnknownRegistryFormatError", "reader_for", "readers"]

_READERS: Final[tuple[RegistryReader, ...]] = (
    BisReader(),
    CslCsvReader(),
    CslJsonReader(),
    EuCsvReader(),
    EuXmlReader(),
    FtmReader(),
    OfacReader(),
    OfacXmlReader(),
    PlainReader(),
    SimpleReader(),
    UkReader(),
    UnReader(),
)


class UnknownRegistryFormatError(OmphalosError):
    """No reader has the format a registry was declared with."""

    kind = ErrorKind.USAGE
    id = "unknownRegistryFormat"


def readers() -> dict[str, RegistryReader]:
    """Return every reader by its format id, sorted by id."""
    return {reader.format: reader for reader in sorted(_READERS, key=lambda one: one.format)}


def reader_for(format: str) -> RegistryReader:
    """Return the reader of ``format``.

    Raises:
        UnknownRegistryFormatError: when there is none; the hint names the nearest format.
    """
    known = readers()
    if format in known:
        return known[format]
    near = get_close_matches(format, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known formats: {', '.join(known)}"
    raise UnknownRegistryFormatError(f"no reader for the registry format {format[:80]!r}", hint=hint)
