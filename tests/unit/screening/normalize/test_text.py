"""Text as kept and text as compared."""

import pytest

from omphalos.screening.normalize.text import MAX_NAME_CHARACTERS, clean_text, fold, script_of


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Acme Ltd", "Acme Ltd"),
        ("  Acme \t Ltd\r\n", "Acme Ltd"),
        ("A\x00B\x1fC\x7fD\x9fE", "A B C D E"),
        ("Cafe\u0301\u00a0\u2003Noir\u2028SA", "Café Noir SA"),
        ("\ud800x", "\ufffdx"),
        ("\u202eABC", "\u202eABC"),
        ("", ""),
        (" \x00 ", ""),
    ],
)
def test_clean_text_changes_form_and_nothing_else(raw: str, clean: str) -> None:
    """Controls and white space collapse to single spaces, letters become NFC, everything else stays as filed."""
    assert clean_text(raw) == clean


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        ("Łódź Æther ß ø Ñandú İı", "LODZ AETHER SS O NANDU II"),
        ("O'Brien, O’Brien & O`Brien", "OBRIEN OBRIEN AND OBRIEN"),
        ("S.A. DE C.V.", "SA DE CV"),
        ("Sp. z o.o.", "SP Z OO"),
        ("St.Petersburg 3.5", "ST PETERSBURG 3 5"),
        ("A.B.C.Trading", "ABC TRADING"),
        ("Smith &amp; Sons", "SMITH AND SONS"),
        ("Юрий Щукин", "YURIY SHCHUKIN"),
        ("华为技术", "HUA WEI JI SHU"),
        ("トヨタ自動車", "TOYOTA ZI DONG CHE"),
        ("ソニー", "SONI"),
        ("삼성전자", "SAMSEONGJEONJA"),
        ("شركة النفط", "SHRKA AL NFT"),
        ("Ελληνικά Πετρέλαια", "ELLINIKA PETRELAIA"),
        ("Ａｃｍｅ　ＣＯ", "ACME CO"),
        ("AC\u200bME", "ACME"),
        ("🚀 ★ ...", ""),
        ("٣٤ ⅷ", "34 VIII"),
    ],
)
def test_fold_gives_ascii_words(raw: str, folded: str) -> None:
    """Every script and mark folds to the upper-case ASCII words documented for it."""
    assert fold(raw) == folded


@pytest.mark.parametrize(
    ("mixed", "plain"),
    [
        ("\u041duawei", "HUAWEI"),  # Cyrillic first letter
        ("L\u0422D", "LTD"),
        ("\u0391CME", "ACME"),  # Greek first letter
        ("MOЛДАВИЯ", "MOLDAVIYA"),  # Latin M and O in a Cyrillic word
        ("ROCKET \u0420\u041e\u0421\u0421\u0418\u042f", "ROCKET ROSSIYA"),
    ],
)
def test_lookalike_letters_of_another_script_do_not_hide_a_name(mixed: str, plain: str) -> None:
    """A word written in two scripts is read in one; a word in a single script is left alone."""
    assert fold(mixed) == plain


@pytest.mark.parametrize(
    "text", ["A" * 40_000, "中" * 40_000, "\ufdfa" * 40_000, "A." * 20_000, ". " * 20_000, "'" * 9]
)
def test_fold_is_bounded(text: str) -> None:
    """However long the input, the folded form has at most 2,000 characters and no space at its end."""
    folded = fold(text)
    assert len(folded) <= MAX_NAME_CHARACTERS
    assert folded == folded.strip()


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Acme", "Latn"),
        ("123 -", "Zyyy"),
        ("", "Zyyy"),
        ("ООО Acme Ромашка", "Cyrl"),
        ("华为", "Hani"),
        ("トヨタ自動車", "Jpan"),
        ("삼성", "Kore"),
        ("شركة", "Arab"),
        ("Δ", "Grek"),
        ("שלום", "Hebr"),
        ("ab дж", "Cyrl"),  # equal counts: alphabetical
        ("ᚠᚢ", "Zzzz"),
    ],
)
def test_script_of_names_the_script_of_most_letters(text: str, script: str) -> None:
    """The dominant script is an ISO 15924 code, and ties have one answer."""
    assert script_of(text) == script
