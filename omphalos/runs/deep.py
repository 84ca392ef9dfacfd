"""The deep part of a verification: tables read back and fingerprinted again, the warehouse file checked from within.

Rules of this file: it reads only files whose bytes were just found to be those recorded; it opens SQLite read-only
and immutable; it adds findings and takes ``fingerprints`` off the list of what was not checked only if every table
was read.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

from omphalos.catalog.files import reread
from omphalos.format.errors import OmphalosError
from omphalos.format.findings import Finding, FindingId, NotChecked
from omphalos.format.manifest import FILE_NAME, Artifact, decode_manifest
from omphalos.runs.verdict import Verdict
from omphalos.tables.contract import Contract, ContractError, load_contract
from omphalos.tables.fingerprint import fingerprint
from omphalos.tables.write import BATCH


def deepen(verdict: Verdict, directory: Path) -> Verdict:
    """Return ``verdict`` with what a look inside the tables adds; one that is not positive is returned as it is."""
    if verdict.word != "verified":
        return verdict
    manifest = decode_manifest((directory / FILE_NAME).read_bytes())
    findings: list[Finding] = []
    unchecked = False
    for file in manifest.artifacts:
        if file.fingerprint is not None:
            finding, known = _check_table(directory, file)
            findings += finding
            unchecked |= not known
        elif file.media_type == "application/vnd.sqlite3":
            findings += _check_sqlite(directory, file)
    words = tuple(word for word in verdict.not_checked if word is not NotChecked.FINGERPRINTS or unchecked)
    return replace(verdict, findings=tuple(sorted({*verdict.findings, *findings})), not_checked=words)


def _check_table(directory: Path, file: Artifact) -> tuple[list[Finding], bool]:
    """Return the findings about one table, and whether its kind of file and its contract are known."""
    try:
        content = table_fingerprint(directory / file.path, file)
    except (OmphalosError, pa.ArrowException) as error:
        return [Finding(FindingId.FINGERPRINT_MISMATCH, file.path, str(error).splitlines()[0])], True
    if content is None:
        return [], False
    rows, digest = content
    findings = []
    if rows != file.rows:
        findings.append(Finding(FindingId.RECORDS_MISMATCH, file.path, f"{rows} rows, recorded {file.rows}"))
    if digest != file.fingerprint:
        recorded = (file.fingerprint or "")[:12]
        findings.append(Finding(FindingId.FINGERPRINT_MISMATCH, file.path, f"{digest[:12]}, recorded {recorded}"))
    return findings, True


def table_fingerprint(path: Path, file: Artifact) -> tuple[int, str] | None:
    """Return rows and fingerprint of the table in ``path``, read as ``file`` declares it; None if its kind is unknown.

    Raises:
        FingerprintError: the rows break the contract.
        pyarrow.ArrowException: the file is no such table.
    """
    if file.role == "answer" and path.suffix == ".csv":
        try:
            rows, key, digest = reread(path)
        except (ValueError, OSError):  # without its record nothing says what its columns are
            return None
        return (rows, digest) if key == file.key else None
    try:
        contract = load_contract(PurePosixPath(file.path).stem)
    except ContractError:
        return None
    reader = {".parquet": _parquet, ".csv": _csv}.get(path.suffix)
    if reader is None or file.key != contract.key:
        return None
    return fingerprint(reader(path, contract), contract)


def _parquet(path: Path, _contract: Contract) -> Iterator[Any]:
    with pq.ParquetFile(path) as source:
        yield from source.iter_batches(batch_size=BATCH)


def _csv(path: Path, contract: Contract) -> Iterator[Any]:
    schema = contract.arrow_schema()
    options = pv.ConvertOptions(
        column_types={field.name: field.type for field in schema},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = pv.ParseOptions(newlines_in_values=True)
    with pv.open_csv(path, convert_options=options, parse_options=parse) as reader:
        yield from reader


def _check_sqlite(directory: Path, file: Artifact) -> list[Finding]:
    """Run SQLite's own integrity check on the file, opened read-only and immutable."""
    try:
        # The path as a URI: a question mark in the name of a folder must not begin the options.
        place = (directory / file.path).absolute().as_uri()
        with closing(sqlite3.connect(f"{place}?mode=ro&immutable=1", uri=True)) as database:
            result = database.execute("pragma integrity_check").fetchone()
    except sqlite3.Error as error:
        return [Finding(FindingId.HASH_MISMATCH, file.path, f"SQLite cannot read it: {error}")]
    if result != ("ok",):
        return [Finding(FindingId.HASH_MISMATCH, file.path, f"integrity check: {result[0]}")]
    return []
