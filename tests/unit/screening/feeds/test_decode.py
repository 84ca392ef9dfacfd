"""Decoding: what is declared is what is read, and the first byte that contradicts it is named."""

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest

from omphalos.screening.feeds import (
    FeedDamaged,
    FeedNotReadable,
    FeedNotText,
    FeedShapeError,
    decode_feed,
)
from omphalos.screening.feeds import decode as decode_module
from omphalos.screening.job import FeedSpec

TEXT = "exporter,value\nMüller & Söhne GmbH,12\n株式会社テスト,7\n"


def _decode(folder: Path, data: bytes, **spec: str) -> bytes:
    path = folder / "feed.csv"
    path.write_bytes(data)
    scratch = folder / "scratch"
    scratch.mkdir()
    decoded = decode_feed(path, FeedSpec(path, spec.pop("format", "csv"), **spec), scratch)  # type: ignore[arg-type]  # texts only
    assert decoded.size == len(decoded.path.read_bytes()) - decoded.skip
    return decoded.path.read_bytes()[decoded.skip :]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_plain_utf8_is_not_copied(tmp_path: Path, mark: bytes) -> None:
    """A UTF-8 feed is used where it lies, with or without a byte order mark."""
    assert _decode(tmp_path, mark + TEXT.encode()) == TEXT.encode()
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "gb18030"])
def test_other_encodings_become_utf8(tmp_path: Path, encoding: str) -> None:
    """Text in a declared encoding comes out as the same text in UTF-8."""
    assert _decode(tmp_path, TEXT.encode(encoding), encoding=encoding) == TEXT.encode()


def test_every_member_of_a_gzip_file_is_read(tmp_path: Path) -> None:
    """Two gzip members one after the other are one text."""
    half = len(TEXT) // 2
    data = gzip.compress(TEXT[:half].encode()) + gzip.compress(TEXT[half:].encode())
    assert _decode(tmp_path, data, compression="gzip") == TEXT.encode()


def test_every_frame_of_a_zstd_file_is_read(tmp_path: Path) -> None:
    """Two zstd frames one after the other are one text."""
    frame = pa.Codec("zstd").compress(TEXT.encode(), asbytes=True)
    assert _decode(tmp_path, frame + frame, compression="zstd") == 2 * TEXT.encode()


@pytest.mark.parametrize(
    ("kind", "damage", "word"),
    [
        ("gzip", "cut", "truncated"),
        ("gzip", "tail", "followed by other bytes"),
        ("gzip", "flip", "damaged"),
        ("zstd", "cut", "truncated"),
        ("zstd", "tail", "followed by other bytes"),
    ],
)
def test_a_damaged_stream_is_an_error_that_names_the_damage(tmp_path: Path, kind: str, damage: str, word: str) -> None:
    """Truncation, trailing bytes and (where the format has a checksum) flipped bits are each refused."""
    body = TEXT.encode() * 50
    whole = gzip.compress(body, mtime=0) if kind == "gzip" else pa.Codec("zstd").compress(body, asbytes=True)
    flipped = whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    broken = {"cut": whole[:-5], "tail": whole + b"garbage", "flip": flipped}
    with pytest.raises(FeedDamaged, match=word):
        _decode(tmp_path, broken[damage], compression=kind)


def test_a_compressed_feed_may_not_unpack_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed that unpacks beyond both limits is refused while it unpacks."""
    monkeypatch.setattr(decode_module, "MAX_UNPACKED_BYTES", 1 << 20)
    bomb = gzip.compress((b"a" * 999 + b"\n") * 10_000)
    with pytest.raises(FeedDamaged, match="unpacks to more than"):
        _decode(tmp_path, bomb, compression="gzip")


def test_the_first_wrong_byte_is_named_with_its_line_and_likely_encodings(tmp_path: Path) -> None:
    """Bytes of another encoding give the byte offset, the line, and encodings that could read the line."""
    good = "exporter,value\n" * 100_000
    with pytest.raises(FeedNotText, match=rf"byte {len(good) + 1}, line 100001") as caught:
        _decode(tmp_path, good.encode() + "Müller,1\n".encode("cp1252"))
    assert "cp1252" in caught.value.hint


def test_a_character_cut_off_at_the_end_is_an_error(tmp_path: Path) -> None:
    """Half a character as the last bytes of a feed is a wrong byte."""
    with pytest.raises(FeedNotText, match="byte 4, line 2"):
        _decode(tmp_path, "a,b\n株".encode()[:-1])


def test_utf16_needs_its_mark_or_its_byte_order(tmp_path: Path) -> None:
    """Plain utf-16 without a byte order mark is refused, since the order would be a guess."""
    with pytest.raises(FeedNotText, match="byte order mark"):
        _decode(tmp_path, TEXT.encode("utf-16-le"), encoding="utf-16")


def test_a_nul_character_is_an_error(tmp_path: Path) -> None:
    """A NUL character anywhere is refused with its line."""
    with pytest.raises(FeedNotText, match="NUL character in line 2"):
        _decode(tmp_path, b"a,b\nx\0,y\n")


@pytest.mark.parametrize("length", [4 << 20, (4 << 20) + 1])
def test_a_line_may_have_four_mib(tmp_path: Path, length: int) -> None:
    """A line of 4 MiB is read, one byte more is an error that names the line."""
    data = b"a\n" + b"x" * length + b"\ny\n"
    if length == 4 << 20:
        assert _decode(tmp_path, data) == data
    else:
        with pytest.raises(FeedShapeError, match=r"line 2 .* longer than 4194304"):
            _decode(tmp_path, data)


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf"])
def test_an_empty_feed_has_no_records(tmp_path: Path, data: bytes) -> None:
    """No byte, or nothing but a byte order mark, is an error that says so."""
    with pytest.raises(FeedShapeError, match="no records"):
        _decode(tmp_path, data)


def test_bytes_that_contradict_the_declaration_are_named(tmp_path: Path) -> None:
    """Gzip declared as none, none declared as gzip, a sheet and a parquet file declared as CSV are refused."""
    cases = [
        (gzip.compress(b"a\n1\n"), "none", "gzip data"),
        (b"a\n1\n", "gzip", "not gzip data"),
        (b"PK\x03\x04xx", "none", "zip file"),
        (b"PAR1....", "none", "parquet"),
    ]
    for number, (data, compression, word) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(FeedShapeError, match=word) as caught:
            _decode(folder, data, compression=compression)
        assert caught.value.hint


def test_what_is_no_readable_file_is_named(tmp_path: Path) -> None:
    """A missing file, a folder and a pipe are each refused before anything is read."""
    os.mkfifo(tmp_path / "pipe")
    for name, word in [("missing.csv", "no such feed"), (".", "folder"), ("pipe", "regular")]:
        path = tmp_path / name
        with pytest.raises(FeedNotReadable, match=word):
            decode_feed(path, FeedSpec(path, "csv"), tmp_path)
