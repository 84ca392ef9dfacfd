"""Row diffs: by key, NULL apart from the empty text, duplicates refused, in order, within bounds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omphalos.tables.rowdiff import (
    Counts,
    DuplicateKey,
    Limits,
    RowChange,
    Schema,
    TablePath,
    TableUnreadable,
    UnknownColumn,
    comparing,
)

DEFAULT = Limits()
Diff = Callable[..., tuple[Schema, Counts, list[RowChange]]]


def parquet(path: Path, **columns: list[Any]) -> TablePath:
    pq.write_table(pa.table(columns), path)
    return TablePath(path, "parquet", path.stem)


def text(path: Path, content: str) -> TablePath:
    path.write_text(content, "utf-8", newline="")
    return TablePath(path, "csv", path.stem)


@pytest.fixture
def diff(tmp_path: Path) -> Diff:
    """Return a function that compares two tables and gives schema, counts and rows."""

    def compare(
        a: TablePath, b: TablePath, *key: str, limit: int | None = None, limits: Limits = DEFAULT
    ) -> tuple[Schema, Counts, list[RowChange]]:
        scratch = tmp_path / f"scratch{len(list(tmp_path.iterdir()))}"
        scratch.mkdir()
        with comparing(a, b, key, scratch, limits) as found:
            return found.schema, found.counts, list(found.rows(limit))

    return compare


def test_rows_and_cells(diff: Diff, tmp_path: Path) -> None:
    """Rows are added, removed or changed by their composite key, in its order, with old and new of changed cells."""
    a = parquet(
        tmp_path / "a", n=[2, 1, 1, 10], t=["x", "x", "y", "x"], v=["same", "old", "gone", "same"], w=[1, 2, 3, 4]
    )
    b = parquet(
        tmp_path / "b", n=[1, 2, 3, 10], t=["x", "x", "x", "x"], v=["new", "same", "came", "same"], w=[2, 1, 5, 7]
    )
    schema, counts, rows = diff(a, b, "n", "t")
    assert schema == Schema((), (), ())
    assert counts == Counts(before=4, after=4, added=1, removed=1, changed=2, cells=(("v", 1), ("w", 1)))
    assert rows == [
        RowChange("changed", (("n", 1), ("t", "x")), (("v", "old", "new"),)),
        RowChange("removed", (("n", 1), ("t", "y")), (("v", "gone", None), ("w", 3, None))),
        RowChange("added", (("n", 3), ("t", "x")), (("v", None, "came"), ("w", None, 5))),
        RowChange("changed", (("n", 10), ("t", "x")), (("w", 4, 7),)),
    ]
    assert diff(a, b, "n", "t", limit=2)[2] == rows[:2]
    assert diff(a, a, "n", "t")[1:] == (Counts(4, 4, 0, 0, 0, ()), [])


def test_null_is_not_empty(diff: Diff, tmp_path: Path) -> None:
    """NULL and the empty text differ, in cells and keys, in Parquet and in CSV; two NULLs are equal."""
    a = parquet(tmp_path / "a", k=["", None, "z"], v=[None, "", None])
    b = parquet(tmp_path / "b", k=["", None, "z"], v=["", None, None])
    expected = [
        RowChange("changed", (("k", None),), (("v", "", None),)),
        RowChange("changed", (("k", ""),), (("v", None, ""),)),
    ]
    assert diff(a, b, "k")[2] == expected
    c = text(tmp_path / "c", 'k,v\n"",\n,""\nz,\n')
    d = text(tmp_path / "d", 'k,v\n"",""\n,\nz,\n')
    assert diff(c, d, "k")[2] == expected


def test_csv_as_it_stands(diff: Diff, tmp_path: Path) -> None:
    """CSV cells are text: quotes, line ends and separators within them hold, and 01 is not 1."""
    a = text(tmp_path / "a", 'id,"na""me"\r\n1,"a,\nb"\r\n2,01\r\n')
    b = text(tmp_path / "b", 'id,"na""me"\r\n1,"a,\nc"\r\n2,1\r\n')
    _, _, rows = diff(a, b, "id")
    assert rows == [
        RowChange("changed", (("id", "1"),), (('na"me', "a,\nb", "a,\nc"),)),
        RowChange("changed", (("id", "2"),), (('na"me', "01", "1"),)),
    ]


def test_other_columns(diff: Diff, tmp_path: Path) -> None:
    """Columns on one side and columns of another kind are reported; only what both have decides if a row changed."""
    a = parquet(tmp_path / "a", k=[1, 2], v=[1, 2], gone=["x", "y"])
    b = parquet(tmp_path / "b", k=[1, 3], v=["1", "9"], new=[0.5, None])
    schema, counts, rows = diff(a, b, "k")
    assert schema == Schema((("new", "DOUBLE"),), (("gone", "VARCHAR"),), (("v", "BIGINT", "VARCHAR"),))
    assert counts == Counts(2, 2, 1, 1, 0, ())
    assert rows == [
        RowChange("removed", (("k", 2),), (("v", "2", None), ("gone", "y", None))),
        RowChange("added", (("k", 3),), (("v", None, "9"), ("new", None, None))),
    ]


def test_only_a_key(diff: Diff, tmp_path: Path) -> None:
    """A table that is nothing but its key can gain and lose rows."""
    a, b = parquet(tmp_path / "a", k=["x", "y"]), parquet(tmp_path / "b", k=["y", "z"])
    assert [(row.state, row.key) for row in diff(a, b, "k")[2]] == [
        ("removed", (("k", "x"),)),
        ("added", (("k", "z"),)),
    ]


def test_duplicates_are_refused(diff: Diff, tmp_path: Path) -> None:
    """A key that stands twice on either side is refused with the first such keys and their number."""
    good = parquet(tmp_path / "good", k=[1], t=["x"])
    bad = parquet(tmp_path / "bad", k=[n // 2 for n in range(14)] + [99, None, None], t=["x"] * 17)
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(DuplicateKey) as caught:
            diff(*pair, "k", "t")
        assert caught.value.count == 8
        assert caught.value.keys == [(None, "x"), (0, "x"), (1, "x"), (2, "x"), (3, "x")]
        assert caught.value.message == (
            "bad: 8 keys (k, t) stand in more than one row: NULL, 'x'; 0, 'x'; 1, 'x'; 2, 'x'; 3, 'x' and 3 more"
        )


def test_hostile_names_and_cells(diff: Diff, tmp_path: Path) -> None:
    """Names of columns are names, whatever they hold; a long cell is shown by beginning, length and digest."""
    name = 'a"; drop table differing; --'
    a = parquet(tmp_path / "a", **{"it's": [1], name: ["x" * 5000]})
    b = parquet(tmp_path / "b", **{"it's": [1], name: ["x" * 4999 + "y"]})
    ((_, old, new),) = diff(a, b, "it's")[2][0].cells
    assert str(old).startswith("x" * 200 + "… (5000 characters, sha256 ")
    assert old != new
    c = text(tmp_path / "c", "it's,b\n1,x\n")
    assert diff(c, c, "it's")[1] == Counts(1, 1, 0, 0, 0, ())


def test_no_such_column(diff: Diff, tmp_path: Path) -> None:
    """A key that is no column is refused with the name that is spelled alike."""
    a = parquet(tmp_path / "a", shipment_id=[1])
    with pytest.raises(UnknownColumn) as caught:
        diff(a, a, "shipmentid")
    assert caught.value.hint.startswith("did you mean shipment_id?")


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("parquet", b"PAR1 and nothing else PAR1"),
        ("parquet", b""),
        ("csv", b""),
        ("csv", b"a,a\n1,2\n"),
        ("csv", b"a,\n1,2\n"),
        ("csv", b"a,b\n1\n2,3,4\n"),
        ("csv", b'a,b\n1,"x\n'),
        ("csv", b"a,b\n1,\xff\n"),
        ("csv", b'"a,b\n'),
    ],
)
def test_no_table(diff: Diff, tmp_path: Path, form: Any, content: bytes) -> None:
    """What is no table is an error that says so."""
    (tmp_path / "bad").write_bytes(content)
    bad = TablePath(tmp_path / "bad", form, "bad")
    with pytest.raises(TableUnreadable):
        diff(bad, bad, "a")


def test_more_than_memory(diff: Diff, tmp_path: Path) -> None:
    """Tables larger than the memory allowed are compared all the same, by spilling."""
    rows = 300_000
    keys = [f"key-{n:032d}" for n in range(rows)]
    a = parquet(tmp_path / "a", k=keys, v=[f"{n:064d}" for n in range(rows)])
    b = parquet(tmp_path / "b", k=keys, v=[f"{n if n % 100 else n + 1:064d}" for n in range(rows)])
    assert diff(a, b, "k", limit=0, limits=Limits(2, "96MiB"))[1] == Counts(rows, rows, 0, 0, 3000, (("v", 3000),))
