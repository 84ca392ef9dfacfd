"""Settings: flags before OMPHALOS_*, before the nearest omphalos.toml, before the user's own, before the default."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Call


def shown(call: "Call", *argv: str) -> dict[str, tuple[object, str, str]]:
    """Return what ``config show`` says: key to (value, origin, place)."""
    said = call("config", "show", "--json", *argv)
    assert said.code == 0, said.err
    assert said.document["schema"] == "omphalos.config/1"
    return {row["key"]: (row["value"], row["origin"], row["place"]) for row in said.document["settings"]}


def test_each_source_gives_way_to_the_one_above(call: "Call", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same setting, said in more and more places, comes from the strongest one each time."""
    assert shown(call)["store"] == (None, "default", "")
    assert shown(call)["memory"] == ("2GiB", "default", "")
    user = tmp_path / "home" / ".config" / "omphalos" / "omphalos.toml"
    user.parent.mkdir(parents=True)
    user.write_text('store = "u"\nthreads = 2\nmemory = "1GiB"\n')
    assert shown(call)["store"] == (str(user.parent / "u"), "file", str(user))
    near = tmp_path / "omphalos.toml"
    near.write_text('store = "n"\nthreads = 3\n')
    assert shown(call)["store"] == (str(tmp_path / "n"), "file", str(near))
    assert shown(call)["memory"] == ("1GiB", "file", str(user))
    monkeypatch.setenv("OMPHALOS_THREADS", "4")
    monkeypatch.setenv("OMPHALOS_STORE", "e")
    assert shown(call)["threads"] == (4, "environment", "OMPHALOS_THREADS")
    assert shown(call)["store"] == (str(Path.cwd() / "e"), "environment", "OMPHALOS_STORE")
    assert shown(call, "--store", "f")["store"] == (str(Path.cwd() / "f"), "flag", "--store")


def test_only_the_nearest_file_counts(call: "Call", tmp_path: Path) -> None:
    """Of two files upward the nearer one holds, whole."""
    (tmp_path / "omphalos.toml").write_text("threads = 3\n")
    Path("omphalos.toml").write_text('memory = "1GiB"\n')
    assert shown(call)["threads"] == (None, "default", "")


def test_the_search_ends_at_a_store(call: "Call", tmp_path: Path) -> None:
    """A file above the folder of a store is none of its business."""
    (tmp_path / "omphalos.toml").write_text("threads = 3\n")
    assert shown(call)["threads"][0] == 3
    assert call("init").code == 0
    assert shown(call)["threads"][0] is None


def test_origin_for_a_person(call: "Call") -> None:
    """--origin says beside each setting where it was said."""
    Path("omphalos.toml").write_text("threads = 3\n")
    lines = call("config", "show", "--origin").out.splitlines()
    assert [line.split()[0] for line in lines] == ["store", "threads", "memory", "chunk-above", "json", "no-progress"]
    assert lines[1].split() == ["threads", "=", "3", "file", str(Path.cwd() / "omphalos.toml")]
    assert lines[4].split() == ["json", "=", "false", "default"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("thread = 3", "did you mean threads?"),
        ("no_progress = true", "did you mean no-progress?"),
        ('threads = "3"', "threads to use"),
        ("threads = 65", "1 to 64"),
        ("threads = true", "threads to use"),
        ('memory = "much"', "such as 2GiB"),
        ('json = "yes"', "write JSON"),
        ('store = ""', "name of a folder"),
        ('store = "a\\u0000b"', "name of a folder"),
        ("threads", "quotes"),
        ("[threads]", "threads to use"),
        ("\udcff", "quotes"),
        ("threads = " + "9" * 5_000, "quotes"),
        ("threads = " + "[" * 5_000, "quotes"),
        ("#" * 70_000, "a few settings"),
    ],
)
def test_a_bad_file_is_refused(call: "Call", text: str, hint: str) -> None:
    """A file with an unknown key or a wrong value stops every verb but a verifier, and the hint says what is meant."""
    Path("omphalos.toml").write_text(text + "\n", errors="surrogateescape")
    said = call("log", "--json")
    assert said.code == 2
    assert said.failure["id"] == "badSetting"
    assert "omphalos.toml" in said.failure["message"]
    assert hint in said.failure["hint"]
    assert call("verify", "./none").code == 10
    assert call("log", "-h").code == 0


def test_a_pipe_in_place_of_a_file_does_not_hang(call: "Call") -> None:
    """A named pipe called omphalos.toml is refused and never waited for."""
    os.mkfifo("omphalos.toml")
    assert call("log").code == 2


@pytest.mark.parametrize(("name", "value"), [("THREADS", "x"), ("THREADS", "0"), ("MEMORY", "2GB?"), ("JSON", "maybe")])
def test_a_bad_variable_is_refused(call: "Call", monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A variable that holds no setting is named."""
    monkeypatch.setenv(f"OMPHALOS_{name}", value)
    said = call("log")
    assert said.code == 2
    assert f"OMPHALOS_{name}" in said.err


def test_json_by_setting(call: "Call", monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON asked for by a file or the environment holds for errors too, also for those before a verb is found."""
    Path("omphalos.toml").write_text("json = true\n")
    assert call("log").failure["code"] == 10
    assert call("bakfill").failure["hint"] == "did you mean backfill?"
    monkeypatch.setenv("OMPHALOS_JSON", "0")
    assert call("log").err.startswith("error: ")


def test_a_verifier_takes_flags_only(
    call: "Call", reference: Path, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """verify heeds no file and no variable but the one that says where the store is."""
    Path("omphalos.toml").write_text(f'json = true\nstore = "{tmp_path / "nowhere"}"\n')
    monkeypatch.setenv("OMPHALOS_JSON", "1")
    directory = str(reference / "artifacts" / "runs" / first)
    assert call("verify", directory).out.startswith("VERIFIED ")
    assert call("verify", first).err.startswith("error: ")
    monkeypatch.setenv("OMPHALOS_STORE", str(reference))
    assert call("verify", first).code == 0
