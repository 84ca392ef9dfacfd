"""The page that tells how to add a model is done here, word by word, on a copy of the project."""

import re
from pathlib import Path

import pytest

from omphalos.tables import contract
from omphalos.warehouse.marts import build_target, tables_of

PAGE = Path(__file__).resolve().parents[3] / "docs/howto/add-a-model.md"


@pytest.mark.slow
def test_the_model_of_the_page_is_built(
    small_run: Path, work: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of the page make a mart that two engines agree on, with the rows that the question asks for."""
    files = re.findall(r"^`warehouse/([^`\n]+)`:\n\n```\w+\n(.*?)^```$", PAGE.read_text("utf-8"), flags=re.M | re.S)
    assert [".sql", ".yml", ".toml"] == [Path(name).suffix for name, _ in files]
    for name, text in files:
        (project / name).write_text(text, "utf-8")
    monkeypatch.setattr(contract, "shipped", lambda room: project)
    contract.load_contract.cache_clear()
    try:
        marts = []
        for target in ("duckdb", "sqlite"):
            (work / target).mkdir()
            built = build_target(target, tables_of(small_run), work / target, project=project)  # type: ignore[arg-type]  # a literal
            marts.append(built.marts["shipments_by_script"])
        assert marts[0] == marts[1]
        assert 1 == marts[0].rows
    finally:
        contract.load_contract.cache_clear()
