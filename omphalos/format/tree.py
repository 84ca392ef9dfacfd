"""Tree nodes: one folder as canonical bytes, and the nodes of a whole set of files.

Rules of this file: a node is an array of entries in strictly ascending byte order of name, each
``[name, kind, size, id]``, in canonical msgpack. Equal content has equal bytes, hence an equal id: no folder may be
empty, no name may break a path rule, no two names may collide. What ``decode_tree`` returns obeys all of this, so
whoever holds a ``TreeEntry`` need not ask again. msgspec does the heavy lifting and is believed only where its result
encodes to the same bytes again.
"""

import collections
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Final, Literal, NamedTuple

from omphalos.format import msgpack
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId
from omphalos.format.ids import ID_BYTES, ObjectId, object_id
from omphalos.format.paths import (
    MAX_COMPONENTS,
    all_plain,
    check_component,
    check_path,
    component_order,
    fold,
    in_byte_order,
    refusing,
)

MAX_DEPTH: Final = MAX_COMPONENTS
MAX_ENTRIES: Final = 2**20
MAX_SIZE: Final = 2**53 - 1

EntryKind = Literal["blob", "tree"]
_KINDS: Final[tuple[EntryKind, EntryKind]] = ("blob", "tree")

_Row = tuple[str, int, int, bytes]

EMPTY_TREE_BYTES: Final = b"\x90"
EMPTY_TREE: Final = object_id("tree", EMPTY_TREE_BYTES)


class _Codec(NamedTuple):
    """msgspec, made ready for nodes, and loaded when first used: an unchanged folder is stored again without it."""

    encode: Callable[[list[_Row]], bytes]
    decode: Callable[[bytes], list[_Row]]
    refused: tuple[type[Exception], ...]


@functools.cache
def _codec() -> _Codec:
    import msgspec

    uint = Annotated[int, msgspec.Meta(ge=0)]
    decoder = msgspec.msgpack.Decoder(list[tuple[str, uint, uint, bytes]])
    refused = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
    return _Codec(msgspec.msgpack.Encoder().encode, decoder.decode, refused)


class TreeError(OmphalosError):
    """Bytes are not a tree node, or entries cannot be one; ``finding`` says which rule was broken."""

    kind = ErrorKind.NEGATIVE
    id = "badTree"

    def __init__(self, finding: FindingId, message: str) -> None:
        super().__init__(message)
        self.finding = finding


class TreeEntry(NamedTuple):
    """One name in a folder: a file (``blob``) or a folder (``tree``).

    ``size`` is the file's length in bytes; of a folder it is the sum of the files below it.
    """

    name: str
    kind: EntryKind
    size: int
    id: ObjectId


class TreeNode(NamedTuple):
    """One folder of a built tree: its path ("" for the root), bytes, id, and the sum of the sizes below it."""

    path: str
    data: bytes
    id: ObjectId
    size: int


def encode_tree(entries: Iterable[TreeEntry]) -> bytes:
    """Return the bytes of a node.

    Raises:
        TreeError: if the entries are out of order, repeated, too many, badly named, colliding, or badly typed.
    """
    rows: list[_Row] = []
    for entry in entries:
        if entry.kind not in _KINDS:
            raise TreeError(FindingId.TREE_MALFORMED, "an entry is neither a blob nor a tree")
        rows.append((entry.name, _KINDS.index(entry.kind), entry.size, entry.id))
        if len(rows) > MAX_ENTRIES:
            raise TreeError(FindingId.TREE_TOO_LARGE, f"a folder has more than {MAX_ENTRIES} entries")
    _check_rows(rows)
    return _codec().encode(rows)


def decode_tree(data: bytes) -> tuple[TreeEntry, ...]:
    """Return the entries of a node.

    Raises:
        TreeError: for any bytes that ``encode_tree`` would not have written; ``finding`` is exact.
    """
    return tuple(TreeEntry(name, _KINDS[kind], size, ObjectId(oid)) for name, kind, size, oid in _decoded(data))


def decode_ids(data: bytes) -> tuple[list[tuple[ObjectId, int]], list[ObjectId]]:
    """Return the id and size of each file of a node, and the id of each folder; errors as for ``decode_tree``."""
    rows = _decoded(data)
    files = [(ObjectId(oid), size) for _, kind, size, oid in rows if not kind]
    return files, [ObjectId(oid) for _, kind, _, oid in rows if kind] if len(files) < len(rows) else []


def _decoded(data: bytes) -> list[_Row]:
    _refuse_large_claim(data)
    try:
        rows = _codec().decode(data)
    except _codec().refused:
        raise _diagnose(data) from None
    if not _same_bytes(rows, data):
        raise _diagnose(data)
    _check_rows(rows)
    return rows


def build_tree(files: Iterable[tuple[str, int, ObjectId]]) -> list[TreeNode]:
    """Return the nodes of a set of files, all in memory; otherwise as ``iter_tree``."""
    return list(iter_tree(files))


def root_of(files: Iterable[tuple[str, int, ObjectId]]) -> TreeNode:
    """Return the root node of a set of files, keeping no other; otherwise as ``iter_tree``."""
    return collections.deque(iter_tree(files), maxlen=1)[0]


def iter_tree(files: Iterable[tuple[str, int, ObjectId]]) -> Iterator[TreeNode]:
    """Build the nodes of a set of files ``(path, size, id)``, in any order; memory is linear in the files.

    Yields:
        Every node, folders before the folders that hold them; the last one is the root.

    Raises:
        TreeError: if a path breaks a rule, stands twice, or is a file and a folder; or a size is out of range.
    """
    names: list[str] = []  # of the folders on the way to the present file
    entries: list[list[TreeEntry]] = [[]]  # met so far, of the root and of each of those folders

    def close() -> TreeNode:
        node = _node("/".join(names), entries.pop())
        if names:
            entries[-1].append(TreeEntry(names.pop(), "tree", node.size, node.id))
        return node

    for path, size, oid in sorted(files, key=lambda file: component_order(file[0])):
        broken = refusing(check_path(path))
        if broken:
            raise TreeError(broken[0], f"a path breaks a rule: {broken[0].value}")
        *folders, name = path.split("/")
        shared = 0
        while shared < min(len(names), len(folders)) and names[shared] == folders[shared]:
            shared += 1
        while len(names) > shared:
            yield close()
        for folder in folders[shared:]:
            names.append(folder)
            entries.append([])
        entries[-1].append(TreeEntry(name, "blob", size, oid))
    while entries:
        yield close()


def _node(path: str, entries: list[TreeEntry]) -> TreeNode:
    kinds: dict[str, EntryKind] = {}
    for entry in entries:
        if kinds.setdefault(entry.name, entry.kind) != entry.kind:
            raise TreeError(FindingId.PATH_FILE_DIR, "a path is both a file and a folder")
    data = encode_tree(entries)
    return TreeNode(path, data, object_id("tree", data), sum(entry.size for entry in entries))


def _check_rows(rows: Sequence[_Row]) -> None:
    """Hold rows to every rule of a node, cheapest first."""
    if not rows:
        return
    names, kinds, sizes, ids = zip(*rows, strict=True)
    plain = {*map(type, names)} == {str} and all_plain(names)
    if (
        plain
        and {*kinds} <= {0, 1}
        and {*map(type, sizes)} == {int}
        and {*map(type, ids)} == {bytes}
        and {*map(len, ids)} == {ID_BYTES}
        and EMPTY_TREE not in ids
        and min(sizes) >= 0
    ):
        total = sum(sizes)  # every rule for one entry holds; what follows looks at each to say which does not
    else:
        total = _check_each(rows, plain)
    if total > MAX_SIZE:
        raise TreeError(FindingId.TREE_TOO_LARGE, "the sizes in a folder add up to more than 2^53-1")
    disorder = in_byte_order(names)
    if disorder is not None:
        raise TreeError(disorder, "entries are not in strictly ascending byte order of name")
    if not plain and len(set(map(fold, names))) != len(names):
        raise TreeError(FindingId.PATH_CASE_COLLISION, "two names in a folder differ only in case")


def _check_each(rows: Sequence[_Row], plain: bool) -> int:
    """Hold each row to the rules for one entry; return the sum of the sizes."""
    total = 0
    for name, kind, size, oid in rows:
        if type(name) is not str or kind not in (0, 1) or type(size) is not int or type(oid) is not bytes:
            raise TreeError(FindingId.TREE_MALFORMED, "an entry is not a name, a kind, a size and an id")
        if len(oid) != ID_BYTES or size < 0:
            raise TreeError(FindingId.TREE_MALFORMED, "an entry's id is not 32 bytes, or its size is negative")
        total += size
        if kind == 1 and oid == EMPTY_TREE:
            raise TreeError(FindingId.DIR_EXTRA, "a folder in a tree is empty")
        broken = [] if plain else refusing(check_component(name))
        if broken:
            raise TreeError(broken[0], f"an entry's name breaks a rule: {broken[0].value}")
    return total


def _refuse_large_claim(data: bytes) -> None:
    """Refuse a node by its header, before anything is decoded, if it claims too many entries; a cut one claims none."""
    if data[:1] == b"\xdd" and len(data) >= 5 and int.from_bytes(data[1:5], "big") > MAX_ENTRIES:
        raise TreeError(FindingId.OVERSIZE_LENGTH, f"a node claims more than {MAX_ENTRIES} entries")


def _same_bytes(rows: list[_Row], data: bytes) -> bool:
    try:
        return _codec().encode(rows) == data
    except (OverflowError, UnicodeEncodeError):
        return False


def _diagnose(data: bytes) -> TreeError:
    """Return the exact reason for refusing ``data``, from the strict decoder."""
    try:
        msgpack.decode(data, max_depth=2, max_items=5 * MAX_ENTRIES + 1)
    except msgpack.CanonicalError as error:
        return TreeError(error.finding, error.message)
    return TreeError(FindingId.TREE_MALFORMED, "the bytes are not an array of entries")
