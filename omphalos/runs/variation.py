"""What a certification changes on purpose around the second execution of a plan.

Rules of this file: each variation has a name of a fixed vocabulary and says what the recorded execution had, as far as
the run recorded it, and what the new one gets; a variation that cannot be had on this machine is listed as not varied,
with the reason, and never claimed. Nothing here may change a byte of a payload: that is what is being tested.
The list follows what tools for reproducible builds vary (reprotest, disorderfs).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.manifest import Environment

NAMES: Final = ("path", "home", "user", "time-zone", "locale", "hash-seed", "threads", "umask", "file-order", "clock")

# Zones in POSIX form, which need no table of zones on the machine.
_ZONES: Final = ("<+0545>-5:45", "<-0330>3:30")
_LOCALES: Final = ("de_DE.UTF-8", "fr_FR.UTF-8", "tr_TR.UTF-8")
_SEEDS: Final = ("4242", "2442")
_FOLDERS: Final = ("zweite Ausführung", "второй счёт")
_UMASKS: Final = (0o077, 0o022)
_SHIFT_DAYS: Final = 400


class UnknownVariation(OmphalosError):
    """A variation was asked for that there is not."""

    kind = ErrorKind.USAGE
    id = "unknownVariation"


@dataclass(frozen=True)
class Surroundings:
    """What the command line saw around itself; a thing that is not varied stays as it is here.

    ``variables`` are the environment's HOME, USER, LOGNAME, TZ, LANG and LC_ALL, as far as set; ``fake_clock`` is the
    library that shifts the clock of a process (libfaketime), where the machine has it.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    umask: int = 0o022
    threads: int = 1
    fake_clock: Path | None = None


@dataclass(frozen=True)
class Varied:
    """One thing that was changed: what was recorded (empty where a run does not record it), and what it is now."""

    name: str
    recorded: str
    now: str


@dataclass(frozen=True)
class Scene:
    """The surroundings of the new execution."""

    environment: Mapping[str, str]
    umask: int
    threads: int
    folder: str
    locales: tuple[str, ...]
    reverse_listings: bool
    varied: tuple[Varied, ...]
    not_varied: tuple[tuple[str, str], ...]

    def document(self) -> dict[str, Any]:
        """Return the variations as they stand in documents and statements."""
        return {
            "varied": [{"name": one.name, "recorded": one.recorded, "now": one.now} for one in self.varied],
            "not_varied": [{"name": name, "reason": reason} for name, reason in self.not_varied],
        }


def chosen(names: Iterable[str]) -> frozenset[str]:
    """Return the variations a person asked for: names, or ``all``, or ``none``.

    Raises:
        UnknownVariation: a word is neither.
    """
    words = [word for text in names for word in text.split(",") if word]
    unknown = [word for word in words if word not in (*NAMES, "all", "none")]
    if unknown:
        raise UnknownVariation(
            f"there is no variation {unknown[0]!r}", hint=f"variations are {', '.join(NAMES)}, or all, or none"
        )
    if "none" in words:
        if len(words) > 1:
            raise UnknownVariation("'none' stands alone", hint="leave out either 'none' or the others")
        return frozenset()
    return frozenset(NAMES) if not words or "all" in words else frozenset(words)


def scene(names: frozenset[str], recorded: Environment, around: Surroundings, scratch: Path) -> Scene:
    """Return surroundings that differ from the recorded ones, and from the present ones, in each of ``names``.

    Args:
        names: the variations wanted.
        recorded: the environment the run recorded.
        around: the present surroundings.
        scratch: a folder that will exist; the home folder is laid below it and does not exist.
    """
    variables = {**around.variables, "PYTHONHASHSEED": "0"}
    varied: list[Varied] = []
    missing = [(name, "not asked for") for name in NAMES if name not in names]

    def vary(name: str, before: str, now: str, **change: str) -> None:
        if name in names:
            varied.append(Varied(name, before, now))
            variables.update(change)

    vary("path", "", "a folder with a space and letters beyond ASCII in its name")
    vary("home", "", "a folder that does not exist", HOME=str(scratch / "no such home"))
    user = _other(("somebody", "else"), around.variables.get("USER", ""))
    vary("user", "", user, USER=user, LOGNAME=user)
    zone = _other(_ZONES, recorded.timezone)
    vary("time-zone", recorded.timezone, zone, TZ=zone)
    seed = _other(_SEEDS, around.variables.get("PYTHONHASHSEED", ""))
    vary("hash-seed", "", seed, PYTHONHASHSEED=seed)
    threads = around.threads + 1 if "threads" in names else around.threads
    vary("threads", f"{recorded.cpu_count} processors", str(threads))
    umask = _UMASKS[around.umask == _UMASKS[0]] if "umask" in names else around.umask
    vary("umask", "", f"{umask:03o}")
    vary("file-order", "", "folders are listed backwards")
    if "clock" in names and around.fake_clock is None:
        missing.append(("clock", "libfaketime is not on this machine; the clock is the real one, later than the run"))
    elif around.fake_clock is not None:
        vary(
            "clock",
            "",
            f"{_SHIFT_DAYS} days ahead",
            LD_PRELOAD=str(around.fake_clock),
            FAKETIME=f"+{_SHIFT_DAYS}d",
            # Waiting threads read the monotonic clock, which nobody mistakes for a date.
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )
    locales = tuple(name for name in _LOCALES if name != recorded.locale) if "locale" in names else ()
    return Scene(
        environment=variables,
        umask=umask,
        threads=threads,
        folder=_FOLDERS[0] if "path" in names else "run",
        locales=locales,
        reverse_listings="file-order" in names,
        varied=tuple(varied),
        not_varied=tuple(missing),
    )


def _other(candidates: tuple[str, str], taken: str) -> str:
    """Return the first of two that is not ``taken``."""
    return candidates[candidates[0] == taken]
