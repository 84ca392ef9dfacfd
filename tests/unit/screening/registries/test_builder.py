"""The builder every reader uses: cleaning, limits, accounting, order, hashes."""

from pathlib import Path

import pyarrow as pa
import pytest
from blake3 import blake3

from omphalos.format.errors import OmphalosError
from omphalos.screening.registries import UnknownRegistryFormatError, base, reader_for, readers
from omphalos.screening.registries import builder as builder_module
from omphalos.screening.registries.base import clean, joined, record_hash
from omphalos.screening.registries.builder import (
    BadSourceError,
    Builder,
    Draft,
    DuplicateEntityError,
    Origin,
    RawName,
    UnaccountedRecordsError,
)
from omphalos.screening.registries.sources import RegistryFileError, decode, read_bytes

ROOT = Path(__file__).parents[4]


def draft(native_id: str, name: str, row: int = 1, **more: object) -> Draft:
    return Draft(Origin("f", row), native_id, "organization", name, [native_id, name], **more)  # type: ignore[arg-type]  # keywords of the class


def build(*drafts: Draft) -> base.RegistryRecords:
    builder = Builder("src", lambda _: None)
    builder.saw("f", len(drafts))
    for one in drafts:
        builder.add(one)
    return builder.finish()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" a \t\r\n b\u00a0c ", ("a b c", None)),
        ("e\u0301", ("é", None)),
        ("  ", (None, None)),
        (None, (None, None)),
        ("a\x00b", (None, "controlCharacter")),
        ("a\x1fb", (None, "controlCharacter")),
        ("a\x85b", (None, "controlCharacter")),
        ("a\ud800b", (None, "controlCharacter")),
        ("a" * 11, (None, "textTooLong")),
        ("a\u200cb", ("a\u200cb", None)),
        ("a" + "\u0315" * 31, (None, "tooManyMarks")),
        ("a" + "\u0300" * 5, ("à" + "\u0300" * 4, None)),
    ],
)
def test_clean(text: str | None, found: tuple[str | None, str | None]) -> None:
    """Text is NFC with whitespace collapsed; controls and length are refused; joiners of real scripts stay."""
    assert found == clean(text, 10)


def test_a_name_over_the_limit_is_rejected() -> None:
    """A name of 2,000 characters is kept, one of 2,001 is rejected, alias and primary alike."""
    records = build(
        draft("a", "x" * 2_000, names=[RawName("alias", "y" * 2_001, Origin("f", 1, "aliases"))]),
        draft("b", "z" * 2_001, 2),
    )

    assert {"nameTooLong": 2} == records.counts.rejected
    assert ["src:a"] == records.entities["entity_id"]


def test_names_over_the_cap_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entity keeps at most the capped number of names and reports the rest."""
    monkeypatch.setattr(builder_module, "MAX_NAMES_PER_ENTITY", 3)
    names = [RawName("alias", f"n{at}", Origin("f", 1, "aliases")) for at in range(4)]
    counts = build(draft("a", "primary", names=names)).counts

    assert {"tooManyNames": 2} == counts.rejected
    assert 3 == counts.most_names


def test_a_name_filed_twice_keeps_the_stronger_kind() -> None:
    """A name that is both weak and plain alias is an alias."""
    names = [RawName("weak", "B", Origin("f", 1, "w")), RawName("alias", "B", Origin("f", 1, "a"))]
    records = build(draft("a", "A", names=names))

    assert ["primary", "alias"] == records.names["name_kind"]
    assert {"duplicateName": 1} == records.counts.rejected


def test_tables_are_sorted_by_key_with_fixed_schemas() -> None:
    """Whatever the order of the records, tables come sorted, with text and integer columns only."""
    tables = build(draft("b", "B"), draft("a", "A", 2), draft("B", "C", 3)).to_arrow()

    assert ["src:B", "src:a", "src:b"] == tables["registry"]["entity_id"].to_pylist()
    assert list(base.SCHEMAS) == list(tables)
    for name, table in tables.items():
        assert base.arrow_schema(name) == table.schema
        assert {pa.string(), pa.int64()} >= set(table.schema.types)


def test_conflicting_ids_list_the_first_ten() -> None:
    """The error counts all conflicting ids and names ten of them in order of appearance."""
    drafts = [draft(f"id{at:02}", name, row) for row, (at, name) in enumerate((a, n) for n in "AB" for a in range(12))]

    with pytest.raises(DuplicateEntityError) as caught:
        build(*drafts)
    assert "12 ids" in caught.value.message
    assert caught.value.message.endswith("id00, id01, id02, id03, id04, id05, id06, id07, id08, id09")
    assert "negative" == caught.value.kind.value


def test_a_lost_record_is_found() -> None:
    """A reader that saw more records than it handed over is stopped."""
    builder = Builder("src", lambda _: None)
    builder.saw("f", 2)
    builder.add(draft("a", "A"))

    with pytest.raises(UnaccountedRecordsError, match="2 records, 1 used, 0 rejected"):
        builder.finish()


def test_a_country_answer_that_is_no_code_is_unknown() -> None:
    """Only two capital letters are taken from the country function; the rest counts as unknown."""
    builder = Builder("src", {"A": "AA", "B": "bb", "C": "CCC"}.get)
    codes = [builder.country(word) for word in ("A", "B", "C", "D", "D", "", None)]
    builder.saw("f", 1)
    builder.add(draft("a", "A"))

    assert ["AA", None, None, None, None, None, None] == codes
    assert {"B": 1, "C": 1, "D": 2} == builder.finish().counts.unknown_countries


def test_joined_values_are_distinct_sorted_and_safe() -> None:
    """A separator inside a value becomes a comma."""
    assert "a,b;c" == joined(["c", "a;b", "c", ""])
    assert joined([""]) is None


def test_record_hash_ignores_member_order_and_sees_content() -> None:
    """The hash is over canonical JSON."""
    assert record_hash({"a": 1, "b": "é"}) == record_hash({"b": "é", "a": 1})
    assert record_hash(["1"]) != record_hash([1])
    assert blake3(b'{"a":1}').hexdigest() == record_hash({"a": 1})


@pytest.mark.parametrize("source", ["", "a:b", "A", "a b", "-a", "a" * 65])
def test_a_source_name_must_be_plain(source: str) -> None:
    """A source stands before a colon in every entity id, so its letters are limited."""
    with pytest.raises(BadSourceError):
        Builder(source, lambda _: None)


def test_readers_are_found_by_format_with_a_suggestion() -> None:
    """Each reader answers to its own format, and a misspelled one is suggested."""
    assert sorted(readers()) == list(readers())
    assert {"bis-entity-json", "entities-csv", "ofac-sdn-csv", "un-xml"} <= readers().keys()
    for name, reader in readers().items():
        assert reader is reader_for(name)
        assert name == reader.format
    with pytest.raises(UnknownRegistryFormatError) as caught:
        reader_for("ofac-csv")
    assert "did you mean 'ofac-sdn-csv'?" == caught.value.hint


def test_only_regular_files_under_the_cap_are_read(tmp_path: Path) -> None:
    """A folder, a missing file and a file over the cap are typed errors; at the cap it is read."""
    path = tmp_path / "f"
    path.write_bytes(b"12345")

    assert b"12345" == read_bytes(path, cap=5)
    for bad, cap in ((path, 4), (tmp_path, 5), (tmp_path / "none", 5), (Path("a\x00b"), 5)):
        with pytest.raises(RegistryFileError):
            read_bytes(bad, cap=cap)


def test_legacy_bytes_fall_through_to_the_encoding_that_fits() -> None:
    """UTF-8 first, then cp1252; a byte that is a letter in neither is refused by latin-1 as a control."""
    assert ("é", "utf-8") == decode("\ufeffé".encode(), "f", ("utf-8", "cp1252", "latin-1"))
    assert ("é…", "cp1252") == decode(b"\xe9\x85", "f", ("utf-8", "cp1252", "latin-1"))
    with pytest.raises(OmphalosError, match="f line 2"):
        decode(b"a\n\x81", "f", ("utf-8", "cp1252", "latin-1"))
