"""Tree nodes: the bytes, what is refused, and the building of whole trees."""

import pytest

from omphalos.format.findings import FindingId
from omphalos.format.ids import ObjectId, blob_id, object_id
from omphalos.format.tree import (
    EMPTY_TREE,
    MAX_SIZE,
    TreeEntry,
    TreeError,
    build_tree,
    decode_tree,
    encode_tree,
    root_of,
)

ID = blob_id(b"x")


def blob(name: str, size: int = 1, oid: bytes = ID) -> TreeEntry:
    """Return a file entry."""
    return TreeEntry(name, "blob", size, ObjectId(oid))


def test_known_bytes() -> None:
    """A node with a file and a folder has exactly these bytes."""
    entries = (blob("a", 300), TreeEntry("b", "tree", 1, ID))
    data = encode_tree(entries)
    assert data.hex() == f"9294a16100cd012cc420{ID.hex()}94a1620101c420{ID.hex()}"
    assert decode_tree(data) == entries


def test_the_empty_node() -> None:
    """The node of nothing is one byte, and its id is the one constant."""
    assert encode_tree([]) == b"\x90"
    assert decode_tree(b"\x90") == ()
    assert object_id("tree", b"\x90") == EMPTY_TREE


@pytest.mark.parametrize(
    ("entries", "finding"),
    [
        ([blob("b"), blob("a")], FindingId.UNSORTED),
        ([blob("a"), blob("a")], FindingId.DUPLICATE_ENTRY),
        ([blob("a"), TreeEntry("a", "tree", 1, ID)], FindingId.DUPLICATE_ENTRY),
        ([blob("A"), blob("a")], FindingId.PATH_CASE_COLLISION),
        ([blob("ss"), blob("ß")], FindingId.PATH_CASE_COLLISION),
        ([blob("a/b")], FindingId.PATH_SLASH),
        ([blob("..")], FindingId.PATH_DOTDOT),
        ([blob("")], FindingId.PATH_EMPTY_COMPONENT),
        ([blob("e\u0301")], FindingId.PATH_NOT_NFC),
        ([blob(".omphalos")], FindingId.PATH_OWN_DIR),
        ([blob("\ud800")], FindingId.NOT_UTF8),
        ([blob("a", -1)], FindingId.TREE_MALFORMED),
        ([blob("a", True)], FindingId.TREE_MALFORMED),
        ([blob("a", 1, b"short")], FindingId.TREE_MALFORMED),
        ([TreeEntry("a", "link", 1, ID)], FindingId.TREE_MALFORMED),  # type: ignore[arg-type]  # the wrong kind
        ([blob("a", MAX_SIZE), blob("b", 1)], FindingId.TREE_TOO_LARGE),
        ([TreeEntry("a", "tree", 0, EMPTY_TREE)], FindingId.DIR_EXTRA),
    ],
)
def test_not_a_node(entries: list[TreeEntry], finding: FindingId) -> None:
    """Entries that break a rule of the format are not encoded, and the finding names the rule."""
    with pytest.raises(TreeError) as caught:
        encode_tree(entries)
    assert caught.value.finding is finding


@pytest.mark.parametrize(
    ("hexed", "finding"),
    [
        ("", FindingId.TRUNCATED),
        ("00", FindingId.TREE_MALFORMED),
        ("a161", FindingId.TREE_MALFORMED),
        ("9100", FindingId.TREE_MALFORMED),
        ("9193a1610001", FindingId.TREE_MALFORMED),
        ("9090", FindingId.TRAILING_GARBAGE),
        ("dc0000", FindingId.MSGPACK_NOT_CANONICAL),
        ("ddffffffff", FindingId.OVERSIZE_LENGTH),
        ("dd00100001", FindingId.OVERSIZE_LENGTH),
        (f"9194a1610201c420{ID.hex()}", FindingId.TREE_MALFORMED),
        (f"9194a161cc0001c420{ID.hex()}", FindingId.MSGPACK_NOT_CANONICAL),
        (f"9194a1610001c51020{ID.hex()}", FindingId.OVERSIZE_LENGTH),
        (f"9194a1610001c5{'0020'}{ID.hex()}", FindingId.MSGPACK_NOT_CANONICAL),
        (f"9194d901610001c420{ID.hex()}", FindingId.MSGPACK_NOT_CANONICAL),
        (f"9194c401610001c420{ID.hex()}", FindingId.TREE_MALFORMED),
        (f"9194a16100ca3f800000c420{ID.hex()}", FindingId.MSGPACK_SYNTAX),
        (f"9194a161c201c420{ID.hex()}", FindingId.MSGPACK_SYNTAX),
        (f"9194a16100ffc420{ID.hex()}", FindingId.MSGPACK_SYNTAX),
        (f"9194a1ff0001c420{ID.hex()}", FindingId.NOT_UTF8),
        (f"9194a32e2e2f0001c420{ID.hex()}", FindingId.PATH_SLASH),
        (f"9194a161000140c420{ID.hex()}", FindingId.TRAILING_GARBAGE),
        (f"9194a1620001c420{ID.hex()}"[:-2], FindingId.OVERSIZE_LENGTH),
        (f"9294a1620001c420{ID.hex()}94a1610001c420{ID.hex()}", FindingId.UNSORTED),
        (f"9294a1610001c420{ID.hex()}94a1610001c420{ID.hex()}", FindingId.DUPLICATE_ENTRY),
        (f"9194a1610101c420{EMPTY_TREE.hex()}", FindingId.DIR_EXTRA),
        (f"9194a16100cfffffffffffffffffc420{ID.hex()}", FindingId.TREE_TOO_LARGE),
    ],
)
def test_refused_bytes(hexed: str, finding: FindingId) -> None:
    """Bytes the encoder would not write are refused with the finding of the rule they break."""
    with pytest.raises(TreeError) as caught:
        decode_tree(bytes.fromhex(hexed))
    assert caught.value.finding is finding


def test_a_warning_does_not_refuse_a_name() -> None:
    """A zero-width joiner, which Persian and Indic names need, may stand in a name."""
    entries = (blob("a\u200db"),)
    assert decode_tree(encode_tree(entries)) == entries


def test_building_a_tree() -> None:
    """Folders come before the folders that hold them, sizes add up, and the order of the files does not matter."""
    files = [("a/b/c", 3, ID), ("a.b", 1, ID), ("a/z", 1, ID), ("b", 0, ID)]
    nodes = build_tree(files)
    assert [(node.path, node.size) for node in nodes] == [("a/b", 3), ("a", 4), ("", 5)]
    assert [entry.name for entry in decode_tree(nodes[-1].data)] == ["a", "a.b", "b"]
    assert decode_tree(nodes[1].data)[0] == TreeEntry("b", "tree", 3, nodes[0].id)
    assert build_tree(reversed(files)) == nodes
    assert root_of(files) == nodes[-1]
    assert all(object_id("tree", node.data) == node.id for node in nodes)


def test_the_tree_of_nothing() -> None:
    """No files make one empty root."""
    (root,) = build_tree([])
    assert (root.path, root.id, root.size) == ("", EMPTY_TREE, 0)


@pytest.mark.parametrize(
    ("paths", "finding"),
    [
        (["a", "a/b"], FindingId.PATH_FILE_DIR),
        (["a/b", "a/b/c"], FindingId.PATH_FILE_DIR),
        (["A/x", "a/y"], FindingId.PATH_CASE_COLLISION),
        (["a", "a"], FindingId.DUPLICATE_ENTRY),
        (["a//b"], FindingId.PATH_EMPTY_COMPONENT),
        (["/a"], FindingId.PATH_ABSOLUTE),
        (["/".join("a" * 65)], FindingId.PATH_TOO_DEEP),
    ],
)
def test_files_that_are_no_tree(paths: list[str], finding: FindingId) -> None:
    """A set of paths that no folder could hold everywhere is refused with its finding."""
    with pytest.raises(TreeError) as caught:
        root_of([(path, 1, ID) for path in paths])
    assert caught.value.finding is finding


def test_sixty_four_components_are_allowed() -> None:
    """The limit of depth is a limit and not less."""
    assert len(build_tree([("/".join("a" * 64), 1, ID)])) == 64


def test_a_node_of_a_hundred_thousand_entries() -> None:
    """A large node goes both ways unchanged."""
    entries = tuple(blob(f"file-{number:06d}.parquet", number) for number in range(100_000))
    assert decode_tree(encode_tree(entries)) == entries
