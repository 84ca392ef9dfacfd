"""What cannot be screened is refused with the right exit code and a hint, and leaves nothing behind."""

import gzip
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from omphalos.store import durable
from omphalos.store.store import Store

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Call

LIST = """entity_id,name,entity_type,aliases,country
E1,Northwind Trading LLC,organization,Northwind|NWT,RU
E2,Blue Harbour Shipping,organization,,IR
"""
FEED = """id,date,exporter,importer,importer_country,value
1,2026-01-02,Acme GmbH,Northwind Trading LLC,RU,100.00
2,2026-01-03,Acme GmbH,Somebody Else,FR,20.50
3,2026-01-04,Acme GmbH,Blue Harbour Shiping,IR,1.00
"""
JOB = """name = "case"
[feed]
path = "feed.csv"
currency = "EUR"
[feed.columns]
shipment_id = "id"
date = "date"
exporter = "exporter"
importer = "importer"
importer_country = "importer_country"
value = "value"
[[registry]]
source = "ours"
format = "entities-csv"
path = "list.csv"
"""


def everything(folder: Path) -> list[str]:
    """Return every file and folder below ``folder``, with sizes of files."""
    return sorted(
        f"{path.relative_to(folder)} {path.stat().st_size if path.is_file() else '/'}" for path in folder.rglob("*")
    )


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: "Call") -> Path:
    """A folder with an empty store, a job, a feed and a list, all of them good; it is the working directory."""
    folder = tmp_path / "case"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "job.toml").write_text(JOB)
    (folder / "feed.csv").write_text(FEED)
    (folder / "list.csv").write_text(LIST)
    assert call("init").code == 0
    (folder / "artifacts" / "runs").mkdir(parents=True)
    return folder


def refused(case: Path, call: "Call", code: int, message: str, hint: str, *argv: str) -> None:
    """Run and expect this exit code, words in the message and in the hint, and no trace in the folder."""
    before = everything(case)
    for form in ((), ("--json",)):
        said = call(*(argv or ("run", "job.toml")), *form)
        assert (said.code, said.out) == (code, ""), said.err
        if form:
            failure = said.failure
            assert failure["code"] == code
            assert failure["id"]
            assert message in failure["message"]
            assert hint in failure["hint"]
            assert failure["undone"]
        else:
            assert said.err.startswith("error: ")
            assert message in said.err
            assert "\nhint: " in said.err
            assert "Traceback" not in said.err
        assert everything(case) == before


def test_the_good_case_runs(case: Path, call: "Call") -> None:
    """The files that the cases below damage make a run as they are, and its id is the last line on stdout."""
    said = call("run", "job.toml")
    assert said.code == 0
    run_id = said.out.splitlines()[-1]
    assert run_id.startswith("case-")
    assert sorted(path.name for path in (case / "artifacts" / "runs").iterdir()) == [run_id]
    assert [path.name for path in (case / "refs" / "runs").iterdir()] == [run_id]


def test_missing_feed(case: Path, call: "Call") -> None:
    """A feed that is not there is named, with the file that is spelled alike."""
    (case / "feed.csv").rename(case / "feeds.csv")
    refused(case, call, 2, "feed.csv", "did you mean 'feeds.csv'?")
    refused(case, call, 2, "fed.csv", "did you mean 'feeds.csv'?", "run", "job.toml", "--feed", "fed.csv")


def test_missing_list(case: Path, call: "Call") -> None:
    """A list that is not there is named."""
    (case / "list.csv").unlink()
    refused(case, call, 2, "list.csv", "job file's folder")


def test_wrong_delimiter(case: Path, call: "Call") -> None:
    """A feed with another delimiter is refused with the one that it seems to have."""
    (case / "feed.csv").write_text(FEED.replace(",", ";"))
    refused(case, call, 2, "one column with delimiter ','", "';'")


def test_missing_column(case: Path, call: "Call") -> None:
    """A mapped column that the feed does not have is named, with the one that is spelled alike."""
    (case / "feed.csv").write_text(FEED.replace("importer_country", "importercountry"))
    refused(case, call, 2, "no column 'importer_country'", "did you mean 'importercountry'?")


def test_wrong_encoding(case: Path, call: "Call") -> None:
    """A feed that is not in the encoding of the job is refused at the byte, with encodings that fit."""
    (case / "feed.csv").write_bytes(FEED.replace("Acme", "Caf\u00e9").encode("cp1252"))
    refused(case, call, 2, "is not utf-8 at byte 65, line 2", "cp1252")


def test_empty_feed(case: Path, call: "Call") -> None:
    """An empty feed is no screening."""
    (case / "feed.csv").write_bytes(b"")
    refused(case, call, 2, "is empty", "cut short")


def test_header_only_feed(case: Path, call: "Call") -> None:
    """A feed without records is no screening."""
    (case / "feed.csv").write_text(FEED.splitlines()[0] + "\n")
    refused(case, call, 2, "nothing after its header", "right file")


@pytest.mark.parametrize("start", ["1,", '1,"'])
def test_one_endless_line(case: Path, call: "Call", start: str) -> None:
    """A line of five million characters is refused, quoted or not."""
    (case / "feed.csv").write_text(FEED.splitlines()[0] + "\n" + start + "a" * 5_000_000 + "\n")
    refused(case, call, 2, "is longer than", "line ends")


def test_truncated_gzip(case: Path, call: "Call") -> None:
    """A compressed feed that ends too early is refused."""
    (case / "feed.csv.gz").write_bytes(gzip.compress(FEED.encode(), mtime=0)[:60])
    (case / "job.toml").write_text(JOB.replace("feed.csv", "feed.csv.gz"))
    refused(case, call, 2, "is truncated", "fetch the file again")


def test_duplicate_ids_in_a_list(case: Path, call: "Call") -> None:
    """A list in which one id stands for two entities is refused as a finding about the list, not as bad usage."""
    (case / "list.csv").write_text(LIST + "E1,Somebody Else,person,,FR\n")
    refused(case, call, 1, "E1", "")


def test_misspelt_key(case: Path, call: "Call") -> None:
    """A key that the job file does not have is refused with the one that was meant."""
    (case / "job.toml").write_text(JOB.replace("currency", "curency"))
    refused(case, call, 2, "unknown key feed.curency", "did you mean feed.currency?")


def test_job_is_not_toml(case: Path, call: "Call") -> None:
    """A job file that is not TOML is refused with the place."""
    (case / "job.toml").write_text("this is not a job\n")
    refused(case, call, 2, "not TOML", "quotes")


def test_job_is_missing(case: Path, call: "Call") -> None:
    """A job file that is not there is named, with the one that is spelled alike."""
    refused(case, call, 2, "jop.toml", "did you mean 'job.toml'?", "run", "jop.toml")


def test_job_is_a_folder(case: Path, call: "Call") -> None:
    """A folder is no job file."""
    refused(case, call, 2, "is a directory", "name a job file", "run", "artifacts")


def test_too_many_rejects(case: Path, call: "Call") -> None:
    """A feed that breaks the contract too often is a negative finding that counts the reasons."""
    (case / "feed.csv").write_text(FEED.replace("2026-01", "2026-13"))
    refused(case, call, 1, "badDate in date: 3", "max_rejected_share_bp")


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (("run", "job.toml", "--registry", "other=list.csv"), "omphalos run --help"),
        (("run", "job.toml", "--scale", "small"), "omphalos run --help"),
        (("run", "--feed", "feed.csv"), "omphalos run --help"),
        (("run", "job.toml", "--set", "match.threshold=1"), "did you mean match.threshold_bp?"),
        (("run", "job.toml", "--name", 'a"b'), "lower-case letters"),
        (("run", "job.toml", "--memory", "lots"), "omphalos run --help"),
        (("run", "job.toml", "--threads", "0"), "omphalos run --help"),
    ],
)
def test_bad_options_of_run(case: Path, call: "Call", argv: tuple[str, ...], hint: str) -> None:
    """An option that does not fit the job is refused."""
    refused(case, call, 2, "", hint, *argv)


@pytest.mark.parametrize(
    "argv",
    [
        ("show", "case-000000000000"),
        ("verify", "case-000000000000"),
        ("certify", "case-000000000000"),
        ("checkout", "case-000000000000"),
        ("status", "case-000000000000"),
        ("diff", "latest", "case-000000000000"),
        ("compare", "case-000000000000", "latest"),
        ("ls", "case-000000000000"),
        ("cat", "case-000000000000:reports/validation.json"),
        ("ref", "get", "refs/runs/case-000000000000"),
        ("ref", "delete", "refs/tags/none", "--old", "0" * 64),
        ("ref", "set", "refs/tags/none", "case-000000000000"),
        ("log", "--store", "nowhere"),
        ("verify", "./nowhere"),
    ],
)
def test_what_does_not_exist(case: Path, call: "Call", argv: tuple[str, ...]) -> None:
    """A run, object, ref, store or run directory that does not exist ends every verb with 10."""
    refused(case, call, 10, "", "", *argv)


@pytest.mark.parametrize(
    "argv",
    [
        ("hash", "fed.csv"),
        ("put", "feed.csv", "fed.csv"),
        ("tree", "fed.csv"),
        ("run", "job.toml", "--feed", "fed.csv"),
    ],
)
def test_a_file_that_does_not_exist(case: Path, call: "Call", argv: tuple[str, ...]) -> None:
    """A file that does not exist is a mistake in the command, and what is spelled alike is offered."""
    refused(case, call, 2, "'fed.csv'", "did you mean 'feed.csv'?", *argv)


@pytest.mark.parametrize(("number", "identifier"), [(28, "storeFull"), (30, "storeReadOnly"), (5, "storeIo")])
def test_a_disk_that_refuses(
    case: Path, call: "Call", monkeypatch: pytest.MonkeyPatch, number: int, identifier: str
) -> None:
    """A store that is full, read-only or broken leaves no run, no ref and no building folder, and says which it is."""

    def write(*_: object) -> int:
        raise OSError(number, "refused")

    monkeypatch.setattr(durable.Disk, "write", write)
    monkeypatch.setattr(durable.Disk, "copy", write)
    said = call("run", "job.toml", "--json")
    assert said.failure["id"] == identifier
    assert said.code == (3 if number == 5 else 2)
    assert said.failure["hint"]
    assert list((case / "artifacts" / "runs").iterdir()) == []
    assert not (case / "refs" / "runs").exists()
    assert list(Store(case).objects.ids()) == []
    files = [path for path in (case / "objects").rglob("*") if path.is_file() and path.parent.name != "index"]
    # A segment was made, and a writer that was not collected yet may hold its lease: nothing got a byte.
    assert [path.name for path in files if path.stat().st_size] == []


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own; skipped where none can be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    if not shutil.which("mount"):
        pytest.skip("no mount here")
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(mounted: Path, call: "Call") -> None:
    """A disk that is really full ends a run with a usage error that says so, and leaves no run and no scratch."""
    said = call("run", "--scale", "small", "--store", str(mounted), "--json")
    assert said.code == 2
    assert "no space left" in said.failure["message"]
    assert list((mounted / "artifacts" / "runs").iterdir()) == []
    assert list((mounted / "refs").iterdir()) == []


def test_a_read_only_store(mounted: Path, case: Path, call: "Call") -> None:
    """On a read-only store what reads works, and what writes is refused with the reason."""
    subprocess.run(["mount", "-o", "remount,size=32m", str(mounted)], check=True)
    argv = [sys.executable, "-m", "omphalos", "run", "job.toml", "--store", str(mounted)]
    subprocess.run(argv, check=True, capture_output=True)  # a process that maps the index would keep it writable
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    for argv in (["log"], ["verify", "latest"], ["status"], ["show", "latest"], ["checkout", "latest", "copy"]):
        assert call(*argv, "--store", str(mounted)).code == 0, argv
    before = everything(mounted)
    for argv in (["run", "job.toml"], ["put", "job.toml"], ["ref", "set", "tags/x", "latest"], ["tree", "copy"]):
        said = call(*argv, "--store", str(mounted), "--json")
        assert said.code == 2, argv
        assert "read-only" in said.failure["message"]
        assert said.failure["hint"]
    assert everything(mounted) == before
