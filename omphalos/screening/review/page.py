"""A packet of evidence as one HTML page: no script, nothing from elsewhere, good on paper.

Rules of this file: every text of a packet goes through `shown`, which leaves no character that could act on a page, a
terminal or the direction of a line; the page is well-formed as XML too, so that a strict parser reads it; its only
style is its own, named by digest in the page's policy; the bytes follow from the packet alone.
"""

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_STYLE: Final = """
body { font: 11pt/1.45 Georgia, "Times New Roman", serif; color: #111; background: #fff; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3, caption, th { font-family: Helvetica, Arial, sans-serif; text-align: left; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; border-bottom: 1px solid #555; margin-top: 2rem; } h3 { font-size: 1rem; margin-top: 1.5rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; font-size: .85rem; }
caption { font-weight: bold; padding: .3rem 0; }
th, td { border: 1px solid #888; padding: .2rem .4rem; vertical-align: top; overflow-wrap: break-word; text-align: left; }
.wide { overflow-x: auto; } .long { overflow-wrap: anywhere; min-width: 8rem; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.say { border-left: .3rem solid #555; padding-left: .8rem; }
@media print { body { max-width: none; margin: 0; font-size: 9.5pt; } table { font-size: 7.5pt; } .wide { overflow: visible; } h2, h3, caption { break-after: avoid; } tr { break-inside: avoid; } thead { display: table-header-group; } @page { margin: 18mm 15mm; } }
"""  # noqa: E501  # one rule a line reads better than a rule in pieces
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'"
_LONG: Final = 24  # characters of a cell from which on it may be broken anywhere, such as a digest
_SAY: Final = "A match is a candidate for review, never an identification. Scores are in basis points."


def shown(value: Any) -> str:
    """Return a value as text for a page: control, format and direction characters written out, markup escaped."""
    text = "" if value is None else str(value)
    if not (text.isascii() and text.isprintable()):
        text = "".join(c if c.isprintable() else _written_out(ord(c)) for c in text)
    return html.escape(text, quote=True)


def _written_out(point: int) -> str:
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def packet_page(packet: Mapping[str, Any]) -> bytes:
    """Return the page of one packet (`omphalos.screening.review.evidence`)."""
    entity, exposure, claims = packet["entity"], packet["exposure"], packet["claims"]
    parts = [
        f"<h1>Evidence: {_name(entity['name'])}</h1>",
        f'<p class="say">{_SAY}</p>',
        *_in_short(claims, exposure),
        "<h2>The listed entity</h2>",
        _facts("What the list says", ((_label(key), entity[key]) for key in _ENTITY)),
        _table("Names", ("number", "kind", "name"), entity["names"], ("name_no", "name_kind", "name")),
        _table(
            "Addresses", ("number", "address", "city", "country"), entity["addresses"],
            ("address_no", "address", "city", "country"),
        ),
        _table(
            "Identifiers", ("number", "kind", "value", "country"), entity["identifiers"],
            ("identifier_no", "identifier_kind", "value", "country"),
        ),
        _table(
            "Files of the list, as recorded with this run", ("file", "SHA-256"),
            {"total": len(packet["list_files"]), "listed": packet["list_files"]}, ("file", "sha256"),
        ),
        "<h2>Exposure</h2>",
        "<p>Open is what no earlier decision dismissed. Values are in minor units of the currency.</p>",
        _facts("What of the feed touches it", ((_label(key), value) for key, value in exposure.items())),
        "<h2>Claims, and the rows behind them</h2>",
        _how_many(claims, "parties"),
    ]  # fmt: skip
    for number, claim in enumerate(claims["listed"], start=1):
        parts += _claim(number, claim)
    parts += [
        "<h2>Not checked</h2>",
        "<ul>",
        *(f"<li><strong>{shown(one['word'])}</strong>: {shown(one['meaning'])}</li>" for one in packet["not_checked"]),
        "</ul>",
        "<h2>Limits of this page</h2>",
        "<p>At most "
        + ", ".join(f"{number} {shown(what)}" for what, number in sorted(packet["caps"].items()))
        + " are shown of each; where there are more, the number of all is said. "
        "A cut text ends in an ellipsis. The tables of the run hold everything.</p>",
    ]
    return _page(f"Evidence: {entity['entity_id']}", parts)


def _in_short(claims: Mapping[str, Any], exposure: Mapping[str, Any]) -> list[str]:
    """Return what a reader wants to know first: who may be the entity, how surely, and how much hangs on it."""
    rows = []
    for claim in claims["listed"]:
        codes = (" ".join(one["code"] for one in claim[side]) or "nothing" for side in ("reasons", "against"))
        cells = (claim["band"], claim["score_bp"], claim["state"], claim["rows"]["total"], *codes)
        rows.append(
            f'<tr><th scope="row">{_name(claim["party_name"])}</th>' + "".join(_cell(cell) for cell in cells) + "</tr>"
        )
    shipments, open_ = (_cell_text(exposure[key]) for key in ("shipments", "open_shipments"))
    worth = "" if exposure["value_minor"] is None else (
        f", worth {_cell_text(exposure['value_minor'])} minor units of {_name(exposure['currency'])}"
    )  # fmt: skip
    return [
        "<h2>In short</h2>",
        f"<p>{shown(claims['total'])} of the feed's parties may be this entity; "
        f"{shipments} shipments stand behind them{worth}. {open_} are open.</p>",
        _framed("Who, and how surely", ("party", "band", "score", "state", "shipments", "why", "against"), rows),
    ]


def index_page(packets: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
    """Return the page that leads to every packet, in their order; each comes with the name of its file."""
    rows = []
    for name, packet in packets:
        entity, exposure = packet["entity"], packet["exposure"]
        link = f'<a href="{shown(name)}.html">{_name(entity["name"])}</a>'
        cells = (entity["entity_id"], exposure["best_band"], exposure["open_parties"], exposure["open_shipments"])
        rows.append(
            f'<tr><th scope="row">{link}</th>' + "".join(_cell(cell) for cell in (*cells, exposure["open_value_minor"]))
            + "</tr>"
        )  # fmt: skip
    heads = ("entity", "id", "best band", "open parties", "open shipments", "open value (minor units)")
    parts = [
        "<h1>Packets of evidence</h1>",
        f'<p class="say">{_SAY}</p>',
        _framed("Entities, the most exposed first", heads, rows),
    ]
    return _page("Packets of evidence", parts)


_ENTITY: Final = (
    "entity_id", "source", "native_id", "entity_type", "countries", "programs", "listed_on", "citation", "remarks",
    "record_hash",
)  # fmt: skip
_SHIPMENT: Final = (
    "shipment_id", "roles", "ship_date", "hs_code", "description", "origin_country", "destination_country",
    "value_minor", "currency", "flags",
)  # fmt: skip
_FACT: Final = ("fact", "kind", "party_value", "listed_value", "strength_bp", "detail")
_RIVAL: Final = ("match_rank", "score_bp", "band", "entity_id", "name", "matched_name", "against")


def _claim(number: int, claim: Mapping[str, Any]) -> list[str]:
    decision = [(_label(key), claim[key]) for key in _DECISION if claim[key] is not None]
    against = [f"<li>{shown(one['code'])}: {shown(one['meaning'])}</li>" for one in claim["against"]]
    if claim["match_rank"] > 1:
        against.append("<li>The party met another listed entity better; see the rivals.</li>")
    if claim["state"] == "suppressed":
        against.append("<li>An earlier decision dismissed this pair, and it still counts.</li>")
    return [
        f"<h3>{number}. {_name(claim['party_name'])} may be this entity: {shown(claim['band'])}, "
        f"{shown(claim['score_bp'])}</h3>",
        _facts("The party", [*((_label(key), claim[key]) for key in _PARTY), *decision]),
        "<p>Why it matched, and what is known beside:</p>",
        _bullets(f"<li>{shown(one['code'])}: {shown(one['meaning'])}</li>" for one in claim["reasons"]),
        "<p>What speaks against it:</p>",
        _bullets(against),
        _table(
            "Features of the score", ("feature", "value", "weight"),
            {"total": len(claim["features"]), "listed": claim["features"]}, ("feature", "value_bp", "weight"),
        ),
        _table(
            "From the base to the score", ("step", "basis points"),
            {"total": len(claim["steps"]), "listed": claim["steps"]}, ("step", "bp"),
        ),
        _table("Facts beyond names", tuple(_label(key) for key in _FACT), claim["facts"], _FACT),
        _table("Shipments behind the claim", tuple(_label(key) for key in _SHIPMENT), claim["rows"], _SHIPMENT),
        _table("Rivals: other entities the party may be", tuple(_label(k) for k in _RIVAL), claim["rivals"], _RIVAL),
    ]  # fmt: skip


_PARTY: Final = (
    "party_id",
    "party_country",
    "roles",
    "matched_name",
    "name_kind",
    "country_relation",
    "state",
    "flags",
)
_DECISION: Final = ("state_reason", "verdict", "decided", "expires", "reviewer", "decision_reason")


def _label(key: str) -> str:
    return key.replace("_bp", "").replace("_", " ")


def _name(text: Any) -> str:
    """Return a name from outside; what is written from right to left stays within its own place."""
    return f"<bdi>{shown(text)}</bdi>"


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f'<td class="n">{_cell_text(value)}</td>'
    text = "-" if value is None or value == "" else _name(value)
    return f'<td class="long">{text}</td>' if len(str(value)) > _LONG else f"<td>{text}</td>"


def _cell_text(value: int | str | None) -> str:
    """Return a number with its digits in groups of three; one beyond strict JSON comes as text, and stays so."""
    return f"{value:,}" if isinstance(value, int) else "-" if value is None else shown(value)


def _bullets(items: Iterable[str]) -> str:
    listed = list(items)
    return "<ul>" + "".join(listed) + "</ul>" if listed else "<p>Nothing in the tables of this run.</p>"


def _facts(caption: str, facts: Iterable[tuple[str, Any]]) -> str:
    rows = [f'<tr><th scope="row">{shown(key)}</th>{_cell(value)}</tr>' for key, value in facts]
    return f'<div class="wide"><table><caption>{shown(caption)}</caption><tbody>{"".join(rows)}</tbody></table></div>'


def _how_many(listed: Mapping[str, Any], what: str) -> str:
    count = len(listed["listed"])
    more = f"; the first {count} are shown" if count < listed["total"] else ""
    return f"<p>{shown(listed['total'])} {shown(what)}{more}.</p>"


def _table(caption: str, heads: Sequence[str], listed: Mapping[str, Any], keys: Sequence[str]) -> str:
    count = len(listed["listed"])
    if not count:
        return f"<p>{shown(caption)}: none.</p>"
    said = caption if count == listed["total"] else f"{caption} ({count} of {listed['total']})"
    rows = [
        f'<tr><th scope="row">{_name(row[keys[0]])}</th>' + "".join(_cell(row[key]) for key in keys[1:]) + "</tr>"
        for row in listed["listed"]
    ]
    return _framed(said, heads, rows)


def _framed(caption: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{shown(text)}</th>' for text in heads)
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="wide"><table><caption>{shown(caption)}</caption>{body}</table></div>'


def _page(title: str, parts: Sequence[str]) -> bytes:
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8" />\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(_POLICY, quote=True)}" />\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1" />\n'
        f"<title>{shown(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
    )
    return (head + "\n".join(parts) + "\n</main>\n</body>\n</html>\n").encode()
