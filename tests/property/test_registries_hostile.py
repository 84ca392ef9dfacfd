"""Whatever bytes a registry file holds, a reader returns accounted records or a typed error."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omphalos.format.errors import OmphalosError
from omphalos.screening.registries import reader_for
from omphalos.screening.registries.base import SCHEMAS

FIXTURES = Path(__file__).parents[1] / "unit" / "screening" / "registries" / "fixtures"
SEEDS: dict[str, dict[str, bytes]] = {
    "ofac-sdn-csv": {
        part: (FIXTURES / "ofac" / name).read_bytes()
        for part, name in (("sdn", "sdn.csv"), ("alt", "alt.csv"), ("add", "add.csv"), ("comments", "sdn_comments.csv"))
    },
    "un-xml": {"list": (FIXTURES / "un" / "list.xml").read_bytes()},
    "bis-entity-json": {"list": (FIXTURES / "restricted" / "list.json").read_bytes()},
    "entities-csv": {"list": (FIXTURES / "plain" / "watch.csv").read_bytes()},
    "ofac-sdn-xml": {"list": (FIXTURES / "ofac_xml" / "SDN.XML").read_bytes()},
    "eu-fsf-xml": {"list": (FIXTURES / "eu" / "list.xml").read_bytes()},
    "eu-fsf-csv": {"list": (FIXTURES / "eu" / "list.csv").read_bytes()},
    "uk-conlist-csv": {"list": (FIXTURES / "uk" / "ConList.csv").read_bytes()},
    "csl-csv": {"list": (FIXTURES / "csl" / "consolidated.csv").read_bytes()},
    "csl-json": {"list": (FIXTURES / "csl" / "consolidated.json").read_bytes()},
    "opensanctions-simple-csv": {"list": (FIXTURES / "opensanctions" / "targets.simple.csv").read_bytes()},
    "ftm-json": {"list": (FIXTURES / "opensanctions" / "entities.ftm.json").read_bytes()},
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def country(words: str) -> str | None:
    return "ZE" if words.startswith("Z") else None


def attempt(format: str, files: dict[str, bytes], folder: Path) -> None:
    """Read ``files``; any exception but a typed one escapes, and what is read must hold together."""
    parts = {}
    for part, data in files.items():
        parts[part] = folder / f"{part}.bin"
        parts[part].write_bytes(data)
    try:
        records = reader_for(format).read("src", parts, country)
    except OmphalosError:
        return
    tables = records.to_arrow()
    keys = {"registry": ["entity_id"], "registry_names": ["entity_id", "name_no"]}
    for name, key in keys.items():
        rows = [tuple(row[one] for one in key) for row in tables[name].to_pylist()]
        assert sorted(set(rows)) == rows
    ids = set(records.entities["entity_id"])
    for name in ("registry_names", "registry_addresses", "registry_identifiers"):
        assert ids >= set(tables[name]["entity_id"].to_pylist())
    for counts in records.counts.files.values():
        assert counts.records == counts.used + counts.rejected
    whole = sum(1 for one in records.rejects["field"] if one is None)
    assert whole == sum(counts.rejected for counts in records.counts.files.values())
    for name, columns in SCHEMAS.items():
        for column, _, nullable in columns:
            assert nullable or tables[name][column].null_count == 0
    for text in records.names["name"]:
        assert text == " ".join(text.split())
        assert text.isprintable() or not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in text)


@pytest.mark.parametrize("format", sorted(SEEDS))
@given(data=st.data())
def test_arbitrary_bytes(folder: Path, format: str, data: st.DataObject) -> None:
    """Random bytes in every part of a source never raise anything untyped."""
    attempt(format, {part: data.draw(st.binary(max_size=200)) for part in SEEDS[format]}, folder)


@pytest.mark.parametrize("format", sorted(SEEDS))
@given(data=st.data())
def test_damaged_true_files(folder: Path, format: str, data: st.DataObject) -> None:
    """A true file with bytes replaced, inserted, removed or cut off is read with full accounts or refused."""
    files = dict(SEEDS[format])
    part = data.draw(st.sampled_from(sorted(files)))
    seed = files[part]
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(seed)))
        end = data.draw(st.one_of(st.integers(start, min(len(seed), start + 40)), st.just(len(seed))))
        patch = data.draw(
            st.one_of(st.binary(max_size=12), st.sampled_from([b'"', b",", b";", b"\x1a", b"<", b"{", b"\x00"]))
        )
        seed = seed[:start] + patch + seed[end:]
    files[part] = seed
    attempt(format, files, folder)


TEXT = st.one_of(
    st.text(max_size=30), st.sampled_from(["A; B", "X (a.k.a. Y", "Z", ";;and ", "1, Z; and 2, Q", "(", "."])
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ENTITY = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXT | VALUES,
        "aliases": st.lists(TEXT, max_size=4) | VALUES,
        **dict.fromkeys(("country", "address", "status", "effective_date", "federal_register", "notes"), TEXT | VALUES),
    },
)


@given(entities=st.lists(ENTITY | VALUES, max_size=6), program=VALUES)
def test_arbitrary_json_of_the_right_shape(folder: Path, entities: list[Any], program: Any) -> None:
    """Any JSON in the place of entities is accounted for."""
    text = json.dumps({"list_id": program, "entities": entities})
    attempt("bis-entity-json", {"list": text.encode()}, folder)


@given(rows=st.lists(st.lists(TEXT, min_size=1, max_size=12), max_size=8))
def test_arbitrary_cells(folder: Path, rows: list[list[str]]) -> None:
    """Any well-formed CSV under the plain header is accounted for."""
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    text = "\n".join(["entity_id,name,aliases,country,identifiers", *lines])
    attempt("entities-csv", {"list": text.encode("utf-8", "replace")}, folder)
