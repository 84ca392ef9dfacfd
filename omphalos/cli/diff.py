"""``omphalos diff``: what differs between two runs, trees or folders: first why, then how much, then where."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click
import msgspec

from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape, human_size
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.ids import to_hex

if TYPE_CHECKING:
    from omphalos.runs.contents import Content
    from omphalos.runs.sides import Side
    from omphalos.store.store import Store
    from omphalos.store.treediff import TreeChange

MARKS = {"added": "A", "removed": "D", "modified": "M", "typechange": "T"}
ROW_MARKS = {"added": "+", "removed": "-", "changed": "~"}
SHOWN = 200  # characters of a line or cell on a terminal
LIMIT = 100


class NotComparable(OmphalosError):
    """A file was held against a folder, or options were given that exclude each other."""

    kind = ErrorKind.USAGE
    id = "notComparable"


@click.command(
    cls=Verb,
    examples=["omphalos diff latest~1 latest --summary", "omphalos diff latest ./received exports/review_queue.csv"],
)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.argument("path", required=False, metavar="[PATH]")
@click.option("--stat", is_flag=True, help="Counts only.")
@click.option("--summary", is_flag=True, help="Why, and how many artifacts, rows and lines differ.")
@click.option("--rows", is_flag=True, help="Rows and lines of every artifact that differs.")
@click.option("--key", multiple=True, metavar="COLUMN", help="A column of the key of the table PATH; once for each.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=LIMIT,
    show_default=True,
    metavar="N",
    help="Rows or stretches of lines shown for each file; 0 for all.",
)
@click.pass_obj
def command(
    app: App,
    before: str,
    after: str,
    path: str | None,
    stat: bool,
    summary: bool,
    rows: bool,
    key: tuple[str, ...],
    limit: int,
) -> Exit:
    """Compare two runs, trees, folders or files (all of them, or PATH within them); exit 0 if equal, 1 if different.

    A and B are names of the store, or folders and files outside it. What begins with /, ./ or ../ is a path; anything
    else is a run, tag or object if one is called so, and a path if not. Of a file the rows (by the declared key, or
    --key) or the lines that differ are shown. A run directory is compared by its payload, as a run is.
    """
    if stat + summary + rows > 1:
        raise NotComparable("--stat, --summary and --rows exclude each other", hint="give one of them", undone="")
    sides = _sides(app, (before, after))
    changes, is_file = _changes(sides, path)
    if key and not is_file:
        raise NotComparable(
            "--key names the key of one table, and none was named",
            hint="give its path: omphalos diff A B PATH --key COLUMN",
            undone="nothing was compared",
        )
    report = _Report(app, sides, changes, key, limit or None, is_file)
    if path is None:
        report.explain()
    report.say(stat=stat, inside=summary or rows or is_file, shown=rows or (is_file and not summary and not stat))
    return Exit.NEGATIVE if changes else Exit.DONE


def _sides(app: App, names: tuple[str, str]) -> tuple["Side", "Side"]:
    """Find what two names mean; two paths need no store."""
    from omphalos.store.store import StoreMissing

    try:
        store = app.store()
    except StoreMissing as missing:
        found = [
            _lying(app, name, None) if _is_path(name) or os.path.lexists(app.path(name)) else None for name in names
        ]
        if found[0] is None or found[1] is None:
            raise missing from None
        return found[0], found[1]
    return _side(app, store, names[0]), _side(app, store, names[1])


def _side(app: App, store: "Store", name: str) -> "Side":
    from omphalos.runs.sides import stored
    from omphalos.store.names import UnknownName

    if _is_path(name):
        return _lying(app, name, store)
    try:
        side = stored(store, name)
    except UnknownName:
        if name and os.path.lexists(app.path(name)):
            return _lying(app, name, store)
        raise
    if not app.out.json and os.path.isdir(app.path(name)):  # noqa: PTH112  # a Path raises where a name is too long
        app.out.message(f"'{escape(name)}' is taken as a name of the store; './{escape(name)}' is the folder")
    return side


def _lying(app: App, name: str, store: "Store | None") -> "Side":
    from omphalos.runs.sides import lying

    return lying(app.existing(name), name, store)


def _is_path(name: str) -> bool:
    return name.startswith(("/", "./", "../")) or name in (".", "..")


def _changes(sides: tuple["Side", "Side"], path: str | None) -> tuple[list["TreeChange"], bool]:
    """Return what differs, and whether one file was asked for."""
    from omphalos.runs.sides import changes
    from omphalos.store.treediff import TreeChange
    from omphalos.store.trees import PathMissing

    a, b = sides[0].entry, sides[1].entry
    if a.kind != b.kind:
        raise NotComparable(
            "a file and a folder cannot be compared",
            hint="name two files, or two runs or folders",
            undone="nothing was compared",
        )
    if a.kind == "blob":
        if path is not None:
            raise PathMissing(path)
        return [] if a.id == b.id else [TreeChange(b.name, "modified", a, b)], True
    return changes(sides, path.rstrip("/") if path is not None else None)


class _Report:
    """What is said about one comparison."""

    def __init__(
        self,
        app: App,
        sides: tuple["Side", "Side"],
        changes: list["TreeChange"],
        key: tuple[str, ...],
        limit: int | None,
        strict: bool,
    ) -> None:
        self._strict = strict
        self._app = app
        self._out = app.out
        self._sides = sides
        self._changes = changes
        self._key = key
        self._limit = limit
        self._why: list[dict[str, Any]] = []
        self._inputs: list[dict[str, Any]] = []

    def explain(self) -> None:
        """Find out why two runs differ."""
        from omphalos.runs.compare import input_counts
        from omphalos.runs.contents import settings_changed
        from omphalos.runs.sides import reasons

        a, b = self._sides
        self._why = reasons(self._sides)
        if a.manifest is not None and b.manifest is not None and a.whole and b.whole:
            self._inputs = input_counts(a.manifest, b.manifest)
            for cause in self._why:
                if cause["part"] == "config":
                    cause["settings"] = settings_changed((a.source, a.manifest), (b.source, b.manifest))

    def say(self, *, stat: bool, inside: bool, shown: bool) -> None:
        """Say it: ``inside`` the counts of rows and lines as well, ``shown`` the rows and lines themselves."""
        if not self._changes and not self._why and not self._out.json:
            self._out.text("equal")
            return
        total = {change: sum(1 for c in self._changes if c.change == change) for change in MARKS}
        if not self._out.json:
            self._head(total)
            if not stat and not inside:
                self._list()
        documents = []
        for found in self._contents() if inside else ():
            with found as content:
                if self._out.json:
                    documents.append(content.document())
                else:
                    self._counts(content)
                if shown:
                    self._show(content)
        if self._out.json:
            a, b = (to_hex(side.entry.id) for side in self._sides)
            document = {"a": a, "b": b, "causes": self._why, "inputs": self._inputs, "counts": total}
            changes = {} if stat else {"changes": [_change(change) for change in self._changes]}
            self._out.document("omphalos.diff/1", {**document, **changes, "contents": documents})

    def _contents(self) -> Iterator[AbstractContextManager["Content"]]:
        from omphalos.runs.contents import content, is_table

        limits = None
        for change in self._changes:
            declared = (self._sides[0].artifact(change.path), self._sides[1].artifact(change.path))
            if limits is None and is_table(change.path, *declared, self._key):
                from omphalos.tables.rowdiff import Limits

                memory, threads = (self._app.settings[name].value for name in ("memory", "threads"))
                limits = Limits(int(threads) if threads is not None else Limits().threads, str(memory))
            yield content(
                (self._sides[0].source, self._sides[1].source),
                change,
                declared,
                limits,
                key=self._key,
                labels=(self._sides[0].name, self._sides[1].name),
                strict=self._strict,
            )

    # -- for people

    def _head(self, total: dict[str, int]) -> None:
        for cause in self._why:
            self._out.text(f"cause: {escape(cause['what'])}")
            for setting in cause.get("settings", ()):
                old, new = (_excerpt(setting[side] or "nothing") for side in ("before", "after"))
                self._out.text(f"  {escape(setting['key'])}: {old} -> {new}")
        for count in self._inputs:
            source = f"input {escape(count['role'])} {escape(count['source'])}"
            self._out.text(f"{source}: {count['before']} -> {count['after']} records")
        said = ", ".join(f"{number} {change}" for change, number in total.items() if number)
        self._out.text(said or "no artifact differs")

    def _list(self) -> None:
        for change in self._changes:
            sizes = " -> ".join(human_size(entry.size) if entry else "nothing" for entry in (change.old, change.new))
            self._out.text(f"{MARKS[change.change]} {escape(change.path)}  {sizes}")

    def _counts(self, content: "Content") -> None:
        path = escape(content.path)
        if content.table is None:
            said = f"{content.lines_removed} lines removed, {content.lines_added} added"
            if content.form != "lines":
                said = content.note if content.form == "alone" else f"differs; {escape(content.note)}"
            self._out.text(f"{path}: {said}")
            return
        counts, schema = content.table.counts, content.table.schema
        said = f"{counts.added} added, {counts.removed} removed, {counts.changed} changed"
        if not (counts.added or counts.removed or counts.changed):
            said = "no row differs, only the bytes"
        self._out.text(
            f"{path}: {counts.before} -> {counts.after} rows by {escape(', '.join(content.table.key))}: {said}"
        )
        for name, kind in schema.added:
            self._out.text(f"  column added: {escape(name)} ({escape(kind)})")
        for name, kind in schema.removed:
            self._out.text(f"  column removed: {escape(name)} ({escape(kind)})")
        for name, old, new in schema.changed:
            self._out.text(f"  column {escape(name)}: {escape(old)} -> {escape(new)}")
        for name, number in counts.cells:
            self._out.text(f"  cells changed in {escape(name)}: {number}")

    def _show(self, content: "Content") -> None:
        if content.form == "lines":
            self._show_lines(content)
        elif content.table is not None:
            self._show_rows(content)

    def _show_lines(self, content: "Content") -> None:
        if not self._out.json:
            for mark, side in zip(("---", "+++"), self._sides, strict=True):
                self._out.text(f"{mark} {escape(side.name)}:{escape(content.path)}")
        hunks = content.hunks(None if self._limit is None else self._limit + 1)
        for hunk in hunks[: self._limit]:
            old, new = (hunk.old_start, hunk.old_lines), (hunk.new_start, hunk.new_lines)
            if self._out.json:
                lines = [mark + text for mark, text in hunk.lines]
                place = {"old_start": old[0], "old_lines": old[1], "new_start": new[0], "new_lines": new[1]}
                self._out.document("omphalos.diff-hunk/1", {"path": content.path, **place, "lines": lines})
                continue
            self._out.text(self._out.style(f"@@ -{old[0]},{old[1]} +{new[0]},{new[1]} @@", fg="cyan"))
            for mark, text in hunk.lines:
                self._line(mark, mark + " " + text if mark == "\\" else mark + _cut(text))
        if self._limit is not None and len(hunks) > self._limit and not self._out.json:
            self._out.text(f"more stretches differ; --limit 0 shows all (now {self._limit})")

    def _line(self, mark: str, text: str) -> None:
        color = {"+": "green", "-": "red", "~": "yellow"}.get(mark)
        self._out.text(self._out.style(escape(text), fg=color) if color else escape(text))

    def _show_rows(self, content: "Content") -> None:
        shown = 0
        for row in content.rows(self._limit):
            shown += 1
            if self._out.json:
                key, cells = dict(row.key), {name: [old, new] for name, old, new in row.cells}
                self._out.document(
                    "omphalos.diff-row/1", {"path": content.path, "change": row.state, "key": key, "cells": cells}
                )
                continue
            mark = ROW_MARKS[row.state]
            named = ", ".join(f"{name}={_cell(value)}" for name, value in row.key)
            self._line(mark, f"{mark} {named}")
            if row.state != "changed":
                there = [(name, new if old is None else old) for name, old, new in row.cells]
                said = ", ".join(f"{escape(name)}={_cell(value)}" for name, value in there if value is not None)
                self._out.text(f"    {said}")
                continue
            for name, old, new in row.cells:
                was, now = _pair(old, new)
                self._out.text(f"    {escape(name)}: {was} -> {now}")
        if content.table is not None and not self._out.json:
            counts = content.table.counts
            left = counts.added + counts.removed + counts.changed - shown
            if left:
                self._out.text(f"{left} more rows differ; --limit 0 shows all")


def _change(change: "TreeChange") -> dict[str, Any]:
    return {"path": change.path, "change": change.change, "old": _entry(change.old), "new": _entry(change.new)}


def _entry(entry: Any) -> dict[str, Any] | None:
    return {"kind": entry.kind, "size": entry.size, "id": to_hex(entry.id)} if entry else None


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"


def _excerpt(text: str) -> str:
    return escape(_cut(text))


def _cell(value: str | int | None) -> str:
    """Return a cell for people: NULL and numbers bare, text in quotes."""
    if value is None:
        return "NULL"
    return escape(msgspec.json.encode(_cut(value)).decode()) if isinstance(value, str) else str(value)


def _pair(old: str | int | None, new: str | int | None) -> tuple[str, str]:
    """Return two cells that differ; of long texts the part around the first difference."""
    if isinstance(old, str) and isinstance(new, str) and max(len(old), len(new)) > SHOWN:
        first = next((at for at, (x, y) in enumerate(zip(old, new, strict=False)) if x != y), min(len(old), len(new)))
        start = max(0, first - SHOWN // 4)
        if start:
            old, new = f"…{old[start:]}", f"…{new[start:]}"
    return _cell(old), _cell(new)
