"""Contracts are read strictly and refuse to contradict themselves."""

import pytest

from omphalos.shipped import shipped
from omphalos.tables.contract import ContractError, load_contract, parse_contract

SOUND = """
table = "t"
version = 1
grain = "one row per thing"
key = ["a"]
[[column]]
name = "a"
kind = "text"
about = "the thing"
[[column]]
name = "b"
kind = "int"
about = "how many"
nullable = true
min = 0
"""


def test_every_shipped_contract_is_sound() -> None:
    """Each file in warehouse/contracts loads under its own name and says what its grain and columns are."""
    names = sorted(path.stem for path in (shipped("warehouse") / "contracts").glob("*.toml"))

    contracts = [load_contract(name) for name in names]

    assert names
    assert all(contract.grain.startswith("one row per ") for contract in contracts)
    assert all(column.about for contract in contracts for column in contract.column)


def test_a_sound_contract_gives_its_schema() -> None:
    """Kinds and nullability of the Arrow schema come from the contract alone."""
    schema = parse_contract(SOUND, where="t").arrow_schema()

    assert ["large_string", "int64"] == [str(field.type) for field in schema]
    assert [False, True] == [field.nullable for field in schema]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('key = ["a"]', 'key = ["z"]', "no column"),
        ('key = ["a"]', 'key = ["b"]', "nullable"),
        ('key = ["a"]', "key = []", "no key"),
        ('name = "b"', 'name = "a"', "twice"),
        ('name = "b"', 'name = "b; drop table t"', "bad name"),
        ("min = 0", 'code = "month"', "rules of a text"),
        ("min = 0", "minimum = 0", "minimum"),
        ("version = 1", 'version = "one"', "int"),
        ('table = "t"', 'table = "t', "cannot be read"),
    ],
)
def test_a_contradiction_is_refused(old: str, new: str, says: str) -> None:
    """A contract that contradicts itself, or holds an unknown member, is an error that says so."""
    with pytest.raises(ContractError, match=says):
        parse_contract(SOUND.replace(old, new), where="t")


@pytest.mark.parametrize("name", ["nothing", "../contracts/review", "review.toml", ""])
def test_an_unknown_table_has_no_contract(name: str) -> None:
    """A name that is no shipped contract is refused, path tricks included."""
    with pytest.raises(ContractError, match="no contract"):
        load_contract(name)
