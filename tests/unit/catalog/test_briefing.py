"""The briefing: one page that stands alone, the same bytes each time, and harmless whatever a feed says."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omphalos.catalog.briefing import PATH, SECTIONS, amount, write_briefing
from omphalos.catalog.charts import bars, columns
from omphalos.catalog.execute import QueryFailed, QueryLimits, Where, execute
from omphalos.catalog.query import find_query, load_catalog

FACTS = [("Records of the feed", 1234567), ("Shipments screened", 36)]
LIMITS = ["a match is no identification", "names <alone> are compared"]
VOID = {"meta", "rect", "line", "wbr"}


class Page(HTMLParser):
    """What is in a page: tags with their attributes, the text, and the depth that is left open at the end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag that is closed at once."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the last tag, which must be of this name."""
        assert tag == self.open.pop(), tag

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.text.append(data)


@pytest.fixture
def place(run: Path, tmp_path: Path) -> Path:
    """Return a copy of the run that may be changed."""
    return shutil.copytree(run, tmp_path / "run")


def written(place: Path, threads: int = 2) -> str:
    """Write the briefing and return it."""
    write_briefing(place, FACTS, LIMITS, ["a test found 3 rows"], QueryLimits(threads=threads))
    return (place / PATH).read_text("utf-8")


def test_the_page_stands_alone(place: Path) -> None:
    """No script, no link out, no image or style from elsewhere; a policy in the page forbids them as well."""
    text = written(place)
    page = Page(text)
    assert [] == page.open
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not {"src", "srcset", "action", "style"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in text
    assert "@import" not in text
    (policy,) = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert "default-src 'none'; style-src 'unsafe-inline'" == policy


def test_the_page_can_be_read_without_seeing_it(place: Path) -> None:
    """A language, one first heading, captions and scoped heads of tables, titles and descriptions of charts."""
    page = Page(written(place))
    tags = [tag for tag, _ in page.tags]
    assert "en" == dict(page.tags)["html"]["lang"]
    assert 1 == tags.count("h1")
    assert len(SECTIONS) + 1 == tags.count("h2")
    assert tags.count("table") == tags.count("caption")
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in page.tags if tag == "th")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        if tag in ("svg", "section"):
            assert set((attributes["aria-labelledby"] or "").split()) <= set(ids)
        if tag == "a":
            assert (attributes["href"] or "")[1:] in ids


def test_figures_are_those_of_the_catalog(place: Path) -> None:
    """A figure of the page is what the query of that name gives, and the page says what was not checked."""
    text = written(place)
    flags = find_query("flags_raised")
    for row in execute(flags, {}, Where("duckdb", place)).table.to_pylist():
        assert f'<td><bdi>{row["flag"]}</bdi></td><td class="n">{row["shipments"]}</td>' in text
    assert '<td class="n">1,234,567</td>' in text
    for said in ("a match is no identification", "names &lt;alone&gt; are compared", "a test found 3 rows", flags.name):
        assert said in text
    assert all(load_catalog()[section.query].engines for section in SECTIONS)


@pytest.mark.parametrize(
    ("minor", "digits", "said"),
    [(1234567, 2, "12,345.67"), (-5, 2, "-0.05"), (0, 2, "0.00"), (7, 0, "7"), (7, 3, "0.007")],
)
def test_amounts_are_written_as_people_write_them(minor: int, digits: int, said: str) -> None:
    """Minor units become an amount with the digits of the currency behind the point."""
    assert said == amount(minor, digits)


def test_an_id_stands_below_its_name(place: Path) -> None:
    """The id of a party or entity has no column of its own: a table of names fits a page."""
    text = written(place)
    row = pq.read_table(place / "review" / "review.parquet").sort_by("review_rank").slice(0, 1).to_pylist()[0]
    assert f"<small>{row['party_id']}</small>" in text
    assert f"<small>{row['entity_id']}</small>" in text
    assert ">party id<" not in text
    assert '>source</th><th scope="col">entity name<' not in text


def test_the_same_run_gives_the_same_bytes(place: Path) -> None:
    """Threads do not show, and neither does a time, a path or a version."""
    one = written(place, 1)
    assert one == written(place, 2)
    assert str(place) not in one
    assert not re.search(r"20\d\d-\d\d-\d\dT", one)


def test_hostile_names_are_shown_and_do_nothing(place: Path) -> None:
    """Marks of HTML, control characters and characters that turn text are written out."""
    path = place / "review" / "review.parquet"
    table = pq.read_table(path)
    evil = "<script>alert(1)</script>\"'&\x1b[2J\u202egnp.exe\ufeff"
    at = table.column_names.index("party_name")
    names = pa.array([evil] * table.num_rows, table.schema.field(at).type)
    pq.write_table(table.set_column(at, table.schema.field(at), names), path)

    text = written(place)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;\\x1b[2J\\u202egnp.exe\\ufeff" in text
    assert not {"\x1b", "\u202e", "\ufeff"} & set(text)
    assert "script" not in {tag for tag, _ in Page(text).tags}


def test_a_run_without_rows_has_a_page(place: Path) -> None:
    """Where no row answers, the page says so."""
    for path in (place / "marts").glob("*.parquet"):
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    text = written(place)
    assert "Nothing: no row answers this." in text
    assert [] == Page(text).open


def test_a_mart_that_is_missing_is_named(place: Path) -> None:
    """Without a table there is no page, and the error names it."""
    (place / "marts" / "red_flag_counts.parquet").unlink()
    with pytest.raises(QueryFailed, match="red_flag_counts"):
        written(place)


@pytest.mark.parametrize("rows", [[], [("a", 0)], [("<b>" * 30, 10**15), ("\u202e", 1)]])
def test_charts_are_sound_xml_within_their_frame(rows: list[tuple[str, int]]) -> None:
    """Any labels and values give well-formed SVG whose shapes lie inside it."""
    for svg in (bars("x", "<t>", rows), columns("y", "t", [(k, v, v // 2) for k, v in rows], ("all", "some"))):
        root = ElementTree.fromstring(svg)  # noqa: S314  (it was written just now, by us)
        width, height = int(root.attrib["width"]), int(root.attrib["height"])
        for shape in root.iter("rect"):
            x, y, w, h = (int(shape.attrib[name]) for name in ("x", "y", "width", "height"))
            assert 0 <= x <= x + w <= width
            assert 0 <= y <= y + h <= height
