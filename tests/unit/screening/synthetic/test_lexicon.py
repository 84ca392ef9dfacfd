"""The word parts: what the truth of the planted matches rests on."""

import itertools
import tomllib
import unicodedata
from importlib import resources

import pytest

from omphalos.screening.synthetic.lexicon import SECTORS, TAIL_GROUPS, goods, lexicon

PACKAGE = resources.files("omphalos.screening.synthetic")


def tails(kind: str) -> set[str]:
    """Return every tail, in both scripts, of listed or of free names."""
    pool = lexicon().pools["tail"]
    texts = pool.texts.to_pylist()
    found = set()
    for group in TAIL_GROUPS:
        if group.endswith(kind):
            for start, count in zip(pool.start[group].tolist(), pool.count[group].tolist(), strict=True):
                for at in range(start, start + count):
                    found |= {texts[at].casefold(), texts[at + pool.half].casefold()}
    return found


def test_listed_and_free_tails_cannot_be_confused() -> None:
    """No tail of a listed name is the end of a tail of a free one, nor the other way round, in any script."""
    clashes = [
        (one, other)
        for one, other in itertools.product(sorted(tails("listed")), sorted(tails("free")))
        if one.endswith(other) or other.endswith(one)
    ]

    assert clashes == []


@pytest.mark.parametrize("name", ["lexicon.toml", "goods.toml"])
def test_data_files_are_nfc(name: str) -> None:
    """The data files are UTF-8 in NFC, so everything joined from them is."""
    assert unicodedata.is_normalized("NFC", PACKAGE.joinpath(name).read_text(encoding="utf-8"))


def test_goods_follow_the_sectors() -> None:
    """Every sector has the same number of goods, with six-digit codes out of chapters that exist."""
    wares = goods()

    assert len(wares.hs6) == SECTORS * wares.per_sector
    assert all(len(code) == 6 and code.isdigit() for code in wares.hs6)
    assert all(1 <= int(code[:2]) <= 97 and code[:2] != "77" for code in wares.hs6)
    assert len(set(wares.hs6)) == len(wares.hs6)


def test_regions_are_complete() -> None:
    """Every region names its activities for all sectors, trading and logistics, and its countries are known."""
    document = tomllib.loads(PACKAGE.joinpath("lexicon.toml").read_text(encoding="utf-8"))

    for region in document["region"]:
        assert len(region["activity"]) == SECTORS + 2
        assert all(len(form) == 4 for form in region["forms"])
        assert len(region["end"].split()) % 2 == 0
        assert len(region["family"].split()) % 2 == 0
        assert set(region["countries"].split()) <= set(document["countries"])


def test_scripts() -> None:
    """Names come in Latin, Cyrillic, Greek, Arabic, Chinese and Korean letters."""
    texts = "".join(lexicon().pools["first"].texts.to_pylist())
    scripts = {unicodedata.name(letter).split()[0] for letter in texts}

    assert {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "CJK", "HANGUL"} == scripts
