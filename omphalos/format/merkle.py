"""The Merkle root of a run's artifacts: RFC 6962 tree heads over SHA-256.

Rules of this file: RFC 6962, section 2.1: a leaf is hashed behind the byte 00, a node behind 01, and a tree of n leaves
is split at the largest power of two below n. The two prefixes are what keeps an inner node from passing as a leaf; no
leaf is ever doubled to fill a level. Memory is logarithmic in the number of leaves.
"""

import hashlib
from collections.abc import Iterable
from typing import Final, Protocol

from omphalos.format import msgpack
from omphalos.format.ids import from_hex

LEAF_PREFIX: Final = b"\x00"
NODE_PREFIX: Final = b"\x01"


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
    return msgpack.encode([path, size, sha256, blake3])


def artifacts_root(artifacts: Iterable[ArtifactLike]) -> bytes:
    """Return the tree head over artifacts in byte order of path, whatever order they come in.

    Raises:
        IdError: if a digest is not 64 lower-case hex digits.
        CanonicalError: as ``artifact_leaf``.
    """
    ordered = sorted(artifacts, key=lambda artifact: artifact.path)
    return tree_head(artifact_leaf(a.path, a.size, from_hex(a.sha256), from_hex(a.blake3)) for a in ordered)
