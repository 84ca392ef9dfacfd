"""The exit codes, in one place; tests compare this table with the documentation.

Rules of this file: 1 means a verdict that is negative and nothing else, so that "could not check" never looks like
"checked and bad". Errors of the library carry a kind; the kind is turned into a code here.
"""

from enum import IntEnum
from typing import Final

from omphalos.format.errors import ErrorKind


class Exit(IntEnum):
    """What the exit status of a command means."""

    DONE = 0
    NEGATIVE = 1
    USAGE = 2
    INCOMPLETE = 3
    NOT_FOUND = 10
    LOCKED = 11
    UNTRUSTED = 12
    INTERNAL = 70
    INTERRUPTED = 130


MEANINGS: Final[dict[Exit, str]] = {
    Exit.DONE: "done; verdict positive",
    Exit.NEGATIVE: "done; verdict negative (tampered, different, denied): for that alone",
    Exit.USAGE: "usage or configuration error",
    Exit.INCOMPLETE: "incomplete: part could not be checked; the findings so far hold",
    Exit.NOT_FOUND: "no such store, run or object",
    Exit.LOCKED: "locked by another process",
    Exit.UNTRUSTED: "trust material missing",
    Exit.INTERNAL: "internal error",
    Exit.INTERRUPTED: "interrupted",
}

OF_KIND: Final[dict[ErrorKind, Exit]] = {
    ErrorKind.NEGATIVE: Exit.NEGATIVE,
    ErrorKind.USAGE: Exit.USAGE,
    ErrorKind.INCOMPLETE: Exit.INCOMPLETE,
    ErrorKind.NOT_FOUND: Exit.NOT_FOUND,
    ErrorKind.LOCKED: Exit.LOCKED,
    ErrorKind.UNTRUSTED: Exit.UNTRUSTED,
}
