"""The rules a name must obey to be a file of a run, everywhere and on every system.

Rules of this file: each rule is judged by itself and every rule that is broken is reported, in the order of
``FindingId``; nothing is repaired silently. The rules are those of git's ``verify_path``, ``is_valid_win32_path``,
``is_hfs_dotgit`` and ``is_ntfs_dotgit`` (read for what they refuse), carried over to the names of this store. Functions
are total: any text, lone surrogates included, gives an answer, and no single name costs more than linear time.

Order of judgement, so that independent verifiers agree: leading slashes are ``pathAbsolute`` and then left out; the
rest is split at ``/``; normalization and collisions are asked only of names within the length limits.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from omphalos.format.findings import Finding, FindingId
from omphalos.format.ids import blob_id

MAX_COMPONENT_BYTES: Final = 255
MAX_PATH_BYTES: Final = 1024
MAX_COMPONENTS: Final = 64
OWN_NAME: Final = ".omphalos"

_ORDER: Final = {finding: place for place, finding in enumerate(FindingId)}

# Windows: the part before the first dot or colon, without spaces at its end, is a device whatever follows it.
# The superscript digits count (COM¹). ASCII matching, so that a dotless i does not stand for i.
_DEVICE = r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[1-9\u00b9\u00b2\u00b3]) *(?:[.:].*)?"
_DEVICE_RE: Final = re.compile(_DEVICE, re.IGNORECASE | re.ASCII | re.DOTALL)
_PLAIN_RE: Final = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.,+=@()-]*", re.ASCII)
_PLAIN_NAMES_RE: Final = re.compile(
    r"(?:(?!(?:con|prn|aux|nul|(?:com|lpt)[1-9])[./])"
    r"[0-9a-z_-](?:[0-9a-z_.,+=@()-]*[0-9a-z_,+=@()-])?/)*+",
    re.ASCII | re.IGNORECASE,
)
_CONTROL_RE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_STREAM_RE: Final = re.compile(r'[<>:"|?*]')
_INVISIBLE_RE: Final = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0001\U000e0020-\U000e007f]"
)
# What HFS+ leaves out when it compares names (git, utf8.c, next_hfs_char).
_HFS_IGNORED_RE: Final = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_SHORT_ALIAS_RE: Final = re.compile(r"omphal~[0-9]+(?:\.[^.]*)?", re.ASCII)
_DRIVE_RE: Final = re.compile(r"[A-Za-z]:", re.ASCII)
_SURROGATE_RE: Final = re.compile("[\ud800-\udfff]")


def fold(name: str) -> str:
    """Return the form in which two names are equal when some file system cannot keep them apart.

    Canonical caseless matching, The Unicode Standard, section 3.13, D145: NFD(casefold(NFD(name))).
    """
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def check_component(name: str) -> list[FindingId]:
    """Return every rule that one name between slashes breaks, in the order of ``FindingId``; empty means none."""
    if _is_plain(name):
        return []
    return _ordered(_component_findings(name))


def all_plain(names: Sequence[str]) -> bool:
    """Say quickly that no name breaks a rule by itself, and no two collide; ``False`` means only: look at each.

    Args:
        names: of one folder, each once.
    """
    joined = "".join([name + "/" for name in names])
    lower = joined.lower()
    return (
        _PLAIN_NAMES_RE.fullmatch(joined) is not None
        and max(map(len, names), default=0) <= MAX_COMPONENT_BYTES
        and joined.count("/") == len(names)
        and (lower == joined or len(set(lower.split("/"))) == len(names) + 1)
    )


def check_path(path: str) -> list[FindingId]:
    """Return every rule that a whole relative path breaks, in the order of ``FindingId``; empty means none."""
    found: set[FindingId] = set()
    rest = path.lstrip("/")
    parts = rest.split("/")
    if rest != path or rest.startswith("\\") or parts[0] == "~" or _DRIVE_RE.match(rest):
        found.add(FindingId.PATH_ABSOLUTE)
    if len(path) * 4 > MAX_PATH_BYTES and _utf8_length(path) > MAX_PATH_BYTES:
        found.add(FindingId.PATH_TOO_LONG)
    if len(parts) > MAX_COMPONENTS:
        found.add(FindingId.PATH_TOO_DEEP)
    for part in parts:
        if not _is_plain(part):
            found |= _component_findings(part)
    return _ordered(found) if found else []


def check_path_bytes(path: bytes) -> list[FindingId]:
    """Return what ``check_path`` says of these bytes, or ``notUtf8`` alone where they are not text."""
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return [FindingId.NOT_UTF8]
    return check_path(text)


def check_paths(paths: Iterable[str]) -> list[Finding]:
    """Check a set of file paths each by itself and against each other.

    Beside the rules of ``check_path``: the same path twice; a path that is a file and a folder; names in one folder (of
    folders too) that are equal under normalization or case folding. Of names that collide all but the first in byte
    order are reported, under their own path; below folders that collide nothing further is compared. Paths that are too
    long or too deep, or not text, are left out of the comparison.

    Returns:
        Findings in order.
    """
    findings: list[Finding] = []
    seen: set[str] = set()
    repeated: set[str] = set()
    for path in paths:
        if path in seen:
            repeated.add(path)
        seen.add(path)
    findings += [Finding(FindingId.DUPLICATE_ENTRY, show(path), "listed more than once") for path in repeated]
    # Folders on the way to the present path, each with the names met in it: memory is linear in the paths, and a folder
    # is judged as soon as it is left. The first is the root, whose own name is empty.
    chain: list[tuple[str, list[str]]] = [("", [])]
    for path in sorted(seen, key=component_order):
        broken = check_path(path)
        findings += [Finding(finding, show(path)) for finding in broken]
        if not _INCOMPARABLE.isdisjoint(broken):
            continue
        *folders, name = path.split("/")
        shared = 0
        while shared < min(len(chain) - 1, len(folders)) and chain[shared + 1][0] == folders[shared]:
            shared += 1
        while len(chain) - 1 > shared:
            findings += _leave(chain)
        for folder in folders[shared:]:
            chain[-1][1].append(folder)
            chain.append((folder, []))
            if "/".join(folders[: len(chain) - 1]) in seen:
                findings.append(
                    Finding(
                        FindingId.PATH_FILE_DIR, "/".join(folders[: len(chain) - 1]), "another path goes through it"
                    )
                )
        chain[-1][1].append(name)
    while chain:
        findings += _leave(chain)
    return sorted(findings)


def component_order(path: str) -> str:
    """Return a sort key under which paths stand component by component, so that what is in one folder is together."""
    if "\0" in path:
        path = path.replace("\0", "\0\x01")
    return path.replace("/", "\0\0")


def refusing(findings: Iterable[FindingId]) -> list[FindingId]:
    """Return those of ``findings`` that refuse a name, leaving out warnings."""
    return [finding for finding in findings if finding.severity.refuses]


def show(text: str) -> str:
    """Return ``text`` as valid Unicode: what is not is written as a backslash escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def safe_name(text: str) -> str:
    """Turn any file name into a component that breaks no rule, not even a warning; equal texts give equal names.

    A name that is fine stays as it is. In any other, what is not allowed becomes ``_`` and eight hex digits of the
    BLAKE3 of the original go before the extension, so that names which differ only in what was replaced stay apart.
    """
    if "/" not in text and not check_path(text):
        return text
    raw = text.encode("utf-8", "surrogatepass")
    mark = blob_id(raw).hex()[:8]
    # Nothing beyond this can matter: a component has at most 255 bytes. It bounds the cost of normalizing.
    head, tail = text[:MAX_COMPONENT_BYTES], text[MAX_COMPONENT_BYTES:][-32:]
    clean = unicodedata.normalize("NFC", _replace(head + tail))
    stem, dot, extension = clean.rpartition(".")
    extension = extension.strip(" .")
    if not (dot and stem.strip("_. ") and re.fullmatch(r"[0-9A-Za-z]{1,16}", extension, re.ASCII)):
        stem, extension = clean, ""
    stem = stem.strip(" .~") or "_"
    suffix = f"-{mark}.{extension}" if extension else f"-{mark}"
    stem = stem.encode()[: MAX_COMPONENT_BYTES - len(suffix) - 1].decode("utf-8", "ignore")
    for candidate in (stem + suffix, f"_{stem}{suffix}"):
        if not check_component(candidate):
            return candidate
    return f"_{suffix}"


def _replace(text: str) -> str:
    for pattern in (_SURROGATE_RE, _CONTROL_RE, _STREAM_RE, _INVISIBLE_RE):
        text = pattern.sub("_", text)
    return text.replace("/", "_").replace("\\", "_")


_INCOMPARABLE: Final = {FindingId.PATH_TOO_LONG, FindingId.PATH_TOO_DEEP, FindingId.NOT_UTF8}


def _leave(chain: list[tuple[str, list[str]]]) -> list[Finding]:
    """Take the innermost folder off the chain; return a finding for each name in it that folds like an earlier one."""
    names = set(chain[-1][1])
    prefix = "".join(f"{folder}/" for folder, _ in chain[1:])
    chain.pop()
    findings: list[Finding] = []
    if len(names) < 2:
        return findings
    folded: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for name in sorted(names):
        normal = unicodedata.normalize("NFC", name)
        first = folded.setdefault(fold(name), name)
        twin = spelled.setdefault(normal, name)
        if first is not name:
            finding = FindingId.PATH_CASE_COLLISION if twin is name else FindingId.PATH_NORM_COLLISION
            other = first if twin is name else twin
            findings.append(Finding(finding, prefix + name, f"collides with {prefix}{other}"))
    return findings


def _is_plain(name: str) -> bool:
    """Say quickly that an everyday ASCII name breaks no rule; ``False`` means only that it must be looked at."""
    return (
        len(name) <= MAX_COMPONENT_BYTES
        and _PLAIN_RE.fullmatch(name) is not None
        and name[-1] != "."
        and _DEVICE_RE.fullmatch(name) is None
    )


def _component_findings(name: str) -> set[FindingId]:
    found: set[FindingId] = set()
    if name in ("", "."):
        return {FindingId.PATH_EMPTY_COMPONENT}
    if name == "..":
        return {FindingId.PATH_DOTDOT}
    if "/" in name:
        found.add(FindingId.PATH_SLASH)
    if "\\" in name:
        found.add(FindingId.PATH_BACKSLASH)
    if _CONTROL_RE.search(name):
        found.add(FindingId.PATH_CONTROL)
    if _INVISIBLE_RE.search(name):
        found.add(FindingId.PATH_INVISIBLE)
    if _DEVICE_RE.fullmatch(name):
        found.add(FindingId.PATH_RESERVED)
    if name[-1] in ". ":
        found.add(FindingId.PATH_TRAILING)
    if _STREAM_RE.search(name):
        found.add(FindingId.PATH_STREAM)
    if _SURROGATE_RE.search(name):
        found.add(FindingId.NOT_UTF8)
    if _utf8_length(name) > MAX_COMPONENT_BYTES:
        found.add(FindingId.PATH_TOO_LONG)
    else:
        # Normalization can cost the square of the length, so it is asked of bounded names only.
        if not unicodedata.is_normalized("NFC", name):
            found.add(FindingId.PATH_NOT_NFC)
        if _is_own(name):
            found.add(FindingId.PATH_OWN_DIR)
    return found


def _is_own(name: str) -> bool:
    """Say whether some file system would open the store's own folder by this name."""
    seen = fold(_HFS_IGNORED_RE.sub("", name)).split(":", 1)[0].rstrip(". ")
    return seen == OWN_NAME or _SHORT_ALIAS_RE.fullmatch(seen) is not None


def _utf8_length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _ordered(findings: Iterable[FindingId]) -> list[FindingId]:
    return sorted(findings, key=_ORDER.__getitem__)


def in_byte_order(names: Sequence[str]) -> FindingId | None:
    """Return why ``names`` are not in strictly ascending byte order (``unsorted``, ``duplicateEntry``), or ``None``.

    Code point order of text is byte order of its UTF-8.
    """
    if all(a < b for a, b in itertools.pairwise(names)):
        return None
    return FindingId.DUPLICATE_ENTRY if len(set(names)) < len(names) else FindingId.UNSORTED
