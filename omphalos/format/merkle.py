"""The Merkle root of a run's artifacts: RFC 6962 tree heads over SHA-256.

Rules of this file: RFC 6962, section 2.1: a leaf is hashed behind the byte 00, a node behind 01, and a tree of n leaves
is split at the largest power of two below n. The two prefixes are what keeps an inner node from passing as a leaf; no
leaf is ever doubled to fill a level. Memory is logarithmic in the number of leaves. Proofs are judged by the
algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2: any input gives yes or no, and no proof has elements to spare.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from omphalos.format import msgpack
from omphalos.format.ids import from_hex

LEAF_PREFIX: Final = b"\x00"
NODE_PREFIX: Final = b"\x01"

_encoder: Final = msgspec.msgpack.Encoder()


class ArtifactLike(Protocol):
    """What a leaf is made of; digests are 64 lower-case hex digits."""

    @property
    def path(self) -> str:
        """The path inside the run."""

    @property
    def size(self) -> int:
        """The length in bytes."""

    @property
    def sha256(self) -> str:
        """The SHA-256 as hex."""

    @property
    def blake3(self) -> str:
        """The BLAKE3 as hex."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of one leaf's data: SHA-256(00 ‖ leaf)."""
    return hashlib.sha256(LEAF_PREFIX + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(01 ‖ left ‖ right)."""
    return hashlib.sha256(NODE_PREFIX + left + right).digest()


def tree_head(leaves: Iterable[bytes]) -> bytes:
    """Return the Merkle tree hash of leaf data in the given order (RFC 6962, section 2.1).

    The head of no leaves is SHA-256 of the empty string.
    """
    # Roots of complete subtrees, largest first: one per bit set in the number of leaves read so far.
    roots: list[bytes] = []
    for count, leaf in enumerate(leaves, start=1):
        roots.append(leaf_hash(leaf))
        size = count
        while size % 2 == 0:
            right = roots.pop()
            roots[-1] = node_hash(roots[-1], right)
            size //= 2
    if not roots:
        return hashlib.sha256(b"").digest()
    head = roots.pop()
    while roots:
        head = node_hash(roots.pop(), head)
    return head


def artifact_leaf(path: str, size: int, sha256: bytes, blake3: bytes) -> bytes:
    """Return the leaf data of one artifact: canonical msgpack ``[path, size, sha256, blake3]``, digests as 32 bytes.

    Raises:
        CanonicalError: if ``size`` is negative or ``path`` holds a lone surrogate.
    """
    if type(size) is int and size >= 0:
        try:  # the same bytes from compiled code, which a manifest of many files needs
            return _encoder.encode((path, size, sha256, blake3))
        except (OverflowError, UnicodeEncodeError):
            pass  # the strict encoder says what is wrong
    return msgpack.encode([path, size, sha256, blake3])


def artifacts_root(artifacts: Iterable[ArtifactLike]) -> bytes:
    """Return the tree head over artifacts in byte order of path, whatever order they come in.

    Raises:
        IdError: if a digest is not 64 lower-case hex digits.
        CanonicalError: as ``artifact_leaf``.
    """
    ordered = sorted(artifacts, key=lambda artifact: artifact.path)
    return tree_head(artifact_leaf(a.path, a.size, from_hex(a.sha256), from_hex(a.blake3)) for a in ordered)


def inclusion_holds(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Say whether ``proof`` shows that the leaf with this hash stands at ``index`` of the tree of ``size`` leaves.

    RFC 9162, section 2.1.3.2. ``leaf`` is a leaf hash, not a leaf's data. The size is bound only as far as it shapes
    the path, so it must come from where the root comes from.
    """
    if not 0 <= index < size or not _are_hashes((leaf, root, *proof)):
        return False
    at, last, head = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at % 2 or at == last:
            head = node_hash(sibling, head)
            while at % 2 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            head = node_hash(head, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and head == root


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the siblings that lead from a leaf to the head, from the leaf up (RFC 9162, section 2.1.3.1).

    Args:
        leaves: all leaf hashes in order.
        index: the place of the leaf, below their number.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    # Level by level: a node without a sibling goes up as it is, which is RFC 6962's split seen from below.
    level, at, proof = list(leaves), index, list[bytes]()
    while len(level) > 1:
        if at ^ 1 < len(level):
            proof.append(level[at ^ 1])
        pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
        at //= 2
    return proof


def consistency_holds(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Say whether ``proof`` shows that a tree of ``old_size`` leaves is the beginning of one of ``size`` leaves.

    RFC 9162, section 2.1.4.2. The empty tree is the beginning of any other, with an empty proof; equal sizes need equal
    roots and an empty proof.
    """
    if not 0 <= old_size <= size or not _are_hashes((old_root, root, *proof)):
        return False
    if old_size == size:
        return not proof and old_root == root
    if old_size == 0:
        return not proof and old_root == tree_head(())
    # A complete old tree is itself the first node of the path, and the proof leaves it out.
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not proof:
        return False
    at, last = old_size - 1, size - 1
    while at % 2:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if at % 2 or at == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while at % 2 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, node)
        at, last = at >> 1, last >> 1
    return last == 0 and old == old_root and new == root


def _are_hashes(values: Iterable[bytes]) -> bool:
    return all(len(value) == hashlib.sha256().digest_size for value in values)
