"""The three standard streams as the process finds them: closed, abandoned by their reader, or in another encoding.

Rules of this file: descriptors 0 to 2 are never free, so that no file of the store can be opened as one of them and be
written to as if it were a terminal; a reader that has gone is no error; any other failure to write stdout is one.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from omphalos.format.errors import ErrorKind, OmphalosError


class OutputFailed(OmphalosError):
    """stdout cannot take what is to be written, for another reason than that nobody reads."""

    kind = ErrorKind.INCOMPLETE
    id = "outputFailed"


def read_names_as_utf8() -> None:
    """Start the interpreter again in UTF-8 mode where the locale would have names of files read otherwise.

    Names enter trees and manifests, and one folder must give one tree id in every locale. With ``-X utf8`` the check
    below is false, so this happens once; arguments pass as the bytes they came as.
    """
    if sys.getfilesystemencoding().lower() != "utf-8":
        arguments = [os.fsencode(argument) for argument in sys.orig_argv[1:]]
        command = [os.fsencode(sys.executable), b"-X", b"utf8", *arguments]
        os.execv(sys.executable, command)  # noqa: S606  # this very program again; no shell is wanted


def prepare() -> None:
    """Make the standard streams of this process usable: none closed, all UTF-8 whatever the locale says.

    What is written to a closed stdout fails at the end, which is said; what is written to a closed stderr is lost.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)
    streams: list[TextIO | None] = [sys.stdin, sys.stdout, sys.stderr]
    if streams[0] is None:
        sys.stdin = os.fdopen(0, "r", encoding="utf-8", closefd=False)
    if streams[1] is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if streams[2] is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        # Names in any script must print whatever the locale says; what cannot be encoded is escaped.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]  # real text streams


def hang_up(stream: TextIO) -> None:
    """Let what is and will be written to a stream go nowhere, and keep the interpreter quiet about it at exit."""
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, stream.fileno())
        os.close(devnull)
    except (OSError, ValueError):  # a stand-in without a descriptor of its own
        return


@contextmanager
def writing(stream: TextIO) -> Iterator[None]:
    """Write to a stream inside the block; a reader that has gone, and a stderr that takes nothing, are passed over.

    Raises:
        OutputFailed: ``stream`` is stdout and cannot be written.
    """
    try:
        yield
    except BrokenPipeError:
        hang_up(stream)
    except OSError as error:
        hang_up(stream)
        if stream is not sys.stderr:
            raise OutputFailed(
                f"stdout could not be written: {os.strerror(error.errno or 0).lower()}",
                hint="give it a place that takes what is written",
                undone="what the command did is done; what it had to say was not said",
            ) from error


def flush_stdout() -> None:
    """Hand everything written to stdout to its reader.

    Raises:
        OutputFailed: see ``writing``.
    """
    with writing(sys.stdout):
        sys.stdout.flush()
