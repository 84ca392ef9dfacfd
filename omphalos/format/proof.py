"""The bytes of a proof that one file is an artifact of a run.

Rules of this file: ``docs/format/proof.md``. A closed, versioned schema like the manifest's; what a proof says is
judged by ``check_proof``, except its root, which nothing in the proof can vouch for but a signature.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from omphalos.format.closed import decode_closed, encode_closed
from omphalos.format.findings import Finding, FindingId
from omphalos.format.ids import from_hex
from omphalos.format.manifest import Digest, Text, is_reserved
from omphalos.format.merkle import artifact_leaf, inclusion_holds, leaf_hash
from omphalos.format.paths import check_path, show
from omphalos.format.strictjson import MAX_INT

SCHEMA: Final = "omphalos.proof/1"
MAX_BYTES: Final = 1 << 21
MAX_HASHES: Final = 64
NAME: Final = "proof"

Number = Annotated[int, Meta(ge=0, le=MAX_INT)]


class ProvenArtifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the leaf is made of."""

    path: str
    size: Number
    sha256: Digest
    blake3: Digest


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a proof."""

    schema: Literal["omphalos.proof/1"]
    run_id: Text
    artifact: ProvenArtifact
    index: Number
    tree_size: Number
    hashes: Annotated[tuple[Digest, ...], Meta(max_length=MAX_HASHES)]
    merkle_root: Digest
    envelope: str | None


def decode_proof(data: bytes) -> Proof:
    """Read a proof.

    Raises:
        ClosedError: with the exact findings.
    """
    return decode_closed(
        data,
        Proof,
        schema=SCHEMA,
        members={Proof: {"artifact": ProvenArtifact}},
        max_bytes=MAX_BYTES,
        malformed=FindingId.PROOF_MALFORMED,
    )


def encode_proof(proof: Proof) -> bytes:
    """Return the bytes of a proof."""
    return encode_closed(proof)


def check_proof(proof: Proof) -> list[Finding]:
    """Return everything in a proof that does not hold by itself, in order."""
    artifact = proof.artifact
    found = [Finding(identifier, show(artifact.path)) for identifier in check_path(artifact.path)]
    if is_reserved(artifact.path):
        found.append(Finding(FindingId.PATH_OWN_DIR, show(artifact.path), "the run keeps this name for itself"))
    leaf = artifact_leaf(artifact.path, artifact.size, from_hex(artifact.sha256), from_hex(artifact.blake3))
    hashes = [bytes(from_hex(text)) for text in proof.hashes]
    if not inclusion_holds(leaf_hash(leaf), proof.index, proof.tree_size, hashes, from_hex(proof.merkle_root)):
        found.append(Finding(FindingId.INCLUSION_INVALID, NAME))
    return sorted(set(found))
