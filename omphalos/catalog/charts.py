"""Charts as SVG, written here: integers in, the same bytes out, nothing but shapes and text.

Rules of this file: no script, no style from outside, no float; every text is escaped and cut to a length; a chart has a
title and a description for who cannot see it, and the table it stands beside has the same numbers.
"""

from collections.abc import Sequence
from html import escape
from typing import Final

WIDTH: Final = 720
_BAR, _GAP, _LABEL, _VALUE = 18, 6, 220, 90
_HEIGHT, _FOOT = 160, 34


def visible(text: str) -> str:
    """Return text in which characters that hide or turn others are written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def grouped(number: int) -> str:
    """Return a whole number with its digits in groups of three."""
    return f"{number:,}"


def _cut(text: str, length: int) -> str:
    shown = visible(text)
    return escape(shown if len(shown) <= length else shown[: length - 1] + "…")


def _frame(name: str, title: str, about: str, height: int, body: Sequence[str]) -> str:
    return (
        f'<svg role="img" aria-labelledby="{name}-t {name}-d" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}">\n<title id="{name}-t">{escape(visible(title))}</title>\n'
        f'<desc id="{name}-d">{escape(visible(about))}</desc>\n' + "\n".join(body) + "\n</svg>\n"
    )


def bars(name: str, title: str, rows: Sequence[tuple[str, int]]) -> str:
    """Return horizontal bars, one for each (label, value), in the order given; values are not negative.

    Args:
        name: an id that no other chart of the page has.
        title: what the chart shows.
        rows: labels and values.
    """
    most = max([1, *(value for _, value in rows)])
    room = WIDTH - _LABEL - _VALUE
    body = []
    for place, (label, value) in enumerate(rows):
        top = place * (_BAR + _GAP)
        length = value * room // most
        body += [
            f'<text x="{_LABEL - 8}" y="{top + 14}" text-anchor="end">{_cut(label, 30)}</text>',
            f'<rect class="a" x="{_LABEL}" y="{top}" width="{length}" height="{_BAR}"/>',
            f'<text x="{_LABEL + length + 6}" y="{top + 14}">{grouped(value)}</text>',
        ]
    about = "; ".join(f"{label}: {grouped(value)}" for label, value in rows)
    return _frame(name, title, about, max(1, len(rows)) * (_BAR + _GAP), body)


def columns(name: str, title: str, rows: Sequence[tuple[str, int, int]], legend: tuple[str, str]) -> str:
    """Return upright columns, one for each (label, whole, part); the part is drawn inside its whole.

    Args:
        name: an id that no other chart of the page has.
        title: what the chart shows.
        rows: labels, values, and the parts of them that are marked.
        legend: what the whole and the part are.
    """
    most = max([1, *(whole for _, whole, _ in rows)])
    step = max(3, (WIDTH - 10) // max(1, len(rows)))
    body = [f'<line x1="0" y1="{_HEIGHT}" x2="{WIDTH}" y2="{_HEIGHT}"/>', f'<text x="0" y="12">{grouped(most)}</text>']
    every = max(1, 60 // step)
    for place, (label, whole, part) in enumerate(rows):
        left = place * step
        for kind, value in (("a", whole), ("b", part)):
            tall = value * (_HEIGHT - 20) // most
            body.append(f'<rect class="{kind}" x="{left}" y="{_HEIGHT - tall}" width="{step - 1}" height="{tall}"/>')
        if place % every == 0:
            body.append(f'<text x="{left}" y="{_HEIGHT + 14}">{_cut(label, 8)}</text>')
    body += [
        f'<rect class="a" x="0" y="{_HEIGHT + 20}" width="12" height="12"/>',
        f'<text x="18" y="{_HEIGHT + 31}">{_cut(legend[0], 40)}</text>',
        f'<rect class="b" x="240" y="{_HEIGHT + 20}" width="12" height="12"/>',
        f'<text x="258" y="{_HEIGHT + 31}">{_cut(legend[1], 40)}</text>',
    ]
    about = "; ".join(f"{label}: {grouped(whole)}, of these {grouped(part)} {legend[1]}" for label, whole, part in rows)
    return _frame(name, title, about, _HEIGHT + _FOOT, body)
