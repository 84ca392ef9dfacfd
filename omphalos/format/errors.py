"""The one base of every error a person may see.

Rules of this file: it holds no concrete error. Each error class lives beside the code that raises it, derives from
``OmphalosError``, and says three things: what is wrong (lower case, no full stop), what to do (the hint), and what was
not done. The command line turns ``kind`` into an exit code in one place and nowhere else.
"""

from enum import Enum
from typing import ClassVar


class ErrorKind(Enum):
    """What an error means to a caller; the command line maps each to one exit code."""

    NEGATIVE = "negative"  # the work was done and the verdict is no
    USAGE = "usage"  # the request or its configuration cannot be carried out
    INCOMPLETE = "incomplete"  # a part could not be checked
    NOT_FOUND = "not-found"  # no such store, run or object
    LOCKED = "locked"  # another process holds what is needed
    UNTRUSTED = "untrusted"  # trust material is missing


class OmphalosError(Exception):
    """An error with a message for a person, a hint, and a stable id for a program.

    Args:
        message: a lower-case sentence without a full stop.
        hint: what the reader can do about it; empty where nothing can be said.
        undone: what was not done because of it.
    """

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "", undone: str = "nothing was written") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.undone = undone
