"""Legal forms that were misspelt or written together with the name."""

import pytest

from omphalos.screening.normalize.legal_forms import name_forms
from omphalos.screening.normalize.misspelt import set_right


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("ZARVAND LIITED", "ZARVAND LTD"),
        ("ZARVAND L1MITED", "ZARVAND LTD"),
        ("ZARVAND OCMPANY", "ZARVAND CO"),
        ("ZARVAND LIMITED LIABILITI COMPANI", "ZARVAND LLC"),
        ("J STOCK COMPANY ZARVAND", "JSC ZARVAND"),
        ("JOIT STOCK COMPANY ZARVAND", "JSC ZARVAND"),
        ("JOINT S COMPANY ZARVAND", "JSC ZARVAND"),
        ("ZARVANDLLC", "ZARVAND LLC"),
        ("ZARVANDCOMPANY", "ZARVAND CO"),
        ("OOOZARVAND", "OOO ZARVAND"),
    ],
)
def test_a_misspelt_or_glued_form_is_the_form(name: str, full: str) -> None:
    """One wrong letter in a long word of a legal form, or a missing space before it, does not hide the form."""
    assert name_forms(name).full == full
    assert name_forms(name_forms(name).full).full == full


@pytest.mark.parametrize(
    "name",
    [
        "UNLIMITED SKY",
        "INCORPORATION ZARVAND",
        "POINT STOCK",
        "COMPANIES HOUSE",
        "LIMITER WORKS",
        "OOO",
        "LLC",
        "PVTLTD",
    ],
)
def test_other_words_stay(name: str) -> None:
    """Words of their own, and forms by themselves, are left alone."""
    assert set_right(name.split(" ")) == name.split(" ")


def test_two_wrong_letters_are_another_word() -> None:
    """Only one letter is set right."""
    assert set_right(["LIMMITTED", "CMOPNAY"]) == ["LIMMITTED", "CMOPNAY"]
