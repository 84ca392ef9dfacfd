"""``python -m omphalos`` and the command ``omphalos``.

Rules of this file: it imports next to nothing, so that an interrupt in the tenth of a second in which the program is
loaded ends the process as any other interrupt does: with 130, one line, and no traceback. `_signal` is what `signal`
is made of; the latter brings `enum` and thereby a hundredth of a second in which Ctrl-C would end in a traceback.
"""

import _signal  # type: ignore[import-not-found]  # a module of the interpreter without a stub
import os

TYPE_CHECKING = False  # as `typing` has it, without its import
if TYPE_CHECKING:
    from types import FrameType


def _leave(_number: int, _frame: "FrameType | None") -> None:
    """Leave at once: nothing has been done yet."""
    os.write(2, b"error: interrupted\n")
    os._exit(130)


def entry() -> None:
    """Load the program, run it, and leave the process with its exit code."""
    for number in (_signal.SIGINT, _signal.SIGTERM):
        if _signal.getsignal(number) != _signal.SIG_IGN:  # as under nohup, or in the background of a shell
            _signal.signal(number, _leave)
    from omphalos.cli.main import entry as run

    run()


if __name__ == "__main__":
    entry()
