"""The three files: same bytes anywhere, true truth, known defects."""

import csv
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import blake3
import pytest

from omphalos.screening.synthetic import SyntheticFiles, SyntheticParams, defects, generate
from omphalos.screening.synthetic.entities import HEADER
from omphalos.screening.synthetic.feed import COLUMNS, ROLES
from omphalos.screening.synthetic.generate import SyntheticParamsError
from omphalos.screening.synthetic.lexicon import lexicon
from omphalos.screening.synthetic.variations import VARIATIONS

SMALL = SyntheticParams(seed=1, shipments=500, entities=100)
MIDDLE = SyntheticParams(seed=9, shipments=12_000, entities=600)

# Changing these is changing every recorded run of the reference job: do it knowingly.
PINNED = {
    "feed": "3d389f2da1ad30a77371bda48a46c5060e5846fd3f1764fd4b67ee7417f83303",
    "registry": "faacc6df9fc1c49eadd663eefa8a9518c845ed4fdf5fa50fc7dc2f6ffaca7903",
    "truth": "f8f7080d5f02a8d0d928110e22204ba2ec422b901583c50571099c0281d713da",
}

Row = dict[str, str]


def read(path: Path) -> list[Row]:
    """Return the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def digests(files: SyntheticFiles) -> dict[str, str]:
    """Return the BLAKE3 digests of the three files."""
    return {
        name: blake3.blake3(getattr(files, name).read_bytes()).hexdigest() for name in ("feed", "registry", "truth")
    }


@pytest.fixture(scope="module")
def middle(tmp_path_factory: pytest.TempPathFactory) -> SyntheticFiles:
    """Return the files of a job large enough for shares to show."""
    return generate(MIDDLE, tmp_path_factory.mktemp("middle"))


@pytest.fixture(scope="module")
def feed(middle: SyntheticFiles) -> list[Row]:
    """Return the rows of the feed."""
    return read(middle.feed)


@pytest.fixture(scope="module")
def registry(middle: SyntheticFiles) -> dict[str, Row]:
    """Return the rows of the registry by entity id."""
    return {row["entity_id"]: row for row in read(middle.registry)}


@pytest.fixture(scope="module")
def truth(middle: SyntheticFiles) -> list[Row]:
    """Return the rows of the truth."""
    return read(middle.truth)


def listed_names(row: Row) -> list[str]:
    """Return primary name and aliases of an entity."""
    return [row["name"], *filter(None, row["aliases"].split("|"))]


def words_of(text: str) -> list[str]:
    """Return the words of a name, sorted."""
    return sorted(re.findall(r"\w+", text))


def letters_of(text: str) -> str:
    """Return the letters and digits of a name in order, without case."""
    return "".join(re.findall(r"\w+", text)).casefold()


def is_latin(text: str) -> bool:
    """Return whether every letter is plain Latin, with or without marks (Vietnamese counts by its base letters)."""
    return all(
        letter in {"đ", "Đ"} or letter.isascii() for letter in unicodedata.normalize("NFKD", text) if letter.isalpha()
    )


def test_small_job_is_pinned(tmp_path: Path) -> None:
    """The files of the reference job have the digests recorded here."""
    assert digests(generate(SMALL, tmp_path)) == PINNED


CHILD = """
import sys
from pathlib import Path
from omphalos.screening.synthetic import SyntheticParams, generate
generate(SyntheticParams(seed=1, shipments=500, entities=100), Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    "changed",
    [
        {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "99", "TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8", "OMP_NUM_THREADS": "1"},
    ],
)
def test_same_bytes_in_another_process(tmp_path: Path, changed: dict[str, str]) -> None:
    """Hash seed, time zone, locale and thread count change no byte."""
    subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], check=True, env={**os.environ, **changed})

    files = SyntheticFiles(tmp_path / "feed.csv", tmp_path / "registry.csv", tmp_path / "truth.csv")
    assert digests(files) == PINNED


def test_chunking_changes_no_byte(tmp_path: Path) -> None:
    """Making the feed seven rows at a time gives the same files."""
    assert digests(generate(SMALL, tmp_path, chunk=7)) == PINNED


def test_a_bigger_feed_extends_a_smaller_one(tmp_path: Path) -> None:
    """Feed and truth of more shipments begin with those of fewer."""
    small = generate(SMALL, tmp_path / "small")
    large = generate(SyntheticParams(1, 1777, 100), tmp_path / "large")

    assert large.feed.read_bytes().startswith(small.feed.read_bytes())
    assert large.truth.read_bytes().startswith(small.truth.read_bytes())
    assert large.registry.read_bytes() == small.registry.read_bytes()


def test_a_bigger_registry_extends_a_smaller_one(tmp_path: Path) -> None:
    """The registry of more entities begins with that of fewer, redrawn names included."""
    small = generate(SyntheticParams(1, 0, 2000), tmp_path / "small")
    large = generate(SyntheticParams(1, 0, 9000), tmp_path / "large")

    assert large.registry.read_bytes().startswith(small.registry.read_bytes())


def test_another_seed_gives_other_files(tmp_path: Path) -> None:
    """Every file follows the seed."""
    one = digests(generate(SyntheticParams(1, 300, 40), tmp_path / "1"))
    two = digests(generate(SyntheticParams(2, 300, 40), tmp_path / "2"))

    assert all(one[name] != two[name] for name in one)


def test_form_of_the_files(middle: SyntheticFiles) -> None:
    """The files are UTF-8 in NFC with line feeds, no control characters, and the declared headers."""
    for path, header in (
        (middle.feed, COLUMNS),
        (middle.registry, HEADER),
        (middle.truth, ("declaration_id", "role", "entity_id", "variation")),
    ):
        text = path.read_bytes().decode("utf-8")
        assert text.startswith(",".join(header) + "\n")
        assert text.endswith("\n")
        assert unicodedata.is_normalized("NFC", text)
        assert not {letter for letter in text if unicodedata.category(letter) == "Cc"} - {"\n"}


def test_quotes_only_where_needed(middle: SyntheticFiles) -> None:
    """Writing the parsed cells again with the standard library's minimal quoting gives the same bytes."""
    for path in (middle.feed, middle.registry, middle.truth):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, strict=True))
        again = path.with_suffix(".again")
        with again.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

        assert path.read_bytes() == again.read_bytes()


def test_no_cell_begins_like_a_formula(middle: SyntheticFiles) -> None:
    """No cell begins with =, +, - or @, but for the negative values, which are the defect itself."""
    negative = {f"D{defect.source_row:010d}" for defect in defects(MIDDLE) if defect.kind == "NEGATIVE_VALUE"}
    for path in (middle.feed, middle.registry, middle.truth):
        for row in read(path):
            for column, cell in row.items():
                if column == "value" and row["declaration_id"] in negative:
                    assert cell.startswith("-")
                else:
                    assert cell[:1] not in {"=", "+", "-", "@"}
                assert cell == " ".join(cell.split())


def test_truth_points_at_what_exists(feed: list[Row], registry: dict[str, Row], truth: list[Row]) -> None:
    """Every truth row names one declaration that occurs once, a role filled there, and a listed entity."""
    ids = [row["declaration_id"] for row in feed]
    by_id = {row["declaration_id"]: row for row in feed}
    for row in truth:
        assert ids.count(row["declaration_id"]) == 1
        assert row["role"] in ROLES
        assert by_id[row["declaration_id"]][row["role"]]
        assert registry[row["entity_id"]]["entity_type"] in {"organization", "person"}
    planted = [row["declaration_id"] for row in truth]
    assert planted == sorted(set(planted))


def test_share_and_classes_of_planted_matches(truth: list[Row]) -> None:
    """One shipment in fifty carries a match, and the eight classes are equally frequent."""
    counts = {variation: sum(row["variation"] == variation for row in truth) for variation in VARIATIONS}

    assert len(truth) == MIDDLE.shipments // 50
    assert set(counts.values()) == {30}


def test_planted_names_are_what_their_class_says(feed: list[Row], registry: dict[str, Row], truth: list[Row]) -> None:
    """EXACT is the primary name, ALIAS another listed name, and every other class a name that is not listed."""
    by_id = {row["declaration_id"]: row for row in feed}
    for row in truth:
        filed, names = by_id[row["declaration_id"]][row["role"]], listed_names(registry[row["entity_id"]])
        if row["variation"] == "EXACT":
            assert filed == names[0]
        elif row["variation"] == "ALIAS":
            assert filed in names[1:]
        else:
            assert filed not in names
        if row["variation"] == "TOKEN_REORDER":
            assert words_of(filed.upper()) == words_of(names[0].upper())
        if row["variation"] == "JOINED_TOKENS":
            assert letters_of(filed) == letters_of(names[0])
            assert len(words_of(filed)) < len(words_of(names[0]))
        if row["variation"] == "EXTRA_TOKENS":
            assert not set(words_of(names[0])) - set(words_of(filed))
            assert len(words_of(filed)) > len(words_of(names[0]))
        if row["variation"] == "TYPO":
            assert abs(len(filed) - len(names[0])) <= 1
            assert len(set(words_of(names[0])) - set(words_of(filed))) == 1
        if row["variation"] == "TRANSLIT":
            # Vietnamese and its plain Latin writing are one script.
            assert is_latin(filed) != is_latin(names[0]) or registry[row["entity_id"]]["country"] == "VN"


def test_unplanted_parties_bear_no_listed_name(feed: list[Row], registry: dict[str, Row], truth: list[Row]) -> None:
    """No party outside the truth has a listed name, or contains a listed distinctive word: the truth is complete."""
    planted = {(row["declaration_id"], row["role"]) for row in truth}
    listed = {name.casefold() for row in registry.values() for name in [*listed_names(row), row["weak_aliases"]]}
    words = {word for name in listed for word in words_of(name) if len(word) > 9}
    parties = {row[role].casefold() for row in feed for role in ROLES if (row["declaration_id"], role) not in planted}
    generic = {
        word
        for place in ("front", "activity", "back")
        for text in lexicon().pools[place].texts.to_pylist()
        for word in words_of(text.casefold())
    }
    free = {word for party in parties for word in words_of(party)} - generic

    assert parties & listed == {""}
    assert free & words - generic == set()


def test_no_two_entities_share_a_name(registry: dict[str, Row]) -> None:
    """Every primary name and alias belongs to one entity, so a planted match has one right answer."""
    names = [name.casefold() for row in registry.values() for name in listed_names(row)]

    assert len(names) == len(set(names))


def test_defects_are_where_they_are_said_to_be(feed: list[Row], truth: list[Row]) -> None:
    """One row in a hundred is defective in the way declared, no other row is, and none of them is planted."""
    known = {defect.source_row: defect.kind for defect in defects(MIDDLE)}
    countries = {*lexicon().country_codes, *lexicon().country_words}
    found = {}
    seen = set()
    for number, row in enumerate(feed, 1):
        if row["declaration_id"] in seen:
            found[number] = "DUPLICATE_ID"
        seen.add(row["declaration_id"])
        if row["value"].startswith("-"):
            found[number] = "NEGATIVE_VALUE"
        if row["hs_code"][:2] in {"00", "77"}:
            found[number] = "BAD_HS_CHAPTER"
        if not {row[name] for name in ("exporter_country", "importer_country", "destination")} <= countries:
            found[number] = "UNKNOWN_COUNTRY"
        if not ("2023-01" <= row["date"] <= "2024-06-30" and row["date"] != "2023-02-30"):
            found[number] = "BAD_DATE"
    planted = {row["declaration_id"] for row in truth}

    assert known == found
    assert len(known) == MIDDLE.shipments // 100
    assert all(sum(kind == other for other in known.values()) == 24 for kind in set(known.values()))
    assert not planted & {f"D{number:010d}" for number in known}


def test_mess_and_spread(feed: list[Row]) -> None:
    """Months, dotted codes, country words, four-decimal values, capitals and five or so shipments a party occur."""
    filed = [row[role] for row in feed for role in ROLES if row[role]]

    assert 200 < sum(len(row["date"]) == 7 for row in feed) < 500
    assert sum("." in row["hs_code"] for row in feed) > 3000
    assert {6, 8, 10} <= {len(row["hs_code"].replace(".", "")) for row in feed}
    assert 900 < sum(row["origin"] in lexicon().country_words for row in feed) < 1700
    assert 500 < sum(len(row["value"].partition(".")[2]) == 4 for row in feed) < 1100
    assert all(len(row["value"].partition(".")[2]) in {2, 4} for row in feed)
    assert {"import", "export", "transit", "reexport"} == {row["flow"] for row in feed}
    assert 3.5 < len(filed) / len(set(filed)) < 7
    scripts = {unicodedata.name(name[0]).split()[0] for name in filed}
    assert {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "CJK", "HANGUL"} <= scripts


def test_registry_content(registry: dict[str, Row]) -> None:
    """Organizations, persons and vessels are listed with aliases, weak aliases, identifiers, programs and dates."""
    rows = list(registry.values())

    assert {"organization", "person", "vessel"} == {row["entity_type"] for row in rows}
    assert any(row["weak_aliases"] for row in rows)
    assert any("|" in row["programs"] for row in rows)
    assert all("2014-01-01" <= row["listed_on"] <= "2023-12-31" for row in rows)
    for row in rows:
        if row["entity_type"] == "vessel":
            imo = row["identifiers"].removeprefix("imo:")
            assert sum(int(digit) * weight for digit, weight in zip(imo, range(7, 1, -1), strict=False)) % 10 == int(
                imo[6]
            )
        for identifier in filter(None, row["identifiers"].split("|")):
            assert all(identifier.partition(":"))
    assert any(", " in row["name"] and row["entity_type"] == "person" for row in rows)


def test_nothing_to_plant(tmp_path: Path) -> None:
    """Without entities, or shipments, the files hold only what can be."""
    files = generate(SyntheticParams(3, 200, 0), tmp_path / "a")
    assert len(read(files.feed)) == 200
    assert read(files.registry) == read(files.truth) == []

    files = generate(SyntheticParams(3, 0, 5), tmp_path / "b")
    assert read(files.feed) == read(files.truth) == []
    assert len(read(files.registry)) == 5


@pytest.mark.parametrize("params", [(-1, 1, 1), (1 << 64, 1, 1), (1, -1, 1), (1, 10**9 + 1, 1), (1, 1, 100_001)])
def test_parameters_out_of_range_are_refused(params: tuple[int, int, int]) -> None:
    """A number outside its range is a usage error that names the range."""
    with pytest.raises(SyntheticParamsError, match=r"(seed|shipments|entities) is -?\d+") as caught:
        SyntheticParams(*params)

    assert caught.value.hint.startswith("use 0 to ")
