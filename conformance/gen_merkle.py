"""Write the Merkle probes of the corpus: tree heads, proofs of inclusion and of consistency, good and mutated.

Heads and proofs are computed by the recursive definitions of RFC 6962, section 2.1, and by nothing of the package, so
that they test it. The mutations are those of transparency-dev/merkle (its ``proof/verify_test.go``): wrong places,
sizes, leaves and roots; proofs cut, lengthened at either end, and changed in each element. Numbers are decimal text,
since they go up to 2^64-1.

Usage: ``python conformance/gen_merkle.py``: writes ``merkle/*.json`` beside this file; same bytes every time.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

PLACE = Path(__file__).resolve().parent / "merkle"
# The leaves of the Certificate Transparency reference tests, then more of our own.
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
LEAVES = [bytes.fromhex(leaf) for leaf in CT_LEAVES] + [f"leaf {number}".encode() for number in range(8, 70)]
Hash = bytes
Probe = dict[str, object]


def leaf_hash(data: bytes) -> Hash:
    """SHA-256(00 ‖ data)."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: Hash, right: Hash) -> Hash:
    """SHA-256(01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\1" + left + right).digest()


def split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def head(leaves: list[bytes]) -> Hash:
    """MTH(D[n])."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    k = split(len(leaves))
    return node_hash(head(leaves[:k]), head(leaves[k:]))


def path(index: int, leaves: list[bytes]) -> list[Hash]:
    """PATH(m, D[n])."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*path(index, leaves[:k]), head(leaves[k:])]
    return [*path(index - k, leaves[k:]), head(leaves[:k])]


def proof(old: int, leaves: list[bytes]) -> list[Hash]:
    """PROOF(m, D[n])."""
    return _subproof(old, leaves, whole=True)


def _subproof(old: int, leaves: list[bytes], *, whole: bool) -> list[Hash]:
    if old == len(leaves):
        return [] if whole else [head(leaves)]
    k = split(len(leaves))
    if old <= k:
        return [*_subproof(old, leaves[:k], whole=whole), head(leaves[k:])]
    return [*_subproof(old - k, leaves[k:], whole=False), head(leaves[:k])]


def shape(index: int, size: int) -> list[bool]:
    """For each element of a path, from the leaf up, whether it stands on the left."""
    if size == 1:
        return []
    k = split(size)
    return [*shape(index, k), False] if index < k else [*shape(index - k, size - k), True]


def _inclusion(name: str, leaf: Hash, index: int, size: int, elements: list[Hash], root: Hash, holds: bool) -> Probe:
    return {
        "name": name,
        "leaf_hash": leaf.hex(),
        "index": str(index),
        "size": str(size),
        "proof": [element.hex() for element in elements],
        "root": root.hex(),
        "holds": holds,
    }


def _consistency(
    name: str, old: int, old_root: Hash, size: int, root: Hash, elements: list[Hash], holds: bool
) -> Probe:
    return {
        "name": name,
        "old_size": str(old),
        "old_root": old_root.hex(),
        "size": str(size),
        "root": root.hex(),
        "proof": [element.hex() for element in elements],
        "holds": holds,
    }


def _changed(value: Hash) -> Hash:
    return bytes((value[0] ^ 0x10,)) + value[1:]


def _proofs(elements: list[Hash], root: Hash) -> Iterator[tuple[str, list[Hash]]]:
    """Yield every mutated proof, with its name."""
    junk = hashlib.sha256(b"junk").digest()
    yield "garbage-at-end", [*elements, junk]
    yield "empty-at-end", [*elements, b""]
    yield "root-at-end", [*elements, root]
    yield "garbage-at-start", [junk, *elements]
    yield "empty-at-start", [b"", *elements]
    yield "root-at-start", [root, *elements]
    for count in range(len(elements)):
        yield f"cut-to-{count}", elements[:count]
    for count in range(1, len(elements)):
        yield f"without-first-{count}", elements[count:]
    for place, element in enumerate(elements):
        yield f"changed-{place}", [*elements[:place], _changed(element), *elements[place + 1 :]]
        yield f"short-{place}", [*elements[:place], element[:-1], *elements[place + 1 :]]
    if len(set(elements)) > 1:
        yield "reversed", elements[::-1]


def inclusion() -> Iterator[Probe]:
    """Yield probes of inclusion."""
    for size in (*range(1, 10), 16, 17, 33):
        leaves = LEAVES[:size]
        for index in range(size) if size < 10 else (0, 1, size // 2, size - 2, size - 1):
            yield _inclusion(
                f"good-{index}-of-{size}",
                leaf_hash(leaves[index]),
                index,
                size,
                path(index, leaves),
                head(leaves),
                True,
            )
    for index, size in ((0, 1), (0, 2), (1, 2), (0, 8), (5, 8), (2, 3), (1, 5), (4, 5), (6, 7), (16, 17), (20, 33)):
        yield from _mutated_inclusion(index, size)
    yield from _huge_inclusion()


def _mutated_inclusion(index: int, size: int) -> Iterator[Probe]:
    leaves = LEAVES[:size]
    leaf, elements, root = leaf_hash(leaves[index]), path(index, leaves), head(leaves)
    mark = f"{index}-of-{size}"

    def bad(
        name: str,
        leaf: Hash = leaf,
        index: int = index,
        size: int = size,
        elements: list[Hash] = elements,
        root: Hash = root,
    ) -> Probe:
        return _inclusion(f"{name}-{mark}", leaf, index, size, elements, root, False)

    for name, other in (
        ("index-plus-1", index + 1),
        ("index-minus-1", index - 1),
        ("index-flipped", index ^ 2),
        ("index-is-size", size),
        ("index-huge", 2**64 - 1),
    ):
        if other >= 0:
            yield bad(name, index=other)
    for name, other in (
        ("size-doubled", size * 2),
        ("size-halved", size // 2),
        ("size-zero", 0),
        ("size-huge", 2**64 - 1),
    ):
        yield bad(name, size=other)
    yield bad("leaf-changed", leaf=_changed(leaf))
    yield bad("leaf-empty", leaf=b"")
    yield bad("leaf-other", leaf=leaf_hash(b"WrongLeaf"))
    yield bad("root-changed", root=_changed(root))
    yield bad("root-empty-tree", root=hashlib.sha256(b"").digest())
    yield bad("root-empty", root=b"")
    for name, other in _proofs(elements, root):
        yield bad(f"proof-{name}", elements=other)
    if elements:
        # An inner node in the place of a leaf: the prefixes 00 and 01 are what refuses it.
        left = node_hash(elements[0], leaf) if index % 2 else node_hash(leaf, elements[0])
        pair = elements[0] + leaf if index % 2 else leaf + elements[0]
        yield bad("node-as-leaf", leaf=leaf_hash(pair), index=index // 2, elements=elements[1:])
        if len(elements) > 1:
            yield bad("node-as-leaf-hash", leaf=left)


def _huge_inclusion() -> Iterator[Probe]:
    """Yield probes of trees nobody can build: the path alone makes the root."""
    for index, size in (
        (2**62, 2**63),
        (2**63 - 1, 2**63),
        (2**63, 2**63 + 1),
        (0, 2**63 + 1),
        (2**64 - 2, 2**64 - 1),
        (1, 2**53),
    ):
        leaf = leaf_hash(b"huge")
        sides = shape(index, size)
        elements = [hashlib.sha256(f"{place}".encode()).digest() for place in range(len(sides))]
        root = leaf
        for element, left in zip(elements, sides, strict=True):
            root = node_hash(element, root) if left else node_hash(root, element)
        yield _inclusion(f"good-{index}-of-{size}", leaf, index, size, elements, root, True)
        yield _inclusion(f"cut-{index}-of-{size}", leaf, index, size, elements[:-1], root, False)
        yield _inclusion(f"long-{index}-of-{size}", leaf, index, size, [*elements, root], root, False)


def consistency() -> Iterator[Probe]:
    """Yield probes of consistency."""
    for size in (*range(1, 10), 16, 33):
        for old in range(size + 1) if size < 10 else (0, 1, 2, size // 2, size - 1, size):
            leaves = LEAVES[:size]
            elements = proof(old, leaves) if old else []
            yield _consistency(f"good-{old}-to-{size}", old, head(leaves[:old]), size, head(leaves), elements, True)
    for old, size in ((1, 1), (1, 8), (6, 8), (2, 5), (6, 7), (4, 7), (8, 8), (0, 3), (7, 33), (16, 33)):
        yield from _mutated_consistency(old, size)


def _mutated_consistency(old: int, size: int) -> Iterator[Probe]:
    leaves = LEAVES[:size]
    old_root, root = head(leaves[:old]), head(leaves)
    elements = proof(old, leaves) if old else []
    mark = f"{old}-to-{size}"

    def bad(
        name: str,
        old: int = old,
        old_root: Hash = old_root,
        size: int = size,
        root: Hash = root,
        elements: list[Hash] = elements,
    ) -> Probe:
        return _consistency(f"{name}-{mark}", old, old_root, size, root, elements, False)

    sizes: list[tuple[str, Callable[[int], int]]] = [
        ("plus-1", lambda n: n + 1),
        ("minus-1", lambda n: n - 1),
        ("flipped", lambda n: n ^ 2),
    ]
    for name, change in sizes:
        if change(old) >= 0:
            yield bad(f"old-size-{name}", old=change(old))
    yield bad("size-doubled", size=size * 2) if old else bad("old-size-1", old=1)
    if old:  # every tree, of any size, begins with the empty one
        yield bad("size-halved", size=size // 2)
    yield bad("sizes-swapped", old=size, size=old) if old != size else bad("size-below", size=size - 1)
    yield bad("old-size-huge", old=2**64 - 1)
    yield bad("old-root-changed", old_root=_changed(old_root))
    yield bad("old-root-empty", old_root=b"")
    if old:
        yield bad("old-root-empty-tree", old_root=hashlib.sha256(b"").digest())
        yield bad("root-changed", root=_changed(root))
    if old_root != root and old:
        yield bad("roots-swapped", old_root=root, root=old_root)
        yield bad("old-root-is-root", old_root=root)
        yield bad("root-is-old-root", root=old_root)
    yield bad("root-empty", root=b"")
    for name, other in _proofs(elements, root):
        yield bad(f"proof-{name}", elements=other)


def heads() -> Iterator[Probe]:
    """Yield tree heads."""
    for size in (*range(20), 31, 32, 33, 64, 65, 70):
        leaves = LEAVES[:size]
        yield {"name": f"{size}-leaves", "leaves": [leaf.hex() for leaf in leaves], "head": head(leaves).hex()}
    yield {"name": "equal-leaves", "leaves": ["61", "61", "61"], "head": head([b"a", b"a", b"a"]).hex()}
    pair = leaf_hash(b"a") + leaf_hash(b"b")
    yield {"name": "a-leaf-of-two-hashes", "leaves": [pair.hex()], "head": head([pair]).hex()}


def main() -> None:
    """Write the three files."""
    PLACE.mkdir(exist_ok=True)
    for name, probes in (("heads", heads()), ("inclusion", inclusion()), ("consistency", consistency())):
        lines = ",\n".join(json.dumps(probe, sort_keys=True) for probe in probes)
        (PLACE / f"{name}.json").write_text(f"[\n{lines}\n]\n", "utf-8")


if __name__ == "__main__":
    main()
