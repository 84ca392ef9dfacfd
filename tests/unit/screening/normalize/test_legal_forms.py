"""Legal forms: found, made canonical, told apart from the name."""

import pytest

from omphalos.screening.normalize.legal_forms import LEGAL_FORM_TOKENS, NameForms, name_forms
from omphalos.screening.normalize.text import fold


@pytest.mark.parametrize(
    ("name", "full", "core", "forms"),
    [
        ("Acme Limited", "ACME LTD", "ACME", "LTD"),
        ("ACME L.T.D.", "ACME LTD", "ACME", "LTD"),
        ("Acme Private Limited", "ACME PVT LTD", "ACME", "LTD PVT"),
        ("Acme (Pvt.) Ltd.", "ACME PVT LTD", "ACME", "LTD PVT"),
        ("Acme Co., Ltd.", "ACME CO LTD", "ACME", "CO LTD"),
        ("Acme & Co., Ltd", "ACME CO LTD", "ACME", "CO LTD"),
        ("Acme GmbH & Co. KG", "ACME GMBH CO KG", "ACME", "CO GMBH KG"),
        ("Acme Ges.m.b.H.", "ACME GMBH", "ACME", "GMBH"),
        ("Acme S.p.A.", "ACME SPA", "ACME", "SPA"),
        ("ACME S R L", "ACME SRL", "ACME", "SRL"),
        ("Acme S.A. de C.V.", "ACME SADECV", "ACME", "SADECV"),
        ("Acme Sp. z o.o.", "ACME SPZOO", "ACME", "SPZOO"),
        ("ACME SP Z O O 26 300 OPOCZNO", "ACME SPZOO 26 300 OPOCZNO", "ACME", "SPZOO"),
        ("Acme d.o.o. Beograd", "ACME DOO BEOGRAD", "ACME BEOGRAD", "DOO"),
        ("Acme A/S", "ACME AS", "ACME", "AS"),
        ("Acme A.Ş.", "ACME AS", "ACME", "AS"),
        ("Acme Ltd. Şti.", "ACME LTDSTI", "ACME", "LTDSTI"),
        ("Acme Sdn. Bhd.", "ACME SDN BHD", "ACME", "BHD SDN"),
        ("PT Acme Tbk", "PT ACME TBK", "ACME", "PT TBK"),
        ("Acme Pte Ltd", "ACME PTE LTD", "ACME", "LTD PTE"),
        ("Acme (Pty) Ltd", "ACME PTY LTD", "ACME", "LTD PTY"),
        ("ООО «Ромашка»", "OOO ROMASHKA", "ROMASHKA", "OOO"),
        ("Общество с ограниченной ответственностью Ромашка", "OOO ROMASHKA", "ROMASHKA", "OOO"),
        ("OBSHCHESTVO S OGRANICHENNOI OTVETSTVENNOSTYU ROMASHKA", "OOO ROMASHKA", "ROMASHKA", "OOO"),
        ("Публичное акционерное общество Ромашка", "PAO ROMASHKA", "ROMASHKA", "PAO"),
        ("ТОО Ромашка", "TOO ROMASHKA", "ROMASHKA", "TOO"),
        ("Open Joint Stock Company Romashka", "OJSC ROMASHKA", "ROMASHKA", "OJSC"),
        ("四川火箭有限公司", "SI CHUAN HUO JIAN CO LTD", "SICHUAN ROCKET", "CO LTD"),
        ("株式会社山田", "KK SHAN TIAN", "YAMADA", "KK"),
        ("가나다주식회사", "GANADA CO LTD", "GANADA", "CO LTD"),
        ("㈜가나다", "CO LTD GANADA", "GANADA", "CO LTD"),
        ("شركة البرق ذ.م.م", "CO AL BRQ LLC", "AL BRQ", "CO LLC"),
        ("Acme FZ-LLC", "ACME FZLLC", "ACME", "FZLLC"),
        ("Acme FZCO", "ACME FZCO", "ACME", "FZCO"),
        ("Acme Ltda.", "ACME LTDA", "ACME", "LTDA"),
        ("Acme E.I.R.L.", "ACME EIRL", "ACME", "EIRL"),
        ("Acme Oyj", "ACME OYJ", "ACME", "OYJ"),
        ("Acme", "ACME", "ACME", ""),
    ],
)
def test_forms_across_jurisdictions(name: str, full: str, core: str, forms: str) -> None:
    """A form in any spelling becomes its canonical token in the full form and leaves the core."""
    found = name_forms(name)
    assert (found.full, found.core, found.legal_forms) == (full, core, forms)


@pytest.mark.parametrize(
    "name",
    [
        "AS ABOVE TILES",
        "SE KYUNG METAL",
        "AB OVO FOODS",
        "SA RA WEAVING",
        "COMPANY OF WOLVES THEATRE",
        "SPA RESORTS UNITED",
    ],
)
def test_short_forms_count_only_where_they_may_stand(name: str) -> None:
    """A word that is a form at the end of a name is a word elsewhere in it."""
    if name.startswith("AS"):  # AS stands first in Baltic names: it is taken for a form there
        assert name_forms(name).core == "ABOVE TILES"
    else:
        assert name_forms(name) == NameForms(name, name, "", "Latn", 0)


@pytest.mark.parametrize(
    ("name", "low"),
    [
        ("Joint Stock Company", 1),
        ("Import Export Ltd", 1),
        ("General Trading LLC", 1),
        ("TO THE ORDER", 1),
        ("Same as consignee", 1),
        ("N/A", 1),
        ("AB Ltd", 1),
        ("XQ Ltd", 1),
        ("XQZ Ltd", 0),
        ("12345", 1),
        ("", 1),
        ("🚀🚀", 1),
        ("!!!", 1),
        ("Zephyr Trading LLC", 0),
        ("ABC", 0),
    ],
)
def test_low_information(name: str, low: int) -> None:
    """Names of nothing but legal forms, trade words, placeholders or two characters say too little."""
    assert name_forms(name).low_information == low


def test_a_name_of_only_forms_keeps_them_as_its_core() -> None:
    """The core is empty only where the whole name folds to nothing."""
    assert name_forms("Company Limited") == NameForms("CO LTD", "CO LTD", "CO LTD", "Latn", 1)
    assert name_forms("...") == NameForms("", "", "", "Zyyy", 1)


@pytest.mark.parametrize(
    ("name", "core"),
    [
        ("Zephyr Ltd c/o Falcon Freight, Dubai", "ZEPHYR"),
        ("Zephyr Ltd on behalf of Falcon", "ZEPHYR"),
        ("Zephyr O/B OF Falcon", "ZEPHYR"),
        ("ZEPHYR C O FALCON", "ZEPHYR C O FALCON"),
        ("c/o Falcon", "C O FALCON"),
    ],
)
def test_what_follows_care_of_leaves_the_core_only(name: str, core: str) -> None:
    """The core ends before a written "c/o"; the full form keeps the other party, so that it is still shown."""
    found = name_forms(name)
    assert found.core == core
    assert "FALCON" in found.full


@pytest.mark.parametrize("name", ["X" * 40_000, "LTD " * 10_000, "中" * 40_000, "\u202eABC", "'" * 40_000])
def test_forms_are_bounded(name: str) -> None:
    """A name of any length has forms of at most 2,000 characters."""
    found = name_forms(name)
    assert len(found.full) <= 2000
    assert len(found.core) <= 2000


def test_canonical_tokens_are_folded_words() -> None:
    """Each canonical token is one folded word, and a name that already uses it keeps it."""
    for token in LEGAL_FORM_TOKENS:
        assert fold(token) == token
        assert " " not in token
        found = (
            name_forms(f"Zephyr {token}")
            if name_forms(f"Zephyr {token}").legal_forms
            else name_forms(f"{token} Zephyr")
        )
        assert token in found.full.split()
        assert found.core == "ZEPHYR"
