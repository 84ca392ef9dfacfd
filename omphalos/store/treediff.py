"""What changed between two trees.

Rules of this file: two nodes with one id are equal and are not opened; changes come in byte order of path, each file
once, so the same two trees give the same lines.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from omphalos.format.ids import ObjectId
from omphalos.format.tree import TreeEntry
from omphalos.store.store import Store
from omphalos.store.trees import Load, load, sort_key

Change = Literal["added", "removed", "modified", "typechange"]


@dataclass(frozen=True, slots=True)
class TreeChange:
    """One changed path, with its entry in the old and in the new tree (None where it is not).

    ``typechange`` says that a file became a folder or the reverse; the files of that folder follow as added or removed.
    """

    path: str
    change: Change
    old: TreeEntry | None
    new: TreeEntry | None


def diff_trees(store: Store, a: ObjectId, b: ObjectId) -> Iterator[TreeChange]:
    """Yield the changes that lead from tree ``a`` to tree ``b``.

    Raises:
        ObjectMissing, ObjectDamaged, KindMismatch, TreeError: as for ``trees.load``.
    """
    side = functools.partial(load, store)
    yield from diff_roots((side, side), a, b)


def diff_entries(
    sides: tuple[Load, Load], a: TreeEntry | None, b: TreeEntry | None, above: str = ""
) -> Iterator[TreeChange]:
    """Yield the changes from one entry to another of the same name; None where there is none.

    Args:
        sides: what returns the nodes of the old tree, and what those of the new one; their errors come out of here.
        a: the entry of the old tree.
        b: that of the new one.
        above: the path of the folder both stand in, with its final ``/``.
    """
    yield from _diff(sides, () if a is None else (a,), () if b is None else (b,), above)


def diff_roots(sides: tuple[Load, Load], a: ObjectId, b: ObjectId) -> Iterator[TreeChange]:
    """Yield the changes from one whole tree to another; ``sides`` as for ``diff_entries``."""
    if a != b:
        yield from _diff(sides, sides[0](a, None), sides[1](b, None), "")


def _diff(
    sides: tuple[Load, Load], before: tuple[TreeEntry, ...], after: tuple[TreeEntry, ...], above: str
) -> Iterator[TreeChange]:
    old = {entry.name: entry for entry in before}
    new = {entry.name: entry for entry in after}
    # A name that is a file on one side and a folder on the other has two places in the order of paths.
    for key in sorted({sort_key(entry) for entry in (*before, *after)}):
        name = key.removesuffix("/")
        left, right = old.get(name), new.get(name)
        if left == right:
            continue
        if key.endswith("/"):
            yield from _diff(sides, _below(sides[0], left), _below(sides[1], right), above + key)
        elif left is None:
            yield TreeChange(above + name, "added", None, right)
        elif right is None:
            yield TreeChange(above + name, "removed", left, None)
        else:
            yield TreeChange(above + name, "modified" if left.kind == right.kind else "typechange", left, right)


def _below(side: Load, entry: TreeEntry | None) -> tuple[TreeEntry, ...]:
    return side(entry.id, entry.size) if entry is not None and entry.kind == "tree" else ()
