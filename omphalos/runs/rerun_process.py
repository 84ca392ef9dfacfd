"""The process in which a recorded plan is executed again; started by ``rerun.py`` and by nobody else.

Rules of this file: the order comes as one JSON document on standard input, the names of stages and then the answer go
to standard output, one JSON document a line. It computes in the folder it is given and writes nowhere else; it takes
no result from a cache, because it knows none. Before it computes it makes sure that its own method is the one it was
ordered to use.
"""

import json
import locale
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _take_locale(candidates: list[str]) -> str:
    """Set the first locale of ``candidates`` that this machine has, for C libraries too, and return its name."""
    for name in candidates:
        try:
            return locale.setlocale(locale.LC_ALL, name)
        except locale.Error:
            continue
    return ""


class _Backwards:
    """What ``os.scandir`` gives, with the entries in descending order of name."""

    def __init__(self, entries: Any) -> None:
        self._entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

    def __iter__(self) -> Iterator[Any]:
        return self._entries

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> "_Backwards":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: the folder was read to its end and closed at once."""


def _list_backwards() -> None:
    """From now on Python sees the entries of every folder in descending order of name."""
    scandir, listdir = os.scandir, os.listdir

    def backwards(path: Any = ".") -> _Backwards:
        with scandir(path) as entries:
            return _Backwards(entries)

    # The same shape where they are used: a context manager that is iterated, and a list.
    setattr(os, "scandir", backwards)  # noqa: B010  (an assignment would have to have the overloaded type)
    setattr(os, "listdir", lambda path=".": sorted(listdir(path), reverse=True))  # noqa: B010  (the same)


def main(order: dict[str, Any]) -> None:
    """Carry out one order and say how it ended."""
    taken = _take_locale(order["locales"])
    if order["reverse_listings"]:
        _list_backwards()
    # What is imported from here on already lives in the changed surroundings.
    from omphalos.format.errors import OmphalosError
    from omphalos.format.ids import to_hex
    from omphalos.runs.inputs import CONFIG_PATH, inputs_of, job_of_config, read_config
    from omphalos.runs.method import hash_method
    from omphalos.screening.pipeline import Resources, screen

    run, work = Path(order["run"]), Path(order["work"])
    if to_hex(hash_method()) != order["method"]:
        _say({"error": "methodChanged", "message": "the method changed while the certification began", "hint": ""})
        return
    try:
        config = read_config((run / CONFIG_PATH).read_bytes())
        job = job_of_config(config)
        inputs = inputs_of(job, config, run)
        resources = Resources(threads=order["threads"], memory_limit=order["memory"])
        screen(inputs, job.match, run, work, resources, lambda stage: _say({"stage": stage}))
    except OmphalosError as error:
        _say({"error": error.id, "message": error.message, "hint": error.hint})
        return
    except Exception as error:  # noqa: BLE001  (the engine's errors are of many types, and a traceback is of no use to a verdict)
        _say({"error": type(error).__name__, "message": " ".join(str(error).split())[:400], "hint": ""})
        return
    _say({"done": True, "locale": taken})


if __name__ == "__main__":
    main(json.loads(sys.stdin.buffer.read()))
