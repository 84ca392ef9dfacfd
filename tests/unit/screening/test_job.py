"""The job file: every key is known, typed and in range, and two spellings of one job are one configuration."""

import json
from pathlib import Path, PurePath

import pytest

from omphalos.screening.job import (
    FEED_FIELDS,
    FeedSpec,
    SyntheticSpec,
    normalized,
    parse_job,
    schema_keys,
)
from omphalos.screening.jobtable import JobError
from omphalos.screening.match.params import MatchParams

PAGE = Path(__file__).resolve().parents[3] / "docs" / "howto" / "job-file.md"
SMALL = """
name = "q3"
[feed]
path = "in/shipments.csv.gz"
[feed.columns]
exporter = "Shipper"
[[registry]]
source = "ofac-sdn"
format = "ofac-sdn-csv"
path = "lists/ofac"
"""


def _refused(text: str) -> JobError:
    with pytest.raises(JobError) as caught:
        parse_job(text.encode(), base=PurePath("/jobs"))
    return caught.value


@pytest.mark.parametrize(("value", "said"), [("9" * 5_000, "too many digits"), ("[" * 5_000, "nested too deeply")])
def test_numbers_and_nesting_beyond_measure(value: str, said: str) -> None:
    """A number that Python does not read, and nesting without end, are a bad job, in a file and on the line."""
    assert said in _refused(f"{SMALL}x = {value}").message
    for key in ("match.threshold_bp", "name", f"registry.{'9' * 5_000}.path", "registry.00.path"):
        with pytest.raises(JobError):
            parse_job(SMALL.encode(), base=PurePath(), overrides=[f"{key}={value}"])


def test_a_small_job_has_the_documented_defaults() -> None:
    """Format and compression follow the suffixes, paths start at the base, and the rest is the default."""
    job = parse_job(SMALL.encode(), base=PurePath("/jobs"))
    assert job.feed is not None
    assert (job.feed.path, job.feed.format, job.feed.compression) == (Path("/jobs/in/shipments.csv.gz"), "csv", "gzip")
    assert (job.feed.delimiter, job.feed.null_values, job.feed.currency) == (",", ("",), "")
    assert job.feed.columns == (("exporter", "Shipper"),)
    assert job.registries[0].path == Path("/jobs/lists/ofac")
    assert job.match == MatchParams()
    assert job.synthetic is None


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (("[feed]", "[feed]\ndelimeter = ';'"), "unknown key feed.delimeter", "feed.delimiter"),
        (("name =", "nam ="), "unknown key nam", "name"),
        (("exporter =", "exportr ="), "unknown key feed.columns.exportr", "feed.columns.exporter"),
        (("source =", "sorce ="), "unknown key registry.0.sorce", "registry.0.source"),
        (("[feed]", "[mtch]\n[feed]"), "unknown key mtch", "match"),
        (("[feed]", "[match]\nthreshold_bp = '8800'\n[feed]"), "match.threshold_bp must be a whole number", ""),
        (("[feed]", "[match]\nthreshold_bp = true\n[feed]"), "found true or false", ""),
        (("[feed]", "[match]\nthreshold_bp = 0.88\n[feed]"), "a number with a fraction", ""),
        (("[feed]", "[match]\nmax_candidates = 0\n[feed]"), "match.max_candidates is 0, outside 1 to 1000", ""),
        (("[feed]", "[match]\nhigh_bp = 1\n[feed]"), "not in ascending order", ""),
        (("[feed]", "[feed]\nencoding = 'utf8'"), "feed.encoding is 'utf8'", "utf-8"),
        (("[feed]", "[feed]\ndate_formats = ['dmy', 'mdy']"), "both dmy and mdy", ""),
        (("[feed]", "[feed]\ndate_formats = 'iso'"), "feed.date_formats must be a list of texts, found text", ""),
        (("[feed]", "[feed]\nthousands_separator = '.'"), "are both '.'", ""),
        (("[feed]", "[feed]\nmax_rejected_share_bp = 10001"), "outside 0 to 10000", ""),
        (('"q3"', '"Q3"'), "name is 'Q3'", "lower-case"),
        (('"Shipper"', "7"), "feed.columns.exporter must be text, found a whole number", "quotes"),
        (('"Shipper"', '""'), "feed.columns.exporter is empty", ""),
        (("exporter =", "origin ="), "names no party", "exporter"),
        (('"Shipper"', '"Shipper"\nvalue = "v"'), "feed.currency is missing", "USD"),
        (('"Shipper"', '"Shipper"\n[feed.constants]\nexporter = "X"'), "feed.columns and in feed.constants", ""),
        (("shipments.csv.gz", "shipments.dat"), "feed.format is missing", "csv"),
        (("shipments.csv.gz", ".."), "feed.path is 'in/..'", "name of a file"),
        (("[[registry]]", "[registry]"), "registry is not a list", "two brackets"),
        (("[feed]", "[synthetic]\n[feed]"), "exclude each other", ""),
        (
            ("[[registry]]", '[[registry]]\nsource = "ofac-sdn"\nformat = "un-xml"\npath = "x"\n[[registry]]'),
            "two reg",
            "",
        ),
        (('"ofac-sdn-csv"', '"ofac"'), "registry.0.format is 'ofac'", "ofac-sdn-csv"),
        (("[feed]", "[feed"), "not TOML", ""),
    ],
)
def test_what_is_no_job_is_refused_by_its_path(change: tuple[str, str], message: str, hint: str) -> None:
    """Each mistake names the key's dotted path and says what would be right."""
    error = _refused(SMALL.replace(*change, 1))
    assert message in error.message
    assert hint in error.hint


def test_a_job_needs_its_parts() -> None:
    """Without a feed, a registry, columns or a name there is no job."""
    assert "no feed" in _refused('name = "a"').message
    assert "no registry" in _refused(SMALL.partition("[[")[0]).message
    assert "feed.columns is missing" in _refused(SMALL.replace('[feed.columns]\nexporter = "Shipper"', "")).message
    assert "name is missing" in _refused(SMALL.replace('name = "q3"', "")).message


def test_bytes_that_are_no_text_are_refused() -> None:
    """A job file that is not UTF-8 or far too large is an error, not a traceback."""
    for text, word in [
        (b"name = '\xff'", "UTF-8 at byte 8"),
        (b"#" * ((1 << 20) + 1), "larger"),
        (b"a=" + b"[" * 5000, "TOML"),
    ]:
        with pytest.raises(JobError, match=word):
            parse_job(text, base=PurePath())


def test_synthetic_stands_alone() -> None:
    """The reference job needs a name and [synthetic], whose keys have defaults and ranges."""
    job = parse_job(b"name = 'ref'\n[synthetic]\nseed = 7\n", base=PurePath())
    assert job.synthetic == SyntheticSpec(seed=7)
    assert (job.feed, job.registries) == (None, ())
    assert "outside 1 to" in _refused("name = 'ref'\n[synthetic]\nshipments = 0").message


def test_overrides_are_applied_before_checking() -> None:
    """TOML values, plain texts, new tables and list positions can be set; the last one wins."""
    job = parse_job(
        SMALL.encode(),
        base=PurePath("/jobs"),
        overrides=[
            "match.threshold_bp=1",
            "match.threshold_bp=6700",
            "feed.delimiter=;",
            'feed.null_values=["", "-"]',
            "registry.0.path=other list",
            'feed.constants.hs_code="0101"',
        ],
    )
    assert job.feed is not None
    assert (job.match.threshold_bp, job.feed.delimiter, job.feed.null_values) == (6700, ";", ("", "-"))
    assert job.registries[0].path == Path("/jobs/other list")
    assert job.feed.constants == (("hs_code", "0101"),)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("match.threshold", "not an override"),
        ("=1", "not an override"),
        ("match..x=1", "not an override"),
        ("name.x=1", "name is not a table"),
        ("name.x.y=1", "name.x cannot be set"),
        ("registry.1.path=x", "registry.1 does not exist"),
        ("match.treshold_bp=1", "unknown key match.treshold_bp"),
        ("match.threshold_bp=88%", "must be a whole number"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(override: str, message: str) -> None:
    """A malformed, misplaced or unknown override is an error that names it."""
    with pytest.raises(JobError) as caught:
        parse_job(SMALL.encode(), base=PurePath(), overrides=[override])
    assert message in caught.value.message


def test_two_spellings_of_one_job_are_one_configuration() -> None:
    """Defaults, key order, sets, registry order and the place of files do not change the configuration."""
    second = '[[registry]]\nsource = "un"\nformat = "un-xml"\npath = "un.xml"\n'
    first = parse_job((SMALL + second).encode(), base=PurePath("/jobs"))
    other = """
[[registry]]
source = "un"
path = "elsewhere/un.xml"
format = "un-xml"
[[registry]]
path = "/data/ofac"
source = "ofac-sdn"
format = "ofac-sdn-csv"
[match]
max_candidates = 32
[feed]
columns = {exporter = "Shipper"}
path = "/data/shipments.csv.gz"
encoding = "UTF-8"
null_values = ["", ""]
"""
    again = parse_job(('name = "q3"\n' + other).encode(), base=PurePath("/else"))
    assert json.dumps(normalized(first)) == json.dumps(normalized(again))


def test_the_configuration_holds_no_path_and_only_plain_values() -> None:
    """Base names only; texts, integers, lists and tables; every field of the specification is there."""
    table = normalized(parse_job(SMALL.encode(), base=PurePath("/jobs")))
    text = json.dumps(table)
    assert "/" not in text.replace("omphalos.job/1", "")
    assert table["feed"]["file"] == "shipments.csv.gz"
    assert table["registry"] == [{"file": "ofac", "format": "ofac-sdn-csv", "source": "ofac-sdn"}]

    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return list(value) == sorted(value) and all(plain(item) for item in value.values())
        return all(plain(item) for item in value) if isinstance(value, list) else type(value) in (str, int)

    assert plain(table)


def test_every_choice_that_matters_changes_the_configuration() -> None:
    """A changed threshold, encoding, date order or column gives another configuration."""
    base = normalized(parse_job(SMALL.encode(), base=PurePath()))
    for override in [
        "match.threshold_bp=6700",
        "feed.encoding=cp1252",
        'feed.date_formats=["ymd-compact", "iso", "month-name"]',
        "feed.columns.importer=x",
        "registry.0.source=other",
        "name=q4",
    ]:
        assert normalized(parse_job(SMALL.encode(), base=PurePath(), overrides=[override])) != base


def test_the_page_names_every_key_and_field() -> None:
    """The how-to page has every key of the schema in backticks, every field, and every allowed word."""
    page = PAGE.read_text(encoding="utf-8")
    missing = [key for key in (*schema_keys(), *FEED_FIELDS) if f"`{key}`" not in page]
    assert missing == []


def test_the_defaults_on_the_page_are_those_of_the_code() -> None:
    """The rows of [match] and [synthetic] and the integers of [feed] state the default that holds."""
    page = PAGE.read_text(encoding="utf-8").splitlines()
    feed = FeedSpec(Path("x.csv"), "csv")
    specs = {"match": MatchParams(), "synthetic": SyntheticSpec(), "feed": feed}
    for key in schema_keys():
        section, _, name = key.partition(".")
        value = getattr(specs.get(section), name, None)
        if type(value) is int:
            row = next(line for line in page if line.startswith(f"| `{key}` |"))
            assert row.split("|")[3].strip() == str(value), key


def test_the_examples_on_the_page_are_jobs() -> None:
    """Every TOML block of the page parses as a job."""
    blocks = PAGE.read_text(encoding="utf-8").split("```toml\n")[1:]
    assert len(blocks) >= 2
    for block in blocks:
        parse_job(block.partition("```")[0].encode(), base=PurePath())


def test_the_queries_of_a_job_are_found_and_sorted() -> None:
    """Short names become full ones, in order of name, so that two spellings are one plan."""
    text = 'name = "x"\nqueries = ["workload", "briefing/flags_raised"]\n[synthetic]\n'
    job = parse_job(text.encode(), base=PurePath())
    assert ["briefing/flags_raised", "review/workload"] == [asked.name for asked in job.queries]
    assert normalized(job)["queries"] == ["briefing/flags_raised", "review/workload"]


def test_a_job_gives_the_parameters_of_a_query() -> None:
    """Values that differ from the defaults stand in the plan; a job that spells the defaults out is the same plan."""
    text = """name = "x"
[[queries]]
name = "next_items"
params = {band = "high", top = 20}
[[queries]]
name = "review/workload"
[[queries]]
name = "items_of_party"
params = {party = "P1"}
[synthetic]
"""
    asked = normalized(parse_job(text.encode(), base=PurePath()))["queries"]
    assert asked == [
        {"name": "review/items_of_party", "params": {"party": "P1"}},
        {"name": "review/next_items", "params": {"band": "high"}},
        "review/workload",
    ]
    again = parse_job(b'name = "x"\nsynthetic = {}\n', base=PurePath(), overrides=['queries=["next_items"]'])
    spelled = parse_job(
        b'name = "x"\nqueries = [{name = "next_items", params = {top = 20, band = ""}}]\n[synthetic]\n', base=PurePath()
    )
    assert normalized(again)["queries"] == normalized(spelled)["queries"] == ["review/next_items"]


@pytest.mark.parametrize(
    ("queries", "says"),
    [
        ('[{name = "next_items", params = {top = "5"}}]', "top of query review/next_items must be a whole number"),
        ('[{name = "next_items", params = {top = true}}]', "must be a whole number"),
        ('[{name = "next_items", params = {band = 5}}]', "must be a text"),
        ('[{name = "next_items", params = {top = 0}}]', "must lie between 1 and 10000"),
        ('[{name = "next_items", params = {top = -1}}]', "queries.0.params.top must lie between 0"),
        ('[{name = "next_items", params = {band = "higher"}}]', "must be one of"),
        ('[{name = "next_items", params = {bands = "high"}}]', "has no parameter bands"),
        ('[{name = "next_items", params = ["high"]}]', "queries.0.params is not a table"),
        ('[{name = "next_items", parameters = {}}]', "unknown key queries.0.parameters"),
        ("[{params = {}}]", "queries.0.name is missing"),
        ("[5]", "must be a list of texts or of tables"),
        ('["workloads"]', "no query 'workloads'"),
        ('["items_of_party"]', "needs the parameter party"),
        ('["list_churn"]', "compares two runs"),
        ('["workload", "review/workload"]', "twice"),
        ('"workload"', "must be a list of texts"),
    ],
)
def test_a_query_that_a_run_cannot_answer_is_refused(queries: str, says: str) -> None:
    """A query that is not there, needs a value or another run, or is named twice: an error of the job file."""
    with pytest.raises(JobError, match=says):
        parse_job(f'name = "x"\nqueries = {queries}\n[synthetic]\n'.encode(), base=PurePath())
