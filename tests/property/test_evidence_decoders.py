"""Decoders of envelopes, statements, keys, proofs and bundles are total; what is changed is never verified."""

import contextlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from omphalos.format import bundle, dsse, proof
from omphalos.format.closed import ClosedError
from omphalos.format.merkle import inclusion_holds, inclusion_proof, leaf_hash, tree_head
from omphalos.runs.bundle import verify_bundle
from omphalos.runs.verify_store import verify_store

ROOT = Path(__file__).resolve().parents[2]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["payload", "payloadType", "signatures", "_type", "subject", "predicateType", "predicate", "schema", "runs", "x"]
)
VALUES = JSON | st.sampled_from(
    [dsse.PAYLOAD_TYPE, dsse.STATEMENT_TYPE, dsse.RUN_PREDICATE, [{"sig": ""}], [{"digest": {}}], {"runId": "x"}]
)
BYTES = st.binary(max_size=200) | st.dictionaries(KEYS, VALUES).map(lambda value: json.dumps(value).encode())
DECODERS: list[Callable[[bytes], Any]] = [
    dsse.decode_envelope,
    dsse.decode_statement,
    dsse.decode_public_key,
    bundle.decode_index,
    proof.decode_proof,
]


@pytest.mark.parametrize("decode", DECODERS, ids=lambda decode: decode.__name__)
@given(data=BYTES)
@example(data=b"")
@example(data=b'"\\ud800"')
def test_decoders_are_total(decode: Callable[[bytes], Any], data: bytes) -> None:
    """Any bytes give a value or the decoder's own error, and nothing else."""
    with contextlib.suppress(dsse.DsseError, ClosedError):
        decode(data)


@given(data=st.binary(max_size=64))
def test_base64_goes_both_ways(data: bytes) -> None:
    """Base64 of either alphabet gives the bytes back, and no other spelling is taken."""
    import base64

    plain, url = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    assert dsse.decode_base64(plain) == dsse.decode_base64(url) == data
    if data:
        for bad in (plain + "\n", " " + plain, plain.rstrip("=") + "====", plain[:-1]):
            with pytest.raises(dsse.DsseError):
                dsse.decode_base64(bad)


@given(name=st.text(max_size=60), size=st.integers(0, bundle.MAX_MEMBER), patch=st.binary(max_size=30), at=st.data())
def test_headers_are_judged(name: str, size: int, patch: bytes, at: st.DataObject) -> None:
    """A header that was changed is refused, and the right one gives its size."""
    try:
        head = bundle.header(f"payload/{name}", size)
    except (ValueError, UnicodeEncodeError):
        return
    where = at.draw(st.integers(0, 511))
    changed = (head[:where] + patch + head[where + len(patch) :])[:512]
    try:
        found = bundle.read_header(changed, f"payload/{name}", size, {f"payload/{name}": 0})
    except bundle.ArchiveError:
        return
    assert (changed, found) == (head, size)


@given(size=st.integers(1, 80), at=st.data())
def test_proofs_that_are_made_hold(size: int, at: st.DataObject) -> None:
    """The path that is made for any leaf holds, and for no other leaf."""
    leaves = [leaf_hash(f"{number}".encode()) for number in range(size)]
    place = at.draw(st.integers(0, size - 1))
    path, root = inclusion_proof(leaves, place), tree_head(f"{number}".encode() for number in range(size))

    assert inclusion_holds(leaves[place], place, size, path, root)
    assert not inclusion_holds(leaf_hash(b"x"), place, size, path, root)
    with pytest.raises(IndexError):
        inclusion_proof(leaves, size)


def _make() -> Any:
    spec = importlib.util.spec_from_file_location("conformance_make_more", ROOT / "conformance" / "make_more.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a good bundle and a good store of the corpus."""
    make, place = _make(), tmp_path_factory.mktemp("made")
    make.build("bundle", dict(make.cases("bundle"))["good-two"], place / "bundle")
    make.build("store", dict(make.cases("store"))["good-run"], place / "store")
    return place


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.data())
def test_a_changed_bundle_is_never_verified(made: Path, at: st.DataObject) -> None:
    """Whatever run of bytes is replaced, put in or taken out, the bundle is refused and nothing falls over."""
    good = (made / "bundle" / "runs.omphalos").read_bytes()
    start = at.draw(st.integers(0, len(good) - 1))
    end = start + at.draw(st.integers(0, 600))
    changed = good[:start] + at.draw(st.binary(max_size=600)) + good[end:]
    path = made / "changed"
    path.write_bytes(changed)

    assert verify_bundle(path).word == ("verified" if changed == good else "refused")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.data())
def test_a_changed_store_is_judged(made: Path, at: st.DataObject) -> None:
    """Whatever is changed in a file of a store, a verdict comes of it."""
    files = sorted(path for path in (made / "store" / "store").rglob("*") if path.is_file())
    path = at.draw(st.sampled_from(files))
    good = path.read_bytes()
    start = at.draw(st.integers(0, len(good)))
    end = start + at.draw(st.integers(0, 80))
    changed = good[:start] + at.draw(st.binary(max_size=80)) + good[end:]
    path.write_bytes(changed)
    try:
        found = verify_store(made / "store" / "store")
    finally:
        path.write_bytes(good)
    if changed == good:
        assert found.word == "verified"
    elif path.parent.name not in ("packs",):
        assert found.word == "refused"
