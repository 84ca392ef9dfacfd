"""The manners every command shares: help, suggestions, JSON, escapes, colour, and the one place that decides codes."""

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from omphalos.cli import later, main
from omphalos.cli.exits import MEANINGS, OF_KIND, Exit
from omphalos.cli.main import VERBS, Verb, root
from omphalos.cli.output import as_json, escape, human_size, wants_color
from omphalos.format.errors import ErrorKind, OmphalosError

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Call

HOSTILE = "a\x1b[2J\n\u202eb\x9b\u2028c"


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command with the words that name it, groups included."""
    top = root()
    with click.Context(top) as ctx:
        for name in VERBS:
            command = top.get_command(ctx, name)
            assert command is not None
            yield (name,), command
            if isinstance(command, click.Group):
                yield from (((name, below), child) for below, child in sorted(command.commands.items()))


COMMANDS = dict(commands())
WORKING = {words: command for words, command in COMMANDS.items() if VERBS[words[0]][0] != "later"}


@pytest.mark.parametrize("words", sorted(COMMANDS), ids=" ".join)
def test_help_leads_with_examples(call: "Call", words: tuple[str, ...]) -> None:
    """-h works everywhere, says the same as --help, and shows two examples before anything else."""
    said = call(*words, "-h")
    assert (said.code, said.err) == (0, "")
    assert said.out == call(*words, "--help").out
    if words not in WORKING:
        return
    lines = said.out.splitlines()
    assert lines[2] == "Examples:"
    assert re.fullmatch(rf"  omphalos {' '.join(words)}.*", lines[3])
    assert lines[4].startswith("  omphalos ")


@pytest.mark.parametrize("words", sorted(WORKING), ids=" ".join)
def test_examples_are_real(words: tuple[str, ...]) -> None:
    """The two examples of a command use its verb, and only options that it has."""
    command = WORKING[words]
    assert isinstance(command, main.Verb | main.VerbGroup)
    assert len(set(command.examples)) == len(command.examples) == 2
    for example in command.examples:
        text = re.sub(r"\$\(.*?\)", "x", example)
        used = shlex.split(text.replace("(", "").replace(")", ""))
        assert "omphalos" in example
        options = {word for word in used if re.fullmatch(r"--?[a-z][a-z-]*", word)}
        known = {opt for _, c in commands() for p in c.params for opt in p.opts} | {"-h"}
        assert options <= known, example


def test_every_command_takes_the_common_options() -> None:
    """--store, --json, --no-color and --no-progress stand in every command, and every option has its help."""
    for words, command in COMMANDS.items():
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        names = {name for option in options for name in option.opts}
        assert names >= {"--store", "--json", "--no-color", "--no-progress"}, words
        assert all(option.help for option in options), words


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["bakfill"], "did you mean backfill?"),
        (["verfy", "latest"], "did you mean certify or verify?"),
        (["chekout"], "did you mean checkout?"),
        (["ref", "lst"], "did you mean list or set?"),
        (["config", "shw"], "did you mean show?"),
        (["log", "--limt", "3"], "did you mean --limit?"),
        (["run", "--skip-exisiting"], "did you mean --skip-existing?"),
        (["--jsn", "log"], "did you mean --json?"),
        (["ref", "list", "--stores", "x"], "did you mean --store?"),
        (["nothing-like-it"], "see 'omphalos --help'"),
        (["show"], "see 'omphalos show --help'"),
        (["show", "a", "b"], "see 'omphalos show --help'"),
        (["completion", "tcsh"], "see 'omphalos completion --help'"),
        (["log", "--store", ""], "see 'omphalos log --help'"),
    ],
)
def test_a_mistyped_line_gets_a_hint(call: "Call", argv: list[str], hint: str) -> None:
    """A misspelled verb or option is refused with 2, and the hint offers what was meant."""
    said = call(*argv)
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines()[-1] == f"hint: {hint}"
    assert re.match(r"error: [a-z'-]", said.err)
    failure = call("--json", *argv).failure
    assert failure["hint"] == hint
    assert failure["id"] == "usage"


def test_nothing_typed(call: "Call") -> None:
    """Without a verb help goes to stderr with exit code 2, and to stdout where it was asked for."""
    said = call()
    assert (said.code, said.out) == (2, "")
    assert said.err == call("--help").out
    assert call("--json").failure["code"] == 2
    assert call("ref").code == 2
    assert re.fullmatch(r"omphalos \d+\.\d+\.\d+\n", call("--version").out)


@pytest.mark.parametrize("place", [("--json", "ref", "list"), ("ref", "--json", "list"), ("ref", "list", "--json")])
def test_a_common_option_may_stand_anywhere(call: "Call", place: tuple[str, ...]) -> None:
    """A common option means the same before the verb, between its words and after it."""
    call("init")
    assert call(*place).document == {"schema": "omphalos.ref-list/1", "refs": []}


def test_after_two_dashes_nothing_is_an_option(call: "Call") -> None:
    """A name that looks like an option can be given after --."""
    Path("--json").write_text("x")
    said = call("hash", "--", "--json")
    assert (said.code, said.out.split()[-1]) == (0, "--json")
    assert call("hash", "--", "--jsn").err.startswith("error: ")


@pytest.mark.parametrize("verb", ["show", "verify", "cat", "ls", "checkout", "certify", "hash", "put", "tree", "run"])
def test_a_hostile_name_cannot_act(call: "Call", verb: str) -> None:
    """Control, bidirectional and line-breaking characters of a name reach neither stream, as text or as JSON."""
    call("init")
    for argv in ([verb, HOSTILE], [verb, f"./{HOSTILE}"], [verb, "--store", HOSTILE, "x"], [verb, f"--{HOSTILE}"]):
        for form in ((), ("--json",)):
            said = call(*argv, *form)
            assert said.code in (2, 10), argv
            text = said.out + said.err
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]", text), argv
            assert not any(line.startswith("\u202eb") for line in text.splitlines())
            if form:
                assert said.failure["code"] == said.code


@pytest.mark.parametrize("color", [False, True])
def test_a_line_of_data_stays_a_line(call: "Call", monkeypatch: pytest.MonkeyPatch, color: bool) -> None:
    """Whatever a verb forgets to escape, a line on stdout neither breaks nor moves the cursor."""
    if color:
        monkeypatch.setenv("FORCE_COLOR", "1")

    def hostile(app: main.App, **_: object) -> None:
        app.out.text(f"{app.out.style('run', bold=True)} {HOSTILE}")

    monkeypatch.setattr("omphalos.cli.init.command.callback", click.pass_obj(hostile))
    word = "\x1b[1mrun\x1b[0m" if color else "run"
    assert call("init").out == f"{word} a\\x1b[2J\\x0a\\u202eb\\x9b\\u2028c\n"


def test_a_file_on_a_terminal_is_escaped(
    call: "Call", store: Path, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written to a terminal is escaped, whatever its form; elsewhere it is the exact bytes."""
    asked = ("sql", "query", "select chr(27) || '[2J' as a, chr(155) as b", "--store", str(store))
    for form, mark in (
        ("csv", '"\\x1b[2J","\\x9b"'),
        ("json", '"b":"\\x9b"'),
        ("table", "\\x1b[2J"),
        ("markdown", "\\x1b[2J"),
    ):
        assert call(*asked, "--format", form).code == 0
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout.isatty", lambda: True)
            said = call(*asked, "--format", form)
        assert mark in said.out, form
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", said.out), form
    assert "\x1b[2J" in call(*asked, "--format", "csv").out
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout.isatty", lambda: True)
        assert call(*asked, "--format", "parquet", "--json").code == 0
        assert call("show", f"{first}:marts/list_coverage.parquet", "--store", str(store)).code == 2


def test_a_hostile_name_survives_json(call: "Call") -> None:
    """A file's name comes back from JSON as it is, and its control characters are escaped for a person."""
    Path(HOSTILE).write_text("x")
    assert call("hash", HOSTILE, "--json").document["files"][0]["path"] == HOSTILE
    assert call("hash", HOSTILE).out.split("  ")[1] == "a\\x1b[2J\\x0a\\u202eb\\x9b\\u2028c\n"


def test_a_name_that_is_no_utf8(call: "Call") -> None:
    """A name whose bytes are no UTF-8 is printed and put into JSON with its bytes spelled out."""
    name = os.fsdecode(b"a\xff")
    Path(name).write_text("x")
    assert call("hash", name, "--json").document["files"][0]["path"] == "a\\xff"
    assert call("hash", name).code == 0
    assert call("hash", name + "b", "--json").code == 2


def test_escape_leaves_every_script_alone() -> None:
    """Names in any script pass, and what is no plain character does not."""
    for plain in ("Ünïted", "Общество", "有限公司", "شركة", "a b", "é"):
        assert escape(plain) == plain
        assert json.loads(as_json({"name": plain})) == {"name": plain}
        assert plain in as_json({"name": plain})
    assert escape("a\u200d\u2066\ue000\U000e0001\x7f\t") == "a\\u200d\\u2066\\ue000\\U000e0001\\x7f\\x09"
    assert as_json({"a": "\U000e0001\x7f"}) == '{"a":"\\udb40\\udc01\\u007f"}'


def test_an_unknown_failure_is_internal(call: "Call", monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect ends with 70 and one message; the traceback is printed only on request."""
    call("init")

    def broken(*_: object) -> None:
        raise ZeroDivisionError("seven\nhint: trust me")

    monkeypatch.setattr("omphalos.store.names.runs", broken)
    said = call("log")
    assert said.code == 70
    assert said.err.startswith("error: ZeroDivisionError: seven\n    hint: trust me\n")
    assert "Traceback" not in said.err
    failure = call("log", "--json").failure
    assert (failure["code"], failure["id"]) == (70, "internal")
    monkeypatch.setenv("OMPHALOS_DEBUG", "1")
    assert "Traceback" in call("log").err


@pytest.mark.parametrize(("number", "code"), [(28, 2), (30, 2), (13, 2), (5, 3), (2, 3)])
def test_what_the_system_refuses(call: "Call", monkeypatch: pytest.MonkeyPatch, number: int, code: int) -> None:
    """An error of the operating system that no floor below translated is a message with the place, not a defect."""
    call("init")

    def refused(*_: object) -> None:
        raise OSError(number, "refused", "/a\x1bplace")

    monkeypatch.setattr("omphalos.store.names.runs", refused)
    said = call("log")
    assert said.code == code
    assert "'/a\\x1bplace'" in said.err
    assert call("log", "--json").failure["id"] == "refusedBySystem"


def test_every_kind_of_error_has_a_code(call: "Call", monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of error becomes its own exit code, and none of the library's can become 0, 70 or 130."""
    call("init")
    assert set(OF_KIND) == set(ErrorKind)
    assert not {Exit.DONE, Exit.INTERNAL, Exit.INTERRUPTED} & set(OF_KIND.values())
    assert set(MEANINGS) == set(Exit)
    for kind, code in OF_KIND.items():
        error = type("Planned", (OmphalosError,), {"kind": kind, "id": "planned"})(
            "it is so", hint="do that", undone="x"
        )

        def fail(*_: object, error: OmphalosError = error) -> None:
            raise error

        monkeypatch.setattr("omphalos.store.names.runs", fail)
        said = call("log")
        assert (said.code, said.err) == (code, "error: it is so\n  x\nhint: do that\n")
        expected = {"code": code, "id": "planned", "message": "it is so", "hint": "do that", "undone": "x"}
        assert call("log", "--json").failure == expected


def test_an_interrupt_ends_with_130(call: "Call", monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt is one message and exit code 130, as JSON too."""
    call("init")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("omphalos.store.names.runs", interrupted)
    said = call("log")
    assert (said.code, said.out) == (130, "")
    assert said.err.startswith("error: interrupted\n")
    assert call("log", "--json").failure["code"] == 130


@pytest.mark.parametrize(
    ("failure", "code", "identifier"),
    [
        (RuntimeError("Query interrupted"), 130, "interrupted"),
        (RuntimeError("anything else"), 70, "internal"),
        (type("OutOfMemoryException", (Exception,), {})("failed to allocate"), 2, "outOfMemory"),
        (type("IOException", (Exception,), {})("Could not write: No space left on device"), 2, "noSpaceLeft"),
        (
            type("OutOfMemoryException", (Exception,), {})("failed to offload: set max_temp_directory_size"),
            2,
            "noSpaceLeft",
        ),
    ],
)
def test_what_the_engine_says(
    call: "Call", monkeypatch: pytest.MonkeyPatch, failure: Exception, code: int, identifier: str
) -> None:
    """Memory, space and an interrupt are what they are also where the engine reports them in its own words."""

    def fail(*_: object) -> None:
        raise failure

    call("init")
    monkeypatch.setattr("omphalos.runs.execute.execute", fail)
    said = call("run", "--scale", "small", "--json")
    assert (said.code, said.failure["id"]) == (code, identifier)


def test_what_an_error_of_ours_came_from_counts(call: "Call", monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that ran out is said as such also where a part had made its own error of it."""
    ours = type("Planned", (OmphalosError,), {"kind": ErrorKind.NEGATIVE, "id": "planned"})

    def fail(*_: object) -> None:
        try:
            raise type("OutOfMemoryException", (Exception,), {})("failed to allocate")
        except Exception as error:
            raise ours("a model cannot be built") from error

    call("init")
    monkeypatch.setattr("omphalos.runs.execute.execute", fail)
    said = call("run", "--scale", "small", "--json")
    assert (said.code, said.failure["id"]) == (2, "outOfMemory")


def test_memory_that_runs_out_ends_the_run_at_a_named_stage(call: "Call") -> None:
    """With next to no memory a run ends with a typed error that names the stage, and leaves nothing behind."""
    call("init")
    said = call("run", "--scale", "small", "--memory", "16MiB", "--json")
    assert (said.code, said.failure["id"]) == (2, "outOfMemory")
    assert re.search(r"more memory than it may use at the stage (ingest|normalize)$", said.failure["message"])
    assert "--memory" in said.failure["hint"]
    assert "disk" in said.failure["hint"]
    assert said.failure["undone"] == "no run was recorded"
    runs = Path("artifacts/runs")
    assert not runs.exists() or not list(runs.iterdir())
    assert call("log", "--json").document["runs"] == []


class _Terminal:
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "disabled", "expected"),
    [
        ({}, False, True),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, False, True),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_color(environment: dict[str, str], disabled: bool, expected: bool) -> None:
    """The flag comes before NO_COLOR, that before FORCE_COLOR, that before TERM, that before the terminal."""
    assert wants_color(_Terminal(), disabled=disabled, environment=environment) is expected  # type: ignore[arg-type]  # enough of a stream


def test_color_is_written_only_where_wanted(call: "Call", monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe there is no colour unless FORCE_COLOR is set, and --no-color wins over it."""
    assert "\x1b" not in call("log").err
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[31m" in call("log").err
    assert "\x1b" not in call("log", "--no-color").err
    assert "\x1b" not in call("log", "--json").err


def test_the_working_directory_is_gone(call: "Call", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that was removed every verb says so."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    said = call("log")
    assert said.code == 2
    assert "the working directory is gone" in said.err


def test_sizes_for_people() -> None:
    """Sizes are exact below 1 KiB and rounded to tenths above."""
    assert [human_size(n) for n in (0, 1023, 1024, 1536, 1 << 20, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 KiB",
        "1.0 MiB",
        "5.0 TiB",
    ]


def test_reserved_verbs_are_verbs() -> None:
    """A reserved verb is a command like any other, without examples that would not work."""
    command = later.command("backfill")
    assert isinstance(command, Verb)
    assert command.examples == ()
