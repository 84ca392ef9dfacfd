"""The progress of an execution: one line on a terminal, drawn only for what takes long.

Rules of this file: nothing is drawn in the first half second, nothing when the voice of the command says so, and
nothing of it is left when the work ends, however it ends. Drawing runs in a thread of its own and touches nothing else.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from omphalos.cli.output import Out

STAGES: Final = (
    "inputs",
    "ingest",
    "normalize",
    "match",
    "score",
    "review",
    "package",
    "warehouse",
    "briefing",
    "record",
)
PATIENCE_SECONDS: Final = 0.5
REDRAW_SECONDS: Final = 0.5
_WIDTH: Final = 20


class Progress:
    """What is at work, and for how long; call it with the name of a stage when that begins."""

    def __init__(self) -> None:
        self.stage = ""
        self._began = time.monotonic()

    def __call__(self, stage: str) -> None:
        """Note that ``stage`` begins."""
        self.stage = stage

    def line(self) -> str:
        """Return the line to draw now."""
        seconds = int(time.monotonic() - self._began)
        place = STAGES.index(self.stage) if self.stage in STAGES else 0
        bar = "#" * (place * _WIDTH // len(STAGES))
        return f"[{bar:<{_WIDTH}}] {self.stage:<9} {seconds} s"


@contextmanager
def progress(out: Out) -> Iterator[Progress]:
    """Give the block something to report its stages to; the line is gone when the block ends."""
    state = Progress()
    if not out.progress:
        yield state
        return
    over = threading.Event()

    def draw() -> None:
        pause = PATIENCE_SECONDS
        while not over.wait(pause):
            out.draw(state.line())
            pause = REDRAW_SECONDS

    drawing = threading.Thread(target=draw, name="progress", daemon=True)
    drawing.start()
    try:
        yield state
    finally:
        over.set()
        drawing.join()
        out.erase()
