"""Compare two runs: first why they differ, then their inputs, then their declared artifacts.

Rules of this file: the causes come from the plans (inputs, configuration, method) and are complete: if the plans
are equal and the trees are not, that is said as nondeterminism. Everything is compared by digest; nothing is read
but manifests.
"""

from typing import Any

from omphalos.format.manifest import Manifest


def causes(a: Manifest, b: Manifest) -> list[dict[str, Any]]:
    """Return why two runs may differ: one entry for each part of the plan that is not the same."""
    found: list[dict[str, Any]] = []
    before = {(item.role, item.path): item.blake3 for item in a.plan.inputs}
    after = {(item.role, item.path): item.blake3 for item in b.plan.inputs}
    for role, path in sorted(before.keys() | after.keys()):
        old, new = before.get((role, path)), after.get((role, path))
        if old != new:
            what = "added" if old is None else "removed" if new is None else "changed"
            found.append({"part": "input", "what": f"input {what}: {path}", "before": old, "after": new})
    for part, old, new in (
        ("config", a.plan.config, b.plan.config),
        ("method", a.plan.method, b.plan.method),
        ("name", a.name, b.name),
    ):
        if old != new:
            said = {"config": "configuration changed", "method": "method changed", "name": "name changed"}[part]
            found.append({"part": part, "what": said, "before": old, "after": new})
    if not found and a.tree != b.tree:
        found.append(
            {"part": "none", "what": "one plan, two trees: not deterministic", "before": a.tree, "after": b.tree}
        )
    return found


def input_counts(a: Manifest, b: Manifest) -> list[dict[str, Any]]:
    """Return the records of every input on both sides, so that a silent loss between two days is seen first."""
    before = {(item.role, item.path): item for item in a.plan.inputs}
    after = {(item.role, item.path): item for item in b.plan.inputs}
    rows = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is not None and new is not None and old.blake3 == new.blake3:
            continue
        role, path = key
        rows.append(
            {
                "role": role,
                "source": path.rsplit("/", 1)[-1],
                "path": path,
                "before": old.records if old else 0,
                "after": new.records if new else 0,
            }
        )
    return rows


def compare_artifacts(a: Manifest, b: Manifest) -> list[dict[str, Any]]:
    """Return every declared artifact of the two runs, side by side, by digest."""
    before = {file.path: file for file in a.artifacts}
    after = {file.path: file for file in b.artifacts}
    rows = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old is None or new is None:
            state = "added" if old is None else "removed"
        elif (old.blake3, old.sha256, old.size) == (new.blake3, new.sha256, new.size):
            state = "equal"
        elif old.fingerprint is not None and old.fingerprint == new.fingerprint:
            state = "equal-after-fingerprint"
        else:
            state = "different"
        rows.append(
            {
                "path": path,
                "state": state,
                "before": old.blake3 if old else None,
                "after": new.blake3 if new else None,
                "rows_before": old.rows if old else None,
                "rows_after": new.rows if new else None,
            }
        )
    return rows
