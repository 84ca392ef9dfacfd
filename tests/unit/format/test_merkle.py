"""RFC 6962 tree heads against the vectors every log implementation shares."""

import hashlib

import pytest

from omphalos.format import msgpack
from omphalos.format.ids import IdError
from omphalos.format.merkle import (
    artifact_leaf,
    artifacts_root,
    consistency_holds,
    inclusion_holds,
    leaf_hash,
    node_hash,
    tree_head,
)

from .conftest import artifact

# The leaves and roots of the Certificate Transparency reference tests (merkletree/merkle_tree_test.cc), which
# transparency-dev/merkle carries on.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("count", range(9))
def test_known_heads(count: int) -> None:
    """The heads of the first 0 to 8 reference leaves are the published ones."""
    assert tree_head(LEAVES[:count]).hex() == ROOTS[count]


def recursive(leaves: list[bytes]) -> bytes:
    """Return the head by the definition of RFC 6962, section 2.1, as it stands there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(recursive(leaves[:split]), recursive(leaves[split:]))


def test_heads_follow_the_definition() -> None:
    """The iterative head equals the recursive definition for every number of leaves up to 130."""
    leaves = [number.to_bytes(2, "big") for number in range(130)]
    for count in range(131):
        assert tree_head(leaves[:count]) == recursive(leaves[:count])


def test_a_node_does_not_pass_as_a_leaf() -> None:
    """Two leaves' hashes, joined and given as one leaf, have another head than the two leaves."""
    joined = leaf_hash(b"a") + leaf_hash(b"b")
    assert tree_head([joined]) != tree_head([b"a", b"b"])


def test_the_last_leaf_is_not_doubled() -> None:
    """A tree of three is not the tree of four with the last leaf twice."""
    assert tree_head([b"a", b"b", b"c"]) != tree_head([b"a", b"b", b"c", b"c"])


def test_artifact_leaf_bytes() -> None:
    """A leaf's data is the canonical msgpack of path, size and both digests."""
    leaf = artifact_leaf("a.csv", 300, b"\x11" * 32, b"\x22" * 32)
    assert leaf.hex() == "94a5612e637376cd012cc420" + "11" * 32 + "c420" + "22" * 32


def test_the_root_does_not_depend_on_the_order_given() -> None:
    """Artifacts are taken in byte order of path."""
    files = [artifact(path, path.encode()) for path in ("b", "a/c", "a-b", "é")]
    assert artifacts_root(files) == artifacts_root(files[::-1])
    assert artifacts_root(files) == tree_head(
        artifact_leaf(f.path, f.size, bytes.fromhex(f.sha256), bytes.fromhex(f.blake3))
        for f in (files[2], files[1], files[0], files[3])
    )


def test_a_digest_in_another_form_is_an_error() -> None:
    """Upper-case hex is not a digest."""
    file = artifact("a", b"a")
    bad = type("Bad", (), {"path": "a", "size": 1, "sha256": file.sha256.upper(), "blake3": file.blake3})()
    with pytest.raises(IdError):
        artifacts_root([bad])


def _path(index: int, leaves: list[bytes]) -> list[bytes]:
    """Return PATH(m, D[n]) as RFC 6962, section 2.1.1, defines it."""
    if len(leaves) == 1:
        return []
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < k:
        return [*_path(index, leaves[:k]), tree_head(leaves[k:])]
    return [*_path(index - k, leaves[k:]), tree_head(leaves[:k])]


def _subproof(old: int, leaves: list[bytes], *, whole: bool = True) -> list[bytes]:
    """Return SUBPROOF(m, D[n], b) as RFC 6962, section 2.1.2, defines it."""
    if old == len(leaves):
        return [] if whole else [tree_head(leaves)]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    if old <= k:
        return [*_subproof(old, leaves[:k], whole=whole), tree_head(leaves[k:])]
    return [*_subproof(old - k, leaves[k:], whole=False), tree_head(leaves[:k])]


@pytest.mark.parametrize("size", range(1, 34))
def test_every_leaf_is_proved_at_its_place_and_at_no_other(size: int) -> None:
    """A proof of inclusion holds for its own leaf and index, and for no other index of the same tree."""
    leaves = [bytes((number,)) for number in range(size)]
    root = tree_head(leaves)
    for index, leaf in enumerate(leaves):
        proof = _path(index, leaves)
        holding = [at for at in range(-1, size + 2) if inclusion_holds(leaf_hash(leaf), at, size, proof, root)]
        assert holding == [index]


@pytest.mark.parametrize("size", range(1, 34))
def test_every_beginning_is_consistent_and_no_other_tree(size: int) -> None:
    """A proof of consistency holds for each beginning of a tree, and not for one that differs in its last leaf."""
    leaves = [bytes((number,)) for number in range(size)]
    root = tree_head(leaves)
    for old in range(1, size + 1):
        proof = _subproof(old, leaves)
        assert consistency_holds(old, tree_head(leaves[:old]), size, root, proof)
        assert not consistency_holds(old, tree_head([*leaves[: old - 1], b"other"]), size, root, proof)
    assert consistency_holds(0, tree_head([]), size, root, [])
    assert not consistency_holds(0, root, size, root, [])


@pytest.mark.parametrize("length", [0, 31, 32, 255, 256, 65535, 65536])
@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**53 - 1, 2**64 - 1])
def test_leaf_data_is_canonical(length: int, size: int) -> None:
    """The compiled encoder gives the bytes of the canonical one, on both sides of every change of header."""
    path = ("\u00e9" * (length // 2) + "a" * length)[: length - length // 2]

    leaf = artifact_leaf(path, size, b"s" * 32, b"b" * 32)

    assert len(path.encode()) == length
    assert leaf == msgpack.encode([path, size, b"s" * 32, b"b" * 32])


@pytest.mark.parametrize(("path", "size"), [("a", -1), ("a", True), ("a", 2**64), ("\ud800", 1)])
def test_what_has_no_leaf_is_an_error(path: str, size: int) -> None:
    """What canonical msgpack cannot hold is refused as by the canonical encoder."""
    with pytest.raises(msgpack.CanonicalError):
        artifact_leaf(path, size, b"s" * 32, b"b" * 32)
