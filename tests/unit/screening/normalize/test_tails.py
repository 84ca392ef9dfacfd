"""Tails: what stands behind a name and is no part of it."""

import pytest

from omphalos.screening.normalize.legal_forms import name_forms


@pytest.mark.parametrize(
    ("name", "core", "tail"),
    [
        ("Zephyr Ltd PO Box 12", "ZEPHYR", "PO BOX 12"),
        ("Zephyr Ltd P O BOX 12 DUBAI", "ZEPHYR", "P O BOX 12 DUBAI"),
        ("Zephyr Ltd BP 1203 Algiers", "ZEPHYR", "BP 1203 ALGIERS"),
        ("Zephyr Ltd Tel: +971 4 555 1234", "ZEPHYR", "TEL 971 4 555 1234"),
        ("Zephyr Ltd INN 7701234567", "ZEPHYR", "INN 7701234567"),
        ("Zephyr Ltd VAT No. DE123456789", "ZEPHYR", "VAT NO DE123456789"),
        ("Zephyr Ltd e-mail sales@zephyr.example", "ZEPHYR", "E MAIL SALES ZEPHYR EXAMPLE"),
        ("Zephyr Ltd Plot 12 Sector 5", "ZEPHYR", "PLOT 12 SECTOR 5"),
        ("Zephyr Ltd 3rd Floor Marina Tower", "ZEPHYR", "3RD FLOOR MARINA TOWER"),
        ("Zephyr Ltd No 12 Industrial Road", "ZEPHYR", "NO 12 INDUSTRIAL ROAD"),
        ("Zephyr 14 Baker Street London", "ZEPHYR", "14 BAKER STREET LONDON"),
        ("Zephyr OOO ul. Lenina 5", "ZEPHYR", "UL LENINA 5"),
        ("Zephyr Sp. z o.o. 26-300 Opoczno", "ZEPHYR", "26 300 OPOCZNO"),
        ("Zephyr Ltd c/o Falcon", "ZEPHYR", "C O FALCON"),
        ("Zephyr O/B OF Falcon", "ZEPHYR", "O B OF FALCON"),
    ],
)
def test_what_stands_behind_a_name_is_its_tail(name: str, core: str, tail: str) -> None:
    """Marks with their digits begin a tail, which leaves the core and ends the full form."""
    found = name_forms(name)
    assert (found.core, found.tail) == (core, tail)
    assert found.full.endswith(f" {tail}")


@pytest.mark.parametrize(
    "name",
    [
        "ROAD BLOCK TOOLS",
        "JSC 33 SHIPYARD",
        "PLANT NO 9",
        "RESEARCH INSTITUTE NO 38",
        "TEL AVIV TRADING",
        "TAX FREE 12",
        "BOX FACTORY",
        "STREET WEAR 24",
        "BLOCK CHAIN 3",
        "PLOT 12 SECTOR 5",
        "14 BAKER STREET",
        "BUREAU 39",
    ],
)
def test_a_word_without_its_digits_cuts_nothing(name: str) -> None:
    """Words that are marks elsewhere, numbers that belong to a name, and names that begin with a mark stay whole."""
    assert name_forms(name).tail == ""


def test_a_name_of_which_nothing_would_be_left_has_no_tail() -> None:
    """The rest before a tail must itself say something, or the whole is compared."""
    assert name_forms("General Trading LLC PO Box 7").tail == ""
    assert name_forms("Zephyr General Trading LLC PO Box 7").tail == "PO BOX 7"


def test_legal_forms_before_a_tail_are_found_at_the_end_of_the_name() -> None:
    """A form that counts only at the end of a name counts before a tail."""
    found = name_forms("Bracro S.A. P.O. Box 3329614")
    assert (found.full, found.legal_forms) == ("BRACRO SA PO BOX 3329614", "SA")
