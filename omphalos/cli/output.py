"""What a command may say, and where: stdout is data, stderr is messages and progress.

Rules of this file: with ``--json`` stdout holds one document (or JSON Lines) and an error is one JSON line on stderr;
text from outside is escaped before it reaches a terminal or a message, so a name can neither move the cursor nor
forge a line; colour carries no meaning that the words do not carry; nothing is animated when stderr is no
terminal. This module reads the environment and the terminal on behalf of every verb.
"""

import os
import sys
import unicodedata
from collections.abc import Mapping
from typing import Any, TextIO

import click
import msgspec

from omphalos.cli.exits import OF_KIND, Exit
from omphalos.format.errors import OmphalosError

_COMPACT = msgspec.json.Encoder(order="deterministic")


def escape(text: str) -> str:
    """Return ``text`` with control, format and line-breaking characters written as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c == " " or (c.isprintable() and unicodedata.category(c) != "Cf") else _escaped(c) for c in text
    )


def _escaped(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def wants_color(stream: TextIO, *, disabled: bool = False, environment: Mapping[str, str] | None = None) -> bool:
    """Say whether ``stream`` gets colour: flags first, then NO_COLOR, FORCE_COLOR, TERM=dumb, then the terminal."""
    environment = os.environ if environment is None else environment
    if disabled or environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return environment.get("TERM") != "dumb" and stream.isatty()


class Out:
    """The voice of one command.

    Args:
        json: whether stdout holds JSON documents.
        no_color: whether the flag ``--no-color`` was given.
        no_progress: whether the flag ``--no-progress`` was given.
    """

    def __init__(self, *, json: bool = False, no_color: bool = False, no_progress: bool = False) -> None:
        self.json = json
        self.color = wants_color(sys.stdout, disabled=no_color)
        self.color_messages = wants_color(sys.stderr, disabled=no_color)
        self.progress = not no_progress and not json and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def document(self, schema: str, content: Mapping[str, Any]) -> None:
        """Write one JSON document with its ``schema`` member to stdout."""
        sys.stdout.write(_COMPACT.encode({"schema": schema, **content}).decode() + "\n")

    def text(self, line: str = "") -> None:
        """Write a line of data to stdout."""
        sys.stdout.write(line + "\n")

    def style(self, text: str, **style: Any) -> str:
        """Return ``text`` with colour where stdout has any."""
        return click.style(text, **style) if self.color else text

    def message(self, line: str) -> None:
        """Write a message to stderr; silent with ``--json``, where stderr holds errors only."""
        if not self.json:
            sys.stderr.write(line + "\n")

    def warning(self, line: str) -> None:
        """Write a warning to stderr."""
        label = click.style("warning:", fg="yellow", bold=True) if self.color_messages else "warning:"
        self.message(f"{label} {line}")

    def error(self, error: OmphalosError) -> Exit:
        """Write an error and its hint to stderr; return the exit code of its kind."""
        code = OF_KIND[error.kind]
        self.failure(code, error.id, error.message, error.hint, error.undone)
        return code

    def failure(self, code: Exit, identifier: str, message: str, hint: str = "", undone: str = "") -> None:
        """Write an error of any origin to stderr."""
        if self.json:
            document = {"code": int(code), "id": identifier, "message": message, "hint": hint, "undone": undone}
            sys.stderr.write(_COMPACT.encode(document).decode() + "\n")
            return
        label = click.style("error:", fg="red", bold=True) if self.color_messages else "error:"
        lines = [escape(line) for line in message.splitlines()] or [""]
        sys.stderr.write(f"{label} {lines[0]}\n")
        for line in lines[1:]:
            sys.stderr.write(f"  {line}\n")
        if undone:
            sys.stderr.write(f"  {escape(undone)}\n")
        if hint:
            label = click.style("hint:", fg="cyan", bold=True) if self.color_messages else "hint:"
            sys.stderr.write(f"{label} {escape(hint)}\n")


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
