"""Every verb on a good store: its exit code, its document, and what it leaves."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3

from omphalos.format.strictjson import parse

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Call

EXPORT = "exports/review_queue.csv"


def test_init_twice(call: "Call", tmp_path: Path) -> None:
    """init makes a store, again changes nothing, and takes a folder by argument or --store."""
    assert call("init").code == 0
    assert call("init", "--json").document == {
        "schema": "omphalos.init/1",
        "store": str(tmp_path / "here"),
        "existed": True,
    }
    assert call("init", "deep/er", "--json").document["existed"] is False
    assert call("init", "--store", "other", "--json").document["store"] == str(tmp_path / "here" / "other")
    assert Path("deep/er/objects/large").is_dir()
    Path("file").write_text("x")
    assert call("init", "file").code == 2


def test_run_makes_a_store_and_says_so(call: "Call") -> None:
    """In a folder without a store, run makes one and says so on stderr; stdout is the run_id alone."""
    said = call("run", "--scale", "small")
    assert said.code == 0
    assert f"made a store in {Path.cwd()}\n" in said.err
    (run_id,) = said.out.splitlines()
    assert os.listdir("refs/runs") == [run_id]
    assert os.listdir("artifacts/runs") == [run_id]
    assert call("run", "--scale", "small", "--store", "another", "--json").err == ""


def test_run_again(call: "Call", store: Path, first: str) -> None:
    """A plan that is recorded is computed again and compared, or with --skip-existing not even that."""
    said = call("run", "--scale", "small", "--json")
    assert (said.code, said.err) == (0, "")
    assert said.document["schema"] == "omphalos.run/1"
    assert (said.document["run_id"], said.document["again"], said.document["skipped"]) == (first, True, False)
    assert call("run", "--scale", "small", "--skip-existing", "--json").document["skipped"] is True
    said = call("run", "--scale", "small", "--skip-existing")
    assert said.out == f"{first}\n"
    assert not [name for name in os.listdir("artifacts/runs") if name.startswith(".")]


def test_log(call: "Call", store: Path, first: str) -> None:
    """log lists the runs, newest first, all or some."""
    said = call("log", "--json")
    assert (said.code, said.document["schema"]) == (0, "omphalos.log/1")
    assert {run["run_id"].rpartition("-")[0] for run in said.document["runs"]} == {"reference-small", "second"}
    assert len(call("log", "-n", "1").out.splitlines()) == 1
    assert first in call("log").out


def test_log_of_an_empty_store(call: "Call") -> None:
    """An empty store has no runs, which is no error; a missing one is."""
    assert call("log").code == 10
    call("init")
    said = call("log")
    assert (said.code, said.out) == (0, "")
    assert "'omphalos run' makes one" in said.err
    assert call("log", "--json").document == {"schema": "omphalos.log/1", "runs": []}
    assert call("show", "latest").code == 10
    assert call("status").code == 0
    assert call("ref", "list").out == ""


def test_show(call: "Call", store: Path, first: str) -> None:
    """show gives the manifest, and an artifact by its path, byte for byte."""
    said = call("show", first, "--json")
    assert (said.code, said.document["schema"]) == (0, "omphalos.show/1")
    assert said.document["manifest"]["run_id"] == first
    file = store / "artifacts" / "runs" / first / EXPORT
    assert call("show", f"{first}:{EXPORT}").out == file.read_text()
    document = call("show", f"{first}:{EXPORT}", "--json").document
    assert (document["schema"], document["path"]) == ("omphalos.artifact/1", EXPORT)
    assert (document["encoding"], document["content"]) == ("utf-8", file.read_text())
    assert first in call("show", first).out
    assert call("show", f"{first}:reports").code == 2


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize("there", [False, True])
def test_a_checkout_does_not_leave_its_folder(
    call: "Call", store: Path, first: str, tmp_path: Path, force: list[str], there: bool
) -> None:
    """A link in place of a folder of the run directory is refused; nothing is written, read or deleted behind it."""
    dest, outside = store / "artifacts" / "runs" / first, tmp_path / "outside"
    outside.mkdir()
    name = next(path.name for path in (dest / "control").iterdir())
    if there:
        (outside / name).write_text("mine")
    shutil.rmtree(dest / "control")
    (dest / "control").symlink_to(outside)
    (dest / "reports" / "scoring.json").unlink()
    said = call("checkout", first, *force, "--json")
    assert (said.code, said.failure["id"]) == (2, "checkoutConflict")
    assert f"control/{name}" in said.failure["message"]
    assert not (dest / "reports" / "scoring.json").exists()
    assert [path.read_text() for path in outside.iterdir()] == ["mine"] * there
    (entry,) = (entry for entry in call("status", first, "--json").document["runs"][0]["entries"]
                if entry["path"] == f"control/{name}")  # fmt: skip
    assert entry["state"] == "removed"
    (dest / "control").unlink()
    assert call("checkout", first, *force).code == 0
    assert call("status", first).code == 0


def test_status_and_checkout(call: "Call", store: Path, first: str) -> None:
    """status sees what a run directory has more, less or otherwise, and checkout refuses to write over it."""
    directory = store / "artifacts" / "runs" / first
    assert call("status").code == 0
    (directory / "extra.txt").write_text("x")
    (directory / EXPORT).write_text("changed")
    (directory / "reports" / "scoring.json").unlink()
    said = call("status", first, "--json")
    assert (said.code, said.document["schema"]) == (1, "omphalos.status/1")
    (run,) = said.document["runs"]
    assert [(entry["path"], entry["state"]) for entry in run["entries"]] == [
        (EXPORT, "modified"),
        ("extra.txt", "added"),
        ("reports/scoring.json", "removed"),
    ]
    assert call("status").code == 1
    assert call("checkout", first).code == 2
    assert (directory / EXPORT).read_text() == "changed"
    assert call("checkout", first, "--force").code == 0
    assert (directory / EXPORT).read_text() != "changed"
    document = call("checkout", first, "elsewhere", "--json").document
    assert (document["schema"], document["path"]) == ("omphalos.checkout/1", str(store / "elsewhere"))
    assert call("verify", "./elsewhere").code == 0
    assert call("checkout", first, "--path", "reports").code == 0
    reports = ("decisions", "facts", "hygiene", "matching", "red_flags", "scoring", "validation", "warehouse")
    assert sorted(os.listdir("reports")) == ["briefing.html", *(f"{name}.json" for name in reports)]
    assert call("checkout", first, "--path", "nothing").code == 10
    assert call("status", first, "nowhere").code == 10


def test_diff_and_compare(call: "Call", store: Path, first: str) -> None:
    """Equal ends with 0 and different with 1, and the document says why before it says what."""
    assert call("diff", first, first).out == "equal\n"
    assert call("compare", first, first).code == 0
    said = call("diff", first, "second", "--json")
    assert (said.code, said.document["schema"]) == (1, "omphalos.diff/1")
    assert {cause["part"] for cause in said.document["causes"]} >= {"config", "input", "name"}
    assert sum(said.document["counts"].values()) == len(said.document["changes"]) > 0
    stat = call("diff", first, "second", "--json", "--stat")
    assert "changes" not in stat.document
    assert stat.document["counts"] == said.document["counts"]
    assert call("diff", first, "second").out.startswith("cause: ")
    said = call("compare", first, "second", "--json")
    assert (said.code, said.document["schema"], said.document["equal"]) == (1, "omphalos.compare/1", False)
    assert call("diff", f"{first}:reports", f"{first}:exports").code == 1
    assert call("diff", first, "nope").code == 10


def test_verify(call: "Call", store: Path, first: str) -> None:
    """verify checks the record and its directory, or a directory on its own, and says what it did not check."""
    said = call("verify", first, "--json")
    assert (said.code, said.document["schema"], said.document["verdict"]) == (0, "omphalos.verify/1", "verified")
    assert [check["subject"] for check in said.document["checks"]] == [f"runs/{first}", first]
    assert all(check["not_checked"] for check in said.document["checks"])
    said = call("verify", f"artifacts/runs/{first}")
    assert said.code == 0
    assert said.out.startswith("VERIFIED ")
    assert "NOT CHECKED:" in said.out
    assert call("verify", "").code == 10
    deep = call("verify", f"artifacts/runs/{first}", "--deep", "--json")
    assert "fingerprints" not in [word["word"] for word in deep.document["checks"][0]["not_checked"]]


def test_certify(call: "Call", store: Path, first: str) -> None:
    """certify computes the plan again, finds it identical, and writes what it says as a statement beside the store."""
    said = call("certify", first, "--json", "--threads", "2")
    assert (said.code, said.document["schema"], said.document["outcome"]) == (0, "omphalos.certify/1", "identical")
    statement = Path(said.document["statement"])
    assert statement.parent == store / "artifacts" / "certifications"
    assert json.loads(statement.read_bytes())["predicate"]["outcome"] == "identical"
    told = call("certify", first, "--vary", "umask,hash-seed", "-o", "here.json").out
    assert told.startswith(f"identical {first}\n  varied: hash-seed, umask\n  not varied: path (not asked for)\n")
    assert told.endswith("  statement: here.json\n")
    assert json.loads(Path("here.json").read_bytes())["predicate"]["runId"] == first


def test_a_statement_overwrites_nothing(call: "Call", store: Path, first: str) -> None:
    """A statement's file that exists is refused before anything is computed; one that cannot be made is an error."""
    (store / "mine").write_bytes(b"mine")
    said = call("certify", first, "-o", "mine", "--json")
    assert (said.code, said.failure["id"]) == (2, "statementNotWritten")
    assert (store / "mine").read_bytes() == b"mine"
    said = call("certify", first, "--vary", "none", "-o", "mine/below", "--json")
    assert (said.code, said.failure["id"]) == (2, "statementNotWritten")
    assert call("certify", first, "--vary", "weather").code == 2


@pytest.mark.parametrize("verb", ["backfill"])
def test_verbs_that_come_later(call: "Call", verb: str) -> None:
    """A reserved verb takes any arguments, says that it comes later, and ends with 2."""
    for argv in ([verb], [verb, "job.toml", "--from", "2026-01-01"], [verb, "build", "-o", "file"]):
        said = call(*argv)
        assert (said.code, said.out) == (2, "")
        assert "comes with a later version" in said.err
    assert call(verb, "--json").failure["id"] == "comesLater"
    assert "later version" in call(verb, "-h").out


def test_objects(call: "Call", store: Path) -> None:
    """put, cat, hash, tree and ls agree about ids, which are those of b3sum for files."""
    Path("folder/sub").mkdir(parents=True)
    Path("folder/a").write_bytes(b"one\n")
    Path("folder/sub/b").write_bytes(b"\xff\x00two")
    oid = blake3(b"one\n").hexdigest()
    assert call("hash", "folder/a").out == f"{oid}  folder/a\n"
    assert call("cat", oid).code == 10
    assert call("put", "folder/a", "folder/sub/b").out.splitlines()[0] == f"{oid}  folder/a"
    (row, _) = call("put", "folder/a", "folder/sub/b", "--json").document["files"]
    assert row == {"path": "folder/a", "id": oid, "size": 4, "sha256": hashlib.sha256(b"one\n").hexdigest()}
    assert call("cat", oid[:8]).out == "one\n"
    document = call("cat", blake3(b"\xff\x00two").hexdigest(), "--json").document
    assert (document["schema"], document["encoding"], document["content"]) == ("omphalos.cat/1", "base64", "/wB0d28=")
    tree = call("tree", "folder").out.strip()
    assert call("hash", "folder").out == f"{tree}  folder\n"
    assert call("tree", "folder", "--json").document == {"schema": "omphalos.tree/1", "id": tree, "size": 9}
    entries = call("ls", tree, "--json").document["entries"]
    assert [(entry["kind"], entry["path"], entry["size"]) for entry in entries] == [
        ("blob", "a", 4),
        ("tree", "sub", 5),
    ]
    assert [line.split()[-1] for line in call("ls", "-r", tree).out.splitlines()] == ["a", "sub/b"]
    assert call("hash", "folder", "--json").document["files"][0]["kind"] == "tree"
    assert call("put").code == 2
    assert call("put", "folder").code == 2
    assert call("ls", oid).code == 2


def test_refs(call: "Call", store: Path, first: str) -> None:
    """A ref is set where it does not exist yet, moved by who knows where it points, and deleted likewise."""
    run = call("ref", "get", f"refs/runs/{first}").out.strip()
    assert call("ref", "set", "refs/tags/q3", first).code == 0
    assert call("show", "q3", "--json").document["id"] == run
    assert call("ref", "set", "tags/q3", "second").code == 11
    assert call("ref", "set", "tags/q3", "second", "--old", run, "--json").document["name"] == "refs/tags/q3"
    assert call("ref", "delete", "tags/q3", "--old", run, "--json").failure["id"] == "refConflict"
    now = call("ref", "get", "tags/q3", "--json").document["id"]
    assert [row["name"] for row in call("ref", "list", "refs/tags/", "--json").document["refs"]] == ["refs/tags/q3"]
    assert call("ref", "delete", "tags/q3", "--old", now).code == 0
    assert call("ref", "get", "tags/q3").code == 10
    assert call("ref", "set", "tags/../x", first).code == 2
    assert call("ref", "set", "tags/q3", first, "--old", "short").code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(call: "Call", shell: str) -> None:
    """completion prints a script for each shell."""
    said = call("completion", shell)
    assert "_OMPHALOS_COMPLETE" in said.out
    assert call("completion", shell, "--json").document["script"] == said.out[:-1]


def test_completion_offers_verbs_and_options(call: "Call", monkeypatch: pytest.MonkeyPatch) -> None:
    """What the script asks for is answered: verbs, verbs below verbs, options."""
    monkeypatch.setenv("_OMPHALOS_COMPLETE", "bash_complete")
    for words, count, expected in (("omphalos ver", 1, "verify"), ("omphalos ref d", 2, "delete")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(count))
        assert call().out == f"plain,{expected}\n"


def test_every_document_is_strict_json(call: "Call", store: Path, first: str) -> None:
    """With --json stdout is one line of JSON that even the project's own strict reader takes, and stderr is empty."""
    for argv in (
        ["init"],
        ["log"],
        ["show", first],
        ["status"],
        ["checkout", first],
        ["diff", first, "second"],
        ["compare", first, "second"],
        ["verify", first],
        ["put", "omphalos.txt"],
        ["cat", f"{first}:{EXPORT}"],
        ["ls", first],
        ["hash", "omphalos.txt"],
        ["ref", "list"],
        ["config", "show"],
        ["completion", "zsh"],
    ):
        Path("omphalos.txt").write_text("x")
        said = call(*argv, "--json")
        assert said.err == "", argv
        document = parse(said.out.encode(), max_bytes=1 << 26)
        assert isinstance(document, dict)
        assert str(document["schema"]).startswith("omphalos."), argv
