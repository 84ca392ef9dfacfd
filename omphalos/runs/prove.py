"""Proofs of single artifacts: made from a run's manifest, and judged with the file at hand.

Rules of this file: ``docs/format/proof.md``. A root is believed where it is given or signed by a given key, and never
because a proof says so. Each file is opened once, never followed, and read no further than recorded.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from omphalos.format.closed import ClosedError
from omphalos.format.dsse import MAX_BYTES as MAX_ENVELOPE
from omphalos.format.dsse import RUN_PREDICATE, DsseError, decode_envelope, decode_statement
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId
from omphalos.format.ids import from_hex
from omphalos.format.manifest import Artifact, Manifest, encode_manifest
from omphalos.format.merkle import artifact_leaf, inclusion_proof, leaf_hash
from omphalos.format.proof import MAX_BYTES, NAME, SCHEMA, Proof, ProvenArtifact, check_proof, decode_proof
from omphalos.runs.attest import PublicKey, judge_envelope, missing
from omphalos.runs.filecheck import digest, judge_digests, open_plain, touched
from omphalos.runs.verdict import Findings, Verdict

FILE: Final = "file"


class NoSuchArtifact(OmphalosError):
    """A run has no artifact of this path."""

    kind = ErrorKind.NOT_FOUND
    id = "noSuchArtifact"


class BadStatement(OmphalosError):
    """What was to be carried in a proof is no attestation of the run."""

    kind = ErrorKind.USAGE
    id = "badStatement"


def prove(manifest: Manifest, path: str, envelope: str | None = None) -> Proof:
    """Return the proof that an artifact is in a run.

    Args:
        manifest: the run's.
        path: the artifact's.
        envelope: an attestation of the run, to carry along.

    Raises:
        NoSuchArtifact: the run has none of this path; control files are in no tree.
    """
    artifacts = sorted(manifest.artifacts, key=lambda item: item.path)
    place = next((at for at, item in enumerate(artifacts) if item.path == path), None)
    if place is None:
        raise NoSuchArtifact(f"the run has no artifact {path!r}", hint="'omphalos ls -r RUN' lists them")
    leaves = [leaf_hash(artifact_leaf(a.path, a.size, from_hex(a.sha256), from_hex(a.blake3))) for a in artifacts]
    item = artifacts[place]
    return Proof(
        schema=SCHEMA,
        run_id=manifest.run_id,
        artifact=ProvenArtifact(item.path, item.size, item.sha256, item.blake3),
        index=place,
        tree_size=len(leaves),
        hashes=tuple(sibling.hex() for sibling in inclusion_proof(leaves, place)),
        merkle_root=manifest.merkle_root,
        envelope=envelope,
    )


def read_statement(path: Path, manifest: Manifest) -> str:
    """Return the text of an attestation in a file, to be carried in a proof; whose it is is not asked.

    Raises:
        BadStatement: it cannot be read, is no attestation, or is about another manifest.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_ENVELOPE + 1)
        statement = decode_statement(decode_envelope(data).payload)
    except OSError as error:
        raise BadStatement(f"'{path.name}' cannot be read: {os.strerror(error.errno or 0).lower()}") from error
    except DsseError as error:
        raise BadStatement(f"'{path.name}' is no attestation: {error.message}") from error
    sha = hashlib.sha256(encode_manifest(manifest)).hexdigest()
    if all(digest.get("sha256") != sha for digest in statement.subjects):
        raise BadStatement(f"'{path.name}' is about another run", hint=f"this run is {manifest.run_id}")
    return data.decode()


def verify_proof(
    path: str | Path, file: str | Path, *, root: str | None = None, keys: Sequence[PublicKey] = ()
) -> Verdict:
    """Judge a proof and the file it is about, by the rules of ``docs/format/proof.md``.

    Args:
        path: the proof.
        file: the file that is said to be the artifact.
        root: the Merkle root to believe, 64 lower-case hex digits.
        keys: each of these must have vouched for the root.

    Raises:
        NoSuchThing: there is no proof or no file.
        IdError: ``root`` is no root.
    """
    if root is not None:
        from_hex(root)
    found = Findings(key.keyid for key in keys)
    subject = os.fspath(path).rstrip("/").rsplit("/", 1)[-1]
    aside = Findings()
    opened = open_plain(file, FILE, aside)
    try:
        proof = _read(path, found)
        if proof is None:
            return found.verdict(subject, None, 0, 0, unrooted=root is None and not keys)
        found.extend(check_proof(proof))
        if root is not None and root != proof.merkle_root:
            found.add(FindingId.ROOT_MISMATCH, NAME, f"given {root[:12]}, the proof has {proof.merkle_root[:12]}")
        signed = _signers(proof, keys, found) if keys else set[str]()
        found.take(aside)
        read = opened is not None and _check_file(opened, proof.artifact, found)
    finally:
        if opened is not None:
            os.close(opened)
    size = proof.artifact.size if read else 0
    return found.verdict(subject, proof.run_id, int(read), size, signed_by=signed, unrooted=root is None and not keys)


def _read(path: str | Path, found: Findings) -> Proof | None:
    descriptor = open_plain(path, NAME, found)
    if descriptor is None:
        return None
    try:
        before = os.fstat(descriptor)
        if before.st_size > MAX_BYTES:
            found.add(FindingId.JSON_TOO_LARGE, NAME, f"{before.st_size} bytes")
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            data = stream.read(before.st_size + 1)
        if len(data) != before.st_size or touched(before, os.fstat(descriptor)):
            found.add(FindingId.TOCTOU, NAME, "it changed while it was read")
            return None
        return decode_proof(data)
    except ClosedError as error:
        for finding in error.findings:
            found.add(finding, NAME, error.message)
    except OSError:
        found.unread(NAME)
    finally:
        os.close(descriptor)
    return None


def _signers(proof: Proof, keys: Sequence[PublicKey], found: Findings) -> set[str]:
    """Judge the envelope in a proof; return the keyids for which it counts."""
    counted: set[str] = set()
    if proof.envelope is not None:
        judged = judge_envelope(proof.envelope.encode(), keys)
        statement = judged.statement
        if judged.finding is not None:
            found.add(judged.finding, NAME, judged.detail)
        elif statement is not None and statement.predicate_type == RUN_PREDICATE:
            said = statement.predicate or {}
            if (said["merkleRoot"], said["treeSize"]) != (proof.merkle_root, proof.tree_size):
                found.add(FindingId.ROOT_MISMATCH, NAME, "another root or size is signed")
            elif said["runId"] != proof.run_id:
                found.add(FindingId.SUBJECT_MISMATCH, NAME, "another run is signed")
            else:
                counted |= judged.signers
    absent = missing(keys, counted)
    if absent:
        found.add(FindingId.SIGNATURE_MISSING, NAME, absent)
    return counted


def _check_file(descriptor: int, artifact: ProvenArtifact, found: Findings) -> bool:
    """Compare an open file with what the leaf says; return whether all of it was read."""
    try:
        before = os.fstat(descriptor)
        if before.st_size != artifact.size:
            found.add(FindingId.SIZE_MISMATCH, FILE, f"{before.st_size} bytes, recorded {artifact.size}")
            return False
        size, blake, sha = digest(descriptor, artifact.size)
        if size != artifact.size or touched(before, os.fstat(descriptor)):
            found.add(FindingId.TOCTOU, FILE, "it changed while it was read")
            return False
    except OSError:
        found.unread(FILE)
        return False
    record = Artifact(FILE, "artifact", "application/octet-stream", artifact.size, artifact.sha256, artifact.blake3)
    found.extend(judge_digests(record, blake, sha))
    return True
