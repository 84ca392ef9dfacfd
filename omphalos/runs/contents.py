"""What differs inside a changed file: lines of a text, rows of a table, or only its bytes.

Rules of this file: a Parquet file, and a CSV file for which the manifest declares a key, is a table and compared by
that key; any other text is compared by lines; what is neither, or too large, is said to differ and nothing more is
claimed. Bytes come out of the store hashed, into a scratch folder that goes away. The engine is loaded for tables only.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from omphalos.format import strictjson
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import from_hex
from omphalos.format.manifest import Artifact, Manifest
from omphalos.format.tree import TreeEntry
from omphalos.runs.linediff import MAX_TEXT, Block, Hunk, as_text, blocks, hunks, split
from omphalos.store.sides import Source
from omphalos.store.treediff import TreeChange

if TYPE_CHECKING:
    from omphalos.tables.rowdiff import Comparison, Limits, RowChange, TablePath

PARQUET: Final = "application/vnd.apache.parquet"
MAX_SETTINGS: Final = 100
_MAX_CONFIG: Final = 1 << 20

Form = Literal["rows", "lines", "bytes", "alone"]


class NotATable(OmphalosError):
    """A key was named for a file that holds no table."""

    kind = ErrorKind.USAGE
    id = "notATable"


@dataclass(slots=True)
class Content:
    """How one changed file differs.

    ``form`` is ``rows``, ``lines``, ``bytes`` (they differ, and ``note`` says why no more is said) or ``alone`` (the
    file is on one side only). Of rows and lines the counts are exact, whatever part of them is shown.
    """

    path: str
    form: Form
    note: str = ""
    table: "Comparison | None" = None
    _old: list[bytes] = field(default_factory=list)
    _new: list[bytes] = field(default_factory=list)
    _blocks: list[Block] = field(default_factory=list)

    @property
    def lines_removed(self) -> int:
        """The number of old lines that are not in the new text."""
        return sum(block[1] - block[0] for block in self._blocks)

    @property
    def lines_added(self) -> int:
        """The number of new lines that are not in the old text."""
        return sum(block[3] - block[2] for block in self._blocks)

    def hunks(self, limit: int | None = None) -> list[Hunk]:
        """Return the stretches of lines that differ, at most ``limit``."""
        return hunks(self._old, self._new, self._blocks, limit)

    def rows(self, limit: int | None = None) -> "Iterator[RowChange]":
        """Yield the rows that differ, at most ``limit``."""
        if self.table is not None:
            yield from self.table.rows(limit)

    def document(self) -> dict[str, Any]:
        """Return the counts as part of a ``--json`` document."""
        found: dict[str, Any] = {"path": self.path, "form": self.form, "note": self.note}
        if self.form == "lines":
            found |= {"added": self.lines_added, "removed": self.lines_removed}
        if self.table is not None:
            counts, schema = self.table.counts, self.table.schema
            found |= {
                "key": list(self.table.key),
                "before": counts.before,
                "after": counts.after,
                "added": counts.added,
                "removed": counts.removed,
                "changed": counts.changed,
                "cells": [{"column": name, "changed": number} for name, number in counts.cells],
                "columns_added": [{"column": name, "kind": kind} for name, kind in schema.added],
                "columns_removed": [{"column": name, "kind": kind} for name, kind in schema.removed],
                "columns_changed": [
                    {"column": name, "before": before, "after": after} for name, before, after in schema.changed
                ],
            }
        return found


def is_table(path: str, old: Artifact | None, new: Artifact | None, key: Sequence[str]) -> bool:
    """Say whether a file is compared by rows: by what the manifests declare, its name, and whether a key was named."""
    declared = any(side is not None and (side.media_type == PARQUET or side.key is not None) for side in (old, new))
    return declared or path.endswith(".parquet") or (bool(key) and path.endswith(".csv"))


@contextmanager
def content(
    sides: tuple[Source, Source],
    change: TreeChange,
    declared: tuple[Artifact | None, Artifact | None],
    limits: "Limits | None" = None,
    *,
    key: Sequence[str] = (),
    labels: tuple[str, str] = ("before", "after"),
    strict: bool = True,
) -> Iterator[Content]:
    """Look into one changed file; its hunks or rows can be read inside the block.

    Args:
        sides: where the bytes of the old and of the new file are.
        change: the file.
        declared: what the manifests say of it, where there are any.
        limits: what the engine may spend on a table.
        key: the columns that name a row, instead of the declared key.
        labels: how messages call the two sides.
        strict: raise what is wrong with a table; otherwise it is the ``note`` of a file that differs by bytes.

    Raises:
        ObjectMissing, ObjectDamaged, KindMismatch: the store cannot give the bytes.
        SourceChanged, SourceUnreadable: nor can the folder a side is.
        NotATable: a key was named for a file that holds none.
        NoKey, UnknownColumn, DuplicateKey, TableUnreadable: as ``tables.rowdiff`` says, with ``strict``.
    """
    old, new = change.old, change.new
    if old is None or new is None or old.kind != "blob" or new.kind != "blob":
        yield Content(change.path, "alone", _alone(change, declared))
    elif is_table(change.path, *declared, key):
        from omphalos.tables.rowdiff import DuplicateKey, Limits, NoKey, TableUnreadable, UnknownColumn, comparing

        with tempfile.TemporaryDirectory(prefix="omphalos-") as folder, ExitStack() as stack:
            try:
                chosen = list(key) or _declared_key(change.path, declared)
                place, (name_a, name_b) = Path(folder), (f"{label}:{change.path}" for label in labels)
                table_a = _fetch(sides[0], change.path, old, place / "a", name_a, declared[0])
                table_b = _fetch(sides[1], change.path, new, place / "b", name_b, declared[1])
                table = stack.enter_context(comparing(table_a, table_b, chosen, place, limits or Limits()))
                found = Content(change.path, "rows", table=table)
            except (NoKey, UnknownColumn, DuplicateKey, TableUnreadable) as error:
                if strict:
                    raise
                found = Content(change.path, "bytes", error.message)
            yield found
    elif key:
        raise NotATable(
            f"{change.path!r} is no table",
            hint="only Parquet and CSV files are compared by rows; without --key it is compared by lines",
            undone="nothing was compared",
        )
    else:
        yield _lines(sides, change.path, old, new)


def _alone(change: TreeChange, declared: tuple[Artifact | None, Artifact | None]) -> str:
    file = declared[0] or declared[1]
    rows = f", {file.rows} rows" if file is not None and file.rows is not None else ""
    return {"added": f"only in the new{rows}", "removed": f"only in the old{rows}"}.get(
        change.change, "a file on one side and a folder on the other"
    )


def _declared_key(path: str, declared: tuple[Artifact | None, Artifact | None]) -> tuple[str, ...]:
    from omphalos.tables.rowdiff import NoKey

    keys = [file.key for file in declared if file is not None and file.key is not None]
    if not keys:
        raise NoKey(
            f"no key is declared for {path!r}",
            hint="name the columns that name a row: --key COLUMN, once for each",
            undone="the rows were not compared",
        )
    if keys[0] != keys[-1]:
        raise NoKey(
            f"the two sides declare different keys for {path!r}: {', '.join(keys[0])} and {', '.join(keys[-1])}",
            hint="name the columns to compare by with --key",
            undone="the rows were not compared",
        )
    return keys[0]


def _fetch(
    side: Source, source: str, entry: TreeEntry, path: Path, label: str, declared: Artifact | None
) -> "TablePath":
    """Write a file of one side to a path, hashed on the way; return it as a table."""
    from omphalos.tables.rowdiff import TablePath

    parquet = entry.name.endswith(".parquet") or (declared is not None and declared.media_type == PARQUET)
    with path.open("wb") as stream:
        side.copy_to(source, entry, stream.fileno())
    return TablePath(path, "parquet" if parquet else "csv", label)


def _lines(sides: tuple[Source, Source], path: str, old: TreeEntry, new: TreeEntry) -> Content:
    texts: list[bytes] = []
    for side, entry in zip(sides, (old, new), strict=True):
        if entry.size > MAX_TEXT:
            return Content(path, "bytes", as_text(bytes(MAX_TEXT + 1)))
        data = side.read(path, entry)
        reason = as_text(data)
        if reason:
            return Content(path, "bytes", reason)
        texts.append(data)
    before, after = split(texts[0]), split(texts[1])
    return Content(path, "lines", _old=before, _new=after, _blocks=blocks(before, after))


def settings_changed(a: tuple[Source, Manifest], b: tuple[Source, Manifest]) -> list[dict[str, str | None]]:
    """Return the settings in which the recorded configurations of two runs differ, by their path in the document.

    Each is ``key``, ``before`` and ``after``, values as JSON text and None where there is none; at most
    ``MAX_SETTINGS`` are returned, in order. A configuration that cannot be read gives none: that it differs was said.
    """
    if a[1].plan.config == b[1].plan.config:
        return []
    try:
        before, after = _settings(*a), _settings(*b)
    except OmphalosError:
        return []
    differing = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    return [{"key": key, "before": before.get(key), "after": after.get(key)} for key in differing[:MAX_SETTINGS]]


def _settings(side: Source, manifest: Manifest) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in manifest.artifacts:
        if file.blake3 == manifest.plan.config and file.size <= _MAX_CONFIG:
            data = side.read(file.path, TreeEntry(file.path, "blob", file.size, from_hex(file.blake3)))
            _flatten(strictjson.parse(data, max_bytes=_MAX_CONFIG), "", found)
            break
    return found


def _flatten(value: Any, above: str, found: dict[str, str]) -> None:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            _flatten(item, f"{above}.{name}" if above else str(name), found)
    else:
        found[above] = strictjson.compact(value).decode()
