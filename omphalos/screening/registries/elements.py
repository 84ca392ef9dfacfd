"""XML of registries as hostile bytes: a document becomes a list of records, each a small tree of elements.

Rules of this file: expat with its own handlers, no tree library: a DOCTYPE is refused, so no entity can be declared,
expanded or fetched; depth, elements and characters of a record are capped; the encoding is UTF-8 whatever the document
claims; prefixes of namespaces stay part of the tag. An element where a record is expected that is none is an error, or
is known by name to be something else: nothing is skipped in silence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from xml.parsers import expat

from omphalos.screening.registries.sources import RegistryDamagedError, RegistryEncodingError

MAX_DEPTH: Final = 16
MAX_RECORD_CHARS: Final = 2_000_000
MAX_RECORD_NODES: Final = 100_000
_SHOWN: Final = 80


@dataclass(frozen=True)
class Layout:
    """Where records stand in a document.

    ``records`` are the paths below the root that are records, all of ``depth`` elements with the root counted;
    ``others`` are paths of the same depth that are known not to be; ``what`` names the format in a hint.
    """

    root: str
    records: frozenset[tuple[str, ...]]
    depth: int
    what: str
    others: frozenset[tuple[str, ...]] = frozenset()


class Node:
    """An element: its tag, its attributes, its own text, its children in document order."""

    __slots__ = ("attributes", "children", "tag", "texts")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.texts: list[str] = []
        self.children: list[Node] = []

    @property
    def text(self) -> str:
        """The element's own text, trimmed."""
        return "".join(self.texts).strip()

    def all(self, tag: str) -> Iterator["Node"]:
        """Yield the children called ``tag``."""
        return (child for child in self.children if child.tag == tag)

    def below(self, group: str, tag: str) -> Iterator["Node"]:
        """Yield the elements ``tag`` in children called ``group``."""
        return (item for child in self.all(group) for item in child.all(tag))

    def get(self, tag: str) -> str:
        """Return the text of the first child called ``tag``, or ''."""
        return next((child.text for child in self.all(tag)), "")

    def attribute(self, name: str) -> str:
        """Return an attribute, trimmed, or ''."""
        return self.attributes.get(name, "").strip()

    def values(self, tag: str) -> list[str]:
        """Return the texts of all VALUE elements under children called ``tag``."""
        return [value.text for child in self.all(tag) for value in child.all("VALUE") if value.text]

    def as_json(self) -> list[object]:
        """Return ``[tag, text, children]``, with the attributes behind them where there are any, for hashing."""
        found: list[object] = [self.tag, self.text, [child.as_json() for child in self.children]]
        return [*found, self.attributes] if self.attributes else found


class _Handlers:
    """The expat handlers: keeps one record in memory at a time and hands finished ones over."""

    def __init__(self, file: str, parser: expat.XMLParserType, layout: Layout) -> None:
        self.records: list[Node] = []
        self.others: list[Node] = []
        self._file = file
        self._parser = parser
        self._layout = layout
        self._path: list[str] = []
        self._open: list[Node] = []
        self._size = 0
        self._nodes = 0

    def _fail(self, what: str, hint: str) -> RegistryDamagedError:
        return RegistryDamagedError(f"{self._file} line {self._parser.CurrentLineNumber}: {what}", hint=hint)

    def doctype(self, name: str, *_: object) -> None:
        raise self._fail(
            f"the document declares a DOCTYPE {name[:_SHOWN]!r}", "the published list has none; do not read this file"
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(tag)
        depth = len(self._path)
        if depth > MAX_DEPTH:
            raise self._fail(f"elements are nested deeper than {MAX_DEPTH}", "this is not the published list")
        if depth == 1 and tag != self._layout.root:
            raise self._fail(
                f"the root element is {tag[:_SHOWN]!r}, not {self._layout.root!r}", f"give {self._layout.what}"
            )
        if depth == self._layout.depth and not self._is_known(tuple(self._path[1:])):
            raise self._fail(f"an element {tag[:_SHOWN]!r} stands where a record is expected", "the format has changed")
        if self._open or depth == self._layout.depth:
            self._nodes += 1
            if self._nodes > MAX_RECORD_NODES:
                raise self._fail(f"a record has over {MAX_RECORD_NODES} elements", "this is not the published list")
            self._count(sum(len(name) + len(value) for name, value in attributes.items()))
            node = Node(tag, attributes)
            if self._open:
                self._open[-1].children.append(node)
            self._open.append(node)

    def _is_known(self, path: tuple[str, ...]) -> bool:
        return path in self._layout.records or path in self._layout.others

    def _count(self, characters: int) -> None:
        self._size += characters
        if self._size > MAX_RECORD_CHARS:
            raise self._fail(f"a record is longer than {MAX_RECORD_CHARS} characters", "the file is damaged")

    def end(self, _: str) -> None:
        path = tuple(self._path[1:])
        self._path.pop()
        if self._open:
            node = self._open.pop()
            if not self._open:
                (self.records if path in self._layout.records else self.others).append(node)
                self._size = self._nodes = 0

    def text(self, data: str) -> None:
        if self._open:
            self._count(len(data))
            self._open[-1].texts.append(data)


def parse_records(data: bytes, file: str, layout: Layout) -> list[Node]:
    """Return the records of a document in its order.

    Raises:
        RegistryEncodingError: the bytes are not UTF-8.
        RegistryDamagedError: it is not well-formed, declares a DOCTYPE, has another layout, or breaks a cap.
    """
    return parse_document(data, file, layout)[0]


def parse_document(data: bytes, file: str, layout: Layout) -> tuple[list[Node], list[Node]]:
    """Return the records of a document and the other elements of the same depth; see ``parse_records``."""
    # Expat says "invalid token" for bad UTF-8; naming the encoding is kinder, and costs one pass.
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RegistryEncodingError(
            f"{file} line {line}: the bytes are not UTF-8", hint="fetch the file again in binary mode"
        ) from error
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    handlers = _Handlers(file, parser, layout)
    parser.StartDoctypeDeclHandler = handlers.doctype
    parser.StartElementHandler = handlers.start
    parser.EndElementHandler = handlers.end
    parser.CharacterDataHandler = handlers.text
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise RegistryDamagedError(
            f"{file} line {error.lineno}: {expat.ErrorString(error.code)}",
            hint="the file may be truncated; fetch it again",
        ) from error
    return handlers.records, handlers.others
