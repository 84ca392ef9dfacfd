"""Reading registry files as hostile bytes: sizes, encodings, CSV and JSON, each with one typed error.

Rules of this file: a file is opened once, must be a regular file, and is read whole under a size cap; bytes become text
only by a strict decoder; a damaged or truncated document is an error that names the file and the line, never a shorter
list; nothing here knows what a registry means.
"""

import csv
import io
import json
import stat
from collections.abc import Iterator, Sequence
from os import fstat
from pathlib import Path
from typing import Any, Final

from omphalos.format.errors import ErrorKind, OmphalosError

MAX_FILE_BYTES: Final = 256 * 1024 * 1024
ENCODINGS_UTF8: Final = ("utf-8",)
ENCODINGS_LEGACY: Final = ("utf-8", "cp1252", "latin-1")

_C1_BYTES = frozenset(range(0x80, 0xA0))


class RegistryFileError(OmphalosError):
    """A file of a registry is missing, ambiguous, not a regular file, or too large."""

    kind = ErrorKind.USAGE
    id = "registryFile"


class RegistryEncodingError(OmphalosError):
    """A file of a registry is not text in an encoding its format allows."""

    kind = ErrorKind.USAGE
    id = "registryEncoding"


class RegistryDamagedError(OmphalosError):
    """A file of a registry is truncated, malformed, or holds a construct its format never has."""

    kind = ErrorKind.USAGE
    id = "registryDamaged"


def read_bytes(path: Path, *, cap: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of the regular file at ``path``.

    Raises:
        RegistryFileError: when it is not there, cannot be read, is no regular file, or holds more than ``cap`` bytes.
    """
    try:
        # A pipe would block on open; the kind is asked of the path first and again of the descriptor.
        if not stat.S_ISREG(path.stat().st_mode):
            raise RegistryFileError(f"{path.name} is not a regular file", hint="give a file or a folder of files")
        with path.open("rb") as stream:
            if not stat.S_ISREG(fstat(stream.fileno()).st_mode):
                raise RegistryFileError(f"{path.name} is not a regular file", hint="give a file or a folder of files")
            data = stream.read(cap + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is not valid"
        raise RegistryFileError(f"cannot read {path.name}: {reason.lower()}") from error
    if len(data) > cap:
        raise RegistryFileError(
            f"{path.name} is larger than {cap} bytes", hint="no published list is that large; check what was downloaded"
        )
    return data


def decode(data: bytes, file: str, encodings: Sequence[str] = ENCODINGS_UTF8) -> tuple[str, str]:
    """Return ``(text, encoding)`` by the first of ``encodings`` that fits all of ``data``; a UTF-8 mark is dropped.

    ``latin-1`` fits any bytes, so it counts as fitting only where no byte falls on a C1 control character.

    Raises:
        RegistryEncodingError: when none fits; names the first line that is not in the first encoding.
    """
    first: UnicodeDecodeError | None = None
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            first = first or error
            continue
        if encoding == "latin-1" and not _C1_BYTES.isdisjoint(data):
            continue
        return text.removeprefix("\ufeff"), encoding
    start = first.start if first else 0
    line = data.count(b"\n", 0, start) + 1
    raise RegistryEncodingError(
        f"{file} line {line}: the bytes are not {' or '.join(encodings)} text",
        hint="fetch the file again in binary mode, or convert it to UTF-8",
    )


def csv_rows(text: str, file: str, delimiter: str = ",") -> Iterator[list[str]]:
    """Yield the rows of ``text`` (RFC 4180 quoting, strict), separated by ``delimiter``; blank lines are skipped.

    Raises:
        RegistryDamagedError: at the line where the quoting breaks, or where a quoted field never ends.
    """
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise RegistryDamagedError(
                f"{file} line {rows.line_num}: {str(error).lower()}", hint="the file may be truncated; fetch it again"
            ) from error
        if row:
            yield row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the member {key[:80]!r} stands twice in one object")
            seen.add(key)
    return members


def _no_fraction(text: str) -> Any:
    raise ValueError(f"the number {text[:40]} is not an integer")


def parse_json(text: str, file: str) -> Any:
    """Return the value of a JSON document: no duplicate members, integers only, no lone surrogates (I-JSON, RFC 7493).

    Raises:
        RegistryDamagedError: for anything else, a truncated document included.
    """
    hint = "the file may be truncated; fetch it again"
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_float=_no_fraction, parse_constant=_no_fraction)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise RegistryDamagedError(f"{file} line {error.lineno}: {error.msg.lower()}", hint=hint) from error
    except UnicodeEncodeError as error:
        raise RegistryDamagedError(f"{file}: a text holds half of a surrogate pair", hint=hint) from error
    except RecursionError as error:
        raise RegistryDamagedError(f"{file}: the document is nested too deeply", hint=hint) from error
    except ValueError as error:
        raise RegistryDamagedError(f"{file}: {error}", hint=hint) from error
    return value


def list_folder(path: Path, suffix: str) -> list[Path]:
    """Return the regular files under the folder ``path`` whose name ends in ``suffix`` (any case), sorted by name.

    Raises:
        RegistryFileError: when the folder cannot be listed.
    """
    try:
        found = [entry for entry in path.iterdir() if entry.name.lower().endswith(suffix) and entry.is_file()]
    except OSError as error:
        raise RegistryFileError(f"cannot list {path.name}: {(error.strerror or 'failed').lower()}") from error
    return sorted(found, key=lambda entry: entry.name)


def one_file(path: Path, suffix: str, what: str) -> Path:
    """Return ``path`` when it is a file, or the only file ending in ``suffix`` when it is a folder.

    Raises:
        RegistryFileError: when there is none, or more than one.
    """
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except (OSError, ValueError):
        is_file = is_folder = False
    if is_file:
        return path
    if not is_folder:
        raise RegistryFileError(f"there is no {path.name}", hint=f"give the {what}, or the folder that holds it")
    found = list_folder(path, suffix)
    if not found:
        raise RegistryFileError(f"the folder {path.name} holds no {suffix} file", hint=f"give the {what}")
    if len(found) > 1:
        names = ", ".join(entry.name for entry in found[:10])
        raise RegistryFileError(
            f"the folder {path.name} holds {len(found)} {suffix} files: {names}", hint=f"give one {what}"
        )
    return found[0]
