"""Certify a run: execute its recorded plan again, in changed surroundings, and compare every artifact.

Rules of this file: what is read is what the run recorded, never the files it once came from; the execution happens in
a process of its own whose surroundings differ on purpose, and takes nothing from a cache; nothing is recorded by a
certification and the run is not touched; a run made by another method than the one installed is not called different
but ``not-rerunnable``, with the reason. ``identical`` is said of bytes alone; what is equal only in content is called
``equal-after`` and names the normalizer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from omphalos.catalog.execute import QueryLimits
from omphalos.format.findings import NotChecked
from omphalos.format.ids import from_hex, to_hex
from omphalos.format.manifest import Environment, Manifest
from omphalos.runs.building import building
from omphalos.runs.derived import ParentMissing, answer_again, is_derived
from omphalos.runs.differing import Difference, differences, normalizer_digest
from omphalos.runs.execute import RUNS_FOLDER
from omphalos.runs.lookup import Run
from omphalos.runs.method import hash_method
from omphalos.runs.rerun import rerun
from omphalos.runs.variation import Scene, Surroundings, Varied, scene
from omphalos.store.checkout import checkout
from omphalos.store.store import Store

NOT_CHECKED: Final = (
    NotChecked.SIGNATURES,
    NotChecked.LEDGER,
    NotChecked.MEANING,
    NotChecked.INPUTS_AUTHENTICITY,
)


@dataclass(frozen=True)
class Certification:
    """What came of it: ``identical``, ``equal-after``, ``different`` or ``not-rerunnable``, and why.

    ``differences`` has every artifact that is not identical. ``environment_changes`` are (name, recorded, now) of
    interpreter, platform and libraries that are not those the run recorded: they explain, they do not excuse.
    """

    outcome: str
    method: str
    reason: str = ""
    differences: tuple[Difference, ...] = ()
    normalizers: tuple[tuple[str, str], ...] = ()
    varied: tuple[Varied, ...] = ()
    not_varied: tuple[tuple[str, str], ...] = ()
    environment_changes: tuple[tuple[str, str, str], ...] = ()
    not_checked: tuple[NotChecked, ...] = NOT_CHECKED

    def document(self) -> dict[str, Any]:
        """Return the members of the ``omphalos.certify/1`` document."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "method": self.method,
            "artifacts": [
                {"path": one.path, "state": one.state, "normalizer": one.normalizer, "detail": one.detail}
                for one in self.differences
            ],
            "normalizers": [{"name": name, "blake3": digest} for name, digest in self.normalizers],
            "varied": [{"name": one.name, "recorded": one.recorded, "now": one.now} for one in self.varied],
            "not_varied": [{"name": name, "reason": reason} for name, reason in self.not_varied],
            "environment_changes": [
                {"name": name, "recorded": before, "now": now} for name, before, now in self.environment_changes
            ],
            "not_checked": [{"word": word.value, "reason": word.reason} for word in self.not_checked],
        }


@dataclass(frozen=True)
class Certifier:
    """Where and how the second execution takes place.

    ``variations`` are names of ``variation.NAMES``; ``environment`` describes this machine as ``runs.environment``
    does; ``memory`` is what the engine may use; ``scratch`` is a folder to compute in (by default that of the runs
    beside the store, which must then be writable).
    """

    around: Surroundings
    variations: frozenset[str]
    environment: Environment
    memory: str = "2GiB"
    scratch: Path | None = None
    progress: Callable[[str], None] = lambda _: None


def certify(store: Store, run: Run, certifier: Certifier) -> Certification:
    """Compute the payload of ``run`` again and compare it with what is recorded; the store is only read.

    Raises:
        RerunFailed: the second execution did not come to its end, so nothing can be said.
    """
    manifest = run.manifest
    method = manifest.plan.method
    changes = _changes(manifest.environment, certifier.environment)
    installed = to_hex(hash_method())
    if installed != method:
        reason = f"the run was made by method {method[:12]}, installed is {installed[:12]}"
        return Certification("not-rerunnable", method, reason, environment_changes=changes)
    if is_derived(manifest):
        return _certify_derived(store, manifest, certifier, changes)
    with building(certifier.scratch or store.root / RUNS_FOLDER) as place:
        around = scene(certifier.variations, manifest.environment, certifier.around, place.work)
        made = place.root / around.folder
        place.run.rename(made)
        for part in ("inputs", "config"):
            checkout(store, from_hex(manifest.tree), made / part, subpath=part)
        taken = rerun(made, place.work, method, around, certifier.memory, certifier.progress)
        certifier.progress("end")
        found = tuple(differences(store, manifest, made, place.root / "recorded"))
    return _judge(method, found, _with_locale(around, manifest.environment.locale, taken), changes)


def _certify_derived(
    store: Store, manifest: Manifest, certifier: Certifier, changes: tuple[tuple[str, str, str], ...]
) -> Certification:
    """Ask the recorded question of the recorded runs again; it is one query and is asked in this process."""
    with building(certifier.scratch or store.root / RUNS_FOLDER) as place:
        try:
            answer_again(store, manifest, place.run, QueryLimits(memory_limit=certifier.memory))
        except ParentMissing as error:
            return Certification("not-rerunnable", manifest.plan.method, error.message, environment_changes=changes)
        certifier.progress("end")
        found = tuple(differences(store, manifest, place.run, place.root / "recorded"))
    not_varied = tuple((name, "a query is asked in this process") for name in sorted(certifier.variations))
    return _judge(manifest.plan.method, found, ((), not_varied), changes)


def _with_locale(around: Scene, recorded: str, taken: str) -> tuple[tuple[Varied, ...], tuple[tuple[str, str], ...]]:
    """Return what was varied and what was not, now that it is known whether the machine has another locale."""
    if taken:
        return (*around.varied, Varied("locale", recorded, taken)), around.not_varied
    if around.locales:
        return around.varied, (*around.not_varied, ("locale", "no other locale is on this machine"))
    return around.varied, around.not_varied


def _judge(
    method: str,
    found: tuple[Difference, ...],
    variations: tuple[tuple[Varied, ...], tuple[tuple[str, str], ...]],
    changes: tuple[tuple[str, str, str], ...],
) -> Certification:
    names = sorted({one.normalizer for one in found if one.normalizer})
    real = [one for one in found if one.state != "equal-after"]
    if real:
        outcome, reason = "different", f"{len(real)} artifacts differ"
    elif found:
        outcome, reason = "equal-after", f"{len(found)} artifacts have other bytes and equal content"
    else:
        outcome, reason = "identical", ""
    normalizers = tuple((name, normalizer_digest(name)) for name in names)
    varied, not_varied = variations
    return Certification(outcome, method, reason, found, normalizers, varied, not_varied, changes)


def _changes(recorded: Environment, now: Environment) -> tuple[tuple[str, str, str], ...]:
    """Return what computes here and is not what the run recorded, by name."""
    before = {"python": recorded.python, "platform": recorded.platform, **recorded.packages}
    after = {"python": now.python, "platform": now.platform, **now.packages}
    return tuple(
        (name, before.get(name, ""), after.get(name, ""))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )
