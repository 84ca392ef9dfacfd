"""The entry point: global manners of every command, lazy loading of verbs, and the one place that decides exit codes.

Rules of this file: nothing but click, msgspec and the standard library is imported before a verb is chosen; a verb's
module is imported when the verb is used; an unexpected exception is an internal error (70) with its traceback only on
request; a reader that has gone away is no error, and does not hide a verdict from the exit code.
"""

import errno
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click

from omphalos import __version__
from omphalos.cli.config import PLACE_ONLY, SETTINGS, Value, bytes_of, settings
from omphalos.cli.exits import MEANINGS, Exit
from omphalos.cli.output import Out, escape
from omphalos.cli.streams import OutputFailed, flush_stdout, prepare, read_names_as_utf8
from omphalos.format.errors import ErrorKind, OmphalosError

if TYPE_CHECKING:
    from omphalos.store.store import Store

# Verb: (module of its command, one line of help). The order here is the order of ``omphalos --help``.
VERBS: Final[dict[str, tuple[str, str]]] = {
    "init": ("init", "make a store"),
    "run": ("run", "execute a plan and record the run"),
    "ingest": ("ingest", "help with bringing in a new feed"),
    "log": ("log", "list the runs, newest first"),
    "show": ("show", "show a run or one artifact"),
    "status": ("status", "say what in a run directory differs from the run"),
    "checkout": ("checkout", "materialize a run directory"),
    "diff": ("diff", "compare two runs or trees, path by path"),
    "compare": ("compare", "compare the declared artifacts of two runs by digest"),
    "verify": ("verify", "recompute everything a run claims"),
    "certify": ("certify", "execute a recorded plan again and compare"),
    "explain": ("explain", "say why a party and a listed entity matched"),
    "sql": ("sql", "ask the analyst catalog about a run"),
    "report": ("report", "write the briefing of a run as one HTML page"),
    "warehouse": ("warehouse", "build the marts of a run as a database"),
    "fsck": ("fsck", "read every object once and say what is wrong"),
    "gc": ("gc", "name what no run needs, and free it where asked"),
    "hold": ("hold", "keep a run from being deleted"),
    "backfill": ("later", "one run for each window of time (comes with a later version)"),
    "release": ("release", "build and verify bundles: runs in one file"),
    "prove": ("prove", "prove that one file belongs to a run"),
    "key": ("key", "make keys to vouch for runs with"),
    "sign": ("sign", "vouch for a run with a key"),
    "put": ("put", "store files as blobs and print their ids"),
    "cat": ("cat", "write an object's bytes to stdout"),
    "tree": ("tree", "store a folder as a tree and print its id"),
    "ls": ("ls", "list a tree"),
    "hash": ("hash", "print the id a file or folder would have; store nothing"),
    "ref": ("ref", "list, get, set and delete refs"),
    "index": ("index", "make the index of the store anew"),
    "config": ("settings", "show the settings in force and where each was said"),
    "completion": ("completion", "print a shell completion script"),
}
PLUMBING: Final = ("put", "cat", "tree", "ls", "hash", "ref", "index")
EXAMPLES: Final = ("omphalos run --scale small", "omphalos verify latest")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM})
# Where the contexts of one call keep what its common options said (click's own place for such things).
_FLAGS: Final = "omphalos.flags"
_OUT: Final = "omphalos.out"


class NoSuchFile(OmphalosError):
    """A file or folder named on the command line is not there."""

    kind = ErrorKind.USAGE
    id = "noSuchFile"


@dataclass
class App:
    """What a verb may know of its surroundings."""

    out: Out
    cwd: Path
    settings: Mapping[str, Value]

    @property
    def store_folder(self) -> Path | None:
        """The folder that was named as the store's, if any was."""
        value = self.settings["store"].value
        return None if value is None else Path(str(value))

    def store(self) -> "Store":
        """Open the store: the folder that was named, else the nearest one in or above the working directory.

        Raises:
            StoreMissing: there is none.
        """
        from omphalos.store.store import Store

        store = Store.open(self.store_folder) if self.store_folder else Store.find(self.cwd)
        return self._chunking(store)

    def _chunking(self, store: "Store") -> "Store":
        above = self.settings["chunk-above"].value
        store.objects.chunk_above = bytes_of(above) if isinstance(above, str) else None
        return store

    def store_or_new(self) -> "Store":
        """Open the store as ``store`` does; where there is none, make one and say so on stderr."""
        from omphalos.store.store import Store, StoreMissing

        try:
            return self.store()
        except StoreMissing:
            store = self._chunking(Store.init(self.store_folder or self.cwd))
            self.out.message(f"made a store in {store.root}")
            return store

    def path(self, text: str) -> Path:
        """Return a path from the command line, relative to the working directory."""
        return self.cwd / text

    def existing(self, text: str) -> Path:
        """Return a path from the command line that must be there.

        Raises:
            NoSuchFile: it is not; the hint offers what is spelled alike.
        """
        path = self.path(text)
        if os.path.lexists(path):
            return path
        near = alike(path)
        hint = f"did you mean '{near}'?" if near else "names are relative to the working directory"
        raise NoSuchFile(f"no such file or folder: '{escape(text)}'", hint=hint)


def alike(path: Path) -> str:
    """Return the name in the same folder that is spelled most like that of ``path``, escaped; empty if none is."""
    import difflib

    try:
        names = sorted(set(os.listdir(path.parent)) - {path.name})
    except OSError:
        return ""
    return escape("".join(difflib.get_close_matches(path.name, names, n=1)))


class _Helpful(click.Command):
    """Help that leads with examples, and the options every command has, wherever in the line they stand."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {}).setdefault("help_option_names", ["-h", "--help"])
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.params += common_options()

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write usage, examples, description, options."""
        self.format_usage(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        self.format_help_text(ctx, formatter)
        self.format_options(ctx, formatter)
        self.format_epilog(ctx, formatter)


class Verb(_Helpful):
    """A command. ``surroundings=False`` is for a verifier, which takes no setting but flags and the store's place."""

    def __init__(self, *args: Any, surroundings: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keep = None if surroundings else PLACE_ONLY

    def invoke(self, ctx: click.Context) -> Any:
        """Build the ``App`` out of the common options and the settings, and call the verb with it."""
        flags = ctx.meta.get(_FLAGS, {})
        known = {setting.key: flags[setting.key] for setting in SETTINGS if setting.key in flags}
        known |= {key: ctx.params[key] for key in ("threads", "memory") if ctx.params.get(key) is not None}
        cwd = _working_directory()
        found = settings(known, os.environ, cwd, keep=self.keep)
        for key in ("threads", "memory"):
            if key in ctx.params:
                ctx.params[key] = found[key].value
        out = Out(
            json=bool(found["json"].value),
            no_color="no-color" in flags,
            no_progress=bool(found["no-progress"].value),
        )
        ctx.color = out.color
        ctx.meta[_OUT].append(out)
        ctx.obj = App(out=out, cwd=cwd, settings=found)
        return super().invoke(ctx)


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise NoSuchFile("the working directory is gone", hint="change to a folder that is there") from error


def common_options() -> list[click.Parameter]:
    """Return the options every command takes; what they say is collected for the verb, the last one said wins."""
    said: list[tuple[list[str], dict[str, Any]]] = [
        (["--store"], {"metavar": "DIR", "help": "The store's folder."}),
        (["--json"], {"is_flag": True, "help": "Write JSON to stdout."}),
        (["--no-color"], {"is_flag": True, "help": "Write no colour."}),
        (["--no-progress"], {"is_flag": True, "help": "Draw no progress."}),
    ]
    return [click.Option(names, expose_value=False, callback=_collect, **more) for names, more in said]


def _collect(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if ctx.get_parameter_source(str(param.name)) is click.core.ParameterSource.COMMANDLINE:
        if value == "":
            raise click.BadParameter("an empty text names no folder", ctx, param)
        ctx.meta.setdefault(_FLAGS, {})[param.opts[0].removeprefix("--")] = value


class VerbGroup(_Helpful, click.Group):
    """A group within a verb (``ref list``)."""


class Root(_Helpful, click.Group):
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb; one that does not exist is refused with those spelled alike, none of them imported."""
        if args[0] not in VERBS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=VERBS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs and their one line, without importing any of them."""
        for title, wanted in (("Commands", False), ("Plumbing", True)):
            with formatter.section(title):
                formatter.write_dl([(v, help_) for v, (_, help_) in VERBS.items() if (v in PLUMBING) is wanted])
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANINGS.items()])


def root() -> Root:
    """Return the command ``omphalos``."""
    return Root(
        name="omphalos",
        examples=EXAMPLES,
        help=(
            "Screen shipments against sanctions and export-control lists, and keep each run as a record that anyone "
            "can check."
        ),
        context_settings={"max_content_width": 100},
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
    out.failure(Exit.USAGE, "usage", message[:1].lower() + message[1:], hint, "nothing was done")
    return Exit.USAGE


def _early_out(argv: Sequence[str]) -> Out:
    """Return the voice for a failure that comes before a verb has read its options."""
    words = list(argv)[: list(argv).index("--")] if "--" in argv else list(argv)
    json = "--json" in words
    if not json and next((word for word in words if not word.startswith("-")), "") != "verify":
        try:
            json = bool(settings({}, os.environ, Path.cwd())["json"].value)
        except Exception:  # noqa: BLE001  # the settings may be the very thing that failed, and this says so
            json = False
    return Out(json=json, no_color="--no-color" in words)


def run(argv: Sequence[str]) -> Exit:
    """Run the command line and return its exit code; never raises but for a broken interpreter.

    Args:
        argv: the arguments after the program's name.
    """
    outs: list[Out] = []
    try:
        code = _dispatch(list(argv), outs)
    except (click.Abort, KeyboardInterrupt):
        undone = "what was in progress was not recorded"
        _voice(outs, argv).failure(Exit.INTERRUPTED, "interrupted", "interrupted", "", undone)
        return Exit.INTERRUPTED
    except click.exceptions.Exit as done:
        code = Exit(done.exit_code)
    except Exception as error:  # noqa: BLE001  # the one place where every exception becomes a message and a code
        code = _failed(_voice(outs, argv), error)
    try:
        flush_stdout()
    except OutputFailed as error:
        failed = _voice(outs, argv).error(error)
        return code if code is Exit.NEGATIVE else failed
    return code


def _voice(outs: list[Out], argv: Sequence[str]) -> Out:
    return outs[-1] if outs else _early_out(argv)


def _dispatch(argv: list[str], outs: list[Out]) -> Exit:
    """Parse and execute; click's own ``main`` is not used, since it would end the process in its own way."""
    command = root()
    instruction = os.environ.get("_OMPHALOS_COMPLETE")
    if instruction:
        from click.shell_completion import shell_complete

        return Exit.USAGE if shell_complete(command, {}, "omphalos", "_OMPHALOS_COMPLETE", instruction) else Exit.DONE
    with command.make_context("omphalos", argv) as context:
        context.meta[_OUT] = outs
        result = command.invoke(context)
    return result if isinstance(result, Exit) else Exit.DONE


def _failed(out: Out, error: Exception) -> Exit:
    """Say what went wrong and return the exit code for it."""
    if isinstance(error, OmphalosError):
        return out.error(error)
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not out.json:
        out.help(error.format_message())
        return Exit.USAGE
    if isinstance(error, click.ClickException):
        return _usage_failure(out, error)
    if isinstance(error, BrokenPipeError):
        return Exit.DONE  # the reader of help or of a script has gone; what it wanted it has
    if os.environ.get("OMPHALOS_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.errno:
        return _refused(out, error)
    hint = "this is a defect of omphalos: run again with OMPHALOS_DEBUG=1 and report what it prints"
    undone = "what was in progress was not recorded"
    out.failure(Exit.INTERNAL, "internal", f"{type(error).__name__}: {error}", hint, undone)
    return Exit.INTERNAL


def _refused(out: Out, error: OSError) -> Exit:
    """Say what the operating system refused; a full or read-only place is the caller's to change, as in the store."""
    reason = os.strerror(error.errno or 0).lower()
    place = f": '{escape(os.fsdecode(error.filename))}'" if isinstance(error.filename, str | bytes) else ""
    code = Exit.USAGE if error.errno in _FULL else Exit.INCOMPLETE
    hint = "check that the place exists, is writable and has room"
    out.failure(code, "refusedBySystem", f"{reason}{place}", hint, "what was in progress was not recorded")
    return code


def entry() -> None:
    """Run the program and leave the process with its exit code."""
    read_names_as_utf8()
    prepare()
    try:
        _listen()
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while it was being said that it was interrupted
        code = Exit.INTERRUPTED
    if code is Exit.INTERRUPTED:
        # Not through the interpreter's exit: it may remember an interrupt that passed through compiled code as
        # unhandled and die of the signal, or wait for threads of a library that are still at work.
        sys.stderr.flush()
        _close_index()
        os._exit(int(code))
    sys.exit(int(code))


def _listen() -> None:
    """Let an interrupt, and a request to terminate, unwind what is in progress, so that nothing of it is left.

    A second request to terminate is not heard; a second interrupt is. Who ignored a signal goes on ignoring it.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _close_index() -> None:
    """Close the index of the store as the interpreter's exit would, if it was opened, so that it need not be remade."""
    index = sys.modules.get("omphalos.store.index")
    if index is not None:
        index.close_all()
