"""A job file as a table of declared keys: read from TOML, overridden from the command line, and checked key by key.

Rules of this file: an unknown key is refused and never ignored, with the one that is spelled most like it; a value of
another kind, outside its range or not among its choices is refused with the dotted path of its key. What the keys mean
is not known here (`omphalos.screening.job`).
"""

import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from omphalos.format.errors import ErrorKind, OmphalosError

MAX_JOB_BYTES: Final = 1 << 20
MAX_INT: Final = (1 << 53) - 1

Table = dict[str, Any]


class JobError(OmphalosError):
    """A job file, or an override of it, is not a job."""

    kind = ErrorKind.USAGE
    id = "badJob"


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the schema: its kind, and either a default or the fact that it must stand there."""

    kind: str  # text, int, texts, mapping
    required: bool = False
    choices: tuple[str, ...] = ()
    low: int = 0
    high: int = MAX_INT
    check: Callable[[str], bool] | None = None
    rule: str = ""


def read_toml(text: bytes) -> Table:
    """Return the table in a job file (TOML, UTF-8).

    Raises:
        JobError: it is none, or too large.
    """
    if len(text) > MAX_JOB_BYTES:
        raise JobError(f"the job file is larger than {MAX_JOB_BYTES} bytes", hint="is this a feed and not a job file?")
    try:
        return tomllib.loads(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise JobError(f"the job file is not UTF-8 at byte {error.start}", hint="save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise JobError(f"the job file is not TOML: {_plain(error)}", hint="text values stand in quotes") from error
    except (ValueError, RecursionError) as error:  # a number of more digits than Python reads; nesting without end
        reason = "nested too deeply" if isinstance(error, RecursionError) else "a number has too many digits"
        raise JobError(f"the job file is not TOML: {reason}", hint="a whole number has at most 16 digits") from error


def apply_overrides(table: Mapping[str, Any], overrides: Iterable[str]) -> Table:
    """Return a copy of the parsed job file with every ``dotted.key=value`` set, in order.

    The value is read as a TOML value where it is one (``6800``, ``["iso", "dmy"]``, ``"007"``), else as plain text.
    A list of tables is reached by position, from 0: ``registry.0.path=lists/new``. Raises JobError for a text without
    ``=``, an empty key, or a path that leads through something that is not a table.
    """
    result: Table = _copied(dict(table))
    for override in overrides:
        key, equals, value = override.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise JobError(f"not an override: {override}", hint="write key=value, such as match.threshold_bp=6800")
        at: Any = result
        for depth, part in enumerate(parts[:-1]):
            at = _step(at, part, ".".join(parts[: depth + 1]))
        if not isinstance(at, dict):
            raise JobError(f"{key.strip()} cannot be set: {'.'.join(parts[:-1])} is not a table")
        at[parts[-1]] = _toml_value(value.strip())
    return result


def _step(at: Any, part: str, path: str) -> Any:
    if isinstance(at, dict):
        return at.setdefault(part, {})
    if isinstance(at, list):
        found = {str(number): item for number, item in enumerate(at)}.get(part)
        if found is None:
            raise JobError(f"{path} does not exist", hint=f"the list has {len(at)} entries, counted from 0")
        return found
    raise JobError(f"{path} cannot be set: what holds it is not a table")


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _toml_value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    # A text with a newline could smuggle in further keys; then it is plain text.
    return parsed["value"] if list(parsed) == ["value"] else text


def _plain(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]


def section(table: Any, schema: Mapping[str, Key], path: str) -> Table:
    """Return the values of one section, checked; keys that are absent and not required stay absent.

    Raises:
        JobError: as the rules of this file say.
    """
    if not isinstance(table, dict):
        raise JobError(f"{path} is not a table but {_kind_of(table)}", hint=f"write [{path.partition('.')[0]}]")
    refuse_unknown(table, tuple(schema), path)
    found: Table = {}
    for name, key in schema.items():
        dotted = f"{path}.{name}" if path else name
        if name in table:
            found[name] = _value(table[name], key, dotted)
        elif key.required:
            raise JobError(f"{dotted} is missing", hint=f"it is {key.rule or _wanted(key)}")
    return found


def refuse_unknown(table: Mapping[str, Any], known: Sequence[str], path: str) -> None:
    """Refuse a table that holds another key than the known ones.

    Raises:
        JobError: naming the key, with a suggestion.
    """
    unknown = sorted(key for key in table if key not in known)
    if not unknown:
        return
    dotted = f"{path}.{unknown[0]}" if path else unknown[0]
    near = difflib.get_close_matches(unknown[0], known, n=1)
    near_path = f"{path}.{near[0]}" if path and near else "".join(near)
    hint = f"did you mean {near_path}?" if near else f"known here: {', '.join(known)}"
    raise JobError(f"unknown key {dotted}", hint=hint)


def _value(value: Any, key: Key, path: str) -> Any:
    if key.kind == "int":
        if type(value) is not int:
            raise _wrong_type(path, key, value)
        if not key.low <= value <= key.high:
            raise JobError(f"{path} is {value}, outside {key.low} to {key.high}")
        return value
    if key.kind == "text":
        if not isinstance(value, str):
            raise _wrong_type(path, key, value)
        return _text(value, key, path)
    if key.kind == "texts":
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise _wrong_type(path, key, value)
        return tuple(_text(item, key, path) for item in value)
    if not isinstance(value, dict):
        raise _wrong_type(path, key, value)
    for name in sorted(value):
        if not isinstance(value[name], str):
            raise _wrong_type(f"{path}.{name}", Key("text"), value[name])
    return dict(value)


def _text(value: str, key: Key, path: str) -> str:
    if "\0" in value:
        raise JobError(f"{path} holds a NUL character")
    if key.choices and value not in key.choices:
        folded = value.lower().replace("_", "-")
        if folded in key.choices:
            return folded
        near = difflib.get_close_matches(folded, key.choices, n=1)
        listed = ", ".join(repr(choice) for choice in key.choices)
        raise JobError(
            f"{path} is {value!r}", hint=f"did you mean {near[0]!r}? one of {listed}" if near else f"one of {listed}"
        )
    if key.check is not None and not key.check(value):
        raise JobError(f"{path} is {value!r}", hint=f"it is {key.rule}")
    return value


def _wrong_type(path: str, key: Key, value: Any) -> JobError:
    hint = "put it in quotes" if key.kind == "text" and isinstance(value, (int, float)) else f"it is {_wanted(key)}"
    return JobError(f"{path} must be {_wanted(key)}, found {_kind_of(value)}", hint=hint)


def _wanted(key: Key) -> str:
    names = {"int": "a whole number", "text": "text", "texts": "a list of texts", "mapping": "a table of texts"}
    return names[key.kind]


def _kind_of(value: Any) -> str:
    names: dict[type, str] = {
        bool: "true or false",
        int: "a whole number",
        float: "a number with a fraction",
        str: "text",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), "a date or time")
