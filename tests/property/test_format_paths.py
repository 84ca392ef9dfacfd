"""Names and sets of names: total, and independent of the order they come in."""

import random
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from omphalos.format.paths import (
    all_plain,
    check_component,
    check_path,
    check_path_bytes,
    check_paths,
    fold,
    safe_name,
)

PIECES = st.sampled_from(
    [
        *(
            "a",
            "A",
            "con",
            "COM1",
            "¹",
            "ß",
            "ss",
            "é",
            "e\u0301",
            ".",
            "..",
            " ",
            "/",
            "\\",
            ":",
            "~1",
            "omphal",
            "x" * 130,
        ),
        *(
            ".omphalos",
            "\u200c",
            "\u202e",
            "\0",
            "\n",
            "\x7f",
            "\ud800",
            "$",
            "nul.",
            "ſ",
            "İ",
            "\u212a",
            "株",
            "\u0316",
        ),
    ]
)
NAMES = st.lists(PIECES, max_size=6).map("".join) | st.text(st.characters(), max_size=30)


@given(NAMES)
@example("~")
@example("~" * 300)
@example("." * 300)
@example("con" + " " * 300 + ".x")
@example("\ud800" * 300)
@example("\u0301" * 300)
@example(".omphalos" + "\u200c" * 300)
def test_a_safe_name_breaks_no_rule(text: str) -> None:
    """Whatever the text, its safe name has no finding as a component and as a path, and is safe already."""
    name = safe_name(text)
    assert check_component(name) == []
    assert check_path(name) == []
    assert safe_name(name) == name
    assert safe_name(text) == name


@given(NAMES)
def test_a_path_under_a_folder_is_judged_like_its_name(name: str) -> None:
    """Behind a folder a name has the findings of its components, and only a first component can be absolute."""
    expected = {finding for part in name.split("/") for finding in check_component(part)}
    found = set(check_path("d/" + name))
    assert {finding.value for finding in found - expected} <= {"pathTooLong", "pathTooDeep"}
    assert expected <= found


@given(st.binary(max_size=40))
def test_bytes_are_judged_like_their_text(data: bytes) -> None:
    """Bytes that are text have the findings of the text, others are not UTF-8."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        assert [finding.value for finding in check_path_bytes(data)] == ["notUtf8"]
    else:
        assert check_path_bytes(data) == check_path(text)


@given(st.lists(st.lists(NAMES, max_size=3).map("/".join), max_size=8), st.randoms(use_true_random=False))
def test_sets_of_paths_are_judged_in_any_order(paths: list[str], choose: random.Random) -> None:
    """Findings about a set do not depend on its order, are sorted, and are valid text."""
    findings = check_paths(paths)
    shuffled = list(paths)
    choose.shuffle(shuffled)
    assert check_paths(shuffled) == findings == sorted(findings)
    for finding in findings:
        finding.path.encode()
        finding.detail.encode()


@given(st.sets(st.lists(st.sampled_from("aAéÉßs"), min_size=1, max_size=3).map("/".join), max_size=8))
def test_a_set_without_findings_is_apart_on_every_system(paths: set[str]) -> None:
    """Where nothing is found, no two paths fold to the same, and none is a folder of another."""
    if check_paths(sorted(paths)):
        return
    folded = [fold(path) for path in paths]
    assert len(set(folded)) == len(paths)
    assert not any(one.startswith(other + "/") for one in folded for other in folded)


@given(st.text(max_size=20))
def test_folding_ignores_case_and_spelling(text: str) -> None:
    """A text and its normal forms fold to the same, and folding again changes nothing."""
    assert fold(unicodedata.normalize("NFD", text)) == fold(text) == fold(unicodedata.normalize("NFC", text))
    assert fold(fold(text)) == fold(text)


@given(st.lists(st.text(alphabet="abcnulCOm1_.-~ /:é", max_size=6), unique=True, max_size=8))
def test_the_quick_look_at_many_names_is_never_too_kind(names: list[str]) -> None:
    """Names that pass the quick look break no rule one by one, and no two of them fold alike."""
    if all_plain(names):
        assert [name for name in names if check_component(name)] == []
        assert len(set(map(fold, names))) == len(names)
