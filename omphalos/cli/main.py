"""The entry point: global manners of every command, lazy loading of verbs, and the one place that decides exit codes.

Rules of this file: nothing but click, msgspec and the standard library is imported before a verb is chosen; a verb's
module is imported when the verb is used; an unexpected exception is an internal error (70) with its traceback only on
request; a broken pipe ends the program quietly.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from omphalos import __version__
from omphalos.cli.exits import MEANINGS, Exit
from omphalos.cli.output import Out
from omphalos.format.errors import OmphalosError

if TYPE_CHECKING:
    from omphalos.store.store import Store

# Verb: (module of its command, one line of help). The order here is the order of ``omphalos --help``.
VERBS: Final[dict[str, tuple[str, str]]] = {
    "init": ("init", "make a store"),
    "run": ("run", "execute a plan and record the run"),
    "log": ("log", "list the runs, newest first"),
    "show": ("show", "show a run or one artifact"),
    "status": ("status", "say what in a run directory differs from the run"),
    "checkout": ("checkout", "materialize a run directory"),
    "diff": ("diff", "compare two runs or trees, path by path"),
    "compare": ("compare", "compare the declared artifacts of two runs by digest"),
    "verify": ("verify", "recompute everything a run claims"),
    "certify": ("certify", "execute a recorded plan again and compare"),
    "backfill": ("later", "one run for each window of time"),
    "release": ("later", "build and verify release bundles"),
    "put": ("put", "store files as blobs and print their ids"),
    "cat": ("cat", "write an object's bytes to stdout"),
    "tree": ("tree", "store a folder as a tree and print its id"),
    "ls": ("ls", "list a tree"),
    "hash": ("hash", "print the id a file or folder would have; store nothing"),
    "ref": ("ref", "list, get, set and delete refs"),
    "completion": ("completion", "print a shell completion script"),
}
PLUMBING: Final = ("put", "cat", "tree", "ls", "hash", "ref")


@dataclass
class App:
    """What a verb may know of its surroundings."""

    out: Out
    cwd: Path
    store_option: str | None

    def store(self) -> "Store":
        """Open the store: ``--store`` (or OMPHALOS_STORE), else the nearest one in or above the working directory.

        Raises:
            StoreMissing: there is none.
        """
        from omphalos.store.store import Store

        return Store.open(self.path(self.store_option)) if self.store_option else Store.find(self.cwd)

    def store_or_new(self) -> "Store":
        """Open the store as ``store`` does; where there is none, make one and say so on stderr."""
        from omphalos.store.store import Store, StoreMissing

        try:
            return self.store()
        except StoreMissing:
            store = Store.init(self.path(self.store_option) if self.store_option else self.cwd)
            self.out.message(f"made a store in {store.root}")
            return store

    def path(self, text: str) -> Path:
        """Return a path from the command line, relative to the working directory."""
        return self.cwd / text


class Verb(click.Command):
    """A command with the options every command has, and help that leads with two examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {}).setdefault("help_option_names", ["-h", "--help"])
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.params += common_options()

    def invoke(self, ctx: click.Context) -> Any:
        """Build the ``App`` out of the common options and call the verb with it."""
        own = ctx.params
        json = bool(own.pop("json_", False))
        no_color = bool(own.pop("no_color", False))
        no_progress = bool(own.pop("no_progress", False))
        out = Out(json=json, no_color=no_color, no_progress=no_progress)
        ctx.color = out.color
        ctx.obj = App(out=out, cwd=Path.cwd(), store_option=own.pop("store", None))
        return super().invoke(ctx)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write usage, examples, description, options."""
        self.format_usage(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write_text(example)
        self.format_help_text(ctx, formatter)
        self.format_options(ctx, formatter)
        self.format_epilog(ctx, formatter)


def common_options() -> list[click.Parameter]:
    """Return the options every command takes."""
    return [
        click.Option(["--store"], metavar="DIR", envvar="OMPHALOS_STORE", help="The store's folder."),
        click.Option(["--json", "json_"], is_flag=True, envvar="OMPHALOS_JSON", help="Write JSON to stdout."),
        click.Option(["--no-color"], is_flag=True, help="Write no colour."),
        click.Option(["--no-progress"], is_flag=True, envvar="OMPHALOS_NO_PROGRESS", help="Show no progress."),
    ]


class VerbGroup(click.Group):
    """A group within a verb (``ref list``): shares the help flags of every verb."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {}).setdefault("help_option_names", ["-h", "--help"])
        super().__init__(*args, **kwargs)


class Root(click.Group):
    """The command ``omphalos``: knows its verbs by name and imports one only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return its command."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"omphalos.cli.{VERBS[cmd_name][0]}")
        command: click.Command = module.command(cmd_name) if VERBS[cmd_name][0] == "later" else module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs and their one line, without importing any of them."""
        for title, wanted in (("Commands", False), ("Plumbing", True)):
            with formatter.section(title):
                formatter.write_dl([(v, help_) for v, (_, help_) in VERBS.items() if (v in PLUMBING) is wanted])
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANINGS.items()])


def _root() -> Root:
    return Root(
        name="omphalos",
        help=(
            "Screen shipments against sanctions and export-control lists, and keep each run as a record that anyone "
            "can check.\n\n\b\nExamples:\n  omphalos run --scale small\n  omphalos verify latest"
        ),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        params=[
            click.Option(
                ["--version"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_print_version,
                help="Print the version and exit.",
            )
        ],
        no_args_is_help=True,
    )


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"omphalos {__version__}")
        ctx.exit(0)


def _usage_failure(out: Out, error: click.ClickException) -> Exit:
    hint = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"see '{error.ctx.command_path} --help'"
    if isinstance(error, click.NoSuchOption | click.NoSuchCommand) and error.possibilities:
        hint = f"did you mean {' or '.join(sorted(error.possibilities))}?"
    message = error.message if isinstance(error, click.NoSuchOption | click.NoSuchCommand) else error.format_message()
    message = message.rstrip(".")
    out.failure(Exit.USAGE, "usage", message[:1].lower() + message[1:], hint)
    return Exit.USAGE


def run(argv: Sequence[str]) -> Exit:
    """Run the command line and return its exit code; never raises but for a broken interpreter.

    Args:
        argv: the arguments after the program's name.
    """
    plain = Out(json="--json" in argv, no_color="--no-color" in argv)
    try:
        result = _root().main(args=list(argv), prog_name="omphalos", standalone_mode=False)
        sys.stdout.flush()
    except OmphalosError as error:
        return plain.error(error)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return Exit.USAGE
    except click.ClickException as error:
        return _usage_failure(plain, error)
    except click.exceptions.Exit as error:
        return Exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        plain.failure(Exit.INTERRUPTED, "interrupted", "interrupted", "", "the run in progress was not recorded")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader has gone; what it wanted it has. Keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as error:  # noqa: BLE001  # the one place where every other exception ends, as code 70
        return _internal(plain, error)
    return result if isinstance(result, Exit) else Exit.DONE


def _internal(out: Out, error: Exception) -> Exit:
    hint = "this is a defect of omphalos: run again with OMPHALOS_DEBUG=1 and report what it prints"
    if os.environ.get("OMPHALOS_DEBUG"):
        traceback.print_exception(error)
    out.failure(Exit.INTERNAL, "internal", f"{type(error).__name__}: {error}", hint)
    return Exit.INTERNAL


def entry() -> None:
    """Run the program and leave the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Names in any script must print whatever the locale says; what cannot be encoded is escaped.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]  # real text streams
    sys.exit(int(run(sys.argv[1:])))
