"""The dbt project keeps its own rules, and the shipped plans are what dbt compiles from it."""

import re
from pathlib import Path

import pytest
import yaml

from omphalos.tables.contract import load_contract
from omphalos.warehouse.dbt import compile_plan
from omphalos.warehouse.project import (
    TARGETS,
    Plan,
    ProjectError,
    Target,
    decode_plan,
    make_plan,
    plan_path,
    project_digest,
    project_folder,
    shipped_plan,
)

PROJECT = project_folder()
MODELS = sorted((PROJECT / "models").rglob("*.sql"))
MARTS = [path for path in MODELS if path.parent.name == "marts"]
RELATIONS = {path.stem for path in MODELS} | {path.stem for path in (PROJECT / "seeds").glob("*.csv")}


def described(path: Path) -> dict:
    """Return what the yml beside a model says of it."""
    return yaml.safe_load(path.with_suffix(".yml").read_text("utf-8"))["models"][0]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_says_its_grain(path: Path) -> None:
    """Each model has a yml beside it, whose description ends with the grain, and a key that is tested."""
    model = described(path)
    assert model["name"] == path.stem
    assert re.search(r"Grain: one row per [^.]+\.\s*\Z", model["description"])
    columns = {column["name"]: column.get("data_tests", []) for column in model["columns"]}
    combined = [test["unique_combination"]["arguments"]["columns"] for test in model.get("data_tests", [])]
    key = combined[0] if combined else [name for name, tests in columns.items() if "unique" in tests]
    assert key
    assert all("not_null" in columns[name] for name in key)


@pytest.mark.parametrize("path", MARTS, ids=lambda path: path.stem)
def test_a_mart_declares_what_its_contract_declares(path: Path) -> None:
    """Columns, kinds, grain and key are the same in the yml that dbt enforces and in the contract."""
    model, contract = described(path), load_contract(path.stem)
    kinds = {"text": "text", "int": "bigint"}
    assert [(c.name, kinds[c.kind], c.about) for c in contract.column] == [
        (c["name"], c["data_type"], c["description"]) for c in model["columns"]
    ]
    assert list(contract.key) == model["config"]["meta"]["key"]
    assert model["description"].strip().endswith(f"Grain: {contract.grain}.")


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_models_have_the_house_shape(path: Path) -> None:
    """Import CTEs first and one final select; no CTE is named as a relation, which SQLite takes for a circle."""
    text = path.read_text("utf-8")
    body = re.sub(r"--[^\n]*|\{\{ config.*?\}\}\s*", "", text)
    assert body.lstrip().startswith("with\n")
    assert text.rstrip().endswith("select * from final")
    ctes = re.findall(r"^(\w+) as \($", text, flags=re.M)
    assert not set(ctes) & RELATIONS
    imports = re.findall(r"^(\w+) as \(\s*select \* from \{\{ (?:ref|source)\(", text, flags=re.M)
    assert imports == ctes[: len(imports)]
    assert len(imports) == len(re.findall(r"(?:ref|source)\('", text))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_models_keep_to_the_dialect_that_three_engines_share(path: Path) -> None:
    """No division but by the macro, no LIKE, no float, no clock, no function that one of the engines lacks."""
    text = re.sub(r"--[^\n]*|\{\{.*?\}\}|'[^']*'", "", path.read_text("utf-8"))
    assert "/" not in text
    banned = r"\b(like|avg|random|now|current_\w+|date_\w+|concat|greatest|least|string_agg|group_concat|double|real)\b"
    assert not re.search(banned, text)


@pytest.mark.parametrize("target", TARGETS)
def test_the_shipped_plan_belongs_to_the_project(target: Target) -> None:
    """Whoever changes the project ships the plans that dbt compiles from it: the digests agree."""
    plan = shipped_plan(PROJECT, target)
    assert plan is not None, "run 'omphalos warehouse compile'"
    assert plan_path(PROJECT, target).read_bytes() == plan.encode()


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_the_shipped_plan_is_what_dbt_compiles(target: Target, work: Path) -> None:
    """dbt, started now, compiles the very bytes that ship."""
    assert compile_plan(PROJECT, target, work).encode() == plan_path(PROJECT, target).read_bytes()


def test_a_plan_of_another_project_is_not_used(project: Path) -> None:
    """Any change of any file of the project, or a new file, makes the shipped plan stale."""
    before = project_digest(project)
    model = project / "models" / "marts" / "list_growth.sql"
    model.write_text(model.read_text("utf-8") + "\n", "utf-8")
    assert project_digest(project) != before
    assert shipped_plan(project, "duckdb") is None


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"schema":"omphalos.warehouse.plan/1"}'])
def test_a_damaged_plan_is_refused(data: bytes) -> None:
    """What is no plan raises a typed error that says how to make it anew."""
    with pytest.raises(ProjectError, match="no compiled warehouse plan"):
        decode_plan(data, where="compiled/duckdb.json")


def test_nodes_stand_in_order_of_need() -> None:
    """A model comes after what it reads, ties by name, whatever order dbt finished them in."""

    def node(name: str, *needs: str) -> dict:
        common = {"kind": "model", "materialized": "view", "severity": "", "file": "models/x.sql", "sql": "select 1"}
        return {"name": name, "needs": list(needs), **common}

    plan: Plan = make_plan([node("c", "b"), node("a", "c"), node("b"), node("d")], "0" * 64, "duckdb")
    assert [n.name for n in plan.nodes] == ["b", "d", "c", "a"]
    with pytest.raises(ProjectError, match="circle"):
        make_plan([node("a", "b"), node("b", "a")], "0" * 64, "duckdb")
