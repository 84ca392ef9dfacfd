"""What a verification found: the verdict, its findings, and what it did not cover; the same for every kind of thing.

Rules of this file: findings are listed once for each id and path, in order, up to a bound, so that nothing that is
verified can exhaust memory; what cannot be read makes a verdict incomplete, never positive.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from omphalos.format.findings import Finding, FindingId, NotChecked
from omphalos.format.manifest import Manifest

MAX_FINDINGS: Final = 10_000
ALWAYS_UNCHECKED: Final = (
    NotChecked.SIGNATURES,
    NotChecked.LEDGER,
    NotChecked.RECOMPUTATION,
    NotChecked.MEANING,
    NotChecked.INPUTS_AUTHENTICITY,
    NotChecked.POLICY,
)


@dataclass(frozen=True)
class Verdict:
    """What a verification found.

    ``unreadable`` names what could not be read; ``suppressed`` counts findings beyond the limit, and
    ``suppressed_refuse`` says whether one of them refuses; the verdict is positive only if every recorded thing was
    read and nothing refuses it. ``keys`` are the keyids that were given, ``signed_by`` those that vouched;
    ``unrooted`` says that nothing was given to believe a root by.
    """

    subject: str
    run_id: str | None
    files: int
    size: int
    findings: tuple[Finding, ...]
    unreadable: tuple[str, ...] = ()
    suppressed: int = 0
    not_checked: tuple[NotChecked, ...] = (*ALWAYS_UNCHECKED, NotChecked.FINGERPRINTS)
    suppressed_refuse: bool = False
    keys: tuple[str, ...] = ()
    signed_by: tuple[str, ...] = ()
    unrooted: bool = False

    @property
    def refused(self) -> bool:
        """Whether a finding makes the verdict negative."""
        return self.suppressed_refuse or any(finding.severity.refuses for finding in self.findings)

    @property
    def word(self) -> str:
        """The verdict in a word: ``verified``, ``refused`` or ``incomplete``."""
        return "refused" if self.refused else "incomplete" if self.unreadable or self.unrooted else "verified"

    def document(self) -> dict[str, Any]:
        """Return the verdict as the members of the ``omphalos.verify/1`` document."""
        return {
            "subject": self.subject,
            "run_id": self.run_id,
            "verdict": self.word,
            "files": self.files,
            "bytes": self.size,
            "findings": [finding.to_dict() for finding in self.findings],
            "suppressed": self.suppressed,
            "unreadable": list(self.unreadable),
            "not_checked": [{"word": word.value, "reason": word.reason} for word in self.not_checked],
            "keys": list(self.keys),
            "signed_by": list(self.signed_by),
        }


class Findings:
    """Findings and unreadable paths, each once, the first in order up to a bound: no folder can exhaust memory."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._kept: dict[tuple[FindingId, str], Finding] = {}
        self._unreadable: set[str] = set()
        self._suppressed = 0
        self._suppressed_refuse = False
        self.keys = tuple(sorted(set(keys)))

    def add(self, identifier: FindingId, path: str, detail: str = "") -> None:
        """Keep a finding, unless there are too many before it in order."""
        self.extend([Finding(identifier, path, detail)])

    def extend(self, findings: Iterable[Finding]) -> None:
        """Keep findings; where there are two of one id and path, the first in order of detail."""
        for finding in findings:
            key = (finding.id, finding.path)
            twin = self._kept.get(key)
            self._kept[key] = finding if twin is None else min(twin, finding)
            if len(self._kept) >= 2 * MAX_FINDINGS:
                self._prune()

    def unread(self, path: str) -> None:
        """Keep the path of something that could not be read."""
        self._unreadable.add(path)
        if len(self._unreadable) >= 2 * MAX_FINDINGS:
            self._unreadable = set(sorted(self._unreadable)[:MAX_FINDINGS])

    def take(self, other: "Findings") -> None:
        """Keep what another list holds, too."""
        self.extend(other._kept.values())
        for path in other._unreadable:
            self.unread(path)

    def _prune(self) -> None:
        ordered = sorted(self._kept)
        for key in ordered[MAX_FINDINGS:]:
            self._suppressed += 1
            self._suppressed_refuse |= self._kept.pop(key).severity.refuses

    def verdict(
        self,
        subject: str,
        run: Manifest | str | None,
        files: int,
        size: int,
        *,
        signed_by: Iterable[str] = (),
        unrooted: bool = False,
    ) -> Verdict:
        """Close the list into a verdict."""
        self._prune()
        words = ALWAYS_UNCHECKED[1:] if self.keys else ALWAYS_UNCHECKED
        return Verdict(
            subject,
            run.run_id if isinstance(run, Manifest) else run,
            files,
            size,
            tuple(sorted(self._kept.values())),
            tuple(sorted(self._unreadable)[:MAX_FINDINGS]),
            self._suppressed,
            (*((NotChecked.ROOT,) if unrooted else ()), *words, NotChecked.FINGERPRINTS),
            suppressed_refuse=self._suppressed_refuse,
            keys=self.keys,
            signed_by=tuple(sorted(set(signed_by))),
            unrooted=unrooted,
        )
