"""Reader of the OFAC flat files (``ofac-sdn-csv``): the SDN list and the consolidated non-SDN list.

Source: OFAC, "Specially Designated Nationals List: Data Formats & Data Schemas" (``dat_spec.txt``). Three files
without a header, joined by ``ent_num``: entities, aliases, addresses; a fourth continues remarks past 1,000 characters.
Null is ``-0-``; a lone control-Z may end a file. A re-published variant puts a header line before the entities.

Rules of this file: a name stays as filed ("SURNAME, Given"), nothing is rearranged; an alias or address whose
``ent_num`` is not on the list is a reject (``orphanRecord``), which is how files of different dates show themselves; a
remark that was cut off and not continued gives no identifier from its last, incomplete item.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from omphalos.screening.registries.base import CountryCode, RegistryRecords
from omphalos.screening.registries.builder import Builder, Draft, Origin, RawAddress, RawIdentifier, RawName
from omphalos.screening.registries.relations import RawRelation
from omphalos.screening.registries.remarks import read_remarks
from omphalos.screening.registries.sources import (
    ENCODINGS_LEGACY,
    RegistryDamagedError,
    RegistryFileError,
    csv_rows,
    decode,
    list_folder,
    read_bytes,
)

_NULL: Final = "-0-"
_END: Final = "\x1a"
_REMARKS_WIDTH: Final = 1_000
_WIDTHS: Final = {"sdn": 12, "alt": 5, "add": 6, "comments": 2}
_ENT_NUM = re.compile(r"[0-9]{1,12}")
_DATED = r"(?:[_-][0-9][0-9_-]*)?\.csv"
_FAMILIES: Final[Mapping[str, Mapping[str, re.Pattern[str]]]] = {
    "sdn": {
        "sdn": re.compile("sdn" + _DATED, re.IGNORECASE),
        "alt": re.compile("alt" + _DATED, re.IGNORECASE),
        "add": re.compile("add" + _DATED, re.IGNORECASE),
        "comments": re.compile("sdn_comments" + _DATED, re.IGNORECASE),
    },
    "cons": {
        "sdn": re.compile("cons_prim" + _DATED, re.IGNORECASE),
        "alt": re.compile("cons_alt" + _DATED, re.IGNORECASE),
        "add": re.compile("cons_add" + _DATED, re.IGNORECASE),
        "comments": re.compile("cons_comments" + _DATED, re.IGNORECASE),
    },
}
_PUBLISHED: Final = {
    "sdn": ("sdn.csv", "alt.csv", "add.csv"),
    "cons": ("cons_prim.csv", "cons_alt.csv", "cons_add.csv"),
}
_TYPES: Final = {"individual": "person", "vessel": "vessel", "aircraft": "aircraft", "": "organization"}
_OPTIONAL: Final = "comments"

Rows = list[tuple[int, list[str]]]


class OfacReader:
    """Reads ``sdn``, ``alt``, ``add`` and, where it is there, ``comments``."""

    format = "ofac-sdn-csv"

    def parts(self, path: Path) -> dict[str, Path]:
        """Return the files of the list at ``path``: a folder, or the entity file whose siblings hold the rest.

        Raises:
            RegistryFileError: when a file is missing, or the folder holds more than one that could be meant.
        """
        try:
            is_file, is_folder = path.is_file(), path.is_dir()
        except (OSError, ValueError):
            is_file = is_folder = False
        if not is_file and not is_folder:
            raise RegistryFileError(f"there is no {path.name}", hint="give the folder that holds sdn.csv")
        folder = path.parent if is_file else path
        found = list_folder(folder, ".csv")
        families = [
            family
            for family, patterns in _FAMILIES.items()
            if any(patterns["sdn"].fullmatch(one.name) for one in ([path] if is_file else found))
        ]
        if len(families) != 1:
            what = "no entity file (sdn.csv or cons_prim.csv)" if not families else "both sdn.csv and cons_prim.csv"
            raise RegistryFileError(
                f"{path.name} holds {what}" if is_folder else f"{path.name} is not an OFAC entity file",
                hint="give the folder that holds sdn.csv, alt.csv and add.csv, or the entity file itself",
            )
        parts: dict[str, Path] = {}
        for part, pattern in _FAMILIES[families[0]].items():
            candidates = [path] if is_file and part == "sdn" else [one for one in found if pattern.fullmatch(one.name)]
            if len(candidates) > 1:
                names = ", ".join(one.name for one in candidates[:10])
                raise RegistryFileError(
                    f"{folder.name} holds {len(candidates)} files for one part: {names}",
                    hint="keep one vintage of the list in a folder",
                )
            if candidates:
                parts[part] = candidates[0]
            elif part != _OPTIONAL:
                wanted = ", ".join(_PUBLISHED[families[0]])
                raise RegistryFileError(
                    f"{folder.name} holds no file for the part {part!r}",
                    hint=f"the published list is three files: {wanted}; fetch all of one date",
                )
        return parts

    def read(self, source: str, parts: dict[str, Path], country_code: CountryCode) -> RegistryRecords:
        """Read the list; see ``RegistryReader.read``."""
        for part in ("sdn", "alt", "add"):
            if part not in parts:
                raise RegistryFileError(f"the part {part!r} is missing", hint="give sdn.csv, alt.csv and add.csv")
        builder = Builder(source, country_code)
        names = {part: path.name for part, path in parts.items()}
        sdn = _read_part(builder, "sdn", parts["sdn"])
        by_id: dict[str, tuple[int, list[str]]] = {}
        for row, cells in sdn:
            ent_num = cells[0].strip()
            if ent_num not in by_id:
                by_id[ent_num] = (row, cells)
            else:
                if by_id[ent_num][1] != cells:
                    builder.clash(ent_num)
                builder.reject(Origin(names["sdn"], row), "duplicateRecord", ",".join(cells))
        joined = {
            part: _join(builder, names[part], _read_part(builder, part, parts[part]), by_id)
            for part in ("alt", "add", "comments")
            if part in parts
        }
        for ent_num, (row, cells) in by_id.items():
            related = {part: rows.get(ent_num, []) for part, rows in joined.items()}
            builder.add(_draft(names, ent_num, row, cells, related))
        return builder.finish()


def _value(cell: str) -> str | None:
    text = cell.strip()
    return None if text in {"", _NULL} else text


def _is_end(cells: Sequence[str]) -> bool:
    return cells[0].strip(" ") == _END and not any(cell.strip() for cell in cells[1:])


def _is_header(cells: Sequence[str]) -> bool:
    return not _ENT_NUM.fullmatch(cells[0].strip()) and not any(
        cell.strip() == _NULL or _ENT_NUM.fullmatch(cell.strip()) or _END in cell for cell in cells
    )


def _read_part(builder: Builder, part: str, path: Path) -> Rows:
    """Return the well-formed rows of one file with their record numbers; the rest become rejects."""
    text, _ = decode(read_bytes(path), path.name, ENCODINGS_LEGACY)
    rows = list(csv_rows(text, path.name))
    if rows and _is_end(rows[-1]):
        rows.pop()
    if rows and len(rows[0]) == _WIDTHS[part] and _is_header(rows[0]):
        header = rows.pop(0)
        if part == "sdn" and "name" not in header[1].lower():
            raise RegistryDamagedError(
                f"{path.name}: the header does not name the second column as the name: {header[1][:80]!r}",
                hint="the entity file has its columns in the published order: ent_num, name, type, program, ...",
            )
    builder.saw(path.name, len(rows))
    kept: Rows = []
    for row, cells in enumerate(rows, start=1):
        if len(cells) != _WIDTHS[part]:
            builder.reject(Origin(path.name, row), "wrongWidth", ",".join(cells))
        elif not _ENT_NUM.fullmatch(cells[0].strip()):
            builder.reject(Origin(path.name, row), "idInvalid", ",".join(cells))
        else:
            kept.append((row, cells))
    return kept


def _join(builder: Builder, file: str, rows: Rows, by_id: Mapping[str, object]) -> dict[str, Rows]:
    """Group the rows of a joined file by ent_num; orphans and exact repeats become rejects."""
    grouped: dict[str, Rows] = {}
    seen: set[tuple[str, ...]] = set()
    for row, cells in rows:
        ent_num = cells[0].strip()
        key = tuple(cells)
        if ent_num not in by_id:
            builder.reject(Origin(file, row), "orphanRecord", ",".join(cells))
        elif key in seen:
            builder.reject(Origin(file, row), "duplicateRecord", ",".join(cells))
        else:
            seen.add(key)
            grouped.setdefault(ent_num, []).append((row, cells))
    return grouped


def _draft(files: Mapping[str, str], ent_num: str, row: int, cells: list[str], related: Mapping[str, Rows]) -> Draft:
    origin = Origin(files["sdn"], row)
    at_remarks = Origin(files["sdn"], row, "remarks")
    kind = (_value(cells[2]) or "").lower()
    comments = related.get("comments", [])
    # The continuation goes on in the middle of a word: it is joined before anything is trimmed.
    filed = "" if _value(cells[11]) is None else cells[11]
    cut = len(filed) >= _REMARKS_WIDTH and not comments
    filed += "".join(more[1] for _, more in comments)
    remarks = read_remarks(filed, cut=cut)
    identifiers = [RawIdentifier(one.kind, one.value, one.country, at_remarks) for one in remarks.identifiers]
    call_sign = _value(cells[5])
    if call_sign is not None:
        identifiers.insert(0, RawIdentifier("call-sign", call_sign, None, Origin(files["sdn"], row, "call_sign")))
    labelled = (
        ("Title", cells[4]),
        ("Vessel type", cells[6]),
        ("Tonnage", cells[7]),
        ("Gross registered tonnage", cells[8]),
        ("Flag", cells[9]),
        ("Owner", cells[10]),
    )
    shown = [f"{label}: {_value(cell)}" for label, cell in labelled if _value(cell) is not None]
    if filed.strip():
        shown.append(filed.strip())
    names = [RawName("alias", _value(alias[3]) or "", Origin(files["alt"], at)) for at, alias in related.get("alt", [])]
    names += [RawName("weak", weak, at_remarks) for weak in remarks.weak_aliases]
    addresses = [
        RawAddress(_value(one[2]), _value(one[3]), _value(one[4]), Origin(files["add"], at))
        for at, one in related.get("add", [])
    ]
    content: dict[str, Any] = {"entity": cells} | {
        part: sorted(more for _, more in rows) for part, rows in related.items() if part != "comments" and rows
    }
    if comments:
        content["comments"] = [more for _, more in comments]
    return Draft(
        origin=origin,
        native_id=ent_num,
        entity_type=_TYPES.get(kind, "unknown"),
        name=_value(cells[1]),
        content=content,
        countries=[_value(cells[9]), *remarks.countries],
        # Where an organization sits says more than where it is registered; for a person it is the other way round.
        address_country_first=kind == "",
        programs=[one.strip() for one in (_value(cells[3]) or "").split("] [")],
        remarks="; ".join(shown) or None,
        names=names,
        addresses=addresses,
        identifiers=identifiers,
        relations=[RawRelation("linked-to", other) for other in remarks.linked_to],
        dependents=[Origin(files["comments"], at) for at, _ in comments],
    )
