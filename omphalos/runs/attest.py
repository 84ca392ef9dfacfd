"""Attestations: who vouches for a run. Reads keys, judges envelopes by them, and signs.

Rules of this file: ``docs/format/attestation.md``. A signature by a key that nobody gave is as good as none; a bad one
by a key that was given refuses; each key that was given must have vouched. A private key is read only from a file that
nobody but its owner can read. Nothing here asks a clock.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from omphalos.format import dsse
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId
from omphalos.format.manifest import Manifest

if TYPE_CHECKING:  # loaded where a key is used, so that checking a run without one stays light
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_KEYS: Final = 16
MAX_FILES: Final = 256
MAX_PRIVATE_BYTES: Final = 1 << 16
SUFFIX: Final = ".json"
_KEY_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class KeyMissing(OmphalosError):
    """A public key that was named cannot be had."""

    kind = ErrorKind.UNTRUSTED
    id = "keyMissing"


class TooManyKeys(OmphalosError):
    """More keys were given than a verifier takes."""

    kind = ErrorKind.USAGE
    id = "tooManyKeys"


class BadPrivateKey(OmphalosError):
    """A private key cannot be used."""

    kind = ErrorKind.UNTRUSTED
    id = "badPrivateKey"


class KeyExists(OmphalosError):
    """A key is never written over a file that is there."""

    kind = ErrorKind.USAGE
    id = "keyExists"


@dataclass(frozen=True, order=True)
class PublicKey:
    """An Ed25519 public key: its keyid and its 32 bytes."""

    keyid: str
    raw: bytes

    def signed(self, sig: bytes, message: bytes) -> bool:
        """Say whether ``sig`` is this key's over ``message`` (RFC 8032, section 5.1.7)."""
        if len(sig) != dsse.SIGNATURE_BYTES:
            return False
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(sig, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def read_keys(paths: Sequence[Path]) -> tuple[PublicKey, ...]:
    """Return the public keys in files, each once, in order of keyid.

    Raises:
        KeyMissing: a file is not there, cannot be read, or holds no public key.
        TooManyKeys: more than 16 are named.
    """
    if len(paths) > MAX_KEYS:
        raise TooManyKeys(f"more than {MAX_KEYS} keys were given")
    found = set()
    for path in paths:
        try:
            raw = dsse.decode_public_key(_read(path, dsse.MAX_KEY_BYTES))
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise KeyMissing(f"no public key: '{path.name}': {reason}", undone="nothing was verified") from error
        except dsse.DsseError as error:
            hint = "give the file that 'omphalos key new' wrote beside the private key, or 64 hex digits in a file"
            raise KeyMissing(f"'{path.name}' is {error.message}", hint=hint, undone="nothing was verified") from error
        found.add(PublicKey(dsse.keyid_of(raw), raw))
    return tuple(sorted(found))


def _read(path: Path, limit: int) -> bytes:
    descriptor = os.open(path, _KEY_FLAGS)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(22, "not a file")
        return stream.read(limit + 1)


@dataclass(frozen=True)
class Judged:
    """What an envelope is worth: a finding that ends it, or what it states and which of the given keys say so."""

    finding: FindingId | None = None
    detail: str = ""
    signers: frozenset[str] = frozenset()
    statement: dsse.Statement | None = None


def judge_envelope(data: bytes, keys: Iterable[PublicKey]) -> Judged:
    """Judge the bytes of an envelope: its form, its signatures, and, where a given key signed, the statement."""
    given = {key.keyid: key for key in keys}
    signers = set()
    try:
        envelope = dsse.decode_envelope(data)
        message = dsse.pae(envelope.payload)
        for item in envelope.signatures:
            if item.keyid in given:
                if not given[item.keyid].signed(item.sig, message):
                    return Judged(FindingId.SIGNATURE_INVALID, f"key {item.keyid[:12]}")
                signers.add(item.keyid)
            else:
                signers |= {keyid for keyid, key in given.items() if key.signed(item.sig, message)}
        if not signers:
            return Judged()
        return Judged(signers=frozenset(signers), statement=dsse.decode_statement(envelope.payload))
    except dsse.DsseError as error:
        return Judged(error.finding, error.message)


@dataclass(frozen=True)
class About:
    """What a statement about a run is compared with: the digests of the manifest's bytes, and what it says."""

    sha256: str
    blake3: str
    run_id: str
    merkle_root: str
    artifacts: int


def about(manifest: bytes, run: Manifest) -> About:
    """Return what statements about a run are compared with, given its manifest as bytes and read."""
    sha, blake = hashlib.sha256(manifest).hexdigest(), blake3(manifest).hexdigest()
    return About(sha, blake, run.run_id, run.merkle_root, len(run.artifacts))


def judge_statement(data: bytes, keys: Iterable[PublicKey], run: About) -> Judged:
    """Judge an envelope as one about a run; ``signers`` are those for whom it counts."""
    judged = judge_envelope(data, keys)
    statement = judged.statement
    if statement is None:
        return judged
    these = [digest for digest in statement.subjects if digest.get("sha256") == run.sha256]
    if not these:
        return Judged(FindingId.SUBJECT_MISMATCH, "no subject is this manifest")
    if any(digest.get("blake3", run.blake3) != run.blake3 for digest in these):
        return Judged(FindingId.HASH_DISAGREE, "sha256 matches the manifest and blake3 does not")
    said = statement.predicate or {}
    if statement.predicate_type == dsse.RUN_PREDICATE:
        if (said["runId"], said["merkleRoot"], said["treeSize"]) != (run.run_id, run.merkle_root, run.artifacts):
            return Judged(FindingId.SUBJECT_MISMATCH, "what is said of the run is not what its manifest says")
        return judged
    if statement.predicate_type == dsse.RECOMPUTATION_PREDICATE:
        if said["runId"] != run.run_id:
            return Judged(FindingId.SUBJECT_MISMATCH, "the run_id is another")
        if said["outcome"] == "identical":
            return judged
    return Judged()


def missing(keys: Iterable[PublicKey], signed: Iterable[str]) -> str:
    """Return, in words, which of the given keys did not vouch; empty if all did."""
    absent = sorted({key.keyid for key in keys} - set(signed))
    return f"nothing counts for {', '.join(keyid[:12] for keyid in absent)}" if absent else ""


# -- signing


class NoFolder(OmphalosError):
    """The folder in which a key was to be made is not there."""

    kind = ErrorKind.USAGE
    id = "noFolder"


def new_key(private: Path) -> PublicKey:
    """Write a new private key at ``private`` (mode 0600), its public key beside it as ``<name>.pub``, and return it.

    Raises:
        KeyExists: one of the two files is there already; nothing was written.
        NoFolder: there is no such folder.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = private.with_name(private.name + ".pub")
    for path in (private, public):
        if os.path.lexists(path):
            raise KeyExists(f"'{path.name}' is there already", hint="a key is never written over; choose another name")
    key = Ed25519PrivateKey.generate()
    data = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    try:
        _create(private, data, 0o600)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoFolder(
            f"there is no folder '{private.parent}'", hint="make it first", undone="no key was made"
        ) from error
    try:
        _create(public, dsse.encode_public_key(raw), 0o644)
    except BaseException:
        private.unlink()
        raise
    return PublicKey(dsse.keyid_of(raw), raw)


def _create(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink()
        raise


def read_private_key(path: Path) -> "Ed25519PrivateKey":
    """Return the private key in a file.

    Raises:
        BadPrivateKey: it is not there, others can read it, or it is no Ed25519 key in PKCS #8 PEM without a password.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    undone = "nothing was signed"
    try:
        descriptor = os.open(path, _KEY_FLAGS)
        with os.fdopen(descriptor, "rb") as stream:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise BadPrivateKey(f"'{path.name}' is not a file", undone=undone)
            if mode & 0o077:
                hint = f"chmod 600 {path.name}; if others may have read it, make a new key"
                raise BadPrivateKey(f"others than its owner may read '{path.name}'", hint=hint, undone=undone)
            data = stream.read(MAX_PRIVATE_BYTES)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        hint = "'omphalos key new FILE' makes one"
        raise BadPrivateKey(f"no private key: '{path.name}': {reason}", hint=hint, undone=undone) from error
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise BadPrivateKey(f"'{path.name}' is no private key in PEM without a password", undone=undone) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadPrivateKey(f"'{path.name}' is not an Ed25519 key", undone=undone)
    return key


def public_of(key: "Ed25519PrivateKey") -> PublicKey:
    """Return the public half of a private key."""
    from cryptography.hazmat.primitives import serialization

    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return PublicKey(dsse.keyid_of(raw), raw)


def attest(manifest: bytes, run: Manifest, key: "Ed25519PrivateKey", signed_at: str) -> bytes:
    """Return the envelope in which ``key`` vouches for a run.

    Args:
        manifest: the bytes of the run's manifest.
        run: the same, read.
        key: who vouches.
        signed_at: the time it is done, ``YYYY-MM-DDThh:mm:ssZ``.
    """
    predicate = {
        "runId": run.run_id,
        "merkleRoot": run.merkle_root,
        "treeSize": len(run.artifacts),
        "signedAt": signed_at,
    }
    return seal(dsse.encode_statement(manifest, blake3(manifest).hexdigest(), dsse.RUN_PREDICATE, predicate), key)


def seal(statement: bytes, key: "Ed25519PrivateKey") -> bytes:
    """Return the envelope of a statement, signed by ``key``."""
    signature = dsse.Signature(public_of(key).keyid, key.sign(dsse.pae(statement)))
    return dsse.encode_envelope(statement, (signature,))


def file_name(keyid: str, kind: str = "run") -> str:
    """Return the name of an attestation's file in a run directory."""
    return f"{keyid[:16]}-{kind}{SUFFIX}"
