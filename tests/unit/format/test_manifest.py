"""The manifest: one spelling, a closed schema, and every statement in it recomputed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omphalos.format import manifest as module
from omphalos.format.findings import FindingId
from omphalos.format.manifest import (
    Manifest,
    ManifestError,
    Release,
    Reports,
    check_manifest,
    decode_manifest,
    encode_manifest,
    is_created,
    is_reserved,
    manifest_schema,
    payload_files,
)
from omphalos.format.strictjson import dump

from .conftest import artifact, sealed

ROOT = Path(__file__).resolve().parents[3]
F = FindingId
Change = Callable[..., Manifest]


def found(manifest: Manifest) -> list[tuple[str, str]]:
    """Return the findings of a manifest as pairs of id and path."""
    return [(finding.id.value, finding.path) for finding in check_manifest(manifest)]


def refused(data: bytes) -> list[FindingId]:
    """Return the findings for which bytes are refused."""
    with pytest.raises(ManifestError) as caught:
        decode_manifest(data)
    return [finding.id for finding in caught.value.findings]


def test_a_good_manifest_goes_both_ways(good: Manifest) -> None:
    """What is written is read back equal, byte for byte and member for member, and nothing is found in it."""
    data = encode_manifest(good)
    assert decode_manifest(data) == good
    assert encode_manifest(decode_manifest(data)) == data
    assert check_manifest(good) == []
    assert data == dump(json.loads(data))


def test_a_release_manifest_goes_both_ways(change: Change) -> None:
    """A bundle's manifest carries the release member."""
    release = Release("r-1", "2026-11-22T10:00:00.000001Z", "aa" * 32, ("a",), None, ("k",))
    manifest = change(release=release)
    assert decode_manifest(encode_manifest(manifest)) == manifest
    assert found(manifest) == []


def test_the_members_of_tables_are_absent_and_not_null(good: Manifest) -> None:
    """A file that is no table has no rows, key or fingerprint; ``null`` there is another spelling and refused."""
    data = encode_manifest(good)
    assert b'"rows": null' not in data
    value = json.loads(data)
    value["artifacts"][0]["rows"] = None
    assert refused(dump(value)) == [F.MANIFEST_NOT_CANONICAL]


def edit(**members: Any) -> Callable[[dict[str, Any]], None]:
    """Return a function that sets top-level members."""
    return lambda value: value.update(members)


def inside(*path: Any, **members: Any) -> Callable[[dict[str, Any]], None]:
    """Return a function that sets members of the object at ``path``."""

    def apply(value: dict[str, Any]) -> None:
        target: Any = value
        for step in path:
            target = target[step]
        target.update(members)

    return apply


def without(*path: Any) -> Callable[[dict[str, Any]], None]:
    """Return a function that removes the member at ``path``."""

    def apply(value: dict[str, Any]) -> None:
        target: Any = value
        for step in path[:-1]:
            target = target[step]
        del target[path[-1]]

    return apply


@pytest.mark.parametrize(
    ("apply", "findings"),
    [
        (edit(schema="omphalos.manifest/2"), [F.MANIFEST_VERSION]),
        (edit(extra=1), [F.JSON_UNKNOWN_FIELD]),
        (inside("tool", extra=1), [F.JSON_UNKNOWN_FIELD]),
        (inside("plan", "inputs", 0, extra=1), [F.JSON_UNKNOWN_FIELD]),
        (inside("environment", host="x"), [F.JSON_UNKNOWN_FIELD]),
        (inside("control", 0, extra=1), [F.JSON_UNKNOWN_FIELD]),
        (inside("reports", extra=None), [F.JSON_UNKNOWN_FIELD]),
        (inside("artifacts", 0, SHA256="x"), [F.JSON_KEY_CASE]),
        (inside("artifacts", 0, Sha256="x", mode=1), [F.JSON_KEY_CASE, F.JSON_UNKNOWN_FIELD]),
        (without("schema"), [F.MANIFEST_SCHEMA]),
        (without("release"), [F.MANIFEST_SCHEMA]),
        (without("reports", "policy"), [F.MANIFEST_SCHEMA]),
        (without("artifacts", 0, "sha256"), [F.MANIFEST_SCHEMA]),
        (edit(schema=1), [F.MANIFEST_SCHEMA]),
        (edit(tree="AB" * 32), [F.MANIFEST_SCHEMA]),
        (edit(tree="ab" * 31), [F.MANIFEST_SCHEMA]),
        (edit(tree="ab" * 32 + "\n"), [F.MANIFEST_SCHEMA]),
        (edit(artifacts={}), [F.MANIFEST_SCHEMA]),
        (edit(artifacts=[1]), [F.MANIFEST_SCHEMA]),
        (inside("artifacts", 0, size="1"), [F.MANIFEST_SCHEMA]),
        (inside("artifacts", 0, size=True), [F.MANIFEST_SCHEMA]),
        (inside("artifacts", 0, size=None), [F.MANIFEST_SCHEMA]),
        (inside("artifacts", 0, role="Bad Role"), [F.MANIFEST_SCHEMA]),
        (inside("artifacts", 0, role="feed\n"), [F.MANIFEST_SCHEMA]),
        (inside("artifacts", 0, media_type="csv"), [F.MANIFEST_SCHEMA]),
        (inside("artifacts", 4, key=[]), [F.MANIFEST_SCHEMA]),
        (inside("artifacts", 4, key="k"), [F.MANIFEST_SCHEMA]),
        (inside("environment", packages=[]), [F.MANIFEST_SCHEMA]),
    ],
)
def test_outside_the_schema(good: Manifest, apply: Callable[[dict[str, Any]], None], findings: list[FindingId]) -> None:
    """A manifest with one member changed beyond the schema is refused with its finding."""
    value = json.loads(encode_manifest(good))
    apply(value)
    assert refused(dump(value)) == findings


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (b"{\n", b"{\r\n", F.JSON_ENCODING),
        (b"{\n", b"\xef\xbb\xbf{\n", F.JSON_ENCODING),
        (b'"daily"', b'"d\\u0061ily"', F.MANIFEST_NOT_CANONICAL),
        (b"  ", b"    ", F.MANIFEST_NOT_CANONICAL),
        (b'"cpu_count": 2', b'"cpu_count": 2.0', F.JSON_NUMBER),
        (b'"cpu_count": 2', b'"cpu_count": -0', F.JSON_NUMBER),
        (b'"cpu_count": 2', b'"cpu_count": 9007199254740992', F.JSON_NUMBER),
        (b'"cpu_count": 2', b'"cpu_count": 2,\n    "cpu_count": 2', F.JSON_DUPLICATE_KEY),
        (b'"daily"', b'"\xff"', F.JSON_ENCODING),
        (b'"daily"', b'"\\ud800"', F.JSON_ENCODING),
        (b'"release": null,', b"", F.MANIFEST_SCHEMA),
    ],
)
def test_another_spelling(good: Manifest, old: bytes, new: bytes, finding: FindingId) -> None:
    """The same content in other bytes is refused: there is one spelling."""
    data = encode_manifest(good)
    assert old in data
    assert refused(data.replace(old, new, 1)) == [finding]


@pytest.mark.parametrize("end", [b"", b"\n\n", b"\n ", b"\n\0", b"\n{}"])
def test_the_end_of_the_file(good: Manifest, end: bytes) -> None:
    """Exactly one newline ends a manifest."""
    finding = refused(encode_manifest(good)[:-1] + end)
    assert finding in ([F.MANIFEST_NOT_CANONICAL], [F.JSON_ENCODING])


def test_members_out_of_order(good: Manifest) -> None:
    """Keys stand in code point order, or the manifest is refused."""
    value = json.loads(encode_manifest(good))
    swapped = dict(reversed(value.items()))
    data = (json.dumps(swapped, indent=2, ensure_ascii=False) + "\n").encode()
    assert refused(data) == [F.MANIFEST_NOT_CANONICAL]


def test_a_manifest_longer_than_the_limit(good: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest longer than its limit is refused before it is read."""
    data = encode_manifest(good)
    monkeypatch.setattr(module, "MAX_BYTES", len(data))
    assert decode_manifest(data) == good
    monkeypatch.setattr(module, "MAX_BYTES", len(data) - 1)
    assert refused(data) == [F.JSON_TOO_LARGE]


def test_what_could_not_be_read_back_is_not_written(change: Change) -> None:
    """A lone surrogate in a member is refused when writing."""
    with pytest.raises(ManifestError):
        encode_manifest(change(name="\ud800"))
    with pytest.raises(ManifestError):
        encode_manifest(change(tree="x"))


M = "manifest.json"


@pytest.mark.parametrize(
    ("members", "findings"),
    [
        ({"run_id": "daily-000000000000"}, [("runIdMismatch", M)]),
        ({"run_id": "../x"}, [("runIdMismatch", M)]),
        ({"name": "other"}, [("planMismatch", M), ("runIdMismatch", M)]),
        ({"name": "No"}, [("nameInvalid", M)]),
        ({"name": "a\n"}, [("nameInvalid", M)]),
        ({"created": "2026-11-22T10:00:00+00:00"}, [("createdInvalid", M)]),
        ({"created": "2026-02-30T10:00:00Z"}, [("createdInvalid", M)]),
        ({"tree": "00" * 32}, [("treeMismatch", M)]),
        ({"merkle_root": "00" * 32}, [("merkleMismatch", M)]),
        ({"reports": Reports("reports/none.json", None, None, None)}, [("reportMissing", "reports/none.json")]),
        ({"reports": Reports("control/log.jsonl", None, None, None)}, [("reportMissing", "control/log.jsonl")]),
    ],
)
def test_one_false_statement(change: Change, members: dict[str, Any], findings: list[tuple[str, str]]) -> None:
    """A manifest with one false statement has the finding for it, and no other."""
    assert found(change(**members)) == findings


def test_a_plan_with_another_id(good: Manifest, change: Change) -> None:
    """A plan's id that does not follow from the plan is found, and the run_id with it."""
    plan = msgspec.structs.replace(good.plan, method="23" * 32)
    assert found(change(plan=plan)) == [("planMismatch", M)]
    plan = msgspec.structs.replace(good.plan, id="00" * 32)
    assert found(change(plan=plan)) == [("planMismatch", M), ("runIdMismatch", M)]


def test_inputs_of_the_plan(good: Manifest, change: Change) -> None:
    """Inputs stand in order, once, under a base name, and are artifacts with the same digests."""
    first, second = good.plan.inputs

    def plan(*inputs: Any) -> list[tuple[str, str]]:
        changed = change(plan=msgspec.structs.replace(good.plan, inputs=inputs))
        return [pair for pair in found(changed) if pair[0] not in ("planMismatch", "runIdMismatch")]

    assert plan(second, first) == [("unsorted", M)]
    assert plan(first, first, second) == [("duplicateEntry", M)]
    assert plan(msgspec.structs.replace(first, path="no"), second) == [("inputMismatch", "no")]
    assert plan(msgspec.structs.replace(first, sha256="00" * 32), second) == [("inputMismatch", first.path)]
    assert plan(msgspec.structs.replace(first, size=9), second) == [("inputMismatch", first.path)]
    assert plan(msgspec.structs.replace(first, source="home/f.csv"), second) == [("inputSource", first.path)]


def test_the_configuration_is_an_artifact(good: Manifest, change: Change) -> None:
    """A plan's configuration that no artifact holds is found."""
    changed = change(plan=msgspec.structs.replace(good.plan, config="00" * 32))
    assert ("configMissing", M) in found(changed)


def test_artifacts_out_of_order(good: Manifest, change: Change) -> None:
    """Artifacts stand in byte order of path; the roots do not depend on it and stay true."""
    assert found(change(artifacts=good.artifacts[::-1])) == [("unsorted", M)]


def test_an_artifact_twice(good: Manifest, change: Change) -> None:
    """A path listed twice is found, also across payload and control."""
    files = (good.artifacts[0], *good.artifacts)
    assert ("duplicateEntry", "config.json") in found(change(artifacts=files))
    assert ("duplicateEntry", "config.json") in found(change(control=(good.artifacts[0],)))


@pytest.mark.parametrize(
    ("path", "finding"),
    [
        ("", "pathEmptyComponent"),
        ("/etc/passwd", "pathAbsolute"),
        ("../x", "pathDotdot"),
        ("CON", "pathReserved"),
        ("x" * 2000, "pathTooLong"),
        ("CONFIG.JSON", "pathCaseCollision"),
        ("config.json/x", "pathFileDir"),
        ("a\u202eb", "pathInvisible"),
        ("manifest.json", "pathOwnDir"),
        ("Manifest.JSON/x", "pathOwnDir"),
        ("attestations/x", "pathOwnDir"),
    ],
)
@pytest.mark.parametrize("member", ["artifacts", "control"])
def test_a_bad_path(good: Manifest, change: Change, member: str, path: str, finding: str) -> None:
    """A listed path is held to every path rule, in payload and control alike, and a manifest with it can be read."""
    listed = sorted((*getattr(good, member), artifact(path, b"new")), key=lambda a: a.path)
    changed = decode_manifest(encode_manifest(change(**{member: tuple(listed)})))
    assert finding in [pair[0] for pair in found(changed)]


def test_two_digests_that_disagree(good: Manifest, change: Change) -> None:
    """Two files with one blake3 and two sha256 cannot both be true, and that is found without reading them."""
    twin = msgspec.structs.replace(good.artifacts[0], path="zz", sha256="00" * 32)
    assert ("hashDisagree", "zz") in found(change(artifacts=(*good.artifacts, twin)))


def test_the_members_of_a_table_go_together(good: Manifest, change: Change) -> None:
    """A table without a key, or with a column twice in it, is found."""
    table = good.artifacts[-1]
    for other in (
        msgspec.structs.replace(table, key=None),
        msgspec.structs.replace(table, rows=None),
        msgspec.structs.replace(table, fingerprint=None),
        msgspec.structs.replace(table, key=("k", "k")),
    ):
        assert found(change(artifacts=(*good.artifacts[:-1], other))) == [("manifestSchema", table.path)]


def test_sizes_that_no_tree_can_add_up(good: Manifest, change: Change) -> None:
    """Sizes beyond 2^53-1 in all are found and do not overflow anything."""
    huge = [msgspec.structs.replace(a, size=2**53 - 1) for a in good.artifacts]
    assert ("treeTooLarge", M) in found(change(artifacts=tuple(huge)))


def test_a_manifest_built_wrongly_is_found_and_does_not_crash(change: Change) -> None:
    """Members that no decoded manifest could have give findings and no exception."""
    bad = change(artifacts=(artifact("\ud800", b"x"), msgspec.structs.replace(artifact("a", b"x"), blake3="zz")))
    assert ("notUtf8", "\\ud800") in found(bad)


def test_control_files_are_in_no_root(good: Manifest, change: Change) -> None:
    """What may vary between executions touches neither tree nor Merkle root."""
    assert found(change(control=())) == []
    assert found(change(control=(artifact("control/other", b"y"),))) == []
    assert [path for path, _, _ in payload_files(good)] == [a.path for a in good.artifacts]


def test_an_input_may_be_any_of_the_records_with_its_path(good: Manifest, change: Change) -> None:
    """Of two artifacts with one path it is enough that one is the input; the repetition has its own finding."""
    feed = next(a for a in good.artifacts if a.path == good.plan.inputs[0].path)
    other = msgspec.structs.replace(feed, sha256="00" * 32, blake3="11" * 32)
    for twins in ((feed, other), (other, feed)):
        rest = [a for a in good.artifacts if a is not feed]
        files = sorted([*rest, *twins], key=lambda a: a.path)
        ids = [identifier for identifier, _ in found(change(artifacts=tuple(files)))]
        assert ids == ["duplicateEntry", "merkleMismatch", "treeMismatch"]


def test_sizes_are_added_up_before_paths_are_judged(good: Manifest, change: Change) -> None:
    """A tree too large is reported as such even where a bad path keeps it from being built."""
    files = (msgspec.structs.replace(artifact("../x", b"x"), size=2**53 - 1), *good.artifacts)
    ids = [identifier for identifier, _ in found(change(artifacts=files))]
    assert "treeTooLarge" in ids
    assert "treeMismatch" not in ids


@pytest.mark.parametrize(
    ("path", "reserved"),
    [
        ("manifest.json", True),
        ("Attestations/x", True),
        ("atte\u017ftations", True),
        ("x/manifest.json", False),
        ("manifest.json2", False),
        ("a\u0301" * 200_000, False),
        ("\ud800", False),
    ],
)
def test_names_a_run_directory_keeps(path: str, reserved: bool) -> None:
    """The first component alone decides, in any spelling; a long one costs no time."""
    assert is_reserved(path) is reserved


@pytest.mark.parametrize(
    ("text", "good_time"),
    [
        ("2026-11-22T10:00:00Z", True),
        ("2026-11-22T23:59:59.999999Z", True),
        ("2024-02-29T00:00:00Z", True),
        ("2026-11-22T10:00:00.5Z", False),
        ("2026-11-22T10:00:00", False),
        ("2026-11-22 10:00:00Z", False),
        ("2026-11-22T10:00:00z", False),
        ("2026-11-22T24:00:00Z", False),
        ("2026-11-22T23:59:60Z", False),
        ("2026-13-01T00:00:00Z", False),
        ("0000-01-01T00:00:00Z", False),
        ("2026-11-22T10:00:00Z\n", False),
        ("٢٠٢٦-11-22T10:00:00Z", False),
    ],
)
def test_times(text: str, good_time: bool) -> None:
    """A time of creation is UTC, of one form, and on the calendar."""
    assert is_created(text) is good_time


@pytest.mark.parametrize("place", ["omphalos/format", "docs/format"])
def test_the_json_schema_is_current(place: str) -> None:
    """The JSON Schema that ships is made from the classes as they are."""
    assert (ROOT / place / "manifest.schema.json").read_bytes() == manifest_schema()


def test_the_json_schema_is_closed() -> None:
    """Every object of the schema forbids members it does not name, and no pattern is Python's own."""
    schema = json.loads(manifest_schema())
    definitions = schema["$defs"]
    assert set(definitions) >= {
        "Manifest",
        "Tool",
        "Plan",
        "PlanInput",
        "Environment",
        "Artifact",
        "Reports",
        "Release",
    }
    assert all(definition["additionalProperties"] is False for definition in definitions.values())
    assert b"\\Z" not in manifest_schema()


def test_a_manifest_of_many_artifacts() -> None:
    """Twenty thousand artifacts are written, read and recomputed."""
    files = [artifact("config.json", b"{}", "config"), artifact("reports/validation.json", b"{}{")]
    files += [artifact(f"tables/{n:05d}.csv", str(n).encode()) for n in range(20_000)]
    manifest = sealed(files)
    assert decode_manifest(encode_manifest(manifest)) == manifest
    assert check_manifest(manifest) == []


def test_one_digest_has_one_size(good: Manifest) -> None:
    """Two files with the same digests and different sizes are found, though each digest by itself agrees."""
    first, second = artifact("x/a", b"same"), artifact("x/b", b"same")
    config = next(a for a in good.artifacts if a.role == "config")
    twin = sealed([config, first, msgspec.structs.replace(second, size=5)])
    assert ("hashDisagree", "x/b") in found(twin)
    assert "hashDisagree" not in {finding for finding, _ in found(sealed([config, first, second]))}
