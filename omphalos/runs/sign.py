"""Signing a run: verify its directory first, then write an attestation into it.

Rules of this file: nothing is signed that does not verify; a statement that is there is never written over; what is
written is durable before it has its name.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omphalos.format import dsse
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.manifest import ATTESTATIONS, FILE_NAME, Manifest, decode_manifest
from omphalos.runs.attest import about, attest, file_name, public_of, seal
from omphalos.runs.verify import verify_directory
from omphalos.store import durable
from omphalos.store.durable import DISK
from omphalos.store.newfile import write_new

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class NotSound(OmphalosError):
    """What was to be signed or released does not verify."""

    kind = ErrorKind.NEGATIVE
    id = "notSound"


class AlreadySigned(OmphalosError):
    """The run directory has a statement by this key."""

    kind = ErrorKind.USAGE
    id = "alreadySigned"


class NotOfThisRun(OmphalosError):
    """A statement that was to be signed is none of a certification of this run."""

    kind = ErrorKind.USAGE
    id = "notOfThisRun"


@dataclass(frozen=True)
class Signed:
    """What was signed, by which key, and the file of the statement."""

    run_id: str
    keyid: str
    path: Path


def sign_directory(directory: Path, key: "Ed25519PrivateKey", signed_at: str, statement: bytes | None = None) -> Signed:
    """Vouch for the run in a directory, after verifying it; write what was signed into its ``attestations/``.

    Args:
        directory: the run directory.
        key: who vouches.
        signed_at: the time, ``YYYY-MM-DDThh:mm:ssZ``.
        statement: the bytes of a statement that ``certify`` wrote, to be signed as it is; without one it is said that
            the run is vouched for.

    Raises:
        NoRunDirectory: there is no folder.
        NotSound: the run does not verify.
        NotOfThisRun: the statement is not one of a certification of this run.
        AlreadySigned: there is such a statement by this key.
        StoreFull, StoreReadOnly, StoreIOError: it cannot be written.
    """
    undone = "nothing was signed"
    verdict = verify_directory(directory)
    if verdict.word != "verified":
        first = f": {verdict.findings[0].id.value}" if verdict.findings else ""
        hint = "'omphalos verify' says all that is wrong"
        raise NotSound(f"the run directory is {verdict.word}{first}", hint=hint, undone=undone)
    data = (directory / FILE_NAME).read_bytes()
    run, public = decode_manifest(data), public_of(key)
    if statement is not None:
        _check(statement, data, run)
    path = directory / ATTESTATIONS / file_name(public.keyid, "run" if statement is None else "recomputation")
    if os.path.lexists(path):
        raise AlreadySigned(f"the run has such a statement by key {public.keyid[:12]}", hint=path.name, undone=undone)
    envelope = attest(data, run, key, signed_at) if statement is None else seal(statement, key)
    with durable.translated("writing the statement"):
        durable.make_folders(DISK, path.parent)
        write_new(path, envelope)
    return Signed(run.run_id, public.keyid, path)


def _check(statement: bytes, manifest: bytes, run: Manifest) -> None:
    """Refuse to sign what a verifier would not take for a statement about this run."""
    undone = "nothing was signed"
    hint = "give the file that 'omphalos certify' wrote for this run"
    try:
        said = dsse.decode_statement(statement)
    except dsse.DsseError as error:
        raise NotOfThisRun(f"no statement: {error.message}", hint=hint, undone=undone) from error
    these = about(manifest, run)
    subjects = [one for one in said.subjects if one.get("sha256") == these.sha256 and one.get("blake3") == these.blake3]
    predicate = said.predicate or {}
    if said.predicate_type != dsse.RECOMPUTATION_PREDICATE or not subjects or predicate["runId"] != run.run_id:
        raise NotOfThisRun("the statement is not about a certification of this run", hint=hint, undone=undone)
