"""What strangers stumbled over in their first hour stays mended."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import omphalos
from omphalos.store.store import Store

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Call

FEED = "exporter,date\nAlpha Trading,2025-01-02\nGamma,Jan 2025\n"
JOB = """name = "case"
[feed]
path = "feed.csv"
[feed.columns]
exporter = "exporter"
[[registry]]
source = "ofac"
format = "ofac-sdn-csv"
path = "list"
"""
BAD_NAME = os.fsdecode(b"feed\xff.csv")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a job whose list has an alias and an address of an entity that is not on it."""
    folder = tmp_path / "case"
    (folder / "list").mkdir(parents=True)
    monkeypatch.chdir(folder)
    (folder / "job.toml").write_text(JOB)
    (folder / "feed.csv").write_text(FEED)
    null = ",".join(["-0- "] * 8)
    (folder / "list" / "sdn.csv").write_text(f'1,"ALPHA TRADING",-0- ,"IRAN",{null}\n')
    (folder / "list" / "alt.csv").write_text('1,1,"aka","ALPHA",-0- \n9,2,"aka","BETA",-0- \n')
    (folder / "list" / "add.csv").write_text('9,1,"Street 1","Town","Iran",-0- \n')
    return folder


def test_records_of_a_list_without_their_entity_are_said(job: Path, call: "Call") -> None:
    """Aliases and addresses that belong to nobody on the list are counted on the terminal and in the briefing."""
    said = call("run", "job.toml")

    assert (0, True) == (said.code, "warning: 2 records of lists (names, addresses) belong to no entity" in said.err)
    (briefing,) = job.glob("artifacts/runs/*/reports/briefing.html")
    assert 'Records of lists without their entity</th><td class="n">2</td>' in briefing.read_text()


def test_a_feed_whose_name_is_no_utf8_is_refused(job: Path, call: "Call") -> None:
    """It is a usage error before anything is made, and never a negative verdict."""
    (job / "feed.csv").rename(job / BAD_NAME)

    for line in (["run", "job.toml", "--feed", BAD_NAME], ["ingest", "guess", BAD_NAME]):
        said = call(*line, "--json")
        assert (2, "nameNotUtf8") == (said.code, said.failure["id"])
    assert not (job / "objects").exists()


def test_a_store_whose_path_is_no_utf8_is_refused(job: Path, call: "Call") -> None:
    """The engine cannot work below such a path; that is said, and nothing is made there."""
    folder = job / os.fsdecode(b"store\xff")
    folder.mkdir()
    said = call("run", str(job / "job.toml"), "--store", str(folder), "--json")

    assert (2, "nameNotUtf8") == (said.code, said.failure["id"])
    assert not list(folder.iterdir())


def test_a_proposal_leads_to_its_feed_and_keeps_plain_dates(job: Path, call: "Call") -> None:
    """The path is the one that was typed, and what is left to say is said; a date of another form is still read."""
    (job / "in").mkdir()
    (job / "feed.csv").rename(job / "in" / "feed.csv")
    said = call("ingest", "guess", "in/feed.csv")

    assert 'path = "in/feed.csv"' in said.out
    assert "# [[registry]]" in said.out
    assert 'date_formats = ["iso", "month-name"]' in said.out


def test_a_pipe_is_no_feed(job: Path, call: "Call") -> None:
    """A pipe that nobody writes to is refused and not waited for."""
    os.mkfifo(job / "pipe.csv")
    said = call("ingest", "guess", "pipe.csv")

    assert (2, True) == (said.code, "not a regular file: 'pipe.csv'" in said.err)


@pytest.mark.parametrize("name", ["tags/latest", "refs/tags/latest~2", "runs/second-name"])
def test_no_ref_says_something_else_than_its_name(store: Path, call: "Call", name: str) -> None:
    """A tag called like the newest run, and a run under a name that is not its run_id, are refused."""
    said = call("ref", "set", name, "latest", "--json")

    assert (2, "refMisleads") == (said.code, said.failure["id"])
    assert not [one for one in Store.open(store).refs.list("") if one in name]


def test_a_signed_run_is_as_recorded(store: Path, call: "Call") -> None:
    """A statement that was added to a run directory is no difference, and the verdict says where it was checked."""
    assert 0 == call("key", "new", "office.key").code
    assert 0 == call("sign", "latest", "--key", "office.key").code

    status = call("status")
    assert (0, True) == (status.code, "as recorded" in status.out)
    said = call("verify", "latest", "--key", "office.key.pub")
    assert (0, True) == (said.code, "vouched for by key" in said.out)
    assert "signatures: They lie in the folder, and are checked there." in said.out
    assert "No key was given, so no signature" not in said.out


def test_a_damaged_bundle_names_the_file_of_the_run(store: Path, call: "Call") -> None:
    """Whoever reads the finding learns which file it is about, and not only the id of its bytes."""
    assert 0 == call("release", "build", "second", "-o", "runs.bundle").code
    data = bytearray((store / "runs.bundle").read_bytes())
    at = data.index(b"review_rank,state,")
    data[at] ^= 1
    (store / "changed.bundle").write_bytes(data)
    (store / "short.bundle").write_bytes(data[: at + 9])

    run_id = next((store / "artifacts" / "runs").glob("second-*")).name
    for name, finding in (("changed", "hashMismatch"), ("short", "truncated")):
        said = call("release", "verify", f"{name}.bundle")
        assert 1 == said.code
        assert re.search(rf"ERROR {finding} payload/[0-9a-f]{{64}}: this is {run_id}:exports/\w+\.csv\n", said.out)


def test_a_run_is_not_mixed_into_a_folder_in_use(store: Path, call: "Call") -> None:
    """A folder with other things in it is refused before anything is written; an empty one, and --force, are not."""
    (store / "mine").mkdir()
    (store / "mine" / "letter.txt").write_text("x")
    (store / "empty").mkdir()
    said = call("checkout", "latest", "mine", "--json")

    assert (2, "folderInUse") == (said.code, said.failure["id"])
    assert ["letter.txt"] == [path.name for path in (store / "mine").iterdir()]
    assert 0 == call("checkout", "latest", "empty").code
    assert 0 == call("checkout", "latest", "empty").code
    assert 0 == call("checkout", "latest", "mine", "--force").code


def test_an_answer_without_rows_says_so(store: Path, call: "Call") -> None:
    """Nothing found is said on stderr, and where to see what a parameter is compared with; the answer is unchanged."""
    said = call("sql", "run", "items_of_party", "--param", "party=P0")

    assert (0, 1) == (said.code, len(said.out.splitlines()))
    assert "no row answers this; 'omphalos sql show review/items_of_party' has" in said.err
    assert "no row" not in call("sql", "run", "next_items").err


@pytest.mark.parametrize("engine", ["duckdb", "sqlite"])
@pytest.mark.parametrize("sql", ["select 1 from shipments", "select nowhere from review"])
def test_a_table_or_column_that_is_not_there_leads_to_those_that_are(
    store: Path, call: "Call", engine: str, sql: str
) -> None:
    """Whoever guesses a name learns where the names are."""
    said = call("sql", "query", sql, "--engine", engine, "--json")

    assert (2, True) == (said.code, "omphalos warehouse docs" in said.failure["hint"])


def test_a_key_needs_a_folder(store: Path, call: "Call") -> None:
    """A folder that is not there is a usage error, like any other wrong name."""
    said = call("key", "new", "nowhere/office.key", "--json")

    assert (2, "noFolder") == (said.code, said.failure["id"])


def test_a_refusal_says_what_it_means_and_what_to_do(store: Path, call: "Call") -> None:
    """Below the findings stands a sentence for each kind of them, and what to do now."""
    (folder, *_) = sorted((store / "artifacts" / "runs").iterdir())
    (folder / "reports" / "briefing.html").unlink()
    (folder / "extra.txt").write_text("x")
    said = call("verify", f"{folder}/")

    assert 1 == said.code
    head, meaning = said.out.split("  WHAT THIS MEANS:\n")
    assert "fileMissing reports/briefing.html" in head
    assert "    fileExtra: " in meaning
    assert "    fileMissing: " in meaning
    assert "  WHAT NOW:\n    Rely on nothing in it" in meaning
    assert said.out.index("WHAT NOW") < said.out.index("NOT CHECKED")


def test_little_is_loaded_before_an_interrupt_is_heard() -> None:
    """What the entry imports before it listens takes no hundredths of a second in which Ctrl-C would end badly."""
    ask = "import sys, omphalos.__main__; print(sorted({'enum', 'typing', 'signal', 're', 'click'} & {*sys.modules}))"
    said = subprocess.run(
        [sys.executable, "-S", "-c", ask], cwd=Path(omphalos.__file__).parents[1], capture_output=True, check=True
    )

    assert b"[]" == said.stdout.strip()
