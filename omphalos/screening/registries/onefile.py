"""What readers of lists that are one file have in common: finding the file, and the rows of one that is CSV.

Rules of this file: a row of another width than the header is a reject, and so is one without the id that joins it to
its party; a file without a needed column is refused, since its values would be lost in silence.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from omphalos.screening.registries.base import CountryCode, RegistryRecords
from omphalos.screening.registries.builder import Builder, Origin
from omphalos.screening.registries.sources import RegistryDamagedError, RegistryFileError, one_file

Record = dict[str, str]
Rows = list[tuple[int, Record]]


class OneFileReader:
    """A reader of a list that is one file: ``format``, the ``suffix`` of its name, and ``what`` it is called."""

    format: str
    suffix: str
    what: str

    def parts(self, path: Path) -> dict[str, Path]:
        """Return ``{"list": path}``; a folder must hold exactly one file with the suffix.

        Raises:
            RegistryFileError: otherwise.
        """
        return {"list": one_file(path, self.suffix, self.what)}

    def read(self, source: str, parts: dict[str, Path], country_code: CountryCode) -> RegistryRecords:
        """Read the list; see ``RegistryReader.read``."""
        if "list" not in parts:
            raise RegistryFileError("the part 'list' is missing", hint=f"give the {self.what}")
        builder = Builder(source, country_code)
        self.fill(builder, parts["list"])
        return builder.finish()

    def fill(self, builder: Builder, path: Path) -> None:
        """Read the file at ``path`` into ``builder``.

        Raises:
            OmphalosError: as ``RegistryReader.read``.
        """
        raise NotImplementedError


def header_of(cells: Iterable[str], needed: Sequence[str], file: str, hint: str) -> list[str]:
    """Return the names in a header, which must have the needed ones.

    Raises:
        RegistryDamagedError: one is missing; with ``hint``.
    """
    names = [cell.strip() for cell in cells]
    for name in needed:
        if name not in names:
            raise RegistryDamagedError(f"{file}: the header has no column {name!r}", hint=hint)
    return names


def records_of(
    builder: Builder, file: str, header: Sequence[str], rows: Iterable[list[str]], delimiter: str = ","
) -> Iterator[tuple[int, Record]]:
    """Yield the rows behind the header as records by number; one of another width is a reject."""
    for row, cells in enumerate(rows, start=1):
        builder.saw(file, 1)
        if len(cells) != len(header):
            builder.reject(Origin(file, row), "wrongWidth", delimiter.join(cells))
        else:
            yield row, dict(zip(header, cells, strict=True))


def by_party(
    builder: Builder, file: str, records: Iterable[tuple[int, Record]], key: str, delimiter: str = ","
) -> dict[str, Rows]:
    """Return the records of each party, which its id in the column ``key`` joins, without their empty cells."""
    parties: dict[str, Rows] = {}
    for row, cells in records:
        record = {name: cell.strip() for name, cell in cells.items() if cell.strip()}
        if key in record:
            parties.setdefault(record[key], []).append((row, record))
        else:
            builder.reject(Origin(file, row), "idMissing", delimiter.join(cells.values()))
    return parties
