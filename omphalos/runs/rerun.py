"""Start the process that executes a recorded plan again, in surroundings that were changed on purpose.

Rules of this file: the process gets an environment made here from nothing but what the scene says, a folder that holds
the recorded inputs and configuration alone, and no standard input but its order. What it says on failure becomes one
typed error. It does not outlive this process's interest in it: whatever happens here, it is ended and waited for.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.runs.variation import Scene
from omphalos.shipped import package_folder

_MAX_TAIL: Final = 2_000
_WANT_MEMORY: Final = frozenset({"OutOfMemoryException", "ArrowMemoryError", "MemoryError"})


class RerunFailed(OmphalosError):
    """The plan could not be executed to its end this time, so nothing is said about its result."""

    kind = ErrorKind.INCOMPLETE
    id = "rerunFailed"


def rerun(run: Path, work: Path, method: str, scene: Scene, memory: str, progress: Callable[[str], None]) -> str:
    """Compute the payload of the plan in ``run`` in a process of its own; return the locale it could take, if any.

    Args:
        run: a folder that holds ``inputs/`` and ``config/``; the payload is written into it.
        work: a scratch folder.
        method: the tree id, in hex, of the method that must be used.
        scene: the surroundings.
        memory: what the engine may use, such as ``2GiB``.
        progress: told the name of every stage that begins.

    Raises:
        RerunFailed: it did not come to an end.
    """
    order = {
        "run": str(run),
        "work": str(work),
        "method": method,
        "threads": scene.threads,
        "memory": memory,
        "locales": list(scene.locales),
        "reverse_listings": scene.reverse_listings,
    }
    environment = {
        "PATH": os.defpath,
        "TMPDIR": str(work),
        "PYTHONPATH": str(package_folder().parent),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **scene.environment,
    }
    said = work.with_name("said.txt")
    (work.parent / "order.json").write_text(json.dumps(order), "utf-8")
    answer: dict[str, Any] = {}
    with said.open("wb") as errors, (work.parent / "order.json").open("rb") as ordered:
        process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-m", "omphalos.runs.rerun_process"],
            env=environment,
            cwd=run,
            umask=scene.umask,
            stdin=ordered,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        with process:
            try:
                for line in process.stdout or ():
                    said_now = _said(line)
                    answer = said_now or answer
                    if "stage" in said_now:
                        progress(said_now["stage"])
                code = process.wait()
            finally:
                process.kill()
    if not answer.get("done"):
        raise _failure(answer, code, said)
    return str(answer["locale"])


def _said(line: bytes) -> dict[str, Any]:
    """Return what a line says; nothing where it is none of ours, because a library wrote to standard output."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _failure(answer: dict[str, Any], code: int, said: Path) -> RerunFailed:
    if "error" not in answer:
        lines = said.read_bytes()[-_MAX_TAIL:].decode("utf-8", "replace").strip().splitlines()
        what = lines[-1] if lines else f"exit code {code}"
        return RerunFailed(f"the second execution ended early: {what}", undone="nothing was compared")
    hint = answer["hint"]
    if answer["error"] in _WANT_MEMORY:
        hint = "give more with --memory, or fewer --threads"
    return RerunFailed(f"the second execution failed: {answer['message']}", hint=hint, undone="nothing was compared")
