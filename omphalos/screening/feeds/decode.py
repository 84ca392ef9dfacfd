"""From the bytes of a feed to plain UTF-8 text: decompression and transcoding, streaming, nothing guessed.

Rules of this file: format, compression and encoding are what the job says, and bytes that contradict it are an error
with the byte and the line where they do, never a replacement character. Memory stays at a few MiB whatever the file.
A compressed feed may not unpack to more than ``max(1 GiB, 200 x its size)``: deflate alone reaches 1,032 to 1, real
feeds stay below 50 to 1. A line may not exceed 4 MiB. A feed that already is plain UTF-8 is checked and not copied.
"""

import codecs
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.screening.job import FeedSpec

CHUNK_BYTES: Final = 1 << 20
MAX_LINE_BYTES: Final = 4 << 20
MAX_UNPACKED_BYTES: Final = 1 << 30
MAX_RATIO: Final = 200
# Tried in this order on the bytes around the first wrong one; latin-1 reads anything, so it is never a hint.
_LIKELY: Final = ("gb18030", "big5", "cp932", "cp949", "cp1252", "cp1251", "cp1250")
_MAGIC: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PAR1", "parquet"),
    (b"PK\x03\x04", "zip"),
    (b"\xd0\xcf\x11\xe0", "old Excel"),
)


class FeedError(OmphalosError):
    """A feed cannot be read as the job describes it."""

    kind = ErrorKind.USAGE
    id = "badFeed"


class FeedNotReadable(FeedError):
    """There is no such file, it is no regular file, or it may not be read."""

    id = "feedNotReadable"


class FeedDamaged(FeedError):
    """A compressed feed is truncated, damaged, followed by other bytes, or unpacks beyond the limit."""

    id = "feedDamaged"


class FeedNotText(FeedError):
    """A feed holds bytes that are not text in the declared encoding."""

    id = "feedNotText"


class FeedShapeError(FeedError):
    """A feed's header or columns are not what the job maps, or it holds no record."""

    id = "feedShape"


@dataclass(frozen=True, slots=True)
class DecodedFeed:
    """A feed ready to be read: UTF-8 text in ``path`` after ``skip`` bytes (a byte order mark), or a parquet file.

    ``size`` counts bytes of text (or of the parquet file), ``records_hint`` lines of it (or rows): a number for a
    progress display, not the count of records.
    """

    path: Path
    format: str
    skip: int
    size: int
    records_hint: int


def decode_feed(path: Path, feed: FeedSpec, scratch: Path) -> DecodedFeed:
    """Return ``path`` as plain UTF-8, written below ``scratch`` only where its bytes had to change.

    Raises FeedNotReadable, FeedDamaged, FeedNotText and FeedShapeError (an empty feed), each with a hint.
    """
    size = _regular_size(path)
    if size == 0:
        raise FeedShapeError(f"no records: the feed {path.name} is empty", hint="was the export cut short?")
    with path.open("rb") as file:
        _check_magic(file.read(8), path.name, feed)
        if feed.format == "parquet":
            return DecodedFeed(path, feed.format, 0, size, 0)
        file.seek(0)
        text = _Text(path.name, feed.encoding)
        limit = max(MAX_UNPACKED_BYTES, MAX_RATIO * size)
        pieces = _bounded(_unpacked(file, path, feed.compression), limit, path.name, feed.compression)
        if feed.compression == "none" and feed.encoding == "utf-8":
            for piece in pieces:
                text.decode(piece)
            text.finish()
            return DecodedFeed(path, feed.format, text.bom, text.size, text.lines)
        target = scratch / "feed.utf8"
        with target.open("xb") as out:
            for piece in pieces:
                out.write(text.decode(piece))
            text.finish()
    return DecodedFeed(target, feed.format, 0, text.size, text.lines)


def _regular_size(path: Path) -> int:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise FeedNotReadable(
            f"no such feed: {path.name}", hint="feed.path is relative to the folder of the job file"
        ) from error
    except (OSError, ValueError) as error:
        raise FeedNotReadable(f"the feed {path.name} cannot be read: {_reason(error)}") from error
    if stat.S_ISDIR(status.st_mode):
        raise FeedNotReadable(f"the feed {path.name} is a folder", hint="name one file in feed.path")
    if not stat.S_ISREG(status.st_mode):
        raise FeedNotReadable(f"the feed {path.name} is not a regular file", hint="save it to a file first")
    try:
        with path.open("rb"):
            return status.st_size
    except OSError as error:
        raise FeedNotReadable(f"the feed {path.name} cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()


def _check_magic(head: bytes, name: str, feed: FeedSpec) -> None:
    found = next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")
    expected = "parquet" if feed.format == "parquet" else feed.compression
    if found == expected or (not found and expected == "none"):
        return
    if found in ("gzip", "zstd"):
        hint = f'set feed.compression = "{found}"' if feed.format != "parquet" else "unpack it first"
        raise FeedShapeError(f"the feed {name} is {found} data, and the job says {expected}", hint=hint)
    if found == "parquet" and expected == "none":
        raise FeedShapeError(f"the feed {name} is a parquet file", hint='set feed.format = "parquet"')
    if found:
        raise FeedShapeError(f"the feed {name} is a {found} file", hint="export the sheet as CSV (UTF-8)")
    raise FeedShapeError(f"the feed {name} is not {expected} data", hint="check feed.format and feed.compression")


def _unpacked(file: BinaryIO, path: Path, compression: str) -> Iterator[bytes]:
    if compression == "gzip":
        return _gunzipped(file, path.name)
    if compression == "zstd":
        return _unzstd(path)
    return iter(lambda: file.read(CHUNK_BYTES), b"")


def _bounded(pieces: Iterator[bytes], limit: int, name: str, compression: str) -> Iterator[bytes]:
    """Yield ``pieces`` until their sum passes ``limit``; a plain file is as large as it is."""
    total = 0
    for piece in pieces:
        total += len(piece)
        if compression != "none" and total > limit:
            raise FeedDamaged(
                f"the feed {name} unpacks to more than {limit} bytes",
                hint=f"more than {MAX_RATIO} times its size; unpack it yourself if it is meant to be so",
            )
        yield piece


def _gunzipped(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the data of every member of a gzip file (RFC 1952); each member's CRC-32 and length are checked by zlib."""
    data = b""
    done = 0  # compressed bytes before `data`
    while True:
        member = zlib.decompressobj(wbits=31)
        member_start = done
        while not member.eof:
            if not data:
                data = file.read(CHUNK_BYTES)
                if not data:
                    raise FeedDamaged(
                        f"the gzip stream of {name} is truncated after {done} bytes", hint="fetch the file again"
                    )
            try:
                piece = member.decompress(data, CHUNK_BYTES)
            except zlib.error as error:
                raise FeedDamaged(
                    f"the gzip stream of {name} is damaged in the member that starts at byte {member_start}",
                    hint="fetch the file again",
                ) from error
            rest = member.unused_data if member.eof else member.unconsumed_tail
            done += len(data) - len(rest)
            data = rest
            if piece:
                yield piece
        data = data or file.read(CHUNK_BYTES)
        if not data:
            return
        if len(data) < 2:
            data += file.read(CHUNK_BYTES)
        if not data.startswith(b"\x1f\x8b"):
            raise FeedDamaged(
                f"the gzip stream of {name} is followed by other bytes at byte {done}", hint="fetch the file again"
            )


def _unzstd(path: Path) -> Iterator[bytes]:
    """Yield the data of every frame of a zstd file (RFC 8878)."""
    try:
        with pa.OSFile(str(path)) as file, pa.CompressedInputStream(file, "zstd") as stream:
            while piece := stream.read(CHUNK_BYTES):
                yield bytes(piece)
    except OSError as error:
        what = "truncated" if "runcated" in str(error) else "damaged or followed by other bytes"
        raise FeedDamaged(f"the zstd stream of {path.name} is {what}", hint="fetch the file again") from error


class _Text:
    """One pass over the bytes of a feed: decodes, counts lines, and says where the first wrong byte is."""

    def __init__(self, name: str, encoding: str) -> None:
        self.name = name
        self.encoding = encoding
        self.size = 0  # bytes of UTF-8 put out
        self.lines = 0
        self.bom = 0
        self._taken = 0  # bytes taken in
        self._held = b""  # the first bytes, until a byte order mark can be told
        self._line_bytes = 0  # of the line that is open
        self._decoder: Any = None

    def decode(self, data: bytes) -> bytes:
        """Return the UTF-8 of ``data``; bytes of a character cut off at its end come with the next call."""
        if self._decoder is None:
            self._held += data
            if len(self._held) < 4:
                return b""
            data, self._held = self._start(self._held), b""
        return self._feed(data, last=False)

    def finish(self) -> None:
        """Check what only the end can tell: an unfinished character, a text without any character."""
        if self._decoder is None:
            # Fewer than four bytes came: there cannot be a header and a record in them.
            self._feed(self._start(self._held), last=False)
        self._feed(b"", last=True)
        if self._line_bytes:
            self.lines += 1
        if self.size == 0:
            raise FeedShapeError(f"no records: the feed {self.name} holds no text", hint="was the export cut short?")

    def _start(self, head: bytes) -> bytes:
        """Choose the decoder by encoding and byte order mark; return ``head`` without the mark."""
        encoding, mark = self.encoding, b""
        if encoding == "utf-16":
            marks = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
            mark = head[:2]
            if mark not in marks:
                raise FeedNotText(
                    f"the feed {self.name} has no utf-16 byte order mark",
                    hint='set feed.encoding = "utf-16-le" or "utf-16-be"',
                )
            encoding = marks[mark]
        elif encoding == "utf-8" and head.startswith(codecs.BOM_UTF8):
            mark = codecs.BOM_UTF8
        elif encoding in ("utf-16-le", "utf-16-be"):
            own = codecs.BOM_UTF16_LE if encoding == "utf-16-le" else codecs.BOM_UTF16_BE
            mark = own if head.startswith(own) else b""
        self.bom = self._taken = len(mark)
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        return head[len(mark) :]

    def _feed(self, data: bytes, *, last: bool) -> bytes:
        pending = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(data, last)
        except UnicodeDecodeError as error:
            raise self._wrong(error, self._taken - pending) from error
        self._taken += len(data)
        out: bytes = text.encode("utf-8")
        self._check_nul(out)
        self._count(out)
        return out

    def _check_nul(self, out: bytes) -> None:
        nul = out.find(b"\0")
        if nul >= 0:
            line = self.lines + out.count(b"\n", 0, nul) + 1
            raise FeedNotText(
                f"the feed {self.name} holds a NUL character in line {line}",
                hint="is it utf-16 (set feed.encoding), or not a text file at all?",
            )

    def _count(self, out: bytes) -> None:
        first, last = out.find(b"\n"), out.rfind(b"\n")
        # A line within one piece is shorter than the limit, because a piece is: only the open line can pass it.
        open_line = self._line_bytes + (len(out) if first < 0 else first)
        if open_line > MAX_LINE_BYTES:
            raise FeedShapeError(
                f"line {self.lines + 1} of the feed {self.name} is longer than {MAX_LINE_BYTES} bytes",
                hint="are its line ends lost, or is it not a text table?",
            )
        self.lines += out.count(b"\n")
        self._line_bytes = open_line if first < 0 else len(out) - last - 1
        self.size += len(out)

    def _wrong(self, error: UnicodeDecodeError, base: int) -> FeedNotText:
        before = error.object[: error.start].decode(error.encoding, "replace")
        line = self.lines + before.count("\n") + 1
        return FeedNotText(
            f"the feed {self.name} is not {self.encoding} at byte {base + error.start}, line {line}",
            hint=self._likely(error.object, error.start),
        )

    def _likely(self, data: bytes, at: int) -> str:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return 'it starts with a utf-16 byte order mark: set feed.encoding = "utf-16"'
        start = max(data.rfind(b"\n", 0, at) + 1, at - 4096)
        stop = data.find(b"\n", at)
        line = data[start : stop if 0 <= stop < at + 4096 else at + 4096]
        names = [name for name in _LIKELY if name != self.encoding and _reads(line, name)]
        return f"that line reads as {', '.join(names)}: set feed.encoding to the one it was written in" if names else ""


def _reads(line: bytes, encoding: str) -> bool:
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return not any("\x80" <= character <= "\x9f" for character in text)
