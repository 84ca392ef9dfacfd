"""Certify a run: execute its recorded plan again from its recorded inputs, and compare every artifact.

Rules of this file: what is read is what the run recorded, never the files it once came from; nothing is recorded by a
certification and the run is not touched; a run made by another method than the one installed is not called
different but ``not-rerunnable``, with the reason.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omphalos.format.findings import NotChecked
from omphalos.format.ids import from_hex, to_hex
from omphalos.runs.building import building
from omphalos.runs.execute import RUNS_FOLDER, Machine
from omphalos.runs.inputs import CONFIG_PATH, inputs_of, job_of_config, read_config
from omphalos.runs.lookup import Run
from omphalos.runs.method import hash_method
from omphalos.screening.pipeline import screen
from omphalos.store.checkout import checkout
from omphalos.store.hashing import hash_file
from omphalos.store.store import Store

NOT_CHECKED = (NotChecked.SIGNATURES, NotChecked.LEDGER, NotChecked.MEANING, NotChecked.INPUTS_AUTHENTICITY)


@dataclass(frozen=True)
class Certification:
    """What came of it: ``identical``, ``different`` (``paths`` name the artifacts) or ``not-rerunnable``."""

    outcome: str
    reason: str = ""
    paths: tuple[str, ...] = ()
    not_checked: tuple[NotChecked, ...] = NOT_CHECKED

    def document(self) -> dict[str, Any]:
        """Return the members of the ``omphalos.certify/1`` document."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "paths": list(self.paths),
            "not_checked": [{"word": word.value, "reason": word.reason} for word in self.not_checked],
        }


def certify(store: Store, run: Run, machine: Machine, scratch: Path | None = None) -> Certification:
    """Compute the payload of ``run`` again in a scratch folder and compare it with what is recorded.

    Args:
        store: where the run is recorded; it is only read.
        run: the run.
        machine: threads, memory and progress of the computation.
        scratch: a folder to compute in; by default the folder of runs beside the store, which must then be writable.
    """
    manifest = run.manifest
    installed = to_hex(hash_method())
    if installed != manifest.plan.method:
        return Certification(
            "not-rerunnable",
            f"the run was made by method {manifest.plan.method[:12]}, installed is {installed[:12]}",
        )
    with building(scratch or store.root / RUNS_FOLDER) as place:
        for part in ("inputs", "config"):
            checkout(store, from_hex(manifest.tree), place.run / part, subpath=part)
        config = read_config((place.run / CONFIG_PATH).read_bytes())
        job = job_of_config(config)
        inputs = inputs_of(job, config, place.run)
        screen(inputs, job.match, place.run, place.work, machine.resources, machine.progress)
        machine.progress("end")
        differing = _differences(place.run, {file.path: file.blake3 for file in manifest.artifacts})
    if differing:
        return Certification("different", f"{len(differing)} artifacts differ", tuple(differing))
    return Certification("identical")


def _differences(run: Path, recorded: dict[str, str]) -> list[str]:
    """Return the paths whose bytes are not the recorded ones, those that are missing, and those nobody recorded."""
    made = {
        path.relative_to(run).as_posix(): to_hex(hash_file(path).id)
        for path in sorted(run.rglob("*"))
        if path.is_file()
    }
    return sorted(path for path in made.keys() | recorded.keys() if made.get(path) != recorded.get(path))
