"""The path rules: every case of the attack list, each with its finding, and the names that must pass."""

import itertools

import pytest

from omphalos.format.findings import Finding, FindingId
from omphalos.format.paths import all_plain, check_component, check_path, check_path_bytes, check_paths, safe_name

F = FindingId


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", []),
        ("tables/matches.csv", []),
        ("-dash", []),
        ("_x", []),
        (".hidden", []),
        ("inputs/ООО Север.csv", []),
        ("inputs/株式会社/一.csv", []),
        ("a b", []),
        ("a~", []),
        ("~a/x", []),
        ("common/console.txt", []),
        ("com", []),
        ("com10", []),
        ("lpt0", []),
        ("auxiliary", []),
        ("conın$", []),  # a dotless i is not an i
        ("omphalos", []),
        (".omphalos2", []),
        ("my.omphalos", []),
        ("omphal~x", []),
        ("x" * 255, []),
        ("/".join(["x" * 127] * 8), []),
        ("/etc/passwd", [F.PATH_ABSOLUTE]),
        ("//srv/x", [F.PATH_ABSOLUTE]),
        ("/", [F.PATH_ABSOLUTE, F.PATH_EMPTY_COMPONENT]),
        ("~/x", [F.PATH_ABSOLUTE]),
        ("C:\\x", [F.PATH_ABSOLUTE, F.PATH_BACKSLASH, F.PATH_STREAM]),
        ("C:x", [F.PATH_ABSOLUTE, F.PATH_STREAM]),
        ("\\\\srv\\s", [F.PATH_ABSOLUTE, F.PATH_BACKSLASH]),
        ("\\\\?\\C:\\", [F.PATH_ABSOLUTE, F.PATH_BACKSLASH, F.PATH_STREAM]),
        ("..", [F.PATH_DOTDOT]),
        ("../x", [F.PATH_DOTDOT]),
        ("a/../../x", [F.PATH_DOTDOT]),
        ("a/..", [F.PATH_DOTDOT]),
        ("a\\b", [F.PATH_BACKSLASH]),
        (".\\.OMPHALOS\\x", [F.PATH_BACKSLASH]),
        ("", [F.PATH_EMPTY_COMPONENT]),
        ("a//b", [F.PATH_EMPTY_COMPONENT]),
        ("a/", [F.PATH_EMPTY_COMPONENT]),
        ("./a", [F.PATH_EMPTY_COMPONENT]),
        ("a\0b", [F.PATH_CONTROL]),
        ("a\nb", [F.PATH_CONTROL]),
        ("a\n", [F.PATH_CONTROL]),
        ("a\tb", [F.PATH_CONTROL]),
        ("a\x1b[2J", [F.PATH_CONTROL]),
        ("a\x7f", [F.PATH_CONTROL]),
        ("a\x85", [F.PATH_CONTROL]),
        ("a\u202ecod.csv", [F.PATH_INVISIBLE]),
        ("a\u2066b", [F.PATH_INVISIBLE]),
        ("a\u200bb", [F.PATH_INVISIBLE]),
        ("a\u2028b", [F.PATH_INVISIBLE]),
        ("a\ufeffb", [F.PATH_INVISIBLE]),
        ("CON", [F.PATH_RESERVED]),
        ("nul.txt", [F.PATH_RESERVED]),
        ("x/com1", [F.PATH_RESERVED]),
        ("LPT9 .x", [F.PATH_RESERVED]),
        ("prn", [F.PATH_RESERVED]),
        ("aux.tar.gz", [F.PATH_RESERVED]),
        ("CONIN$", [F.PATH_RESERVED]),
        ("conout$.txt", [F.PATH_RESERVED]),
        ("COM¹", [F.PATH_RESERVED]),
        ("lpt³.csv", [F.PATH_RESERVED]),
        ("con:x", [F.PATH_RESERVED, F.PATH_STREAM]),
        ("name.", [F.PATH_TRAILING]),
        ("name ", [F.PATH_TRAILING]),
        ("a./b", [F.PATH_TRAILING]),
        ("...", [F.PATH_TRAILING]),
        ("f.csv:ads", [F.PATH_STREAM]),
        ("x::$DATA", [F.PATH_ABSOLUTE, F.PATH_STREAM]),
        ("xx::$DATA", [F.PATH_STREAM]),
        *((f"a{c}b", [F.PATH_STREAM]) for c in '<>"|?*'),
        (".omphalos", [F.PATH_OWN_DIR]),
        ("a/.OMPHALOS/x", [F.PATH_OWN_DIR]),
        (".omphalos ", [F.PATH_TRAILING, F.PATH_OWN_DIR]),
        (".omphalos. .", [F.PATH_TRAILING, F.PATH_OWN_DIR]),
        (".omph\u200calos", [F.PATH_INVISIBLE, F.PATH_OWN_DIR]),
        ("\ufeff.omphalos", [F.PATH_INVISIBLE, F.PATH_OWN_DIR]),
        (".omphaloſ", [F.PATH_OWN_DIR]),  # a long s folds to s
        (".omphalos::$INDEX_ALLOCATION", [F.PATH_STREAM, F.PATH_OWN_DIR]),
        ("OMPHAL~1", [F.PATH_OWN_DIR]),
        ("omphal~12", [F.PATH_OWN_DIR]),
        ("e\u0301", [F.PATH_NOT_NFC]),
        ("\u212bngstrom", [F.PATH_NOT_NFC]),
        ("x" * 256, [F.PATH_TOO_LONG]),
        ("é" * 128, [F.PATH_TOO_LONG]),
        ("/".join(["x" * 127] * 8) + "x/x", [F.PATH_TOO_LONG]),
        ("/".join(["株" * 80] * 5), [F.PATH_TOO_LONG]),
        ("/".join("a" * 65), [F.PATH_TOO_DEEP]),
        ("\ud800", [F.NOT_UTF8]),
    ],
)
def test_rules(path: str, expected: list[FindingId]) -> None:
    """A path breaks exactly the rules listed for it, in the order of the list of findings."""
    assert check_path(path) == expected
    if "\ud800" not in path:
        assert check_path_bytes(path.encode()) == expected


def test_sixty_four_components_are_allowed() -> None:
    """The limit of depth is a limit and not less."""
    assert check_path("/".join("a" * 64)) == []


@pytest.mark.parametrize("data", [b"\xff", b"a/\xc3", b"\xed\xa0\x80", b"\xc0\xaf"])
def test_bytes_that_are_not_text(data: bytes) -> None:
    """Bytes that are not UTF-8, overlong forms and encoded surrogates among them, are one finding."""
    assert check_path_bytes(data) == [F.NOT_UTF8]


def test_a_component_holds_no_slash() -> None:
    """A single name with a slash, which a hostile tree entry may hold, is refused."""
    assert check_component("a/b") == [F.PATH_SLASH]


def test_long_names_of_combining_marks_are_judged_quickly() -> None:
    """A megabyte of combining marks, the worst case of normalization, is refused by length alone."""
    assert check_path("\u0301\u0316" * 500_000) == [F.PATH_TOO_LONG]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a", "b/c", "b/d"], []),
        (["a", "a"], [(F.DUPLICATE_ENTRY, "a")]),
        (["a", "a", "a"], [(F.DUPLICATE_ENTRY, "a")]),
        (["A.csv", "a.csv"], [(F.PATH_CASE_COLLISION, "a.csv")]),
        (["A/x", "a/y"], [(F.PATH_CASE_COLLISION, "a")]),
        (["A/x", "a/x"], [(F.PATH_CASE_COLLISION, "a")]),
        (["d/A/x", "d/a"], [(F.PATH_CASE_COLLISION, "d/a")]),
        (["ß", "ss"], [(F.PATH_CASE_COLLISION, "ß")]),
        (["é", "e\u0301"], [(F.PATH_NOT_NFC, "e\u0301"), (F.PATH_NORM_COLLISION, "é")]),
        (["a", "a/b"], [(F.PATH_FILE_DIR, "a")]),
        (["a/b/c", "a/b"], [(F.PATH_FILE_DIR, "a/b")]),
        (["x/A", "y/a"], []),
        (["a/b", "../a/b"], [(F.PATH_DOTDOT, "../a/b")]),
        (["\ud800"], [(F.NOT_UTF8, "\\ud800")]),
        # A name with NULs must not come between the names of a folder and hide that they collide.
        (["a/B", "a\0\0C", "a/b"], [(F.PATH_CONTROL, "a\0\0C"), (F.PATH_CASE_COLLISION, "a/b")]),
    ],
)
def test_sets_of_paths(paths: list[str], expected: list[tuple[FindingId, str]]) -> None:
    """Paths that cannot stand side by side are reported once, whatever order they come in."""
    found = [(finding.id, finding.path) for finding in check_paths(paths)]
    assert found == sorted(expected)
    assert check_paths(list(reversed(paths))) == check_paths(paths)


def test_a_collision_names_its_twin() -> None:
    """The detail says which name was there first."""
    assert check_paths(["d/a", "d/A"]) == [Finding(F.PATH_CASE_COLLISION, "d/a", "collides with d/A")]


def test_a_folder_of_names_that_all_collide_is_judged_in_linear_time() -> None:
    """Sixteen thousand spellings of one name are each reported once; the time does not grow with the square."""
    names = ["".join(letters) for letters in itertools.product("aA", repeat=14)]
    assert len(check_paths(names)) == len(names) - 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("shipments.csv", "shipments.csv"),
        ("ООО Север.xlsx", "ООО Север.xlsx"),
        ("nul.txt", "nul-2ad7c3a3.txt"),
        ("C:x", "C_x-e79438fe"),
        ("../../etc/passwd", "_.._etc_passwd-58374639"),
        ("", "_-af1349b9"),
    ],
)
def test_safe_names(text: str, name: str) -> None:
    """A good name stays, a bad one becomes this one and no other."""
    assert safe_name(text) == name


def test_safe_names_keep_apart_what_replacing_would_join() -> None:
    """Two names that differ only in what must be replaced do not become one."""
    assert safe_name("a?b.csv") != safe_name("a*b.csv")
    assert safe_name("x" * 300) != safe_name("x" * 301)


@pytest.mark.parametrize(
    ("names", "plain"),
    [
        ((), True),
        (("a", "b"), True),
        (("A", "b"), True),
        (("a", "A"), False),
        (("b", "Ab", "aB"), False),
        (("a", "b."), False),
        (("a", "con"), False),
        (("a", "b/c"), False),
        (("a", "é"), False),
        (("a" * 255,), True),
        (("a" * 256,), False),
    ],
)
def test_the_quick_look_at_a_folder(names: tuple[str, ...], plain: bool) -> None:
    """Names that collide by case, or of which one may break a rule, are not passed by the quick look."""
    assert all_plain(names) is plain
