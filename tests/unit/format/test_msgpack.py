"""Canonical msgpack: known bytes, and everything that is not the one shortest form is refused with its finding."""

import resource
import subprocess
import sys

import pytest

from omphalos.format.findings import FindingId
from omphalos.format.msgpack import CanonicalError, decode, encode

KNOWN = [
    (0, "00"),
    (127, "7f"),
    (128, "cc80"),
    (255, "ccff"),
    (256, "cd0100"),
    (65535, "cdffff"),
    (65536, "ce00010000"),
    (2**32 - 1, "ceffffffff"),
    (2**32, "cf0000000100000000"),
    (2**64 - 1, "cfffffffffffffffff"),
    ("", "a0"),
    ("é", "a2c3a9"),
    ("a" * 31, "bf" + "61" * 31),
    ("a" * 32, "d920" + "61" * 32),
    ("a" * 256, "da0100" + "61" * 256),
    ("a" * 65536, "db00010000" + "61" * 65536),
    (b"", "c400"),
    (b"x" * 256, "c50100" + "78" * 256),
    (b"x" * 65536, "c600010000" + "78" * 65536),
    ([], "90"),
    ([1, ["a", b"b"]], "920192a161c40162"),
    ([0] * 16, "dc0010" + "00" * 16),
    ([0] * 65536, "dd00010000" + "00" * 65536),
]


@pytest.mark.parametrize(("value", "hexed"), KNOWN, ids=range(len(KNOWN)))
def test_known_bytes(value: object, hexed: str) -> None:
    """Every kind of value has these bytes at each border of its forms, and they decode to it."""
    assert encode(value).hex() == hexed  # type: ignore[arg-type]  # the table mixes the allowed kinds
    assert decode(bytes.fromhex(hexed)) == value


@pytest.mark.parametrize(
    ("hexed", "finding"),
    [
        ("", FindingId.TRUNCATED),
        ("cc", FindingId.TRUNCATED),
        ("9201", FindingId.OVERSIZE_LENGTH),
        ("929100", FindingId.TRUNCATED),
        ("a26", None),
        ("a261", FindingId.OVERSIZE_LENGTH),
        ("0000", FindingId.TRAILING_GARBAGE),
        ("cc7f", FindingId.MSGPACK_NOT_CANONICAL),
        ("cd00ff", FindingId.MSGPACK_NOT_CANONICAL),
        ("ce0000ffff", FindingId.MSGPACK_NOT_CANONICAL),
        ("cf00000000ffffffff", FindingId.MSGPACK_NOT_CANONICAL),
        ("d90161", FindingId.MSGPACK_NOT_CANONICAL),
        ("da000161", FindingId.MSGPACK_NOT_CANONICAL),
        ("c5000161", FindingId.MSGPACK_NOT_CANONICAL),
        ("dc000100", FindingId.MSGPACK_NOT_CANONICAL),
        ("dd0000000100", FindingId.MSGPACK_NOT_CANONICAL),
        ("a1ff", FindingId.NOT_UTF8),
        ("a3eda080", FindingId.NOT_UTF8),
        ("c0", FindingId.MSGPACK_SYNTAX),
        ("c3", FindingId.MSGPACK_SYNTAX),
        ("ff", FindingId.MSGPACK_SYNTAX),
        ("d0ff", FindingId.MSGPACK_SYNTAX),
        ("ca3f800000", FindingId.MSGPACK_SYNTAX),
        ("80", FindingId.MSGPACK_SYNTAX),
        ("d40000", FindingId.MSGPACK_SYNTAX),
        ("ddffffffff", FindingId.OVERSIZE_LENGTH),
        ("dbffffffff", FindingId.OVERSIZE_LENGTH),
        ("c6ffffffff", FindingId.OVERSIZE_LENGTH),
        ("dcffff" * 40, FindingId.OVERSIZE_LENGTH),
        ("91" * 65 + "00", FindingId.OVERSIZE_LENGTH),
        ("91" * 100_000, FindingId.OVERSIZE_LENGTH),
    ],
)
def test_refused(hexed: str, finding: FindingId | None) -> None:
    """Bytes that the encoder would not write are refused with the finding of the rule they break."""
    if finding is None:
        hexed, finding = hexed + "1", FindingId.OVERSIZE_LENGTH
    with pytest.raises(CanonicalError) as caught:
        decode(bytes.fromhex(hexed))
    assert caught.value.finding is finding


def test_depth_and_items_are_limits_not_less() -> None:
    """Sixty-four arrays inside each other pass, and exactly ``max_items`` values do."""
    assert decode(bytes.fromhex("91" * 63 + "90"))
    assert decode(bytes.fromhex("93000000"), max_items=4) == [0, 0, 0]
    with pytest.raises(CanonicalError) as caught:
        decode(bytes.fromhex("93000000"), max_items=3)
    assert caught.value.finding is FindingId.OVERSIZE_LENGTH


@pytest.mark.parametrize("value", [True, None, 1.0, -1, 2**64, {}, "\ud800", bytearray(b"x"), [[None]]])
def test_what_has_no_encoding(value: object) -> None:
    """A value outside the four kinds, or outside their range, is a typed error and not another kind's bytes."""
    with pytest.raises(CanonicalError):
        encode(value)  # type: ignore[arg-type]  # the wrong type is the point


def test_nesting_beyond_the_limit_is_not_encoded() -> None:
    """The encoder refuses what the decoder would."""
    value: list[object] = []
    for _ in range(64):
        value = [value]
    with pytest.raises(CanonicalError) as caught:
        encode(value)  # type: ignore[arg-type]  # list is invariant
    assert caught.value.finding is FindingId.OVERSIZE_LENGTH


def test_a_claim_of_four_billion_costs_nothing() -> None:
    """Five bytes that claim 2^32-1 items, or bytes, are refused inside 300 MB of address space."""
    code = (
        "from omphalos.format.msgpack import decode, CanonicalError\n"
        "from omphalos.format.tree import decode_tree, TreeError\n"
        "for head in ('dd', 'db', 'c6'):\n"
        "    for read, error in ((decode, CanonicalError), (decode_tree, TreeError)):\n"
        "        try: read(bytes.fromhex(head + 'ffffffff'))\n"
        "        except error: pass\n"
        "        else: raise SystemExit(1)\n"
    )
    limit = 300 * 2**20
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.returncode == 0
