"""Country words to codes."""

import tomllib
from importlib.resources import files

import pytest

from omphalos.screening.normalize.countries import COUNTRY_CODES, country_code

DATA = tomllib.loads(files("omphalos.screening.normalize").joinpath("countries.toml").read_text(encoding="utf-8"))


def test_every_code_and_spelling_of_the_table_resolves_to_its_line() -> None:
    """Alpha-2, alpha-3, numeric codes and all written spellings lead to their own country."""
    for code, spellings in (DATA["countries"] | DATA["extensions"]).items():
        for spelling in (code, *filter(None, spellings)):
            assert country_code(spelling) == code, spelling
            assert country_code(f"  {spelling.lower()} ") == code, spelling
    assert len(DATA["countries"]) == 249
    assert set(COUNTRY_CODES) == {*DATA["countries"], "XK", "EU"}


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("KOREA, REPUBLIC OF", "KR"),
        ("Korea, North", "KP"),
        ("Korea, Democratic People's Republic of", "KP"),
        ("TANZANIA, UNITED REPUBLIC OF", "TZ"),
        ("IRAN, ISLAMIC REPUBLIC OF", "IR"),
        ("Iran (Islamic Republic of)", "IR"),
        ("COTE D`IVOIRE", "CI"),
        ("CÔTE D’IVOIRE", "CI"),
        ("CONGO, THE DEMOCRATIC REPUBLIC OF THE", "CD"),
        ("Congo, Republic of the", "CG"),
        ("MACEDONIA, THE FORMER YUGOSLAV REPUBLIC OF", "MK"),
        ("TAIWAN, PROVINCE OF CHINA", "TW"),
        ("China, Hong Kong Special Administrative Region", "HK"),
        ("Hong Kong (China)", "HK"),
        ("China (Taiwan)", "TW"),
        ("Turkey (Turkiye)", "TR"),
        ("VN, VIET NAM", "VN"),
        ("St. Kitts & Nevis", "KN"),
        ("Virgin Islands, British", "VG"),
        ("Man, Isle of", "IM"),
        ("U.S.A.", "US"),
        ("Burma", "MM"),
        ("Palestinian", "PS"),
        ("Kosovo", "XK"),
        ("EUROPEAN UNION", "EU"),
        ("UK", "GB"),
        ("КАЗАХСТАН", "KZ"),
        ("中国", "CN"),
        ("加纳", "GH"),
        ("加拿大", "CA"),
        ("République du Zimbabwe", "ZW"),
        ("Region: Gaza", "PS"),
    ],
)
def test_spellings_of_customs_and_lists(word: str, code: str) -> None:
    """Inverted, accented, abbreviated and foreign spellings resolve."""
    assert country_code(word) == code


@pytest.mark.parametrize(
    "word",
    ["", "  ", "Soviet Union", "Netherlands Antilles", "Virgin Islands", "Republic of China",
     "République de Chine", "China (Mongolia)", "ZZ",
     "YU", "VN, CHINA", "Atlantis", "4", "999", "CHN2", "China Trading", "China" + " " * 300 + "x", "\ud800", "()"],
)  # fmt: skip
def test_what_names_no_single_country_resolves_to_none(word: str) -> None:
    """Dissolved states, contradictions and unknown words are never guessed."""
    assert country_code(word) is None
