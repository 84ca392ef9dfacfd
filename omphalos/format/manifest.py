"""The run manifest: a closed, versioned schema, one spelling per content, and every statement in it recomputed.

Rules of this file: ``decode_manifest`` answers for syntax and schema (strict JSON, no unknown member, types and forms,
the bytes are the one spelling of the content); ``check_manifest`` recomputes everything a manifest says about itself,
and returns all that does not hold. What needs the run's files is the verifier's work. A new member means a new schema
name; there is no "ignore what you do not know" here.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from omphalos.format import strictjson
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.format.findings import Finding, FindingId
from omphalos.format.ids import ObjectId, from_hex
from omphalos.format.merkle import artifacts_root
from omphalos.format.paths import MAX_COMPONENT_BYTES, MAX_PATH_BYTES, check_paths, fold, show
from omphalos.format.plan import NAME_PATTERN, is_name, plan_id, run_id
from omphalos.format.tree import TreeError, root_of

SCHEMA: Final = "omphalos.manifest/1"
FILE_NAME: Final = "manifest.json"
ATTESTATIONS: Final = "attestations"
MAX_BYTES: Final = 2**28
MAX_SHOWN: Final = 80  # characters of a foreign key that a finding repeats
SCHEMA_ID: Final = "urn:omphalos:manifest:1"

_ROLE = "^[a-z][a-z0-9._-]{0,63}$"
_MEDIA_TYPE = "^[a-z0-9.+-]{1,63}/[a-z0-9.+-]{1,127}(; ?[a-z0-9=.+-]{1,64})?$"
_TIME = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{6})?Z$"


def _form(pattern: str) -> Meta:
    """Demand a form. ``$`` in Python lets a newline at the end through, so the pattern ends in ``\\Z`` here."""
    return Meta(pattern=pattern.replace("$", r"\Z"))


Digest = Annotated[str, _form("^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0, le=strictjson.MAX_INT)]
Text = Annotated[str, Meta(min_length=1, max_length=1024)]
Role = Annotated[str, _form(_ROLE)]
MediaType = Annotated[str, _form(_MEDIA_TYPE)]
# These have findings of their own, so the schema only documents their form and ``check_manifest`` judges it.
Path = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": MAX_PATH_BYTES})]
Created = Annotated[str, Meta(extra_json_schema={"pattern": _TIME})]
Name = Annotated[str, Meta(extra_json_schema={"pattern": f"^{NAME_PATTERN}$"})]
RunId = Annotated[str, Meta(extra_json_schema={"pattern": f"^{NAME_PATTERN}-[0-9a-f]{{12}}$"})]

_CREATED = re.compile(_TIME, re.ASCII)


class ManifestError(OmphalosError):
    """Bytes are not a manifest; ``findings`` says why, in order."""

    kind = ErrorKind.NEGATIVE
    id = "badManifest"

    def __init__(self, message: str, findings: Sequence[Finding]) -> None:
        super().__init__(message)
        self.findings: tuple[Finding, ...] = tuple(findings)


class Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The program that made the run."""

    name: Text
    version: Text


class PlanInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input: what it is to the run, the base name it came under, and the payload file that holds its bytes."""

    role: Role
    source: Text
    path: Path
    format: Role
    size: Count
    records: Count
    sha256: Digest
    blake3: Digest


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What fully determines a run; ``config`` is the blob id of the configuration artifact, ``method`` a tree id."""

    id: Digest
    inputs: tuple[PlanInput, ...]
    config: Digest
    method: Digest


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a run was computed; ``packages`` gives the version of everything that computes, SQLite's included."""

    python: Text
    platform: Text
    cpu_count: Count
    locale: Text
    timezone: Text
    packages: dict[Text, Text]


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One file; of a table also the number of rows, the columns of its key in order, and its fingerprint."""

    path: Path
    role: Role
    media_type: MediaType
    size: Count
    sha256: Digest
    blake3: Digest
    rows: Count | None = None
    key: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=64)] | None = None
    fingerprint: Digest | None = None


class Reports(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Paths of the structured reports among the artifacts; null where a run has none."""

    validation: Path | None
    matching: Path | None
    scoring: Path | None
    policy: Path | None


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Present in a release bundle's manifest only; ``of`` is the run object's id, ``contents`` are paths."""

    bundle_id: Text
    created: Created
    of: Digest
    contents: tuple[Path, ...]
    policy: Path | None
    signers: tuple[Text, ...]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``manifest.json``; ``docs/format/manifest.md`` says what each member means."""

    schema: Literal["omphalos.manifest/1"]
    run_id: RunId
    name: Name
    created: Created
    tool: Tool
    plan: Plan
    environment: Environment
    tree: Digest
    merkle_root: Digest
    artifacts: tuple[Artifact, ...]
    control: tuple[Artifact, ...]
    reports: Reports
    release: Release | None


_decoder: Final = msgspec.json.Decoder(Manifest)


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the bytes of ``manifest.json``.

    Raises:
        ManifestError: if what would be written could not be read back, for example a path with a lone surrogate.
    """
    data = _write(manifest)
    decode_manifest(data)
    return data


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest; what it says about itself is for ``check_manifest``.

    Raises:
        ManifestError: for anything ``encode_manifest`` would not have written, with exact findings.
    """
    if len(data) <= MAX_BYTES:
        # What decodes by type and encodes to the same bytes is the one spelling of a manifest, which holds nothing that
        # strict JSON excludes. The slow way says the same (a test holds them together) and knows why not.
        try:
            manifest = _decoder.decode(data)
            if _write(manifest) == data:
                return manifest
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ManifestError):
            pass
    return _decode_slowly(data)


def _decode_slowly(data: bytes) -> Manifest:
    """Read a manifest by the strict parser, to know exactly why it is refused."""
    try:
        value = strictjson.parse(data, max_bytes=MAX_BYTES)
    except strictjson.JsonError as error:
        raise _error("not strict JSON", [_finding(error.finding, f"{error.message}, at {error.offset}")]) from None
    if isinstance(value, dict):
        version = value.get("schema")
        if isinstance(version, str) and version != SCHEMA:
            raise _error("of another schema", [_finding(FindingId.MANIFEST_VERSION, f"this reader knows {SCHEMA}")])
        unknown = sorted(_unknown_members(value))
        if unknown:
            raise _error("not of its closed schema", unknown)
    try:
        manifest = msgspec.convert(value, Manifest)
    except msgspec.ValidationError as error:
        raise _error("not of its schema", [_finding(FindingId.MANIFEST_SCHEMA, str(error))]) from None
    if _write(manifest) != data:
        finding = _finding(FindingId.MANIFEST_NOT_CANONICAL, "keys sorted, two-space indent, one newline at the end")
        raise _error("not in its one spelling", [finding])
    return manifest


def check_manifest(manifest: Manifest) -> list[Finding]:
    """Recompute everything a manifest says about itself; returns every finding, in order, none when all holds.

    Findings about a listed file carry its path, all others ``manifest.json``.
    """
    findings = _check_identity(manifest)
    findings += _check_files(manifest)
    findings += _check_references(manifest)
    return sorted(findings)


def _check_identity(m: Manifest) -> list[Finding]:
    findings = []
    for created in (m.created, *((m.release.created,) if m.release else ())):
        if not is_created(created):
            findings.append(_finding(FindingId.CREATED_INVALID, "expected YYYY-MM-DDThh:mm:ss[.ffffff]Z"))
    rows = [(item.role, item.source, item.blake3) for item in m.plan.inputs]
    if rows != sorted(rows):
        findings.append(_finding(FindingId.UNSORTED, "plan.inputs are not in order of role, source, blake3"))
    if len(set(rows)) != len(rows):
        findings.append(_finding(FindingId.DUPLICATE_ENTRY, "plan.inputs hold the same input twice"))
    if not is_name(m.name):
        findings.append(_finding(FindingId.NAME_INVALID, "the name is not of its form"))
        return findings
    try:
        plan = plan_id(m.name, m.plan.inputs, from_hex(m.plan.config), from_hex(m.plan.method))
        expected = run_id(m.name, from_hex(m.plan.id))
    except OmphalosError as error:  # a manifest that was built, not decoded, may hold what the schema excludes
        findings.append(_finding(FindingId.MANIFEST_SCHEMA, error.message))
        return findings
    if plan.hex() != m.plan.id:
        findings.append(_finding(FindingId.PLAN_MISMATCH, f"computed {plan.hex()[:12]}, recorded {m.plan.id[:12]}"))
    if expected != m.run_id:
        findings.append(_finding(FindingId.RUN_ID_MISMATCH, f"expected {expected}"))
    return findings


def _check_files(m: Manifest) -> list[Finding]:
    findings = check_paths(file.path for file in (*m.artifacts, *m.control))
    for member, files in (("artifacts", m.artifacts), ("control", m.control)):
        # A repeated path is not a disorder here: check_paths reports it, across both lists.
        if any(a.path > b.path for a, b in itertools.pairwise(files)):
            findings.append(_finding(FindingId.UNSORTED, f"{member} are not in byte order of path"))
    digests: dict[str, Artifact] = {}
    for file in (*m.artifacts, *m.control):
        if is_reserved(file.path):
            findings.append(_at(FindingId.PATH_OWN_DIR, file.path, "the run keeps this name for itself"))
        table = (file.rows, file.key, file.fingerprint)
        if any(part is None for part in table) and any(part is not None for part in table):
            findings.append(
                _at(FindingId.MANIFEST_SCHEMA, file.path, "rows, key and fingerprint go together or not at all")
            )
        if file.key is not None and len(set(file.key)) != len(file.key):
            findings.append(_at(FindingId.MANIFEST_SCHEMA, file.path, "a column stands twice in the key"))
        twin = digests.setdefault(file.blake3, file)
        if (twin.sha256, twin.size) != (file.sha256, file.size):
            findings.append(
                _at(FindingId.HASH_DISAGREE, file.path, f"same blake3 as {twin.path}, other sha256 or size")
            )
    findings += _check_roots(m)
    # Two paths can break one rule in the same place only when the path is listed twice, which is a finding already.
    return sorted(set(findings))


def _check_roots(m: Manifest) -> list[Finding]:
    findings = []
    try:
        root = artifacts_root(m.artifacts).hex()
        if root != m.merkle_root:
            findings.append(_finding(FindingId.MERKLE_MISMATCH, f"computed {root[:12]}, recorded {m.merkle_root[:12]}"))
        if sum(file.size for file in m.artifacts) > strictjson.MAX_INT:  # asked first, whatever the paths are like
            return [*findings, _finding(FindingId.TREE_TOO_LARGE, "the sizes add up to more than 2^53-1")]
        node = root_of(payload_files(m))
        if node.id.hex() != m.tree:
            findings.append(_finding(FindingId.TREE_MISMATCH, f"computed {node.id.hex()[:12]}, recorded {m.tree[:12]}"))
    except TreeError as error:
        # The paths have their own findings; what else keeps a tree from being built has not.
        finding = error.finding if error.finding is FindingId.TREE_TOO_LARGE else FindingId.TREE_MISMATCH
        findings.append(_finding(finding, error.message))
    except OmphalosError as error:
        findings.append(_finding(FindingId.MANIFEST_SCHEMA, error.message))
    return findings


def _check_references(m: Manifest) -> list[Finding]:
    findings = []
    listed = {(file.path, file.size, file.sha256, file.blake3) for file in m.artifacts}
    paths = {file.path for file in m.artifacts}
    for item in m.plan.inputs:
        if (item.path, item.size, item.sha256, item.blake3) not in listed:
            findings.append(_at(FindingId.INPUT_MISMATCH, item.path, "no artifact of this path and digests"))
        if "/" in item.source or "\\" in item.source:
            findings.append(_at(FindingId.INPUT_SOURCE, item.path, "the source is not a base name"))
    if all(file.blake3 != m.plan.config for file in m.artifacts):
        findings.append(_finding(FindingId.CONFIG_MISSING, f"no artifact is {m.plan.config[:12]}"))
    reports = (m.reports.validation, m.reports.matching, m.reports.scoring, m.reports.policy)
    findings += [
        _at(FindingId.REPORT_MISSING, path, "named under reports")
        for path in reports
        if path is not None and path not in paths
    ]
    return sorted(set(findings))


def is_reserved(path: str) -> bool:
    """Say whether a path begins with a name that a run directory keeps for itself, in any spelling."""
    head = path.split("/", 1)[0]
    # A longer name has its own finding, and folding it could cost the square of its length.
    return len(head.encode("utf-8", "surrogatepass")) <= MAX_COMPONENT_BYTES and fold(head) in (FILE_NAME, ATTESTATIONS)


def is_created(text: str) -> bool:
    """Say whether ``text`` is ``YYYY-MM-DDThh:mm:ssZ`` or the same with six digits of a second, and a real time."""
    if _CREATED.fullmatch(text) is None or text[11:13] > "23":  # some Pythons take 24:00 for the next day
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def payload_files(manifest: Manifest) -> list[tuple[str, int, ObjectId]]:
    """Return ``(path, size, blob id)`` of every artifact, as ``build_tree`` takes it.

    Raises:
        IdError: if a digest is not 64 lower-case hex digits (never for a decoded manifest).
    """
    return [(file.path, file.size, from_hex(file.blake3)) for file in manifest.artifacts]


def manifest_schema() -> bytes:
    """Return the JSON Schema (2020-12) of ``manifest.json``, made from the classes of this module."""
    schema = msgspec.json.schema(Manifest)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "omphalos run manifest",
        **schema,
    }
    return strictjson.dump(schema).replace(rb'\\Z"', b'$"')  # in JSON Schema ``$`` is the very end, and ``\Z`` unknown


def _write(manifest: Manifest) -> bytes:
    try:
        compact = msgspec.json.encode(manifest, order="sorted")
    except (UnicodeEncodeError, OverflowError, TypeError) as error:
        raise _error("not writable", [_finding(FindingId.MANIFEST_SCHEMA, type(error).__name__)]) from None
    return msgspec.json.format(compact, indent=2) + b"\n"


def _at(finding: FindingId, path: str, detail: str) -> Finding:
    return Finding(finding, show(path), detail)


def _finding(finding: FindingId, detail: str) -> Finding:
    return Finding(finding, FILE_NAME, detail)


def _error(what: str, findings: Sequence[Finding]) -> ManifestError:
    return ManifestError(f"the manifest is {what}: {findings[0].id.value}: {findings[0].detail}", findings)


# Which class the objects under each member belong to; a tuple means a list of them.
_MEMBERS: Final[Mapping[type, Mapping[str, type | tuple[type]]]] = {
    Manifest: {
        "tool": Tool,
        "plan": Plan,
        "environment": Environment,
        "artifacts": (Artifact,),
        "control": (Artifact,),
        "reports": Reports,
        "release": Release,
    },
    Plan: {"inputs": (PlanInput,)},
}


def _unknown_members(value: Any, of: type = Manifest, where: str = "") -> Iterable[Finding]:
    """Yield a finding for every key that the schema does not know, wherever it stands."""
    if not isinstance(value, dict):
        return
    known = set(of.__struct_fields__)  # type: ignore[attr-defined]  # every class of _MEMBERS is a Struct
    for key in value.keys() - known:
        miscased = key.casefold() in known
        finding = FindingId.JSON_KEY_CASE if miscased else FindingId.JSON_UNKNOWN_FIELD
        yield _finding(finding, f"{where}{key[:MAX_SHOWN]}")
    for name, kind in _MEMBERS.get(of, {}).items():
        inner = value.get(name)
        if isinstance(kind, type):
            yield from _unknown_members(inner, kind, f"{where}{name}.")
        elif isinstance(inner, list):
            for place, item in enumerate(inner):
                yield from _unknown_members(item, kind[0], f"{where}{name}[{place}].")
