"""Names in other scripts: words of the table in Latin letters, in the core only."""

import pytest

from omphalos.screening.normalize.legal_forms import name_forms
from omphalos.screening.normalize.native import native_words, plain_arabic, spell


@pytest.mark.parametrize(
    ("name", "core"),
    [
        ("四川火箭有限公司", "SICHUAN ROCKET"),
        ("四川火箭科技有限公司", "SICHUAN ROCKET TECHNOLOGY"),
        ("東方電子貿易", "EASTERN ELECTRONICS TRADING"),
        ("新耀进出口", "XINYAO IMPORT EXPORT"),
        ("三菱重工業株式会社", "MITSUBISHI HEAVY INDUSTRIES MHI"),
        ("ミドリ・トレーディング", "MIDORI TRADING"),
        ("대성무역", "DAESEONG TRADING"),
        ("霍尼诺尔公司", "HONINOR"),
        ("维克·斯尔森电子", "WEIKE SRSEN ELECTRONICS"),
        ("莫里亚克贸易", "MORIYAK TRADING"),
        ("محمد رجب", "MUHAMMAD RAJAB"),
        ("عبد الرحمن الليبي", "ABDUL RAHMAN AL LIBI"),
        ("عبدالرحمن", "ABDUL RAHMAN"),
        ("عبد الله", "ABDULLAH"),
        ("شمس الدین", "SHAMS UDDIN"),
        ("نور الله نوری", "NUR ULLAH NURI"),
        ("شبكة البرق", "NETWORK AL BRQ"),
    ],
)
def test_words_of_the_table_stand_in_latin_letters(name: str, core: str) -> None:
    """Translated words, settled names and vocalized words stand in the core; what the table lacks is transliterated."""
    assert name_forms(name).core == core


def test_the_full_form_is_transliterated_only() -> None:
    """Two words of one meaning have different full forms, so that no translation is called exact."""
    one, other = name_forms("四川科技"), name_forms("四川技术")
    assert one.core == other.core == "SICHUAN TECHNOLOGY"
    assert one.full != other.full


def test_letters_that_countries_write_differently_are_one() -> None:
    """Persian and Arabic forms of a letter, hamza seats, marks and the stretching line make no difference."""
    assert plain_arabic("عَلِیّ") == plain_arabic("علي")
    assert name_forms("كـريم").core == name_forms("کریم").core == "KARIM"


def test_an_unknown_run_of_characters_is_one_word_up_to_a_length() -> None:
    """Up to eight unknown Chinese characters are one word, more are syllables."""
    assert name_forms("甲乙丙").core == "JIAYIBING"
    assert len(name_forms("甲乙丙丁戊己庚辛壬").core.split()) == 9


@pytest.mark.parametrize("text", ["", "ABC", "中" * 5000, "\u0600" * 3000, "عبد" * 900, "ال", "第" * 99, "\ud800中"])
def test_any_text_is_spelled(text: str) -> None:
    """Nothing is too odd or too long to be spelled, and Latin text stays as it is."""
    table = native_words(())
    assert isinstance(spell(text, table), str)
    assert spell("Plain Ltd", table) == "Plain Ltd"
    assert len(name_forms(text).core) <= 2000
