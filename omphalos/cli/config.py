"""The settings a person may keep: where each comes from, and which source wins.

Rules of this file: a flag comes before ``OMPHALOS_*``, that before the nearest ``omphalos.toml`` upward (no further
than the folder of a store), that before ``omphalos/omphalos.toml`` in the user's configuration folder, that before the
default. An unknown key is refused, because a misspelled setting that silently stays at its default is a wrong one. No
setting can change a byte of a run. A verifier takes none of this but flags and the place of the store.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from omphalos.cli.output import escape
from omphalos.format.errors import ErrorKind, OmphalosError

FILE_NAME: Final = "omphalos.toml"
MAX_BYTES: Final = 1 << 16
MAX_THREADS: Final = 64
_SIZE: Final = re.compile(r"[1-9][0-9]{0,5}(?:MiB|GiB|TiB)")
_WORDS: Final = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


class BadSetting(OmphalosError):
    """A setting, or the file it stands in, cannot be used."""

    kind = ErrorKind.USAGE
    id = "badSetting"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its key (the flag without its dashes), its kind, its default, and what it is for."""

    key: str
    kind: str  # folder, count, size, switch
    default: str | int | bool | None
    summary: str

    @property
    def variable(self) -> str:
        """The name of its environment variable."""
        return "OMPHALOS_" + self.key.upper().replace("-", "_")


SETTINGS: Final = (
    Setting("store", "folder", None, "the store's folder; without it the nearest store upward"),
    Setting("threads", "count", None, "threads to use; without it as many as there are processors"),
    Setting("memory", "size", "2GiB", "memory the engine may use"),
    Setting("chunk-above", "size", None, "size from which put, tree and run cut a file into chunks; without it never"),
    Setting("json", "switch", False, "write JSON"),
    Setting("no-progress", "switch", False, "draw no progress"),
)
_BY_KEY: Final = {setting.key: setting for setting in SETTINGS}
# What a verifier takes from its surroundings: where the store lies. How it checks is for the command line alone to say.
PLACE_ONLY: Final = frozenset({"store"})


@dataclass(frozen=True, slots=True)
class Value:
    """What a setting is, and where that was said: ``flag``, ``environment``, ``file``, ``default``."""

    value: str | int | bool | None
    origin: str
    place: str = ""


def bytes_of(size: str) -> int:
    """Return how many bytes a setting of the kind ``size`` stands for."""
    return int(size[:-3]) << {"MiB": 20, "GiB": 30, "TiB": 40}[size[-3:]]


def is_size(text: str) -> bool:
    """Say whether ``text`` is an amount of memory: a number with MiB, GiB or TiB."""
    return _SIZE.fullmatch(text) is not None


def settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], cwd: Path, *, keep: frozenset[str] | None = None
) -> dict[str, Value]:
    """Return every setting by key.

    Args:
        flags: what the command line says, by key.
        environment: the environment variables.
        cwd: the working directory, absolute.
        keep: the only settings that the environment may give, and no file any; None for all of both.

    Raises:
        BadSetting: a variable or a file holds what is no setting.
    """
    found = {setting.key: Value(setting.default, "default") for setting in SETTINGS}
    if keep is None:
        for path in files(environment, cwd):
            found |= _read(path)
    for setting in SETTINGS:
        text = environment.get(setting.variable)
        if text and (keep is None or setting.key in keep):
            where = f"the environment variable {setting.variable}"
            found[setting.key] = Value(_of_text(setting, text, where, cwd), "environment", setting.variable)
    for key, value in flags.items():
        given = str(cwd / value) if _BY_KEY[key].kind == "folder" else value
        found[key] = Value(given, "flag", f"--{key}")
    return found


def files(environment: Mapping[str, str], cwd: Path) -> list[Path]:
    """Return the files that hold settings here, the weaker first."""
    places = []
    home, own = environment.get("HOME", ""), environment.get("XDG_CONFIG_HOME", "")
    base = own if Path(own).is_absolute() else f"{home}/.config" if Path(home).is_absolute() else ""
    if base:
        places.append(Path(base, "omphalos", FILE_NAME))
    for folder in (cwd, *cwd.parents):
        if os.path.lexists(folder / FILE_NAME):
            places.append(folder / FILE_NAME)
            break
        if (folder / "objects" / "large").is_dir() and (folder / "refs").is_dir():
            break
    return [path for path in places if os.path.lexists(path)]


def _read(path: Path) -> dict[str, Value]:
    import tomllib

    name = escape(str(path))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            data = stream.read(MAX_BYTES + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise BadSetting(f"{name} cannot be read: {reason}", hint="check its mode, or move it away") from error
    if data is None:
        raise BadSetting(f"{name} is no regular file", hint="move it away")
    if len(data) > MAX_BYTES:
        raise BadSetting(f"{name} is larger than {MAX_BYTES} bytes", hint="it holds a few settings and nothing else")
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also of a number with more digits than Python reads
        reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "it is not plain UTF-8 text"
        if not isinstance(error, UnicodeDecodeError | tomllib.TOMLDecodeError):
            reason = "it holds a number or a nesting beyond all measure"
        raise BadSetting(
            f"{name} is not TOML: {reason[:1].lower()}{reason[1:]}", hint="text values stand in quotes"
        ) from error
    return {key: Value(_of_toml(key, value, path), "file", str(path)) for key, value in table.items()}


def _of_toml(key: str, value: Any, path: Path) -> str | int | bool:
    name = escape(str(path))
    if key not in _BY_KEY:
        import difflib

        near = difflib.get_close_matches(key, _BY_KEY, n=1)
        known = f"the settings are {', '.join(_BY_KEY)}"
        hint = f"did you mean {near[0]}? {known}" if near else known
        raise BadSetting(f"{name} holds {key!r}, which is no setting", hint=hint)
    setting = _BY_KEY[key]
    wanted = {"count": int, "switch": bool}.get(setting.kind, str)
    if type(value) is not wanted:
        said = {"count": "a whole number", "switch": "true or false"}.get(setting.kind, "text in quotes")
        raise BadSetting(f"{key} in {name} is not {said}", hint=f"it is {setting.summary}")
    if wanted is bool:
        return bool(value)
    return _of_text(setting, str(value), name, path.parent)


def _of_text(setting: Setting, text: str, where: str, base: Path) -> str | int | bool:
    if setting.kind == "folder" and text and "\0" not in text:
        return str(base / text)
    if setting.kind == "size" and is_size(text):
        return text
    if setting.kind == "switch" and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if setting.kind == "count" and text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MAX_THREADS:
        return int(text)
    rules = {
        "folder": "the name of a folder",
        "size": "a number with MiB, GiB or TiB, such as 2GiB",
        "switch": "1 or 0",
        "count": f"a whole number from 1 to {MAX_THREADS}",
    }
    raise BadSetting(f"{setting.key} is {text!r} in {where}", hint=f"it is {rules[setting.kind]}")
