"""The process in which dbt runs; started by ``dbt.py`` and by nobody else.

Rules of this file: the order comes as one JSON argument, the answer goes to one file; nothing else of dbt's output is
used, because it carries times, paths and ids of invocation. An audit hook refuses every outgoing connection of Python
code: dbt has nothing to send from here.
"""

import json
import sys
from pathlib import Path
from typing import Any

DOCS = "docs generate"
_REFUSED = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"})


def _no_network(event: str, _: object) -> None:
    if event in _REFUSED:
        raise PermissionError("dbt has no network here")


def main(order: dict[str, str]) -> None:
    """Carry out one order and write the answer."""
    sys.addaudithook(_no_network)
    from dbt.cli.main import dbtRunner

    work = Path(order["work"])
    arguments = [
        *order["verb"].split(),
        "--project-dir", order["project"],
        "--profiles-dir", str(Path(order["project"]) / "profiles"),
        "--target", order["target"],
        "--target-path", str(work / "target"),
        "--log-path", str(work / "log"),
        "--log-level-file", "none",
        "--quiet",
        "--write-json" if order["verb"] == DOCS else "--no-write-json",
        "--no-use-colors",
        "--no-version-check",
    ]  # fmt: skip
    if order["verb"] == "compile":
        arguments += ["--no-populate-cache", "--no-introspect"]
    if order["verb"] == DOCS:
        arguments += ["--static", "--empty-catalog", "--no-populate-cache"]
    done = dbtRunner().invoke(arguments)
    results = [] if order["verb"] == DOCS else list(getattr(done.result, "results", []))
    failed = [result for result in results if str(result.status) in ("error", "skipped")]
    failed += [r for r in results if r.node.resource_type == "unit_test" and str(r.status) == "fail"]
    answer: dict[str, Any] = {"error": "", "nodes": [], "failures": {}}
    if done.exception is not None:
        answer["error"] = _short(str(done.exception))
    elif failed:
        first = min(failed, key=lambda result: (str(result.status) != "error", result.node.name))
        answer["error"] = f"{first.node.resource_type} {first.node.name}: {_short(str(first.message))}"
    else:
        answer["nodes"] = [_node(r.node) for r in results if r.node.resource_type in ("seed", "model", "test")]
        answer["failures"] = {r.node.name: int(r.failures or 0) for r in results if r.node.resource_type == "test"}
    Path(order["answer"]).write_text(json.dumps(answer), encoding="utf-8")


def _node(node: Any) -> dict[str, Any]:
    kind = str(node.resource_type)
    return {
        "name": node.name,
        "kind": kind,
        "materialized": str(node.config.materialized),
        "needs": sorted({need.split(".")[-1] for need in node.depends_on.nodes} if kind != "seed" else set()),
        "severity": str(node.config.severity).lower() if kind == "test" else "",
        "file": node.original_file_path,
        "slice_by": str(node.config.meta.get("slice_by", "")),
        "sql": "" if kind == "seed" else _text(node.compiled_code),
    }


def _text(sql: str) -> str:
    """Return compiled SQL without the blank lines and trailing space that templates leave behind."""
    lines = [line.rstrip() for line in sql.strip().splitlines()]
    return "\n".join(line for i, line in enumerate(lines) if line or lines[i - 1]) + "\n"


def _short(text: str) -> str:
    return " ".join(text.split())[:600]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
