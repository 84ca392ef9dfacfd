"""dbt itself, in its own process: the record of the shipped plan, errors that name the model, nothing left behind."""

import json
import shutil
from pathlib import Path

import pytest

from omphalos.warehouse import dbt
from omphalos.warehouse.dbt import DbtFailed, compile_plan
from omphalos.warehouse.marts import build_target, plan_for, tables_of, write_marts
from omphalos.warehouse.project import project_folder

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("target", ["duckdb", "sqlite"])
def test_dbt_gives_the_record_of_the_shipped_plan(small_run: Path, work: Path, target: str) -> None:
    """dbt's own build, unit tests included, gives the very bytes that executing the plan gives."""
    tables = tables_of(small_run)
    (work / "a").mkdir()
    (work / "b").mkdir()
    shipped = build_target(target, tables, work / "a")  # type: ignore[arg-type]  # a parameter of the test
    by_dbt = build_target(target, tables, work / "b", with_dbt=True)  # type: ignore[arg-type]  # the same
    assert shipped.record == by_dbt.record


def test_a_changed_project_is_compiled_without_being_asked(small_run: Path, work: Path, project: Path) -> None:
    """A new model of the project stands in the record of the next run; the project folder gets no new file."""
    (project / "models/intermediate/int_new.sql").write_text("select 1 as one\n", "utf-8")
    before = sorted(project.rglob("*"))
    built, _ = write_marts(small_run, work, project=project)
    assert "int_new" in {model["name"] for model in json.loads(built.record)["models"]}
    assert before == sorted(project.rglob("*"))


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("models/marts/list_growth.sql", "select {{ ref('nowhere') }}", "nowhere"),
        ("models/marts/list_growth.sql", "select {{ ", "list_growth"),
        ("dbt_project.yml", "name: [", "Syntax error near line"),
    ],
)
def test_a_project_that_dbt_refuses_is_an_error(work: Path, project: Path, file: str, text: str, says: str) -> None:
    """The message names the file or what it looks for; nothing of dbt's output reaches the terminal."""
    (project / file).write_text(text, "utf-8")
    with pytest.raises(DbtFailed, match=says):
        plan_for("duckdb", work, project)


def test_a_unit_test_that_fails_ends_the_build(small_run: Path, work: Path, project: Path) -> None:
    """A rule that no longer does what its unit test says is found by dbt and named."""
    model = project / "models/marts/price_outliers.sql"
    model.write_text(model.read_text("utf-8").replace("> outliers.median_minor", "< outliers.median_minor"), "utf-8")
    with pytest.raises(DbtFailed, match="a_price_is_above_or_below_its_median"):
        build_target("duckdb", tables_of(small_run), work, with_dbt=True, project=project)


def test_dbt_has_no_network(work: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python code in the process of dbt cannot open a connection."""
    wrapper = work / "wrapper.py"
    wrapper.write_text(
        "import sys, socket\n"
        "from omphalos.warehouse import dbt_process\n"
        "sys.addaudithook(dbt_process._no_network)\n"
        "try:\n    socket.create_connection(('127.0.0.1', 9))\n"
        "except PermissionError as error:\n    print(error)\n",
        "utf-8",
    )
    import subprocess
    import sys

    done = subprocess.run([sys.executable, wrapper], capture_output=True, text=True, check=True, timeout=60)
    assert "dbt has no network here" == done.stdout.strip()


def test_a_dbt_that_does_not_end_is_stopped(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is ended after its time, and the error says so."""
    monkeypatch.setattr(dbt, "SECONDS", 0.05)
    with pytest.raises(DbtFailed, match="did not end"):
        compile_plan(project_folder(), "duckdb", work)
    shutil.rmtree(work)
