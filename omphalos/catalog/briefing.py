"""The briefing: one HTML page that answers the first questions of an office, from the catalog and nothing else.

Rules of this file: every table of the page is a query of the catalog that anybody can run again by its name; the page
says of each figure what it means and at its end what nobody checked. It is one file without script, without anything
from outside and without a time, and the same run gives the same bytes. What came from a feed or list is escaped, and
characters that hide or turn text are written out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Final

from omphalos.catalog.charts import bars, columns, grouped, visible
from omphalos.catalog.execute import Answer, QueryLimits, ask, opened, run_tables
from omphalos.catalog.query import Query, load_catalog

PATH: Final = "reports/briefing.html"
MEDIA_TYPE: Final = "text/html; charset=utf-8"
SHOWN: Final = 20  # rows of a table on the page
MINOR_DIGITS: Final = 2  # digits behind the point that a currency has, where nothing else is said
_IDS: Final = {"party_name": "party_id", "entity_name": "entity_id", "importer_name": "importer_id"}  # name: its id
_CODES: Final = frozenset({"reasons", "against", "flags", "programs"})  # cells that list codes, with ; between

Rows = list[dict[str, Any]]
Chart = Callable[[str, str, Rows], str]


def _words(name: str) -> str:
    """Return the name of a column as words, with its unit."""
    units = {"_bp": " (of 10,000)", "_minor": "", "_grams": " (g)"}
    for ending, unit in units.items():
        if name.endswith(ending):
            return name.removesuffix(ending).replace("_", " ") + unit
    return name.replace("_", " ")


def _bars(label: str, value: str) -> Chart:
    return lambda name, title, rows: bars(name, title, [(str(row[label]), int(row[value])) for row in rows[:SHOWN]])


def _columns(label: str, whole: str, part: str) -> Chart:
    legend = (_words(whole), _words(part))
    return lambda name, title, rows: columns(
        name, title, [(str(row[label]), int(row[whole]), int(row[part])) for row in rows], legend
    )


def _workload(name: str, title: str, rows: Rows) -> str:
    return bars(name, title, [(f"{row['source']}, {row['band']}", int(row["items"])) for row in rows[:SHOWN]])


@dataclass(frozen=True)
class Section:
    """One question of the page: its query, the parameters that are not default, and a chart, if it has one."""

    query: str
    values: Mapping[str, str] = field(default_factory=dict)
    chart: Chart | None = None


SECTIONS: Final = (
    Section("review/next_items", {"top": "10"}),
    Section("briefing/most_exposed_entities", {"top": "10"}),
    Section("review/workload", chart=_workload),
    Section("briefing/lists_at_a_glance"),
    Section("briefing/monthly_overview", chart=_columns("ship_month", "shipments", "matched_shipments")),
    Section("briefing/flags_raised", chart=_bars("flag", "shipments")),
    Section("briefing/corridors_with_matches", {"top": "10"}),
    Section("briefing/destinations_of_high_priority_goods", {"top": "10"},
            _bars("destination_country", "high_priority_shipments")),
    Section("briefing/high_priority_importers", {"top": "10"}),
    Section("briefing/newcomers_with_high_priority_goods", {"top": "10"}),
)  # fmt: skip

_STYLE: Final = """
body{font:15px/1.5 sans-serif;color:#111;background:#fff;margin:0 auto;max-width:76rem;padding:1rem}
h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .3rem}
p{margin:.3rem 0}.note{color:#444;font-size:.9rem}code{background:#eee;padding:0 .2rem}
table{border-collapse:collapse;margin:.5rem 0;font-size:.85rem;width:100%}
caption{text-align:left;color:#444;font-size:.85rem;padding-bottom:.2rem}
th,td{border-bottom:1px solid #ccc;padding:.2rem .4rem;text-align:left;vertical-align:top;overflow-wrap:break-word}
th{background:#f2f2f2}td small{color:#555;display:block}.wide{overflow-x:auto}
.top{display:flex;flex-wrap:wrap;gap:0 2rem}.top table{width:auto;min-width:17rem}.top nav{flex:1 1 20rem}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.n{white-space:nowrap}
svg{display:block;max-width:100%;height:auto;font-size:12px}svg text{fill:#111}svg line{stroke:#666}
.a{fill:#8aa9c8}.b{fill:#a3322b}nav ul{padding-left:1.2rem;margin:.5rem 0;font-size:.9rem}
@media print{body{max-width:none;padding:0;font-size:9.5pt}table{font-size:7pt}nav{display:none}.wide{overflow:visible}
th,td{padding:.1rem .2rem}.wide td,.wide th{white-space:normal}thead{display:table-header-group}
section{break-inside:auto}tr,svg,h2{break-inside:avoid}h2{break-after:avoid}}
"""


def write_briefing(
    run: Path,
    facts: Sequence[tuple[str, int]],
    limits: Sequence[str],
    warnings: Sequence[str],
    spend: QueryLimits,
    *,
    digits: int = MINOR_DIGITS,
) -> None:
    """Write the briefing of a run below its folder, from its marts and review table.

    Args:
        run: the folder of a run that holds its Parquet tables.
        facts: the counts of the first table: what is counted, and how many.
        limits: what nobody checked, a sentence each.
        warnings: what the tests of the warehouse found, a sentence each.
        spend: threads, memory, rows and time of the queries.
        digits: how many digits of an amount in minor units stand behind the point.

    Raises:
        QueryFailed, QueryTimeout: a table is missing or cannot be read.
    """
    catalog = load_catalog()
    tables = run_tables(run)
    answers = []
    with opened({name: tables[name] for name in sorted(_needed(catalog)) if name in tables}, spend) as con:
        for section in SECTIONS:
            query = catalog[section.query]
            answers.append((section, query, ask(con, query, query.bind(section.values), spend)))
    (run / PATH).parent.mkdir(exist_ok=True)
    (run / PATH).write_text(page(facts, answers, limits, warnings, digits), "utf-8", newline="\n")


def _needed(catalog: Mapping[str, Query]) -> set[str]:
    return {table for section in SECTIONS for table in catalog[section.query].tables}


def page(
    facts: Sequence[tuple[str, int]],
    answers: Sequence[tuple[Section, Query, Answer]],
    limits: Sequence[str],
    warnings: Sequence[str],
    digits: int = MINOR_DIGITS,
) -> str:
    """Return the page."""
    anchors = [query.name.replace("/", "-") for _, query, _ in answers]
    links = [
        f'<li><a href="#{anchor}">{_text(query.question)}</a></li>'
        for anchor, (_, query, _) in zip(anchors, answers, strict=True)
    ]
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Screening briefing</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n",
        "<h1>Screening briefing</h1>\n",
        "<p>Every table below is a query of the analyst catalog over the tables of this run; its name stands beneath "
        "it, and <code>omphalos sql run NAME</code> gives it again. A match is a candidate for review and never an "
        "identification. Ids stand below names; amounts are in the currency of the job.</p>\n"
        '<div class="top">\n',
        _facts(facts),
        "<nav aria-label=\"Questions\">\n<ul>\n" + "\n".join(links) + "\n"
        '<li><a href="#limits">What was not checked</a></li>\n'
        "</ul>\n</nav>\n</div>\n",
    ]  # fmt: skip
    for anchor, (section, query, answer) in zip(anchors, answers, strict=True):
        parts.append(_section(anchor, section, query, answer, digits))
    said = [*limits, *warnings]
    parts.append(
        '<section aria-labelledby="limits">\n<h2 id="limits">What was not checked</h2>\n<ul>\n'
        + "\n".join(f"<li>{_text(line)}</li>" for line in said)
        + "\n</ul>\n</section>\n</main>\n</body>\n</html>\n"
    )
    return "".join(parts)


def _facts(facts: Sequence[tuple[str, int]]) -> str:
    rows = "\n".join(
        f'<tr><th scope="row">{_text(what)}</th><td class="n">{grouped(number)}</td></tr>' for what, number in facts
    )
    return (
        "<table>\n<caption>What came in, and what came of it</caption>\n<thead><tr><th scope=\"col\">Counted</th>"
        f'<th scope="col" class="n">Number</th></tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n'
    )  # fmt: skip


def _section(anchor: str, section: Section, query: Query, answer: Answer, digits: int) -> str:
    rows = answer.table.slice(0, 1000).to_pylist()
    chart = section.chart(f"chart-{anchor}", query.question, rows) if section.chart and rows else ""
    given = "".join(f" --param {name}={value}" for name, value in sorted(section.values.items()))
    more = answer.table.num_rows - SHOWN
    shown = f"; the first {SHOWN} of {grouped(answer.table.num_rows)}" if more > 0 else ""
    return (
        f'<section aria-labelledby="{anchor}">\n<h2 id="{anchor}">{_text(query.question)}</h2>\n{chart}'
        + (
            _table(query, rows[:SHOWN], f"{query.grain}{shown}", digits)
            if rows
            else "<p>Nothing: no row answers this.</p>\n"
        )
        + f'<p class="note">{_text(query.caveat[:1].upper() + query.caveat[1:])}. '
        f"<code>{_text(query.name + given)}</code></p>\n</section>\n"
    )


def _table(query: Query, rows: Rows, caption: str, digits: int) -> str:
    """Return the rows as a table; the id of a party or entity stands below its name and not in a column of its own."""
    below = {name: its for name, its in _IDS.items() if name in query.columns and its in query.columns}
    hidden = {*below.values(), *({"source"} if "entity_name" in below else ())}  # an entity's id begins with its source
    names = [name for name in query.columns if name not in hidden]
    kinds = {name: ' class="n"' if query.columns[name] == "int" else "" for name in names}
    head = "".join(f'<th scope="col"{kinds[name]}>{_text(_words(name))}</th>' for name in names)
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{kinds[name]}>{_cell(name, row, below.get(name), digits)}</td>" for name in names)
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table>\n<caption>{_text(caption[:1].upper() + caption[1:])}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>\n"
    )


def _cell(name: str, row: Mapping[str, Any], below: str | None, digits: int) -> str:
    value = row[name]
    small = f"<small>{_text(str(row[below]))}</small>" if below else ""
    if value is None or value == "":
        return f"–{small}"
    if isinstance(value, int):
        return amount(value, digits) if name.endswith("_minor") else grouped(value)
    if name in _CODES:  # a line may end between two codes, and nowhere else
        return "<bdi>" + ";<wbr>".join(_text(code) for code in str(value).split(";")) + "</bdi>"
    return f"<bdi>{_text(str(value))}</bdi>{small}"


def amount(minor: int, digits: int) -> str:
    """Return an amount in minor units as people write it: ``12,345.67`` for 1234567 and two digits."""
    whole, rest = divmod(abs(minor), 10**digits)
    return ("-" if minor < 0 else "") + grouped(whole) + (f".{rest:0{digits}d}" if digits else "")


def _text(text: str) -> str:
    return escape(visible(text))
