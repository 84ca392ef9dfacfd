"""The catalog: segments and index together, so that the index can be wrong and the answer is still right.

Rules of this file: an entry of the index is a hint. A record is handed out with its bytes hashed; an entry that leads
nowhere, or to other bytes, sends the search to the segments; and before an object is said to be missing, the headers
of all segments have been looked at once. A record enters the index only after its segment was synced and its bytes were
hashed. No method raises ``IndexUnusable``: an index that fails is made again, or replaced by one in memory.
"""

import contextlib
import itertools
import os
from collections.abc import Callable, Set
from pathlib import Path
from typing import Final, TypeVar

from omphalos.format.ids import KINDS, ObjectId, object_id
from omphalos.store.durable import Disk
from omphalos.store.index import Entry, Index, IndexUnusable, Place, discard
from omphalos.store.leases import Moment
from omphalos.store.packs import Packs
from omphalos.store.records import HEADER_BYTES, Gap, hop_reader, is_intact, scan, scan_reader

_ENTRIES: Final = 1 << 15
T = TypeVar("T")


class Catalog:
    """The small objects of the store in ``root``, for readers and as an index for writers."""

    def __init__(self, root: Path, disk: Disk, *, mapped: bool = True) -> None:
        """Take a store's folder; unless ``mapped`` its index is made in memory, and the files of it stay closed."""
        self._disk = disk
        self._mapped = mapped
        self._folder = root / "objects" / "index"
        self.packs = Packs(root / "objects" / "packs")
        self._index: Index | None = None
        self._pid = os.getpid()
        self._healed: dict[str, int] | None = None
        self.sizes: dict[str, int] = {}

    # -- the index

    def index(self) -> Index:
        """Return the index, opened or made; in memory where it cannot be written."""
        if self._index is None or self._pid != os.getpid():  # LMDB must not be used across a fork
            self._pid = os.getpid()
            self._index = self._opened()
            self.catch_up()
        return self._index

    def _opened(self) -> Index:
        if not self._mapped or not self.packs.folder.is_dir():
            return Index(None)
        for _ in range(2):
            try:
                return Index(self._folder)
            except IndexUnusable:
                with contextlib.suppress(OSError):
                    discard(self._folder)
                    continue
                break
        return Index(None)

    def is_kept(self) -> bool:
        """Say whether there is an index in the folder that can be written, so that asking it makes none anew."""
        return self._mapped and (self._folder / "data.mdb").is_file() and os.access(self._folder, os.W_OK)

    def prepare(self) -> Index:
        """Return the index for a writer that has just made the folder of the segments."""
        if self._index is not None and self._index.in_memory and self._mapped:
            self._index = None
        return self.index()

    def refresh(self) -> None:
        """Let go of an index that is not the one in the folder: what gc condemns stands there alone."""
        if self._index is not None and self._mapped and not self._index.is_current():
            self._index = None

    def is_blind(self) -> bool:
        """Say whether what gc condemns cannot be seen, although there may be a gc; what is known is found out anew.

        Segments that were moved away meanwhile are let go of, so that nothing is found in them.
        """
        if not self.packs.folder.is_dir():
            return False  # gc makes this folder before anything else
        if not self.prepare().in_memory:
            return False
        self.packs = Packs(self.packs.folder)
        self._index, self._healed = None, None
        return True

    def ask(self, work: Callable[[Index], T]) -> T:
        """Return what ``work`` returns for the index; once more, with an index made again, if it fails."""
        try:
            return work(self.index())
        except IndexUnusable:
            self._renew()
        try:
            return work(self.index())
        except IndexUnusable:
            self._index = Index(None)
            self._healed = None
            self.catch_up()
            return work(self._index)

    def _renew(self) -> None:
        if self._index is not None and self._index.is_current():  # else somebody has made it anew already
            with contextlib.suppress(OSError):
                discard(self._folder)
        self._index = None
        self._healed = None

    def file_time(self) -> Moment | None:
        """Return the time of the store's file system now; None where nothing can be written."""
        path = self._folder / "lock.mdb"
        try:
            if self.index().in_memory:
                return None
            os.utime(path)
            seen = path.stat()
            return Moment(seen.st_mtime_ns, seen.st_dev)
        except OSError:
            return None

    def catch_up(self) -> dict[str, int]:
        """Index what was appended without this index hearing of it; return all segments with their sizes."""
        listing = self.packs.listing()
        index = self._index if self._index is not None else self.index()
        try:
            known = index.segments()
            gone = [name for name, size in known.items() if listing.get(name, -1) < size]  # or cut off
            if gone:
                index.update(dropped=gone, bump=True)
                known = {name: size for name, size in known.items() if name not in gone}
            for name, size in listing.items():
                if size > known.get(name, 0):
                    self._take_in(index, name, known.get(name, 0), size)
        except IndexUnusable:
            if index.in_memory:
                raise
            self._renew()
            self._index = self._opened()
            return self.catch_up()
        self.sizes = listing
        return listing

    def _take_in(self, index: Index, name: str, start: int, size: int) -> None:
        try:
            fd = self.packs.open(name)
        except FileNotFoundError:
            return
        try:
            reader, entries, end = scan_reader(fd), list[Entry](), start
            if not index.in_memory:
                with contextlib.suppress(PermissionError):
                    self._disk.sync_data(fd)
            for record in scan(reader, start, size):
                good = is_intact(reader, record)
                if good or self._unknown(index, record.id):
                    place = Place(name, record.offset, record.length, record.kind, not good)
                    entries.append(Entry(record.id, place))
                end = record.end
                if len(entries) >= _ENTRIES:
                    index.update(entries, sizes={name: end})
                    entries.clear()
            if entries or end > start:
                index.update(entries, sizes={name: end})
        finally:
            os.close(fd)

    @staticmethod
    def _unknown(index: Index, oid: ObjectId) -> bool:
        return index.get(oid) is None

    def heal(self) -> None:
        """Look at the header of every record and index those the index does not know."""
        listing = self.catch_up()
        if self._healed == listing:
            return
        self.ask(lambda index: self._heal(index, listing))
        self._healed = listing

    def _heal(self, index: Index, listing: dict[str, int]) -> None:
        for name, size in listing.items():
            try:
                fd = self.packs.open(name)
            except FileNotFoundError:
                continue
            try:
                reader, entries = hop_reader(fd), list[Entry]()
                for record in scan(reader, 0, size):
                    known = index.get(record.id)
                    if known is None or known.segment not in listing:
                        good = is_intact(reader, record)
                    elif known.damaged and (known.segment, known.offset) != (name, record.offset):
                        good = is_intact(reader, record)
                        if not good:
                            continue
                    else:
                        continue
                    place = Place(name, record.offset, record.length, record.kind, not good)
                    entries.append(Entry(record.id, place))
                if entries:
                    if not index.in_memory:
                        with contextlib.suppress(PermissionError):
                            self._disk.sync_data(fd)
                    index.update(entries)
            finally:
                os.close(fd)

    # -- objects

    def known(self, oid: ObjectId) -> Place | None:
        """Return the place the index has for an object that a writer need not write again; nothing is read."""
        place = self.ask(lambda index: index.get(oid))
        if place is None or place.damaged:
            return None
        end = place.offset + HEADER_BYTES + place.length
        if end > self.sizes.get(place.segment, 0) and end > self.catch_up().get(place.segment, 0):
            return None
        return place

    def locate(self, oid: ObjectId, *, thorough: bool) -> Place | None:
        """Return where a record that says it is this object lies; its bytes are not read.

        Args:
            oid: the object.
            thorough: whether to look at every segment before answering that there is none.
        """
        for last in (False, True):
            place = self.ask(lambda index: index.get(oid))
            if place is not None:
                claim = self.packs.claims(place.segment, place.offset, oid)
                if claim is not None:
                    return place._replace(length=claim.length, kind=claim.kind)
                self._drop(oid, place)
            if last or not (thorough or place is not None):
                return None
            self.heal()
        return None

    def find(self, oid: ObjectId, *, thorough: bool) -> tuple[Place, bytes] | None:
        """Return where an object lies, and its bytes; ``damaged`` in the place says that they do not have its id."""
        for last in (False, False, True):
            place = self.ask(lambda index: index.get(oid))
            if place is not None:
                data = self.packs.read(place.segment, place.offset, place.length, oid)
                if data is None:
                    self._drop(oid, place)
                elif object_id(KINDS[place.kind], data) == oid:
                    return place._replace(damaged=False), data
                else:
                    bad = place._replace(damaged=True)
                    if place.damaged or last:
                        return bad, data
                    self._set(Entry(oid, bad))
            if place is None and not thorough:
                return None
            self._healed = None if place is not None else self._healed
            self.heal()
        return None

    def _set(self, entry: Entry) -> None:
        self.ask(lambda index: index.update([entry]))

    def _drop(self, oid: ObjectId, place: Place) -> None:
        """Take out an entry that led nowhere, unless it has changed since."""
        self.catch_up()
        if self.ask(lambda index: index.get(oid)) == place:
            data = self.packs.claims(place.segment, place.offset, oid)
            if data is None or data.length != place.length:
                self.ask(lambda index: index.update(removed=[oid]))
                self._healed = None

    def ids(self, prefix: bytes = b"") -> list[ObjectId]:
        """Return in order the ids that begin with ``prefix`` and whose entries lead to a record."""

        def work(index: Index) -> list[ObjectId]:
            found = itertools.takewhile(lambda entry: entry.id.startswith(prefix), index.items(prefix))
            return [entry.id for entry in found if self.leads(entry)]

        return self.ask(work)

    def ids_outside(self, marked: Set[ObjectId]) -> list[ObjectId]:
        """Return in order the ids that are not in ``marked`` and whose entries lead to a record."""
        return self.ask(
            lambda index: [entry.id for entry in index.items() if entry.id not in marked and self.leads(entry)]
        )

    def leads(self, entry: Entry) -> bool:
        """Say whether an entry leads to a record that says it is that object; a damaged index has others too."""
        return self.packs.claims(entry.place.segment, entry.place.offset, entry.id) is not None

    def forget_segment(self, name: str) -> None:
        """Take out a segment that was moved away; who still reads from it can."""
        self.packs.drop(name)
        self.ask(lambda index: index.update(dropped=[name], bump=True))
        self._healed = None

    def gaps(self, name: str, size: int) -> list[Gap]:
        """Return what is no record in a segment."""
        found: list[Gap] = []
        fd = self.packs.open(name)
        try:
            for _ in scan(hop_reader(fd), 0, size, found):
                pass
        finally:
            os.close(fd)
        return found

    def rebuild(self) -> tuple[int, int]:
        """Make the index anew from the segments; return how many segments and objects it knows."""
        with contextlib.suppress(FileNotFoundError):
            discard(self._folder)
        self._index, self._healed = None, None
        index = self.index()
        return len(self.sizes), sum(1 for _ in index.items())
