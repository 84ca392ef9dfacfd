"""Explain one match of a recorded run: find what explains it in the store, and say whether the method is the same.

Rules of this file: tables are verified before they are read; nothing is written; that a match comes out otherwise
under the method that made it is a negative verdict, and under another method it is only said.
"""

from typing import Any

from omphalos.format.ids import from_hex, to_hex
from omphalos.runs.inputs import CONFIG_PATH, BadConfiguration, job_of_config, read_config
from omphalos.runs.lookup import Run
from omphalos.runs.method import hash_method
from omphalos.runs.tables import verified_tables
from omphalos.screening.review.explain import Effort, explain
from omphalos.store.store import Store


def explain_match(store: Store, run: Run, party: str, entity: str, effort: Effort) -> dict[str, Any]:
    """Return the members of the ``omphalos.explain/1`` document about one match of ``run``.

    Raises:
        NoSuchMatch, SeveralMean, NotExplicable: as `omphalos.screening.review.explain.explain`.
        TableChanged: the run directory holds something else than the run recorded.
    """
    recorded = [file for file in run.manifest.artifacts if file.path == CONFIG_PATH]
    if not recorded:
        raise BadConfiguration("the run holds no configuration", undone="nothing was explained")
    job = job_of_config(read_config(store.objects.read("blob", from_hex(recorded[0].blake3))))
    installed = to_hex(hash_method())
    method = {
        "recorded": run.manifest.plan.method,
        "installed": installed,
        "same": installed == run.manifest.plan.method,
    }
    with verified_tables(store, run) as folder:
        return {"run_id": run.run_id, "method": method, **explain(folder, party, entity, job.match, effort)}
