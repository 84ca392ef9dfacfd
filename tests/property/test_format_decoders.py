"""Every decoder of the format floor: total on any bytes, and exact about what it accepts."""

import hashlib
import json
import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from omphalos.format import manifest as manifest_module
from omphalos.format import msgpack, strictjson
from omphalos.format.errors import OmphalosError
from omphalos.format.ids import ObjectId, blob_id, from_hex
from omphalos.format.manifest import (
    SCHEMA,
    Artifact,
    Environment,
    Manifest,
    ManifestError,
    Plan,
    Reports,
    Tool,
    check_manifest,
    decode_manifest,
    encode_manifest,
)
from omphalos.format.merkle import artifacts_root
from omphalos.format.msgpack import CanonicalError
from omphalos.format.paths import check_component, check_path, fold, refusing
from omphalos.format.plan import plan_id, run_id
from omphalos.format.strictjson import JsonError
from omphalos.format.tree import TreeEntry, TreeError, build_tree, decode_tree, encode_tree, root_of

VALUES = st.recursive(
    st.text(max_size=300) | st.integers(0, 2**64 - 1) | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=20),
    max_leaves=30,
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    max_leaves=20,
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=8),
    max_leaves=40,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: not refusing(check_component(name))
)


@given(VALUES)
def test_msgpack_round_trip(value: msgpack.Value) -> None:
    """A value is read back equal, and its bytes are those msgspec writes for it, which is another implementation."""
    data = msgpack.encode(value)
    assert msgpack.decode(data) == value
    assert msgspec.msgpack.encode(value) == data


@given(ANYTHING)
def test_msgpack_encoder_is_total(value: object) -> None:
    """Any Python value is encoded or refused with a typed error, and what is encoded can be decoded."""
    try:
        data = msgpack.encode(value)  # type: ignore[arg-type]  # the wrong types are the point
    except CanonicalError:
        return
    assert msgpack.encode(msgpack.decode(data)) == data


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda raw: bytes(b & 0x9F | 0x80 for b in raw)))
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\x91" * 2000)
def test_msgpack_decoder_is_total_and_exact(data: bytes) -> None:
    """Any bytes are refused with a typed error or are exactly what the encoder writes."""
    try:
        value = msgpack.decode(data)
    except CanonicalError:
        return
    assert msgpack.encode(value) == data


@given(VALUES, st.randoms(use_true_random=False))
def test_msgpack_with_one_byte_changed(value: msgpack.Value, choose: random.Random) -> None:
    """One changed byte is refused, or gives another value."""
    data = bytearray(msgpack.encode(value))
    place = choose.randrange(len(data))
    data[place] ^= choose.randrange(1, 256)
    try:
        other = msgpack.decode(bytes(data))
    except CanonicalError:
        return
    assert other != value
    assert msgpack.encode(other) == bytes(data)


def _entries(names: list[str], choose: random.Random) -> list[TreeEntry]:
    entries: dict[str, TreeEntry] = {}
    for name in names:
        oid = ObjectId(choose.randbytes(32))
        entries.setdefault(fold(name), TreeEntry(name, choose.choice(("blob", "tree")), choose.randrange(2**40), oid))
    return sorted(entries.values(), key=lambda entry: entry.name)


@given(st.lists(NAMES, max_size=20), st.randoms(use_true_random=False))
def test_tree_round_trip(names: list[str], choose: random.Random) -> None:
    """Any well-named entries go both ways, in the bytes the general encoder writes."""
    entries = _entries(names, choose)
    data = encode_tree(entries)
    assert decode_tree(data) == tuple(entries)
    rows = [[entry.name, int(entry.kind == "tree"), entry.size, bytes(entry.id)] for entry in entries]
    assert msgpack.encode(rows) == data


@given(st.lists(NAMES, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_tree_with_bytes_changed(names: list[str], choose: random.Random) -> None:
    """A node with bytes changed, cut or added is refused with a typed error or is a node of other entries."""
    entries = tuple(_entries(names, choose))
    data = bytearray(encode_tree(entries))
    match choose.randrange(3):
        case 0:
            data[choose.randrange(len(data))] ^= choose.randrange(1, 256)
        case 1:
            del data[choose.randrange(len(data)) :]
        case _:
            data += choose.randbytes(1)
    try:
        other = decode_tree(bytes(data))
    except TreeError:
        return
    assert other != entries
    assert encode_tree(other) == bytes(data)


@given(st.binary(max_size=80) | ANYTHING.map(lambda v: msgspec.msgpack.encode(v, enc_hook=str) if _packs(v) else b""))
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\x91" * 2000)
@example(bytes.fromhex("9194a1ff0001c420") + b"\0" * 32)
def test_tree_decoder_is_total_and_exact(data: bytes) -> None:
    """Any bytes are refused with a typed error or are exactly what the encoder writes."""
    try:
        entries = decode_tree(data)
    except TreeError:
        return
    assert encode_tree(entries) == data


def _packs(value: object) -> bool:
    try:
        msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeEncodeError):
        return False
    return True


@given(st.dictionaries(st.lists(NAMES, min_size=1, max_size=4).map("/".join), st.integers(0, 2**30), max_size=12))
def test_a_built_tree_holds_exactly_its_files(files: dict[str, int]) -> None:
    """Walking the built nodes gives back every path, size and id; or the set is refused with a typed error."""
    listed = [(path, size, blob_id(path.encode())) for path, size in files.items()]
    try:
        nodes = build_tree(listed)
    except TreeError:
        return
    by_id = {node.id: node for node in nodes}

    def walk(oid: ObjectId, prefix: str) -> list[tuple[str, int, ObjectId]]:
        found = []
        for entry in decode_tree(by_id[oid].data):
            if entry.kind == "tree":
                inside = walk(entry.id, f"{prefix}{entry.name}/")
                assert sum(size for _, size, _ in inside) == entry.size
                found += inside
            else:
                found.append((prefix + entry.name, entry.size, entry.id))
        return found

    assert sorted(walk(nodes[-1].id, "")) == sorted(listed)


@given(JSON_VALUES)
def test_json_round_trip(value: object) -> None:
    """A value is read back equal from both spellings, which are those of the standard library's encoder."""
    data = strictjson.dump(value)
    assert strictjson.parse(data, max_bytes=10**7) == value
    assert strictjson.parse(strictjson.compact(value), max_bytes=10**7) == value
    assert data == (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


@given(ANYTHING)
def test_json_encoder_is_total(value: object) -> None:
    """Any Python value is written or refused with a typed error, and what is written can be read."""
    try:
        data = strictjson.dump(value)
    except JsonError:
        return
    assert strictjson.dump(strictjson.parse(data, max_bytes=10**7)) == data


JSON_PIECES = st.sampled_from(
    [
        *("{", "}", "[", "]", ",", ":", '"', '"a"', '"b":', "\\", "\\u00", "\\ud83d", "\\ude00", "0", "1", "-", "."),
        *(
            "e",
            "+",
            "true",
            "false",
            "null",
            "NaN",
            "Infinity",
            " ",
            "\n",
            "\t",
            "\x0b",
            "é",
            "\ufeff",
            "9007199254740992",
        ),
    ]
)


@given(st.binary(max_size=60) | st.lists(JSON_PIECES, max_size=12).map(lambda parts: "".join(parts).encode()))
def test_json_parser_is_total_and_never_laxer(data: bytes) -> None:
    """Any bytes are refused with a typed error, or the standard parser reads the same value from them."""
    try:
        value = strictjson.parse(data, max_bytes=10**6)
    except JsonError:
        return
    assert json.loads(data) == value
    assert strictjson.parse(strictjson.dump(value), max_bytes=10**6) == value


@given(st.lists(JSON_PIECES, max_size=10).map("".join))
def test_json_parser_refuses_only_what_is_not_strict(text: str) -> None:
    """What the standard parser reads and this one refuses has a number, key, or encoding that the rules exclude."""
    try:
        value = json.loads(text, parse_float=_stop, parse_constant=_stop, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return
    try:
        again = strictjson.compact(value)
    except JsonError:
        return  # a negative or large integer, or a lone surrogate
    if "-0" in text:
        return  # the standard parser gives 0 for it
    assert strictjson.compact(strictjson.parse(text.encode(), max_bytes=10**6)) == again


def _stop(text: str) -> object:
    raise ValueError(text)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("the same key twice")
    return dict(pairs)


def _manifest() -> Manifest:
    files = tuple(
        Artifact(
            path,
            "export",
            "text/csv",
            len(path),
            hashlib.sha256(path.encode()).hexdigest(),
            blob_id(path.encode()).hex(),
        )
        for path in ("a.csv", "config.json")
    )
    config = from_hex(files[1].blake3)
    plan = plan_id("n", (), config, config)
    return Manifest(
        schema=SCHEMA,
        run_id=run_id("n", plan),
        name="n",
        created="2026-11-22T10:00:00Z",
        tool=Tool("omphalos", "é"),
        plan=Plan(plan.hex(), (), config.hex(), config.hex()),
        environment=Environment("3", "p", 1, "C", "UTC", {"x": "1"}),
        tree=root_of((f.path, f.size, from_hex(f.blake3)) for f in files).id.hex(),
        merkle_root=artifacts_root(files).hex(),
        artifacts=files,
        control=(),
        reports=Reports(None, None, None, None),
        release=None,
    )


GOOD = _manifest()
GOOD_BYTES = encode_manifest(GOOD)


def test_the_manifest_to_change_is_good() -> None:
    """The manifest that the next tests change holds."""
    assert check_manifest(GOOD) == []


@given(st.binary(max_size=60) | JSON_VALUES.map(strictjson.dump))
def test_manifest_decoder_is_total(data: bytes) -> None:
    """Any bytes and any JSON are refused as no manifest, with at least one finding."""
    with pytest.raises(ManifestError) as caught:
        decode_manifest(data)
    assert caught.value.findings


@given(
    st.integers(0, len(GOOD_BYTES) - 1),
    st.integers(0, len(GOOD_BYTES) // 4),
    st.binary(max_size=3) | st.text(max_size=2).map(str.encode),
)
def test_a_changed_manifest(place: int, cut: int, put: bytes) -> None:
    """However a manifest is cut and filled, the quick way and the strict way agree, and a change is always found."""
    data = GOOD_BYTES[:place] + put + GOOD_BYTES[place + min(cut, 3) :]

    def outcome(read: Callable[[bytes], Manifest]) -> object:
        try:
            return read(data)
        except ManifestError as error:
            return error.findings

    result = outcome(decode_manifest)
    assert result == outcome(manifest_module._decode_slowly)
    if isinstance(result, Manifest):
        assert encode_manifest(result) == data
        check_manifest(result)


@given(st.text(st.characters(), max_size=40), st.text(st.characters(), max_size=40), st.integers(0, 2**53 - 1))
def test_checking_any_manifest_is_total(one: str, two: str, number: int) -> None:
    """A manifest built of any text gives findings and no exception."""
    file = Artifact(one, "r", "a/b", number, two, "00" * 32, number, (one, two), two)
    built = msgspec.structs.replace(
        GOOD, name=one, run_id=two, created=one, tree=two, artifacts=(file,), control=(file,)
    )
    findings = check_manifest(built)
    assert findings == sorted(findings)
    assert findings
    for finding in findings:
        finding.path.encode()
        finding.detail.encode()
    with pytest.raises(OmphalosError):
        encode_manifest(built)


@given(st.text(st.characters(), max_size=40))
def test_path_check_is_total_and_whole(path: str) -> None:
    """Any text is judged; what has no finding is short, normal and relative, and stays so in every component."""
    broken = check_path(path)
    assert len(set(broken)) == len(broken)
    if not broken:
        assert len(path.encode()) <= 1024
        assert not path.startswith(("/", "\\", "~/"))
        assert all(check_component(part) == [] for part in path.split("/"))
