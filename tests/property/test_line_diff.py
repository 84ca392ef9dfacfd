"""Line diffs: every edit script is a true one, as short as a plain dynamic program where it may take its time."""

from hypothesis import given
from hypothesis import strategies as st

from omphalos.runs.linediff import Hunk, blocks, hunks, split

TEXTS = st.binary(max_size=0) | st.lists(st.sampled_from([b"a", b"b", b"c", b"", b"d\r"]), max_size=14).flatmap(
    lambda lines: st.sampled_from([b"\n".join(lines), b"\n".join([*lines, b""])])
)


def rebuilt(old: list[bytes], new: list[bytes], found: list[tuple[int, int, int, int]]) -> list[bytes]:
    """Apply an edit script to the old lines."""
    lines, at = list[bytes](), 0
    for a0, a1, b0, b1 in found:
        lines += old[at:a0] + new[b0:b1]
        at = a1
    return lines + old[at:]


def shortest(old: list[bytes], new: list[bytes]) -> int:
    """Return the least number of lines to take out and put in, by dynamic programming."""
    row = list(range(len(new) + 1))
    for i, line in enumerate(old):
        before, row = row, [i + 1]
        for j, other in enumerate(new):
            row.append(before[j] if line == other else 1 + min(before[j + 1], row[j]))
    return row[-1]


def applied(old: list[bytes], parts: list[Hunk]) -> bytes:
    """Apply hunks as a reader of a unified diff would, checking every line they claim."""
    out, at = list[str](), 0
    texts = [line.removesuffix(b"\n").decode() for line in old]
    bare_old, bare_new = bool(old) and not old[-1].endswith(b"\n"), False
    for part in parts:
        start = part.old_start - (part.old_lines > 0)
        out += texts[at:start]
        assert len(out) == part.new_start - (part.new_lines > 0)
        at, mark = start, ""
        counts = {"-": 0, "+": 0, " ": 0, "\\": 0}
        for sign, text in part.lines:
            counts[sign] += 1
            if sign == "\\":
                bare_new = bare_new or mark in "+ "
                continue
            if sign in "- ":
                assert texts[at] == text
                at += 1
            if sign in "+ ":
                out.append(text)
            mark = sign
        assert (counts["-"] + counts[" "], counts["+"] + counts[" "]) == (part.old_lines, part.new_lines)
    if at < len(texts):
        out += texts[at:]
        bare_new = bare_old
    return ("\n".join(out) + ("" if bare_new or not out else "\n")).encode()


@given(TEXTS, TEXTS)
def test_a_true_script(before: bytes, after: bytes) -> None:
    """The script leads from the old lines to the new, whatever it may cost; hunks say the same to a reader."""
    old, new = split(before), split(after)
    for steps in (0, 1_000_000):
        found = blocks(old, new, steps)
        assert rebuilt(old, new, found) == new
        assert bool(found) == (old != new)
        assert applied(old, hunks(old, new, found)) == after


@given(st.lists(st.sampled_from([b"a\n", b"b\n"]), max_size=9), st.lists(st.sampled_from([b"a\n", b"b\n"]), max_size=9))
def test_a_short_script(old: list[bytes], new: list[bytes]) -> None:
    """Without anchors (no line stands once) the script is the shortest there is."""
    old, new = [*old, b"a\n", b"b\n", b"a\n", b"b\n"], [b"b\n", b"a\n", b"b\n", b"a\n", *new]
    assert sum(a1 - a0 + b1 - b0 for a0, a1, b0, b1 in blocks(old, new)) == shortest(old, new)
