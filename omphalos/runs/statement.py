"""What a certification says, as an in-toto Statement that another program can read and a key can sign.

Rules of this file: the subject is the run's manifest by both digests, so the statement binds the whole run; all four
outcomes are said in the same form; it speaks of whoever executed again, not of the run, and so lies outside the run
directory. Times come from the caller. Source: in-toto Attestation Framework, Statement v1; field names follow its
guidelines for new predicates (lowerCamelCase, a specific name for the time).
"""

from typing import Any

from blake3 import blake3

from omphalos import __version__
from omphalos.format.dsse import RECOMPUTATION_PREDICATE, encode_statement
from omphalos.runs.certify import Certification


def certification_statement(manifest: bytes, run_id: str, result: Certification, repeated_at: str) -> bytes:
    """Return the bytes of the statement that ``result`` came of certifying a run (docs/format/attestation.md).

    Args:
        manifest: the bytes of the run's manifest.
        run_id: the run's name.
        result: the outcome.
        repeated_at: when, RFC 3339 in UTC with ``Z``.
    """
    predicate: dict[str, Any] = {
        "runId": run_id,
        "outcome": result.outcome,
        "variations": {one.name: {"original": one.recorded, "repeated": one.now} for one in result.varied},
        "repeatedAt": repeated_at,
        # Beyond what every reader asks for: enough to follow the outcome without this machine.
        "certifier": {"name": "omphalos", "version": __version__},
        "method": result.method,
        "artifacts": [
            {"path": one.path, "state": one.state, "normalizer": one.normalizer, "detail": one.detail}
            for one in result.differences
        ],
        "normalizers": [{"name": name, "digest": {"blake3": digest}} for name, digest in result.normalizers],
        "notVaried": [{"name": name, "reason": reason} for name, reason in result.not_varied],
        "environmentChanges": [
            {"name": name, "recorded": before, "now": now} for name, before, now in result.environment_changes
        ],
        "notChecked": [word.value for word in result.not_checked],
    }
    if result.outcome == "equal-after":
        predicate["normalizer"] = ", ".join(name for name, _ in result.normalizers)
    if result.outcome == "different":
        predicate["paths"] = [one.path for one in result.differences if one.state != "equal-after"]
    if result.outcome == "not-rerunnable":
        predicate["reason"] = result.reason
    return encode_statement(manifest, blake3(manifest).hexdigest(), RECOMPUTATION_PREDICATE, predicate)
