"""Signing a run: verify its directory first, then write an attestation into it.

Rules of this file: nothing is signed that does not verify; a statement that is there is never written over; what is
written is durable before it has its name.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.manifest import ATTESTATIONS, FILE_NAME, decode_manifest
from omphalos.runs.attest import attest, file_name, public_of
from omphalos.runs.verify import verify_directory
from omphalos.store import durable
from omphalos.store.durable import DISK

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


@dataclass(frozen=True)
class Signed:
    """What was signed, by which key, and the file of the statement."""

    run_id: str
    keyid: str
    path: Path


def sign_directory(directory: Path, key: "Ed25519PrivateKey", signed_at: str) -> Signed:
    """Vouch for the run in a directory, after verifying it; write the statement into its ``attestations/``.

    Args:
        directory: the run directory.
        key: who vouches.
        signed_at: the time, ``YYYY-MM-DDThh:mm:ssZ``.

    Raises:
        NoRunDirectory: there is no folder.
        NotSound: the run does not verify.
        AlreadySigned: there is a statement by this key.
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
    path = directory / ATTESTATIONS / file_name(public.keyid)
    if os.path.lexists(path):
        raise AlreadySigned(f"the run has a statement by key {public.keyid[:12]}", hint=path.name, undone=undone)
    with durable.translated("writing the statement"):
        durable.make_folders(DISK, path.parent)
        write_new(path, attest(data, run, key, signed_at))
    return Signed(run.run_id, public.keyid, path)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not be there, whole or not at all: synced under another name, then given its own.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{durable.temporary_name()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        temporary.rename(path)
        durable.sync_folder(DISK, path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
