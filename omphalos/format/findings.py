"""The one list of findings: what any verifier, store, reader or policy of this project may report.

Rules of this file: a finding's id never changes its meaning and is never given to something else; it has one severity
and one sentence. The two verifiers that share no code with this package print the same ids. ``docs/findings.md`` is
written by ``findings_page`` and a test compares the two. What could not be looked at is not a finding: it is one word
of ``NotChecked``, and every verdict ends with those words.
"""

from enum import Enum, StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """How bad a finding is; anything from ``ERROR`` up makes a verdict negative."""

    FATAL = "FATAL"  # what was found makes every other statement about the thing doubtful
    ERROR = "ERROR"  # the thing is refused
    WARN = "WARN"  # accepted, and a person should know
    INFO = "INFO"  # for the record

    @property
    def refuses(self) -> bool:
        """Say whether a finding of this severity makes the verdict negative."""
        return self in (Severity.FATAL, Severity.ERROR)


_F, _E, _W, _I = Severity.FATAL, Severity.ERROR, Severity.WARN, Severity.INFO


class FindingId(StrEnum):
    """Every finding id, with its severity and a one-sentence description."""

    severity: Severity
    description: str

    def __new__(cls, value: str, severity: Severity, description: str) -> "FindingId":
        """Make a member that is its id as text and carries severity and description."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.severity = severity
        member.description = description
        return member

    # Names and paths
    PATH_ABSOLUTE = "pathAbsolute", _E, "The path starts at a root, a drive, a share or a home folder."
    PATH_DOTDOT = "pathDotdot", _E, "A component of the path is `..`."
    PATH_BACKSLASH = "pathBackslash", _E, "The path holds a backslash, which some systems read as a separator."
    PATH_EMPTY_COMPONENT = "pathEmptyComponent", _E, "The path is empty, or a component of it is empty or `.`."
    PATH_SLASH = "pathSlash", _E, "A single name, such as a tree entry's, holds a slash."
    PATH_CONTROL = "pathControl", _E, "The path holds a control character (C0, DEL or C1)."
    PATH_INVISIBLE = (
        "pathInvisible",
        _W,
        "The path holds a character that shows nothing or reverses the text around.",
    )
    PATH_RESERVED = "pathReserved", _E, "A component is a Windows device name, with or without an extension."
    PATH_TRAILING = "pathTrailing", _E, "A component ends in a dot or a space, which Windows drops."
    PATH_STREAM = "pathStream", _E, 'A component holds one of `< > : " | ? *`.'
    PATH_OWN_DIR = "pathOwnDir", _E, "A component would alias the store's or the run's own names."
    PATH_CASE_COLLISION = "pathCaseCollision", _E, "Two names in one folder differ only in case."
    PATH_NORM_COLLISION = "pathNormCollision", _E, "Two names in one folder are two spellings of the same characters."
    PATH_NOT_NFC = "pathNotNFC", _E, "A component is not in Unicode normalization form C."
    PATH_NORM_CHANGED = (
        "pathNormChanged",
        _W,
        "A file lies under another normalization of its recorded name.",
    )
    PATH_TOO_LONG = "pathTooLong", _E, "A component is longer than 255 bytes, or the path longer than 1,024."
    PATH_TOO_DEEP = "pathTooDeep", _E, "The path has more than 64 components."
    PATH_FILE_DIR = "pathFileDir", _E, "A path is a file and also a folder of another path."
    NOT_UTF8 = "notUtf8", _E, "A name is not valid UTF-8."
    DUPLICATE_ENTRY = "duplicateEntry", _E, "The same name or path stands twice in one list."
    UNSORTED = "unsorted", _E, "A list that has a prescribed order is out of it."

    # File types and archives
    SYMLINK_ENTRY = "symlinkEntry", _E, "There is a symbolic link where only files and folders may be."
    HARDLINK_ENTRY = "hardlinkEntry", _E, "An archive member is a hard link."
    SPECIAL_FILE = "specialFile", _E, "There is a device, pipe, socket or sparse member among plain files."
    ARCHIVE_ESCAPE = (
        "archiveEscape",
        _E,
        "A member's name leaves the archive, or two headers name it differently.",
    )
    ARCHIVE_MALFORMED = "archiveMalformed", _E, "A member's header is not in the one spelling of a bundle."
    BOMB_RATIO = "bombRatio", _E, "An archive unpacks to more than its manifest declares."
    ENDLESS_DATA = "endlessData", _E, "A stream goes on after the size or the number of members declared for it."
    TRAILING_GARBAGE = "trailingGarbage", _E, "There are bytes after the end of a file format's data."
    TRUNCATED = "truncated", _E, "The data ends before its format says it does."
    TOCTOU = "toctou", _E, "A file changed while it was being read."

    # Content, hashes, trees
    HASH_MISMATCH = "hashMismatch", _E, "The bytes of a file do not have the digest recorded for it."
    SIZE_MISMATCH = "sizeMismatch", _E, "A file does not have the size recorded for it."
    HASH_DISAGREE = "hashDisagree", _F, "Two hash functions disagree about the same bytes."
    FILE_MISSING = "fileMissing", _E, "A recorded file is not there."
    FILE_EXTRA = "fileExtra", _E, "There is a file that nothing records."
    DIR_EXTRA = "dirExtra", _E, "There is a folder that holds no recorded file."
    TYPE_MISMATCH = "typeMismatch", _E, "An object of one kind stands where another kind is named."
    TREE_MALFORMED = "treeMalformed", _E, "The bytes are canonical msgpack and not a tree node."
    TREE_TOO_LARGE = "treeTooLarge", _E, "A tree has more entries or a larger total size than the format allows."

    # Proofs and attestations
    PROOF_MALFORMED = "proofMalformed", _E, "A member of a proof is missing, or has the wrong type or form."
    INCLUSION_INVALID = "inclusionInvalid", _E, "The proof does not lead from the artifact to the Merkle root."
    ROOT_MISMATCH = "rootMismatch", _E, "The Merkle root is not the one that is given or signed."
    ENVELOPE_MALFORMED = (
        "envelopeMalformed",
        _E,
        "A file of attestations is not a DSSE envelope of an in-toto statement.",
    )
    BASE64_MALFORMED = "base64Malformed", _E, "A text is not base64 in a strict spelling of one alphabet."
    STATEMENT_MALFORMED = (
        "statementMalformed",
        _E,
        "What was signed is not an in-toto statement with the members it needs.",
    )
    SUBJECT_MISMATCH = "subjectMismatch", _E, "A statement signed by a given key is about something else."
    SIGNATURE_INVALID = "signatureInvalid", _E, "A signature that names a given key is not valid for it."
    SIGNATURE_MISSING = "signatureMissing", _E, "No valid statement of a given key vouches for the thing."

    # Parsers
    JSON_DUPLICATE_KEY = (
        "jsonDuplicateKey",
        _F,
        "An object has the same key twice: readers may differ about it.",
    )
    JSON_KEY_CASE = "jsonKeyCase", _E, "A key differs from a known one only in case."
    JSON_UNKNOWN_FIELD = "jsonUnknownField", _E, "A closed schema does not know this key."
    JSON_NUMBER = "jsonNumber", _E, "A number is not a plain integer from 0 to 2^53-1."
    JSON_ENCODING = (
        "jsonEncoding",
        _E,
        "The JSON is not plain UTF-8 text of one value: byte order mark, carriage return, lone surrogate, "
        "bytes after the value, or nesting beyond 64.",
    )
    JSON_SYNTAX = "jsonSyntax", _E, "The text is not JSON."
    JSON_TOO_LARGE = "jsonTooLarge", _E, "The JSON is longer than its reader allows."
    MSGPACK_SYNTAX = "msgpackSyntax", _E, "The bytes are not one msgpack value of the kinds this format uses."
    MSGPACK_NOT_CANONICAL = "msgpackNotCanonical", _E, "The msgpack is not in the one shortest form."
    OVERSIZE_LENGTH = (
        "oversizeLength",
        _E,
        "A claimed length or nesting is more than the data or the format allows.",
    )
    LMDB_CORRUPT = "lmdbCorrupt", _W, "The index is damaged; it is a cache and can be rebuilt, no object is touched."

    # Manifest
    MANIFEST_MISSING = "manifestMissing", _E, "There is no manifest.json."
    MANIFEST_VERSION = "manifestVersion", _E, "The manifest's schema is not one this reader knows."
    MANIFEST_SCHEMA = "manifestSchema", _E, "A member of the manifest is missing, or has the wrong type or form."
    MANIFEST_NOT_CANONICAL = "manifestNotCanonical", _E, "The manifest's bytes are not the one spelling of its content."
    NAME_INVALID = "nameInvalid", _E, "The run's name is not 1 to 64 of `a-z 0-9 -`, starting with a letter or digit."
    CREATED_INVALID = "createdInvalid", _E, "The time of creation is not a UTC time of the prescribed form."
    RUN_ID_MISMATCH = "runIdMismatch", _E, "The run_id is not the name and the first 12 digits of the plan's id."
    PLAN_MISMATCH = "planMismatch", _E, "The plan's id does not follow from its name, inputs, configuration and method."
    INPUT_MISMATCH = "inputMismatch", _E, "An input of the plan is not, or not with these digests, among the artifacts."
    INPUT_SOURCE = "inputSource", _E, "The name an input came under is a path and not a base name."
    CONFIG_MISSING = "configMissing", _E, "The plan's configuration is not among the artifacts."
    TREE_MISMATCH = "treeMismatch", _E, "The root tree id does not follow from the listed artifacts."
    MERKLE_MISMATCH = "merkleMismatch", _E, "The Merkle root does not follow from the listed artifacts."
    REPORT_MISSING = "reportMissing", _E, "A report named in the manifest is not among the artifacts."
    FINGERPRINT_MISMATCH = "fingerprintMismatch", _E, "A table does not have the recorded fingerprint."
    RECORDS_MISMATCH = "recordsMismatch", _E, "A table or input does not have the recorded number of rows."

    # Store
    OBJECT_MISSING = "objectMissing", _E, "An object that something refers to is not in the store."
    OBJECT_DAMAGED = "objectDamaged", _E, "An object's bytes do not have the id they are stored under."
    REF_DANGLING = "refDangling", _E, "A ref names an object that is not in the store."
    REF_MALFORMED = (
        "refMalformed",
        _E,
        "A ref is not 64 lower-case hex digits and a newline, or its name is bad.",
    )
    REF_MISMATCH = "refMismatch", _E, "A run's ref and the run_id in the manifest it names differ."
    KIND_UNKNOWN = "kindUnknown", _E, "A record holds an object of a kind this reader does not know."


class Finding(NamedTuple):
    """One line of a verifier: what was found (``id``), where (``path``), and in words (``detail``).

    Findings are sorted by id, then path, then detail. ``path`` is relative to what was checked; it and ``detail`` are
    valid Unicode text (bytes that are not are shown escaped by whoever makes the finding).
    """

    id: FindingId
    path: str
    detail: str = ""

    @property
    def severity(self) -> Severity:
        """Return the severity of the finding's id."""
        return self.id.severity

    def to_dict(self) -> dict[str, str]:
        """Return the finding as the object that ``--json`` documents list."""
        return {"id": self.id.value, "severity": self.severity.value, "path": self.path, "detail": self.detail}


class NotChecked(Enum):
    """What a verdict did not cover; the value is the word, ``reason`` the sentence."""

    reason: str

    def __new__(cls, value: str, reason: str) -> "NotChecked":
        """Make a member whose value is its word and that carries its sentence."""
        member = object.__new__(cls)
        member._value_ = value
        member.reason = reason
        return member

    ROOT = "root", "No root was given and no key, so whether the root is that of a real run was not checked."
    SIGNATURES = "signatures", "No key was given, so no signature was checked."
    FINGERPRINTS = "fingerprints", "Tables were checked as bytes; fingerprints need deep mode."
    LEDGER = "ledger", "No ledger was given, so whether this run was made public at its time was not checked."
    RECOMPUTATION = (
        "recomputation",
        "The results were not computed again; `omphalos certify` does that.",
    )
    MEANING = "meaning", "Whether the data is true and the matches are right is not for this check to say."
    INPUTS_AUTHENTICITY = "inputsAuthenticity", "Whether the inputs are what their publishers issued was not checked."
    POLICY = "policy", "No policy was evaluated again; recorded policy results were checked as bytes only."
    HASH_ALGORITHM = "hashAlgorithm", "A digest is of an algorithm this verifier does not know."


def findings_page() -> str:
    """Return the text of ``docs/findings.md``: every finding id and every word of ``NotChecked``."""
    lines = [
        "# Findings",
        "",
        "Written from `omphalos/format/findings.py` by `findings_page()`; a test compares the two.",
        "",
        "A finding of severity FATAL or ERROR makes a verdict negative (exit code 1). An id never changes its meaning.",
        "",
        "| id | severity | what was found |",
        "|---|---|---|",
    ]
    lines += [f"| `{f.value}` | {f.severity.value} | {f.description.replace('|', chr(92) + '|')} |" for f in FindingId]
    lines += [
        "",
        "## Not checked",
        "",
        "Every verdict ends by naming what it does not cover, in these words.",
        "",
        "| word | meaning |",
        "|---|---|",
    ]
    lines += [f"| `{n.value}` | {n.reason} |" for n in NotChecked]
    return "\n".join(lines) + "\n"
