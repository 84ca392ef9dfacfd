"""The test vectors in ``docs/format/*.md`` are what the code does.

A vector is a fenced block marked ``vector KIND``, with lines ``name: value``. An unknown kind fails, and so does a page
without vectors, so a vector cannot fall out of the check unnoticed.
"""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from omphalos.format import bundle, dsse, msgpack
from omphalos.format.ids import ObjectId, from_hex, object_id
from omphalos.format.manifest import check_manifest, decode_manifest, encode_manifest
from omphalos.format.merkle import artifact_leaf, inclusion_holds, leaf_hash, tree_head
from omphalos.format.paths import check_path, check_path_bytes, check_paths
from omphalos.format.plan import plan_id, run_id
from omphalos.format.proof import check_proof, decode_proof, encode_proof
from omphalos.format.strictjson import JsonError, parse
from omphalos.format.tree import TreeEntry, TreeError, decode_tree, encode_tree, root_of
from omphalos.runs.attest import attest
from omphalos.runs.prove import prove

PAGES = Path(__file__).resolve().parents[2] / "docs" / "format"
# The least number of vectors of each page: a page that loses some to a broken fence fails here.
LEAST = {
    "attestation.md": 9,
    "bundle.md": 6,
    "ids.md": 6,
    "manifest.md": 16,
    "merkle.md": 8,
    "paths.md": 37,
    "proof.md": 4,
    "tree.md": 19,
}
SECTIONS = [
    "Where it stands",
    "What it is",
    "The bytes",
    "What they mean",
    "Versions",
    "Limits",
    "Test vectors",
]
_BLOCK = re.compile(r"^```vector ([a-z-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

Vector = dict[str, list[str]]


def vectors(page: str) -> list[tuple[str, Vector]]:
    """Return the vectors of a page as (kind, values by name, each a list)."""
    found = []
    for kind, body in _BLOCK.findall((PAGES / page).read_text("utf-8")):
        values: Vector = {}
        for line in body.splitlines():
            name, _, value = line.partition(":")
            values.setdefault(name, []).append(value.strip())
        found.append((kind, values))
    return found


def _id(v: Vector) -> None:
    (kind,) = v["kind"]
    assert kind in ("blob", "tree", "run")
    assert object_id(kind, bytes.fromhex(v["bytes"][0])).hex() == v["id"][0]  # type: ignore[arg-type]  # one of three


def _tree(v: Vector) -> None:
    entries = []
    for line in v.get("entry", []):
        name, kind, size, oid = line.rsplit(" ", 3)
        entries.append(TreeEntry(json.loads(name), kind, int(size), from_hex(oid)))  # type: ignore[arg-type]  # checked
    data = bytes.fromhex(v["bytes"][0])
    assert encode_tree(entries) == data
    assert decode_tree(data) == tuple(entries)
    assert object_id("tree", data).hex() == v["id"][0]


def _tree_refused(v: Vector) -> None:
    with pytest.raises(TreeError) as caught:
        decode_tree(bytes.fromhex(v["bytes"][0]))
    assert caught.value.finding.value == v["finding"][0]


def _tree_of_files(v: Vector) -> None:
    files = []
    for line in v["file"]:
        path, size, oid = line.rsplit(" ", 2)
        files.append((json.loads(path), int(size), ObjectId(from_hex(oid))))
    root = root_of(files)
    assert (root.id.hex(), str(root.size)) == (v["id"][0], v["size"][0])


def _path(v: Vector) -> None:
    assert [finding.value for finding in check_path(json.loads(v["path"][0]))] == v["findings"][0].split()


def _path_bytes(v: Vector) -> None:
    assert [finding.value for finding in check_path_bytes(bytes.fromhex(v["bytes"][0]))] == v["findings"][0].split()


def _paths(v: Vector) -> None:
    findings = check_paths([json.loads(path) for path in v["path"]])
    expected = [(line.split(" ", 1)[0], json.loads(line.split(" ", 1)[1])) for line in v.get("finding", [])]
    assert [(finding.id.value, finding.path) for finding in findings] == expected


def _tree_head(v: Vector) -> None:
    assert tree_head([bytes.fromhex(leaf) for leaf in v.get("leaf", [])]).hex() == v["head"][0]


def _artifact_leaf(v: Vector) -> None:
    path, size = json.loads(v["path"][0]), int(v["size"][0])
    leaf = artifact_leaf(path, size, bytes.fromhex(v["sha256"][0]), bytes.fromhex(v["blake3"][0]))
    assert leaf.hex() == v["leaf"][0]
    assert leaf_hash(leaf).hex() == v["hash"][0]


def shown(page: str) -> bytes:
    """Return the one JSON document that stands in a page."""
    (body,) = re.findall(r"^```json\n(.*?)^```$", (PAGES / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(body).encode()


def _is(v: Vector, data: bytes) -> None:
    assert len(data) == int(v["length"][0])
    assert hashlib.sha256(data).hexdigest() == v["sha256"][0]


def _secret(v: Vector) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(v["secret"][0]))


def _key(v: Vector) -> None:
    public = bytes.fromhex(v["public"][0])
    pem = bytes.fromhex(v["pem"][0])
    assert _secret(v).public_key().public_bytes_raw() == public
    assert dsse.encode_public_key(public) == pem
    assert dsse.decode_public_key(pem) == dsse.decode_public_key(public.hex().encode()) == public
    assert dsse.keyid_of(public) == v["keyid"][0]


def _envelope(v: Vector) -> None:
    payload, signature = bytes.fromhex(v["payload"][0]), bytes.fromhex(v["signature"][0])
    assert dsse.pae(payload).hex() == v["signed"][0]
    assert _secret(v).sign(bytes.fromhex(v["signed"][0])) == signature
    envelope = dsse.decode_envelope(bytes.fromhex(v["envelope"][0]))
    assert envelope.payload == payload
    assert [item.sig for item in envelope.signatures] == [signature]


def _statement(v: Vector) -> None:
    manifest, statement = shown("manifest.md"), shown("attestation.md")
    _is(v, statement)
    envelope = attest(manifest, decode_manifest(manifest), _secret(v), v["signed_at"][0])
    assert dsse.decode_envelope(envelope).payload == statement
    assert _secret(v).sign(dsse.pae(statement)).hex() == v["signature"][0]


def _envelope_refused(v: Vector) -> None:
    with pytest.raises(dsse.DsseError) as caught:
        dsse.decode_envelope(bytes.fromhex(v["bytes"][0]))
    assert caught.value.finding.value == v["finding"][0]


def _header(v: Vector) -> None:
    name, size = v["name"][0], int(v["size"][0])
    data = bytes.fromhex(v["bytes"][0]).ljust(512, b"\0")
    assert bundle.header(name, size) == data
    assert bundle.read_header(data, name, size, {}) == size
    assert bundle.padding(size) == int(v["padding"][0])


def _header_refused(v: Vector) -> None:
    with pytest.raises(bundle.ArchiveError) as caught:
        bundle.read_header(
            bytes.fromhex(v["bytes"][0]).ljust(512, b"\0"), v["name"][0], int(v["size"][0]), {v["name"][0]: 0}
        )
    assert caught.value.finding.value == v["finding"][0]


def _index(v: Vector) -> None:
    data = shown("bundle.md")
    _is(v, data)
    index = bundle.decode_index(data)
    assert bundle.check_index(index) == []
    assert bundle.encode_index(index) == data


def _proof(v: Vector) -> None:
    data = shown("proof.md")
    _is(v, data)
    assert check_proof(decode_proof(data)) == []
    assert encode_proof(prove(decode_manifest(shown("manifest.md")), v["path"][0])) == data


def _inclusion(v: Vector) -> None:
    leaf, root = bytes.fromhex(v["leaf_hash"][0]), bytes.fromhex(v["root"][0])
    hashes = [bytes.fromhex(text) for text in v["hash"]]
    holds = inclusion_holds(leaf, int(v["index"][0]), int(v["size"][0]), hashes, root)
    assert holds is {"yes": True, "no": False}[v["holds"][0]]


def _manifest(v: Vector) -> None:
    data = shown("manifest.md")
    _is(v, data)
    assert object_id("run", data).hex() == v["id"][0]
    manifest = decode_manifest(data)
    assert encode_manifest(manifest) == data
    assert check_manifest(manifest) == []
    hashed = bytes.fromhex(v["plan"][0])
    msgpack.decode(hashed)
    computed = plan_id(
        manifest.name, manifest.plan.inputs, from_hex(manifest.plan.config), from_hex(manifest.plan.method)
    )
    assert blake3(hashed).digest() == computed == bytes.fromhex(v["plan_id"][0])
    assert run_id(manifest.name, computed) == v["run_id"][0] == manifest.run_id


def _json_refused(v: Vector) -> None:
    with pytest.raises(JsonError) as caught:
        parse(bytes.fromhex(v["bytes"][0]), max_bytes=10**6)
    assert caught.value.finding.value == v["finding"][0]


CHECKS: dict[str, Callable[[Vector], None]] = {
    "key": _key,
    "envelope": _envelope,
    "envelope-refused": _envelope_refused,
    "statement": _statement,
    "header": _header,
    "header-refused": _header_refused,
    "index": _index,
    "proof": _proof,
    "inclusion": _inclusion,
    "id": _id,
    "tree": _tree,
    "tree-refused": _tree_refused,
    "tree-of-files": _tree_of_files,
    "path": _path,
    "path-bytes": _path_bytes,
    "paths": _paths,
    "tree-head": _tree_head,
    "artifact-leaf": _artifact_leaf,
    "manifest": _manifest,
    "json-refused": _json_refused,
}


@pytest.mark.parametrize("page", sorted(LEAST))
def test_vectors(page: str) -> None:
    """Every vector of the page holds, and none was lost."""
    found = vectors(page)
    assert len(found) >= LEAST[page]
    assert len(found) == (PAGES / page).read_text("utf-8").count("```vector")
    for kind, values in found:
        CHECKS[kind](values)


@pytest.mark.parametrize("page", sorted(LEAST))
def test_sections(page: str) -> None:
    """A page of a format tells its parts in the one order of all of them."""
    assert re.findall(r"^## (.+)$", (PAGES / page).read_text("utf-8"), re.MULTILINE) == SECTIONS
