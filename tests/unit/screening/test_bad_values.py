"""Names, lists and feeds that no reasonable person would write: each has a defined outcome and none stalls the run."""

from pathlib import Path
from typing import Any

import pytest

from omphalos.screening.match.addresses import address_words
from omphalos.screening.match.facts import FactParamsError, load_facts, parse_facts
from omphalos.screening.match.identifiers import identifier_key
from omphalos.screening.match.ownership import links_of
from omphalos.screening.registries.builder import EmptyRegistryError
from tests.unit.screening.test_facts import rows, run_of

PLAIN = [("1", "organization", "Zarvand Petrokimya", "IR", "", "")]
IDENTIFIERS = load_facts().identifiers


def shipment(number: str, name: str) -> tuple[str, ...]:
    """Return a record of the feed with an exporter's name."""
    return (number, name, "", "", "", "", "", "")


def test_an_alias_of_40_000_characters_is_refused_with_a_reason(tmp_path: Path) -> None:
    """The name is in quarantine as too long; the rest of the list is screened."""
    entities = [*PLAIN, ("2", "organization", "A" * 40_000, "", "", "")]

    run = run_of(tmp_path, [shipment("S1", "Zarvand Petrokimya")], entities)

    assert [("l:1",)] == rows(run, "SELECT entity_id FROM {review}")
    assert "nameTooLong" in (run / "quarantine" / "quarantine_registry.csv").read_text(encoding="utf-8")


def test_names_of_nothing_match_nothing(tmp_path: Path) -> None:
    """Punctuation, digits and emoji alone are parties of low information; listed ones do not meet each other."""
    names = ["!!! ---", "12345", "\U0001f6a2\U0001f4a3", "\u202eabc \u0645\u0631\u062d\u0628\u0627 Zarvand\u202c"]
    entities = [*PLAIN, ("2", "organization", "???", "", "", ""), ("3", "organization", "\U0001f4a3", "", "", "")]

    run = run_of(tmp_path, [shipment(f"S{n}", name) for n, name in enumerate(names)], entities)

    assert 4 == len(rows(run, "SELECT * FROM {parties}"))
    assert [] == rows(run, "SELECT party_name FROM {review} WHERE entity_id IN ('l:2', 'l:3')")


def test_three_megabytes_of_a_are_one_rejected_record(tmp_path: Path) -> None:
    """A cell above 4,000 bytes is quarantined with its reason; the record beside it is screened."""
    feed = [shipment(f"S{n:02}", "Zarvand Petrokimya") for n in range(40)] + [shipment("S99", "A" * 3_000_000)]

    run = run_of(tmp_path, feed, PLAIN)

    assert 40 == rows(run, "SELECT count(*) FROM {trade_feed}")[0][0]
    assert "textTooLong" in (run / "quarantine" / "quarantine_feed.csv").read_text(encoding="utf-8")


def test_identical_parties_are_one_party(tmp_path: Path) -> None:
    """However often a party stands in the feed, it is compared once and reviewed once."""
    run = run_of(tmp_path, [shipment(f"S{n}", "Zarvand Petrokimya") for n in range(20_000)], PLAIN)

    assert [(1,)] == rows(run, "SELECT count(*) FROM {parties}")
    assert [("l:1", 20_000)] == rows(run, "SELECT entity_id, shipments FROM {review}")


def test_an_empty_registry_is_an_error_that_says_so(tmp_path: Path) -> None:
    """A list with a header and no entity is refused: a screening against nothing finds nothing."""
    with pytest.raises(EmptyRegistryError, match="l holds no entity"):
        run_of(tmp_path, [shipment("S1", "Zarvand")], [])


def test_an_entity_with_thousands_of_aliases_keeps_the_first_5_000(tmp_path: Path) -> None:
    """All names up to the cap are screened, those above are counted as rejects, and the run ends."""
    aliases = "|".join(f"Zarvand Kalo {n:04}" for n in range(5_003))
    entities = [("1", "organization", "Zarvand Petrokimya", "IR", "", "", aliases)]

    run = run_of(tmp_path, [shipment("S1", "Zarvand Kalo 0007")], entities, head=("aliases",))

    assert [(5_000,)] == rows(run, "SELECT count(*) FROM {registry_names}")
    assert "tooManyNames" in (run / "quarantine" / "quarantine_registry.csv").read_text(encoding="utf-8")
    assert [("Zarvand Kalo 0007",)] == rows(run, "SELECT matched_name FROM {review}")


@pytest.mark.parametrize(
    ("family", "text", "country", "expected"),
    [
        ("tax", "DE 811.907.980", "DE", ("811907980", "")),
        ("tax", "DE 811.907.980", "FR", ("DE811907980", "")),
        ("tax", "0000000", "", ("", "placeholder")),
        ("tax", "123456789", "", ("", "placeholder")),
        ("tax", "N/A", "", ("", "tooShort")),
        ("tax", "unknown", "", ("", "placeholder")),
        ("tax", "see notes", "", ("", "noDigit")),
        ("tax", "9" + "1" * 70, "", ("", "tooLong")),
        ("tax", "\U0001f4a3" * 9, "", ("", "tooShort")),
        ("any", "MELIIRTH", "", ("MELIIRTH", "")),
        ("imo", "IMO No. 9187629", "", ("9187629", "")),
        ("imo", "9187628", "", ("", "badCheckDigit")),
        ("imo", "91876290", "", ("", "notAnImoNumber")),
        ("imo", "9" * 100_000, "", ("", "notAnImoNumber")),
    ],
)
def test_an_identifier_has_one_key_or_one_problem(family: str, text: str, country: str, expected: Any) -> None:
    """What is compared, or why nothing is."""
    found = identifier_key(family, text, country, IDENTIFIERS)

    assert expected == (found.key, found.problem)


def test_an_address_has_a_bounded_number_of_words() -> None:
    """Spellings meet, and an absurd address is cut after 40 words."""
    assert address_words("Rm. 07, 12/F, No 44 Alder Street", 40) == address_words("44 ALDER ST 12 floor ROOM 7", 40)
    assert 40 == len(address_words(" ".join(f"W{chr(65 + n % 26)}{chr(65 + n // 26)}" for n in range(600)), 40))
    assert [] == address_words("\U0001f4a3 ...", 40)


def test_links_end_in_circles_and_stop_at_their_bound() -> None:
    """A circle of owners is walked once, no path is longer than three steps, and none beyond the twentieth is shown."""
    up = {"a": [("owned-by", "b")], "b": [("owned-by", "c")], "c": [("owned-by", "a"), ("owned-by", "d")],
          "d": [("owned-by", "e")]}  # fmt: skip
    names = {key: key.upper() for key in "abcde"}
    bounds = load_facts().ownership

    found = links_of("a", up, {"a": [("owned-by", "c")]}, names, bounds)

    assert [("b", "up", 1), ("c", "up", 2), ("d", "up", 3)] == [row[1:4] for row in found]
    assert "A [a] owned-by B [b] owned-by C [c]" == found[1][5]
    many = {"a": [("owned-by", f"x{n:03}") for n in range(99)]}
    assert 20 == len(links_of("a", {}, many, names, bounds))


def test_a_damaged_data_file_of_facts_is_refused() -> None:
    """A missing section or a number that is none is an error."""
    for text in ("version = 1", "version = [", "version = 'x'"):
        with pytest.raises(FactParamsError):
            parse_facts(text)
