"""The screening pipeline: from the inputs of a run to every payload file of it.

Rules of this file: it reads only the files of the run's ``inputs/`` folder and writes only payload files beside
them, so that a recorded run can be computed again from what it holds. The stages leave tables on one DuckDB
connection, in a fixed order, and nothing leaves it but through the writers of ``tables``; the marts are built last,
from those files. Every record of the feed ends either in ``trade_feed`` or in quarantine, and the sum is checked. No
clock, environment or path of the machine is read.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

from omphalos.catalog import briefing
from omphalos.catalog.briefing import write_briefing
from omphalos.catalog.execute import QueryLimits, ask, opened, run_tables
from omphalos.catalog.files import write_answer
from omphalos.catalog.query import Asked, load_catalog
from omphalos.format import strictjson
from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.screening import reports
from omphalos.screening.exposure import build_entity_facts, build_entity_matches, build_entity_scores
from omphalos.screening.feeds import decode_feed, load_raw
from omphalos.screening.flags import build_shipment_flags, flags_report
from omphalos.screening.job import FeedSpec, RegistrySpec, ReviewSpec
from omphalos.screening.match import match_parties
from omphalos.screening.match.beyond import FACT_TABLES, match_beyond_names
from omphalos.screening.match.hygiene import build_hygiene, hygiene_report
from omphalos.screening.match.ownership import resolve_relations
from omphalos.screening.match.params import MatchParams
from omphalos.screening.normalize.countries import country_code
from omphalos.screening.normalize.parties import build_parties, build_registry_forms
from omphalos.screening.normalize.shipments import normalize_shipments
from omphalos.screening.registries import RegistryRecords, reader_for
from omphalos.screening.review import add_open_exposure, build_party_flags, build_review
from omphalos.screening.review.decisions import apply_decisions, decisions_report, load_decisions
from omphalos.screening.review.evidence import write_evidence
from omphalos.screening.review.table import QUEUE_SQL
from omphalos.tables.check import duplicates, is_in_key_order, quote, violations
from omphalos.tables.contract import Contract, load_contract
from omphalos.tables.sqlite_file import SqliteFile
from omphalos.tables.write import TableFile, write_csv, write_parquet
from omphalos.warehouse.marts import Limits, write_marts

STAGES: Final = ("ingest", "normalize", "match", "score", "review", "package", "warehouse", "briefing")
REGISTRY_TABLES: Final = (
    "registry",
    "registry_names",
    "registry_addresses",
    "registry_identifiers",
    "registry_relations",
)
# The four base tables, then what the analyst catalog reads beside them.
WAREHOUSE_TABLES: Final = (
    "trade_feed",
    "registry",
    "entity_matches",
    "entity_scores",
    "parties",
    "shipment_parties",
    "registry_names",
    "review",
)
DEFAULT_CURRENCY: Final = "XXX"  # ISO 4217: no currency is involved
QUERY_SECONDS: Final = 3600  # of each query of a run: whether a run ends well must not depend on a busy hour

PARQUET: Final = "application/vnd.apache.parquet"
CSV: Final = "text/csv; charset=utf-8"
SQLITE: Final = "application/vnd.sqlite3"
JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"

# (table, role, folder): the tables of a run that are written as Parquet.
_PARQUET_FILES: Final = (
    ("trade_feed", "normalized", "normalized"),
    ("parties", "normalized", "normalized"),
    ("shipment_parties", "normalized", "normalized"),
    ("party_identifiers", "normalized", "normalized"),
    ("party_addresses", "normalized", "normalized"),
    ("registry", "normalized", "registry"),
    ("registry_names", "normalized", "registry"),
    ("registry_addresses", "normalized", "registry"),
    ("registry_identifiers", "normalized", "registry"),
    ("registry_relations", "normalized", "registry"),
    ("registry_hygiene", "normalized", "registry"),
    ("registry_links", "normalized", "registry"),
    ("match_facts", "matches", "matches"),
    ("entity_links", "matches", "matches"),
    ("party_matches", "matches", "matches"),
    ("entity_matches", "matches", "matches"),
    ("entity_scores", "scores", "scores"),
    ("entity_facts", "scores", "scores"),
    ("shipment_flags", "flags", "flags"),
    ("review", "review", "review"),
)
_CSV_FILES: Final = (
    ("quarantine_feed", "quarantine", "quarantine"),
    ("quarantine_registry", "quarantine", "quarantine"),
    ("review_queue", "export", "exports"),
    ("entity_matches", "export", "exports"),
    ("entity_scores", "export", "exports"),
)


class TooManyRejects(OmphalosError):
    """More of the feed was quarantined than the job allows."""

    kind = ErrorKind.NEGATIVE
    id = "tooManyRejects"


class AccountingError(OmphalosError):
    """Rows in are not rows out plus quarantined: a defect that must never pass silently."""

    kind = ErrorKind.NEGATIVE
    id = "recordsUnaccounted"


class ContractBroken(OmphalosError):
    """A table made by a stage breaks its own contract."""

    kind = ErrorKind.NEGATIVE
    id = "contractBroken"


@dataclass(frozen=True)
class Resources:
    """What the machine may spend; nothing here may change a byte of the result.

    ``memory_limit`` is DuckDB's text form, such as ``2GiB``.
    """

    threads: int = 2
    memory_limit: str = "2GiB"


@dataclass(frozen=True)
class Inputs:
    """The inputs of a run as they lie in its folder: specs with paths inside the run, and the parts of registries.

    ``queries`` are those of the catalog that the run answers.
    """

    feed: FeedSpec
    registries: tuple[tuple[RegistrySpec, Mapping[str, Path]], ...]
    truth: Path | None = None
    review: ReviewSpec = field(default_factory=ReviewSpec)
    queries: tuple[Asked, ...] = ()


@dataclass(frozen=True)
class PayloadFile:
    """One file a stage wrote: where, what for, and what table it holds, if any."""

    path: str
    role: str
    media_type: str
    table: TableFile | None = None


@dataclass
class Screening:
    """What the pipeline did: the payload files and the records of each input."""

    files: list[PayloadFile] = field(default_factory=list)
    records: dict[str, int] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)


Progress = Callable[[str], None]


def screen(
    inputs: Inputs, match: MatchParams, run: Path, work: Path, resources: Resources, progress: Progress = lambda _: None
) -> Screening:
    """Screen a feed against registries and write every payload file below ``run``.

    Args:
        inputs: the feed and the registries, with paths inside the run.
        match: thresholds and limits of the match stage.
        run: the run's folder; ``inputs/`` and ``config/`` are there already.
        work: an empty scratch folder, for decoded feeds and spilled tables.
        resources: threads and memory; they never change the result.
        progress: called with a stage's name when it begins.

    Raises:
        TooManyRejects: a larger share of the feed was quarantined than the job allows.
        OmphalosError: an input cannot be read; nothing of the run is to be recorded.
    """
    spill = work / "spill"
    spill.mkdir()
    config = {"threads": resources.threads, "memory_limit": resources.memory_limit, "temp_directory": str(spill)}
    with duckdb.connect(str(work / "screening.duckdb"), config=config) as con:
        con.execute("set TimeZone = 'UTC'; set preserve_insertion_order = true")
        con.execute("set autoinstall_known_extensions = false")
        done = Screening()
        counts: dict[str, Any] = {"feed": {}, "registries": []}
        progress("ingest")
        if inputs.review.decisions is not None:
            done.records["decisions"] = load_decisions(con, inputs.review.decisions)
        else:
            load_decisions(con, None)
        records = _ingest(con, inputs, work, counts, done)
        progress("normalize")
        _normalize(con, inputs, records, counts)
        progress("match")
        report = match_parties(con, match, resources.threads)
        facts = match_beyond_names(con, _mapped(inputs.feed), match)
        build_hygiene(con)
        for table in (*FACT_TABLES, "registry_hygiene", "registry_links"):
            _hold_to_contract(con, table)
        progress("score")
        currency = inputs.feed.currency or DEFAULT_CURRENCY
        build_entity_matches(con)
        build_entity_scores(con, currency)
        build_shipment_flags(con)
        _hold_to_contract(con, "shipment_flags")
        build_entity_facts(con)
        progress("review")
        decided = apply_decisions(con, inputs.review)
        build_party_flags(con)
        build_review(con, currency)
        add_open_exposure(con, currency)
        con.execute(f"create view review_queue as select * from review where {QUEUE_SQL}")
        progress("package")
        _package(con, run, done)
        truth = _truth(con, inputs.truth, done) if inputs.truth else None
        _report(run, done, "matching", reports.matching(con, report, match, truth))
        _report(run, done, "facts", facts)
        _report(run, done, "red_flags", flags_report(con))
        _report(run, done, "hygiene", hygiene_report(con))
        _report(run, done, "scoring", reports.scoring(con, currency))
        _report(run, done, "decisions", decisions_report(con, decided))
        _evidence(con, run, inputs, match, done)
        done.summary |= reports.headline(con, counts)
    progress("warehouse")
    tables, warnings = _warehouse(run, work, resources, done)
    _report(run, done, "validation", {**counts, "warehouse": tables})
    progress("briefing")
    _briefing(run, inputs, resources, done, warnings)
    return done


def _ingest(con: Any, inputs: Inputs, work: Path, counts: dict[str, Any], done: Screening) -> int:
    """Load the feed as text and the registries as tables; return the number of feed records."""
    decoded = decode_feed(inputs.feed.path, inputs.feed, work)
    loaded = load_raw(con, decoded, inputs.feed)
    counts["feed"] = {"records": loaded.records, "malformed": loaded.malformed}
    done.records["feed"] = loaded.records
    tables: list[RegistryRecords] = []
    for spec, parts in inputs.registries:
        records = reader_for(spec.format).read(spec.source, dict(parts), country_code)
        tables.append(records)
        counts["registries"].append(reports.registry_counts(records))
        for part, path in parts.items():
            done.records[f"{spec.source}/{part}"] = records.counts.files[path.name].records
    arrow = [records.to_arrow() for records in tables]
    for name in (*REGISTRY_TABLES, "registry_rejects"):
        reports.create_from_arrow(con, name, [parts[name] for parts in arrow])
    return int(loaded.records)


def _normalize(con: Any, inputs: Inputs, records: int, counts: dict[str, Any]) -> None:
    """Turn raw text into checked tables, and put what breaks the contract into quarantine."""
    normalized = normalize_shipments(con, inputs.feed)
    contract = load_contract("trade_feed")
    con.execute(
        "create table rejects as select source_row, coalesce(field, '') as field, reason, value from raw_rejects "
        "union all select source_row, coalesce(field, ''), reason, value from feed_rejects"
    )
    violations(con, "feed_candidates", contract, row="source_row", into="rejects")
    con.execute(
        "create temp view survivors as select * from feed_candidates c "
        "where not exists (select 1 from rejects r where r.source_row = c.source_row)"
    )
    duplicates(con, "survivors", contract, row="source_row", into="rejects")
    names = ", ".join(contract.names)
    con.execute(f"create table trade_feed as select {names} from survivors order by {contract.order}")
    con.execute("drop view survivors")
    con.execute("drop table feed_candidates")
    con.execute(
        "create table quarantine_feed as select source_row, field, reason, min(value) as value from rejects "
        "group by source_row, field, reason order by source_row, field, reason"
    )
    accepted = _count(con, "select count(*) from trade_feed")
    quarantined = _count(con, "select count(distinct source_row) from quarantine_feed")
    reasons = con.execute(
        "select field, reason, count(*) from quarantine_feed group by field, reason order by 3 desc, 1, 2"
    ).fetchall()
    counts["feed"] |= {
        "accepted": accepted,
        "quarantined": quarantined,
        "reasons": [{"field": f, "reason": r, "records": n} for f, r, n in reasons],
        "normalization": reports.as_plain(normalized),
    }
    if accepted + quarantined != records:
        raise AccountingError(f"{records} records came in, {accepted} were accepted and {quarantined} quarantined")
    _check_share(quarantined, records, inputs.feed.max_rejected_share_bp, reasons)
    build_parties(con)
    build_registry_forms(con)
    con.execute("drop table registry_names")
    con.execute(f"create table registry_names as {load_contract('registry_names').select('registry_forms')}")
    con.execute(
        "create table quarantine_registry as select source, file, row, coalesce(field, '') as field, reason, "
        "coalesce(value, '') as value from registry_rejects "
        "group by all order by source, file, row, field, reason, value"
    )
    resolve_relations(con)
    for table in (*REGISTRY_TABLES, "parties", "shipment_parties"):
        _hold_to_contract(con, table)


def _check_share(quarantined: int, records: int, allowed_bp: int, reasons: list[tuple[str, str, int]]) -> None:
    if quarantined * 10_000 <= allowed_bp * records:
        return
    top = "; ".join(f"{reason} in {name or 'the whole record'}: {number}" for name, reason, number in reasons[:5])
    raise TooManyRejects(
        f"{quarantined} of {records} feed records break the contract, more than the {allowed_bp} in 10,000 "
        f"the job allows\n{top}",
        hint="check the column mapping and the formats in the job file, or raise feed.max_rejected_share_bp",
        undone="no run was recorded",
    )


def _hold_to_contract(con: Any, table: str) -> None:
    """Refuse a table that breaks its contract: a reader or a stage has a defect."""
    contract = load_contract(table)
    con.execute("create or replace temp table broken(source_row bigint, field varchar, reason varchar, value varchar)")
    numbered = f"(select *, row_number() over () as numbered_row from {table})"
    violations(con, numbered, contract, row="numbered_row", into="broken")
    if not is_in_key_order(con, table, contract):
        duplicates(con, numbered, contract, row="numbered_row", into="broken")
    first = con.execute("select field, reason, value from broken order by all limit 1").fetchone()
    if first is not None:
        raise ContractBroken(
            f"table {table} breaks its contract: {first[1]} in {first[0]}: {first[2]!r}", undone="no run was recorded"
        )


def _package(con: Any, run: Path, done: Screening) -> None:
    """Write the tables as files of the run."""
    for name, role, folder in _PARQUET_FILES:
        path = f"{folder}/{name}.parquet"
        (run / folder).mkdir(exist_ok=True)
        done.files.append(PayloadFile(path, role, PARQUET, write_parquet(con, name, load_contract(name), run / path)))
    for name, role, folder in _CSV_FILES:
        path = f"{folder}/{name}.csv"
        (run / folder).mkdir(exist_ok=True)
        done.files.append(PayloadFile(path, role, CSV, write_csv(con, name, load_contract(name), run / path)))


def _warehouse(run: Path, work: Path, resources: Resources, done: Screening) -> tuple[list[dict[str, Any]], list[str]]:
    """Build the marts, and write them and the base tables into one SQLite file.

    Returns what that file holds, and what the tests of the warehouse found, a sentence each.

    The engine of the screening is closed by now, so that the two never hold memory at the same time.
    """
    scratch, beside = work / "warehouse", work / "sqlite"
    scratch.mkdir()
    beside.mkdir()
    places = {Path(file.path).stem: file.path for file in done.files if file.media_type == PARQUET}
    pairs = [(run / places[table], load_contract(table)) for table in WAREHOUSE_TABLES]
    path = "warehouse/warehouse.sqlite"
    (run / "warehouse").mkdir()
    with SqliteFile(beside, workers=resources.threads) as lite:
        lite.add(pairs)  # SQLite is bound by one processor at a time, and the marts take what is left
        built, marts = write_marts(run, scratch, Limits(resources.threads, resources.memory_limit))
        more = [(run / mart.path, load_contract(Path(mart.path).stem)) for mart in marts if mart.role == "mart"]
        lite.add(more)
        written = lite.finish(run / path)
    pairs += more
    done.summary["warehouse_warnings"] = len(built.warnings)
    done.files += [PayloadFile(mart.path, mart.role, mart.media_type, mart.table) for mart in marts]
    tables_of_run = {Path(file.path).stem: file.table for file in done.files if file.media_type == PARQUET}
    for file, contract in pairs:
        recorded = tables_of_run[contract.table]
        if contract.view and recorded is not None:
            _hold_view(contract, {c.table: f for f, c in pairs if f != file}, recorded, resources, scratch)
            written[contract.table] = recorded
    done.files.append(PayloadFile(path, "warehouse", SQLITE))
    held = [
        {"table": name, "rows": table.rows, "fingerprint": table.fingerprint} for name, table in sorted(written.items())
    ]
    return held, [
        f"a test of the warehouse found {test.failures} rows of {', '.join(test.needs)} that look wrong: {test.name}"
        for test in built.warnings
    ]


def _briefing(run: Path, inputs: Inputs, resources: Resources, done: Screening, warnings: list[str]) -> None:
    """Answer the queries that the job names, and write the briefing."""
    queries = inputs.queries
    limits = QueryLimits(QUERY_SECONDS, threads=resources.threads, memory_limit=resources.memory_limit)
    catalog = load_catalog()
    tables = run_tables(run)
    if queries:
        needed = sorted({table for asked in queries for table in catalog[asked.name].tables})
        with opened({name: tables[name] for name in needed if name in tables}, limits) as con:
            for asked in queries:
                query = catalog[asked.name]
                values = query.bind_typed(dict(asked.values))
                answer = ask(con, query, values, limits)
                files = write_answer(run, query, values, "duckdb", answer)
                done.files += [PayloadFile(file.path, file.role, file.media_type, file.table) for file in files]
    labels = (
        ("Records of the feed", "records"),
        ("Shipments screened", "accepted"),
        ("Records in quarantine", "quarantined"),
        ("Listed entities", "entities"),
        ("Records of lists without their entity", "list_orphans"),
        ("Items in the review queue", "review_items"),
        ("Of these, in the high band", "review_high"),
    )
    facts = [(label, int(done.summary[key])) for label, key in labels]
    write_briefing(run, facts, reports.LIMITS, warnings, limits, digits=inputs.feed.minor_unit_digits)
    done.files.append(PayloadFile(briefing.PATH, "report", briefing.MEDIA_TYPE))


def _hold_view(
    contract: Contract, files: Mapping[str, Path], recorded: TableFile, resources: Resources, scratch: Path
) -> None:
    """Refuse a view of the warehouse file that does not give as many rows as the table it stands for."""
    config = {
        "threads": resources.threads,
        "memory_limit": resources.memory_limit,
        "temp_directory": str(scratch / "view-spill"),
    }
    with duckdb.connect(config=config) as con:
        for name, file in files.items():
            con.execute(f"create view {name} as select * from read_parquet({quote(str(file))})")
        rows = _count(con, f"select count(*) from ({contract.view})")
    if rows != recorded.rows:
        raise AccountingError(f"the view {contract.table} has {rows} rows, the table {recorded.rows}")


def _report(run: Path, done: Screening, name: str, content: Mapping[str, Any]) -> None:
    path = f"reports/{name}.json"
    (run / "reports").mkdir(exist_ok=True)
    (run / path).write_bytes(strictjson.dump({"schema": f"omphalos.report.{name}/1", **content}))
    done.files.append(PayloadFile(path, "report", JSON))


def _evidence(con: Any, run: Path, inputs: Inputs, match: MatchParams, done: Screening) -> None:
    """Write the packets of evidence; each names the files of the list it speaks of."""
    lists = {}
    for spec, parts in inputs.registries:
        files = []
        for path in sorted(parts.values()):
            with path.open("rb") as stream:
                files.append((path.name, hashlib.file_digest(stream, "sha256").hexdigest()))
        lists[spec.source] = files
    for path_in_run in write_evidence(con, run, inputs.review.evidence, lists, match):
        kind = JSON if path_in_run.endswith(".json") else HTML
        done.files.append(PayloadFile(path_in_run, "evidence", kind))


def _truth(con: Any, path: Path, done: Screening) -> list[dict[str, Any]]:
    """Count how many planted matches among accepted shipments were found, by kind of variation."""
    con.execute(
        f"create temp table truth as select * from read_csv({quote(str(path))}, header = true, all_varchar = true, "
        "delim = ',', quote = '\"', escape = '\"', auto_detect = false, columns = "
        "{'declaration_id': 'varchar', 'role': 'varchar', 'entity_id': 'varchar', 'variation': 'varchar'})"
    )
    done.records["truth"] = _count(con, "select count(*) from truth")
    rows = con.execute(
        "select t.variation, count(*), count(m.entity_id) from truth t "
        "join trade_feed f on f.shipment_id = t.declaration_id "
        "left join entity_matches m on m.shipment_id = t.declaration_id and m.role = t.role "
        "and (m.entity_id = t.entity_id or m.entity_id like '%:' || t.entity_id) "
        "group by t.variation order by t.variation"
    ).fetchall()
    return [{"variation": variation, "planted": planted, "found": found} for variation, planted, found in rows]


def _mapped(feed: FeedSpec) -> set[str]:
    return {field for field, _ in (*feed.columns, *feed.constants)}


def _count(con: Any, sql: str) -> int:
    return int(con.execute(sql).fetchone()[0])
