"""Packets of evidence: what stands in them, that nothing in a name can act, and that they are bounded."""

import base64
import hashlib
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import duckdb
import pytest

from omphalos.format.paths import check_path
from omphalos.screening.job import ReviewSpec
from omphalos.screening.match.facts import make_facts_table
from omphalos.screening.match.params import MatchParams
from omphalos.screening.review import add_open_exposure, build_party_flags, build_review
from omphalos.screening.review.decisions import apply_decisions, load_decisions
from omphalos.screening.review.evidence import CAPS, MAX_CHARS, NOT_CHECKED, packet_name, write_evidence
from omphalos.screening.review.page import shown

HOSTILE = "</td><script>alert(1)</script><img src=x onerror='x'>\"&\x1b[2J\u202eKCO\u2066\x00\ufffe\U000e0001"
DIGEST = "ab" * 32
FEATURES = "full_bp, core_bp, joined_bp, party_token_bp, name_token_bp, evidence_bp, evidence_wide_bp, base_bp"


def make(con: Any, name: str = "Zarvand", shipments: int = 3, parties: int = 2) -> None:
    """Make the tables of a finished review: entities e:1 and e:2, matched by parties P0, P1, … with equal shipments."""
    con.execute(
        "CREATE TABLE trade_feed (shipment_id TEXT, ship_month TEXT, ship_date TEXT, value_minor BIGINT, "
        "currency TEXT, hs_chapter TEXT, hs_code TEXT, description TEXT, origin_country TEXT, destination_country TEXT)"
    )
    con.execute("CREATE TABLE shipment_parties (shipment_id TEXT, role TEXT, party_id TEXT)")
    con.execute("CREATE TABLE parties (party_id TEXT, name TEXT, country TEXT)")
    con.execute(
        "CREATE TABLE registry (entity_id TEXT, source TEXT, native_id TEXT, entity_type TEXT, name TEXT, "
        "country TEXT, countries TEXT, programs TEXT, listed_on TEXT, citation TEXT, remarks TEXT, record_hash TEXT)"
    )
    con.execute("CREATE TABLE registry_names (entity_id TEXT, name_no BIGINT, name_kind TEXT, name TEXT)")
    con.execute(
        "CREATE TABLE registry_addresses (entity_id TEXT, address_no BIGINT, address TEXT, city TEXT, country TEXT)"
    )
    con.execute(
        "CREATE TABLE registry_identifiers (entity_id TEXT, identifier_no BIGINT, identifier_kind TEXT, value TEXT, "
        "country TEXT)"
    )
    con.execute(
        "CREATE TABLE party_matches (party_id TEXT, entity_id TEXT, score_bp BIGINT, match_rank BIGINT, band TEXT, "
        "matched_name TEXT, name_kind TEXT, reasons TEXT, against TEXT, country_relation TEXT, "
        + ", ".join(f"{feature} BIGINT" for feature in FEATURES.split(", ")) + ")"
    )  # fmt: skip
    for number, entity in enumerate(("e:1", "e:2")):
        row = (entity, "l", str(number), "organization", name, "IR", "IR", "A", "2020-01-01", None, name, DIGEST)
        con.execute(f"INSERT INTO registry VALUES ({', '.join('?' * 12)})", row)
        con.execute("INSERT INTO registry_names VALUES (?, 0, 'primary', ?)", [entity, name])
        con.execute("INSERT INTO registry_addresses VALUES (?, 0, ?, NULL, 'IR')", [entity, name])
    for party in range(parties):
        con.execute("INSERT INTO parties VALUES (?, ?, 'AE')", [f"P{party}", name])
        for shipment in range(shipments):
            key = f"S{party:03}-{shipment:03}"
            values = (key, "2025-01", "2025-01-02", 100, "USD", "84", "848210", name, "CN", "AE")
            con.execute(f"INSERT INTO trade_feed VALUES ({', '.join('?' * 10)})", values)
            con.execute("INSERT INTO shipment_parties VALUES (?, 'importer', ?)", [key, f"P{party}"])
        for rank, (entity, score) in enumerate((("e:1", 9000), ("e:2", 7600)), start=1):
            band = "high" if rank == 1 else "medium"
            row = (f"P{party}", entity, score, rank, band, name, "primary", "COUNTRY_CONFLICT;TYPO", "COUNTRY_CONFLICT",
                   "conflict", *[9000] * 8)  # fmt: skip
            con.execute(f"INSERT INTO party_matches VALUES ({', '.join('?' * 18)})", row)


def finish(con: Any, decisions: Path | None = None) -> None:
    """Build the review as the pipeline does."""
    from omphalos.screening.exposure import build_entity_matches, build_entity_scores

    make_facts_table(con)
    load_decisions(con, decisions)
    build_entity_matches(con)
    build_entity_scores(con, "USD")
    apply_decisions(con, ReviewSpec())
    build_party_flags(con)
    build_review(con, "USD")
    add_open_exposure(con, "USD")


def write(con: Any, folder: Path, most: int = 20) -> dict[str, bytes]:
    """Write the packets and return their bytes by path."""
    folder.mkdir()
    paths = write_evidence(con, folder, most, {"l": [("list-list.csv", DIGEST)]}, MatchParams())
    assert paths == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {path: (folder / path).read_bytes() for path in paths}


def packet(files: dict[str, bytes], entity: str) -> dict[str, Any]:
    """Return the document of one entity."""
    found: dict[str, Any] = json.loads(files[f"evidence/{packet_name(entity)}.json"])
    return found


@pytest.fixture
def con() -> Any:
    """Return a connection for one test."""
    with duckdb.connect() as con:
        yield con


def test_a_packet_names_the_rows_behind_its_claims(con: Any, tmp_path: Path) -> None:
    """Each claim has its shipments with their values, its reasons on both sides, its sum and its rivals."""
    make(con)
    finish(con)
    found = packet(write(con, tmp_path / "run"), "e:1")
    assert [claim["party_id"] for claim in found["claims"]["listed"]] == ["P0", "P1"]
    claim = found["claims"]["listed"][0]
    assert [row["shipment_id"] for row in claim["rows"]["listed"]] == ["S000-000", "S000-001", "S000-002"]
    assert {row["value_minor"] for row in claim["rows"]["listed"]} == {100}
    assert [one["code"] for one in claim["reasons"]] == ["TYPO"]
    assert [one["code"] for one in claim["against"]] == ["COUNTRY_CONFLICT"]
    assert [one["entity_id"] for one in claim["rivals"]["listed"]] == ["e:2"]
    assert claim["rivals"]["total"] == 1
    assert sum(int(step["bp"]) for step in claim["steps"]) > 0
    assert found["exposure"]["open_value_minor"] == 600
    assert found["list_files"] == [{"file": "list-list.csv", "sha256": DIGEST}]
    assert [one["word"] for one in found["not_checked"]] == [word for word, _ in NOT_CHECKED]


def test_order_and_number(con: Any, tmp_path: Path) -> None:
    """The entity with the better band comes first; as many packets are written as asked, and none for 0."""
    make(con)
    finish(con)
    files = write(con, tmp_path / "one", 1)
    assert set(files) == {
        "evidence/index.html",
        *(f"evidence/{packet_name('e:1')}.{kind}" for kind in ("html", "json")),
    }
    assert write(con, tmp_path / "none", 0) == {}


def test_a_dismissed_pair_is_visible_and_not_open(con: Any, tmp_path: Path) -> None:
    """A packet shows a dismissed pair with its decision, not counted as open; with all dismissed there is no packet."""
    make(con)
    con.execute("UPDATE parties SET party_id = 'P' || repeat('0', 19) || party_id[2]")
    for table in ("shipment_parties", "party_matches"):
        con.execute(f"UPDATE {table} SET party_id = 'P' || repeat('0', 19) || party_id[2]")
    lines = [
        json.dumps(
            {"party_id": "P" + party.rjust(20, "0"), "entity_id": entity, "record_hash": DIGEST, "verdict": "dismissed",
             "reviewer": "R", "reason": "another firm", "decided": "2025-01-01", "expires": "2030-01-01"}
        )
        for party, entity in (("0", "e:1"), ("0", "e:2"), ("1", "e:2"))
    ]  # fmt: skip
    (tmp_path / "d").write_text("\n".join(lines))
    finish(con, tmp_path / "d")
    files = write(con, tmp_path / "run")
    assert f"evidence/{packet_name('e:2')}.json" not in files
    found = packet(files, "e:1")
    assert {claim["party_id"][-1]: claim["state"] for claim in found["claims"]["listed"]} == {
        "0": "suppressed",
        "1": "open",
    }
    exposure = found["exposure"]
    assert (exposure["open_parties"], exposure["open_shipments"], exposure["open_value_minor"]) == (1, 3, 300)
    assert (exposure["parties"], exposure["suppressed_parties"], exposure["shipments"]) == (2, 1, 6)
    assert "another firm" in files[f"evidence/{packet_name('e:1')}.html"].decode()


class Strict(HTMLParser):
    """Collects tags, attributes and text; what is opened must be closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that must be closed."""
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag without content."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self.text += data


def pages(files: dict[str, bytes]) -> list[Strict]:
    """Parse every page twice, as HTML and as XML."""
    found = []
    for path, data in files.items():
        if path.endswith(".html"):
            ElementTree.fromstring(data)  # noqa: S314  # the page was just made, and must be well-formed
            parser = Strict()
            parser.feed(data.decode())
            parser.close()
            assert parser.open == []
            found.append(parser)
    return found


def test_a_hostile_name_is_text(con: Any, tmp_path: Path) -> None:
    """Markup, control and direction characters in every text from outside reach the page as text that cannot act."""
    make(con, name=HOSTILE)
    finish(con)
    files = write(con, tmp_path / "run")
    allowed = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "table", "caption"}
    allowed |= {"thead", "tbody", "tr", "th", "td", "ul", "li", "strong", "bdi", "a", "div"}
    for page in pages(files):
        assert {tag for tag, _ in page.tags} <= allowed
        for tag, attributes in page.tags:
            assert set(attributes) <= {"lang", "charset", "http-equiv", "content", "name", "scope", "class", "href"}
            if tag == "a":
                assert re.fullmatch(r"[a-z0-9-]+\.html", attributes["href"] or "")
        assert "<script>alert(1)</script>" in page.text
        assert "\\u001b[2J\\u202eKCO\\u2066\\u0000\\ufffe\\U000e0001" in page.text
    for path, data in files.items():
        if path.endswith(".html"):
            text = data.decode()
            assert not re.search("[^\\x20-\\x7e\\n…]", text)
            assert "://" not in text
            assert "<script" not in text


def test_a_page_begins_with_what_it_claims(con: Any, tmp_path: Path) -> None:
    """Who may be the entity, how surely and with how much behind it stands before the details."""
    make(con, parties=3)
    finish(con)
    for path, data in write(con, tmp_path / "run").items():
        if path.endswith(".html") and "index" not in path:
            short, rest = data.decode().split("<h2>The listed entity</h2>")
            assert "<h2>In short</h2>" in short
            assert "<p>3 of the feed's parties may be this entity; " in short
            heads = re.findall(r"<h3>\d+\. (<bdi>.*?</bdi>) may be this entity", rest)
            assert 3 == len(heads)
            assert all(head in short for head in heads)


def test_a_page_forbids_what_it_does_not_need(con: Any, tmp_path: Path) -> None:
    """The policy of a page allows its own style by digest and nothing else."""
    make(con)
    finish(con)
    for data in write(con, tmp_path / "run").values():
        found = re.search(r"<style>(.*?)</style>", data.decode(), re.S)
        if found:
            digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
            assert f"default-src &#x27;none&#x27;; style-src &#x27;sha256-{digest}&#x27;" in data.decode()
            assert "@media print" in found[1]


def test_pages_can_be_found_by_ear(con: Any, tmp_path: Path) -> None:
    """One h1, headings without a gap, a caption for every table, a scope for every head cell, a language."""
    make(con)
    finish(con)
    for page in pages(write(con, tmp_path / "run")):
        tags = [tag for tag, _ in page.tags]
        levels = [int(tag[1]) for tag in tags if tag in ("h1", "h2", "h3")]
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        assert tags.count("table") == tags.count("caption")
        assert all(attributes.get("scope") in ("row", "col") for tag, attributes in page.tags if tag == "th")
        assert page.tags[0] == ("html", {"lang": "en"})


def test_packets_are_bounded(con: Any, tmp_path: Path) -> None:
    """However many rows and however long a text, a packet shows its caps' worth, and says how many there were."""
    make(con, name="x" * 40_000, shipments=30, parties=25)
    con.execute("INSERT INTO registry_names SELECT 'e:1', n, 'alias', 'y' || n FROM range(1, 5000) t(n)")
    finish(con)
    files = write(con, tmp_path / "run")
    found = packet(files, "e:1")
    assert (found["claims"]["total"], len(found["claims"]["listed"])) == (25, CAPS["parties"])
    rows = found["claims"]["listed"][0]["rows"]
    assert (rows["total"], len(rows["listed"])) == (30, CAPS["shipments"])
    assert (found["entity"]["names"]["total"], len(found["entity"]["names"]["listed"])) == (5000, CAPS["names"])
    assert found["entity"]["name"] == "x" * MAX_CHARS + "…"
    page = files[f"evidence/{packet_name('e:1')}.html"].decode()
    assert "25 parties; the first 20 are shown" in page
    assert "Shipments behind the claim (20 of 30)" in page
    assert (
        "At most 20 addresses, 1000 characters, 20 facts, 20 identifiers, 40 names, 20 parties, 5 rivals, 20 shipments"
        in page
    )


def test_the_same_tables_give_the_same_bytes(con: Any, tmp_path: Path) -> None:
    """Two writings, on one thread and on four, give the same bytes."""
    make(con, parties=6)
    finish(con)
    first = write(con, tmp_path / "a")
    con.execute("SET threads = 1")
    assert write(con, tmp_path / "b") == first


def test_a_sum_beyond_strict_json_is_text(con: Any, tmp_path: Path) -> None:
    """A value that strict JSON has no number for is written as text, whole."""
    make(con, parties=1)
    con.execute("UPDATE trade_feed SET value_minor = 9007199254740993")
    finish(con)
    found = packet(write(con, tmp_path / "run"), "e:1")
    assert found["exposure"]["value_minor"] == "27021597764222979"
    assert found["claims"]["listed"][0]["rows"]["listed"][0]["value_minor"] == "9007199254740993"


@pytest.mark.parametrize("entity", ["ofac:1", "a/../b", "CON", "ENTITY", "entity", HOSTILE, "é" * 400, "", "." * 9])
def test_names_of_packets_are_safe(entity: str) -> None:
    """Whatever an id holds, the file name breaks no rule of paths."""
    assert not check_path(f"evidence/{packet_name(entity)}.html")


def test_names_of_packets_differ() -> None:
    """Ids that differ only in case or in what is replaced have packets of their own."""
    ids = ["a:1", "A:1", "a-1", "a:1 ", "ä:1"]
    assert len({packet_name(one) for one in ids}) == len(ids)


def test_shown() -> None:
    """Text is escaped for element and attribute alike, and nothing is shown for nothing."""
    assert shown(None) == ""
    assert shown("a<b>\"'&") == "a&lt;b&gt;&quot;&#x27;&amp;"
    assert shown("大连") == "大连"
