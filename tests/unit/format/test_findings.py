"""The list of findings: stable ids, one severity and one sentence each, and the page made from it."""

import re
from pathlib import Path

import pytest

from omphalos.format.findings import Finding, FindingId, NotChecked, Severity, findings_page

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_is_current() -> None:
    """``docs/findings.md`` is what ``findings_page`` writes."""
    assert (ROOT / "docs" / "findings.md").read_text("utf-8") == findings_page()


@pytest.mark.parametrize("member", FindingId, ids=str)
def test_every_finding_is_whole(member: FindingId) -> None:
    """An id is lower camel case, found again by its text, and has a severity and one sentence."""
    assert re.fullmatch(r"[a-z][A-Za-z0-9]+", member.value)
    assert FindingId(member.value) is member
    assert isinstance(member.severity, Severity)
    assert re.fullmatch(r"[^\n]+\.", member.description)


def test_names_and_ids_agree() -> None:
    """A member's name is its id in capitals, so that neither can be given away by mistake."""
    for member in FindingId:
        assert member.name.replace("_", "").lower() == member.value.lower()


@pytest.mark.parametrize("member", NotChecked, ids=str)
def test_what_was_not_checked_has_a_reason(member: NotChecked) -> None:
    """A word that stands for a gap says in one sentence what the gap is."""
    assert NotChecked(member.value) is member
    assert re.fullmatch(r"[^\n]+\.", member.reason)


def test_findings_sort_by_id_then_path() -> None:
    """The order of findings does not depend on the order they were found in."""
    a = Finding(FindingId.FILE_EXTRA, "b")
    b = Finding(FindingId.HASH_MISMATCH, "a")
    c = Finding(FindingId.FILE_EXTRA, "c")
    assert sorted([b, c, a]) == [a, c, b]


def test_a_finding_as_an_object() -> None:
    """The object that ``--json`` prints has these four members, all text."""
    finding = Finding(FindingId.HASH_DISAGREE, "a/b", "why")
    assert finding.severity is Severity.FATAL
    assert finding.to_dict() == {"id": "hashDisagree", "severity": "FATAL", "path": "a/b", "detail": "why"}


def test_what_refuses() -> None:
    """FATAL and ERROR make a verdict negative, WARN and INFO do not."""
    assert [severity.value for severity in Severity if severity.refuses] == ["FATAL", "ERROR"]
