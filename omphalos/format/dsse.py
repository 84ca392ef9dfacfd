"""DSSE envelopes of in-toto statements, and Ed25519 public keys: the bytes, without the cryptography.

Rules of this file: ``docs/format/attestation.md``. Signed is the envelope's payload as bytes, never a parse of it, and
lengths in what is signed count bytes. Base64 has one strict spelling in each of two alphabets. Unknown members are
ignored here, as both standards ask: this schema is open, unlike the project's own. Any bytes give a value or a
``DsseError``.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final

from omphalos.format import strictjson
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import FindingId

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
RUN_PREDICATE: Final = "urn:omphalos:run:v1"
RECOMPUTATION_PREDICATE: Final = "urn:omphalos:recomputation:v1"
OUTCOMES: Final = ("identical", "equal-after", "different", "not-rerunnable")
MAX_BYTES: Final = 1 << 20
MAX_SIGNATURES: Final = 16
MAX_SUBJECTS: Final = 1024
MAX_KEY_BYTES: Final = 4096
SIGNATURE_BYTES: Final = 64
KEY_BYTES: Final = 32
DER_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]*|[A-Za-z0-9_-]*)={0,2}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


class DsseError(OmphalosError):
    """Bytes are not an envelope, statement or public key; ``finding`` says which rule was broken."""

    kind = ErrorKind.NEGATIVE
    id = "badEnvelope"

    def __init__(self, finding: FindingId, message: str) -> None:
        super().__init__(message)
        self.finding = finding


@dataclass(frozen=True)
class Signature:
    """One signature; ``keyid`` is a hint, or None."""

    keyid: str | None
    sig: bytes


@dataclass(frozen=True)
class Envelope:
    """The payload, decoded, and who may have signed it."""

    payload: bytes
    signatures: tuple[Signature, ...]


@dataclass(frozen=True)
class Statement:
    """What was signed: about what (digests by algorithm), and what is said of it."""

    subjects: tuple[dict[str, str], ...]
    predicate_type: str
    predicate: dict[str, Any] | None


def decode_base64(text: str) -> bytes:
    """Return the bytes of strict base64: padded, one alphabet, no unused bit set.

    Raises:
        DsseError: ``base64Malformed``.
    """
    if len(text) % 4 == 0 and _BASE64.fullmatch(text):
        try:
            data = base64.b64decode(text, altchars=b"-_" if "-" in text or "_" in text else None)
        except binascii.Error:  # padding that stands for nothing
            data = b""
        if base64.b64encode(data).decode() == text.replace("-", "+").replace("_", "/"):
            return data
    raise DsseError(FindingId.BASE64_MALFORMED, "not strict base64")


def pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return the bytes that are signed (DSSE v1, pre-authentication encoding); lengths count bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def decode_envelope(data: bytes) -> Envelope:
    """Read an envelope.

    Raises:
        DsseError: a finding of strict JSON, ``envelopeMalformed`` or ``base64Malformed``.
    """
    value = _parse(data)
    if not isinstance(value, dict) or value.get("payloadType") != PAYLOAD_TYPE:
        raise _bad_envelope(f"no object with the payloadType {PAYLOAD_TYPE}")
    payload, listed = value.get("payload"), value.get("signatures")
    if not isinstance(payload, str) or not isinstance(listed, list) or not 1 <= len(listed) <= MAX_SIGNATURES:
        raise _bad_envelope("payload or signatures are missing, or of the wrong type")
    for item in listed:
        if not isinstance(item, dict) or not isinstance(item.get("sig"), str):
            raise _bad_envelope("a signature has no sig")
        if "keyid" in item and not isinstance(item["keyid"], str):
            raise _bad_envelope("a keyid is not text")
    return Envelope(
        decode_base64(payload), tuple(Signature(item.get("keyid"), decode_base64(item["sig"])) for item in listed)
    )


def encode_envelope(payload: bytes, signatures: tuple[Signature, ...]) -> bytes:
    """Return an envelope as JSON, in the spelling of a manifest."""
    listed = [{"keyid": item.keyid, "sig": base64.b64encode(item.sig).decode()} for item in signatures]
    text = base64.b64encode(payload).decode()
    return strictjson.dump({"payload": text, "payloadType": PAYLOAD_TYPE, "signatures": listed})


def decode_statement(payload: bytes) -> Statement:
    """Read a statement whose signature was found valid.

    Raises:
        DsseError: a finding of strict JSON, or ``statementMalformed``.
    """
    value = _parse(payload)
    if not isinstance(value, dict) or value.get("_type") != STATEMENT_TYPE:
        raise _bad_statement(f"no object of type {STATEMENT_TYPE}")
    subjects, kind, predicate = value.get("subject"), value.get("predicateType"), value.get("predicate")
    if not isinstance(subjects, list) or not 1 <= len(subjects) <= MAX_SUBJECTS:
        raise _bad_statement("subject is no list of 1 to 1024 objects")
    digests = []
    for subject in subjects:
        digest = subject.get("digest") if isinstance(subject, dict) else None
        if not isinstance(digest, dict) or not all(isinstance(text, str) for text in digest.values()):
            raise _bad_statement("a subject has no digest of texts")
        digests.append({name: str(text) for name, text in digest.items()})
    if not isinstance(kind, str) or not kind:
        raise _bad_statement("predicateType is no text")
    if predicate is not None and not isinstance(predicate, dict):
        raise _bad_statement("predicate is no object")
    known = predicate or {}
    if kind in (RUN_PREDICATE, RECOMPUTATION_PREDICATE) and not isinstance(known.get("runId"), str):
        raise _bad_statement("the predicate has no runId")
    if kind == RUN_PREDICATE:
        root, size = known.get("merkleRoot"), known.get("treeSize")
        if not isinstance(root, str) or not _HEX.fullmatch(root) or type(size) is not int:
            raise _bad_statement("the predicate has no merkleRoot or treeSize")
    if kind == RECOMPUTATION_PREDICATE and known.get("outcome") not in OUTCOMES:
        raise _bad_statement("the predicate has no outcome")
    return Statement(tuple(digests), kind, predicate)


def encode_statement(manifest: bytes, blake3: str, predicate_type: str, predicate: dict[str, Any]) -> bytes:
    """Return a statement about a run's manifest, given its bytes and their BLAKE3 as hex."""
    digest = {"sha256": hashlib.sha256(manifest).hexdigest(), "blake3": blake3}
    return strictjson.dump(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": "manifest.json", "digest": digest}],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def keyid_of(key: bytes) -> str:
    """Return the keyid of a public key's 32 bytes: SHA-256 of its DER SubjectPublicKeyInfo, as hex."""
    return hashlib.sha256(DER_PREFIX + key).hexdigest()


def decode_public_key(data: bytes) -> bytes:
    """Return the 32 bytes of the public key in a file: PEM of its SubjectPublicKeyInfo, or 64 hex digits.

    Raises:
        DsseError: it is neither, in the one spelling of each (``envelopeMalformed``, which no verdict shows).
    """
    text = data[:-1] if data.endswith(b"\n") else data
    if len(data) <= MAX_KEY_BYTES and text.isascii():
        words = text.decode()
        if _HEX.fullmatch(words):
            return bytes.fromhex(words)
        lines = words.split("\n")
        if len(lines) == 3 and (lines[0], lines[2]) == (_BEGIN, _END) and not {"-", "_"} & set(lines[1]):
            der = decode_base64(lines[1])
            if len(der) == len(DER_PREFIX) + KEY_BYTES and der.startswith(DER_PREFIX):
                return der[len(DER_PREFIX) :]
    raise DsseError(FindingId.ENVELOPE_MALFORMED, "not an Ed25519 public key in PEM or as 64 hex digits")


def encode_public_key(key: bytes) -> bytes:
    """Return the PEM file of a public key's 32 bytes."""
    return f"{_BEGIN}\n{base64.b64encode(DER_PREFIX + key).decode()}\n{_END}\n".encode()


def _parse(data: bytes) -> Any:
    try:
        return strictjson.parse(data, max_bytes=MAX_BYTES)
    except strictjson.JsonError as error:
        raise DsseError(error.finding, error.message) from None


def _bad_envelope(message: str) -> DsseError:
    return DsseError(FindingId.ENVELOPE_MALFORMED, message)


def _bad_statement(message: str) -> DsseError:
    return DsseError(FindingId.STATEMENT_MALFORMED, message)
