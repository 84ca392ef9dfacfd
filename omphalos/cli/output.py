"""What a command may say, and where: stdout is data, stderr is messages and progress.

Rules of this file: with ``--json`` stdout holds one document (or JSON Lines) and an error is one JSON line on stderr;
text from outside is escaped before it reaches a terminal or a message, so a name can neither move the cursor nor
forge a line; colour carries no meaning that the words do not carry; nothing is animated when stderr is no
terminal. A reader that has gone away does not change what a command does or how it ends. This module reads the
environment and the terminal on behalf of every verb.
"""

import base64
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO

import click
import msgspec

from omphalos.cli.exits import OF_KIND, Exit
from omphalos.cli.streams import writing
from omphalos.format.errors import ErrorKind, OmphalosError

_COMPACT = msgspec.json.Encoder(order="deterministic")
_ERASE: Final = "\r" + " " * 60 + "\r"
_COLOR: Final = re.compile(r"(\x1b\[[0-9;]*m)")  # what ``Out.style`` puts around a word, and nothing else
MAX_CONTENT: Final = 1 << 26  # bytes of one file that a JSON document may carry


class TooLargeForJson(OmphalosError):
    """A file is too large to stand inside a JSON document."""

    kind = ErrorKind.USAGE
    id = "tooLargeForJson"


def escape(text: str) -> str:
    """Return ``text`` with control, format and line-breaking characters written as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def as_json(content: Mapping[str, Any]) -> str:
    """Return ``content`` as one line of JSON in which no character can act on a terminal.

    What is not printable is written as ``\\uXXXX``, which means the same to a JSON reader. A byte of a name that is no
    UTF-8 is written as text, ``\\xff``.
    """
    try:
        text = _COMPACT.encode(content).decode()
    except UnicodeEncodeError:
        text = _COMPACT.encode(_encodable(content)).decode()
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() else _json_escaped(c) for c in text)


def _json_escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return os.fsencode(value).decode("utf-8", "backslashreplace") if not _has_utf8(value) else value
    if isinstance(value, Mapping):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list | tuple) else value


def _has_utf8(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


def content_members(data: bytes) -> dict[str, str]:
    """Return the members that carry a file's bytes in a document: ``encoding`` (utf-8 or base64) and ``content``.

    Raises:
        TooLargeForJson: there are more bytes than a document may carry.
    """
    if len(data) > MAX_CONTENT:
        raise TooLargeForJson(
            f"{human_size(len(data))} are too much for a JSON document",
            hint="without --json the bytes are streamed",
            undone="nothing was shown",
        )
    try:
        return {"encoding": "utf-8", "content": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"encoding": "base64", "content": base64.b64encode(data).decode("ascii")}


def wants_color(stream: TextIO, *, disabled: bool = False, environment: Mapping[str, str] | None = None) -> bool:
    """Say whether ``stream`` gets colour: flags first, then NO_COLOR, FORCE_COLOR, TERM=dumb, then the terminal."""
    environment = os.environ if environment is None else environment
    if disabled or environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return environment.get("TERM") != "dumb" and stream.isatty()


class NotText(OmphalosError):
    """A file that is no text was to be shown on a terminal."""

    kind = ErrorKind.USAGE
    id = "notText"


class Out:
    """The voice of one command.

    Args:
        json: whether stdout holds JSON documents.
        no_color: whether the flag ``--no-color`` was given.
        no_progress: whether progress was refused.
    """

    def __init__(self, *, json: bool = False, no_color: bool = False, no_progress: bool = False) -> None:
        self.json = json
        self.color = wants_color(sys.stdout, disabled=no_color)
        self.color_messages = wants_color(sys.stderr, disabled=no_color)
        self.progress = not no_progress and not json and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = False

    def _write(self, stream: TextIO, text: str) -> None:
        with writing(stream):
            stream.write(text)

    def document(self, schema: str, content: Mapping[str, Any]) -> None:
        """Write one JSON document with its ``schema`` member to stdout."""
        self._write(sys.stdout, as_json({"schema": schema, **content}) + "\n")

    def text(self, line: str = "") -> None:
        """Write a line of data to stdout; whatever stands in it, it stays one line that moves no cursor."""
        if not (line.isascii() and line.isprintable()):
            parts = _COLOR.split(line) if self.color else [line]
            line = "".join(part if at % 2 else escape(part) for at, part in enumerate(parts))
        self._write(sys.stdout, line + "\n")

    def file(self, data: bytes, name: str) -> None:
        """Write the bytes of a file to stdout: exactly, but as escaped lines where stdout is a terminal.

        Raises:
            NotText: stdout is a terminal and the file called ``name`` is no text.
        """
        if not sys.stdout.isatty():
            self.data(data)
            return
        try:
            lines = data.decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            hint = "redirect stdout to a file, or check the run out"
            raise NotText(f"{name!r} is not text", hint=hint, undone="nothing was shown") from error
        for line in lines[:-1] if lines[-1] == "" else lines:
            self._write(sys.stdout, escape(line) + "\n")

    def data(self, chunk: bytes) -> bool:
        """Write bytes to stdout exactly, after what was written as text; say whether anyone still reads."""
        taken = 0
        with writing(sys.stdout):
            sys.stdout.flush()
            taken = sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        return taken == len(chunk)

    def style(self, text: str, **style: Any) -> str:
        """Return ``text`` with colour where stdout has any."""
        return click.style(text, **style) if self.color else text

    def draw(self, line: str) -> None:
        """Draw the one line of progress, in place of the one before."""
        self._drawn = True
        with writing(sys.stderr):
            sys.stderr.write(f"\r{line[:59]:<59}")
            sys.stderr.flush()

    def erase(self) -> None:
        """Take the line of progress away."""
        if self._drawn:
            self._drawn = False
            with writing(sys.stderr):
                sys.stderr.write(_ERASE)
                sys.stderr.flush()

    def message(self, line: str) -> None:
        """Write a message to stderr; silent with ``--json``, where stderr holds errors only."""
        if not self.json:
            self.erase()
            self._write(sys.stderr, escape(line) + "\n")

    def help(self, text: str) -> None:
        """Write help to stderr, for a line that asked for nothing."""
        self._write(sys.stderr, text + "\n")

    def warning(self, line: str) -> None:
        """Write a warning to stderr."""
        if not self.json:
            self.erase()
            label = click.style("warning:", fg="yellow", bold=True) if self.color_messages else "warning:"
            self._write(sys.stderr, f"{label} {escape(line)}\n")

    def error(self, error: OmphalosError) -> Exit:
        """Write an error and its hint to stderr; return the exit code of its kind."""
        code = OF_KIND[error.kind]
        self.failure(code, error.id, error.message, error.hint, error.undone)
        return code

    def failure(self, code: Exit, identifier: str, message: str, hint: str = "", undone: str = "") -> None:
        """Write an error of any origin to stderr.

        Further lines of a message are set in by four columns, so that none of them can pass for a hint.
        """
        self.erase()
        if self.json:
            document = {"code": int(code), "id": identifier, "message": message, "hint": hint, "undone": undone}
            self._write(sys.stderr, as_json(document) + "\n")
            return
        label = click.style("error:", fg="red", bold=True) if self.color_messages else "error:"
        first, *more = [escape(line) for line in message.split("\n")]
        lines = [f"{label} {first}", *(f"    {line}" for line in more)]
        if undone:
            lines.append(f"  {escape(undone)}")
        if hint:
            label = click.style("hint:", fg="cyan", bold=True) if self.color_messages else "hint:"
            lines.append(f"{label} {escape(hint)}")
        self._write(sys.stderr, "\n".join(lines) + "\n")


def human_size(count: int) -> str:
    """Return a byte count for people: 1.4 MiB (exact below 1 KiB)."""
    if count < 1024:
        return f"{count} B"
    tenths = count * 10
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        tenths = (tenths + 512) // 1024
        if tenths < 10240 or unit == "TiB":
            return f"{tenths // 10}.{tenths % 10} {unit}"
    raise AssertionError
