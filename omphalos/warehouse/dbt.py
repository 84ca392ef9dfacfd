"""Start dbt in a process of its own: to compile the project into a plan, or to build with it.

Rules of this file: dbt gets an environment made here from nothing, a scratch folder for everything it writes, and no
network from Python; it sends no usage statistics and leaves no file in the project. It is started once for a call, and
ends with it. What it says on failure becomes one typed error that names the node.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.warehouse.dbt_process import DOCS
from omphalos.warehouse.project import TARGETS, Plan, Target, make_plan, plan_path, project_digest

SECONDS: Final = 900


class DbtFailed(OmphalosError):
    """dbt refused the project, or a node failed in it."""

    kind = ErrorKind.USAGE
    id = "dbtFailed"


def compile_plan(project: Path, target: Target, work: Path) -> Plan:
    """Let dbt compile the project for a target; no data is read and no server is needed.

    Args:
        project: the dbt project's folder; nothing is written to it.
        target: the engine whose SQL is wanted.
        work: a scratch folder.

    Raises:
        DbtFailed: the project has an error; the message names the file or node.
    """
    digest = project_digest(project)
    result = _start(project, target, work, "compile", {})
    return make_plan(result["nodes"], digest, target)


def build_with_dbt(
    project: Path, target: Target, work: Path, settings: Mapping[str, str]
) -> tuple[Plan, dict[str, int]]:
    """Let dbt itself build and test everything, unit tests included; return the plan and the failures of each test.

    Args:
        project: the dbt project's folder; nothing is written to it.
        target: the engine to build on, which holds the source tables already.
        work: a scratch folder.
        settings: environment variables of ``profiles.yml``: where the database is.

    Raises:
        DbtFailed: a model cannot be built, or a unit test fails.
    """
    digest = project_digest(project)
    result = _start(project, target, work, "build", settings)
    return make_plan(result["nodes"], digest, target), dict(result["failures"])


def write_docs(project: Path, destination: Path, work: Path) -> None:
    """Let dbt document the project, and write the page that it makes, which stands alone, as ``destination``.

    The page is dbt's own application with the project in it. It is for reading, and no artifact: it carries the time
    at which it was made. A policy is put into it, under which a browser that shows it connects to nothing.

    Args:
        project: the dbt project's folder; nothing is written to it, no data is read and no server is needed.
        destination: the file to make; it must not exist.
        work: a scratch folder.

    Raises:
        DbtFailed: the project has an error, or dbt made no page.
        FileExistsError, OSError: the file cannot be made.
    """
    _start(project, "duckdb", work, DOCS, {})
    page = work / "target" / "static_index.html"
    if not page.is_file():
        raise DbtFailed("dbt made no page", undone="nothing was written")
    head = b'<meta charset="utf-8">'
    data = page.read_bytes()
    if data.count(head) != 1:
        raise DbtFailed("the page that dbt made is of an unknown form", undone="nothing was written")
    data = data.replace(head, head + _POLICY)
    for place, shown in ((project, b"warehouse"), (work, b"scratch")):
        data = data.replace(str(place).encode(), shown)
    with destination.open("xb") as stream:
        stream.write(data)


# The page is one file: scripts and styles stand in it, and it has nothing to fetch and nothing to send.
_POLICY: Final = (
    b"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline' "
    b"'unsafe-eval'; style-src 'unsafe-inline'; img-src data:; font-src data:\">"
)


def _start(project: Path, target: Target, work: Path, verb: str, settings: Mapping[str, str]) -> Any:
    work.mkdir(parents=True, exist_ok=True)
    answer = work / "answer.json"
    order = {"verb": verb, "project": str(project), "target": target, "work": str(work), "answer": str(answer)}
    environment = {
        "PATH": os.defpath,
        "HOME": str(work),
        "TMPDIR": str(work),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "DO_NOT_TRACK": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "OMPHALOS_DBT_FILE": str(work / f"compile.{target}"),
        "OMPHALOS_DBT_FOLDER": str(work),
        **settings,
    }
    command = [sys.executable, "-P", "-s", "-m", "omphalos.warehouse.dbt_process", json.dumps(order)]
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DbtFailed(f"dbt did not end within {SECONDS} seconds", undone="no run was recorded") from error
    if not answer.is_file():
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DbtFailed(f"dbt ended with {done.returncode}: {said[-1][:300] if said else 'it said nothing'}")
    result = json.loads(answer.read_bytes())
    if result["error"]:
        raise DbtFailed(f"dbt refused the warehouse project: {result['error']}", undone="no run was recorded")
    return result


def refresh_plans(project: Path, work: Path) -> list[Path]:
    """Compile the project for every target and write the plans that ship with it; return the files that changed.

    Args:
        project: the dbt project's folder; its ``compiled/`` is written once all targets compiled.
        work: a scratch folder.

    Raises:
        DbtFailed: as ``compile_plan``; the shipped plans stay as they were.
    """
    plans = {plan_path(project, target): compile_plan(project, target, work / target).encode() for target in TARGETS}
    changed = [path for path, data in plans.items() if not path.is_file() or path.read_bytes() != data]
    for path in changed:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(plans[path])
    return changed
