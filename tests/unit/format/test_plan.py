"""Plan ids and run ids: the hashed bytes, and what may and may not change them."""

import msgspec
import pytest
from blake3 import blake3

from omphalos.format.ids import IdError, ObjectId
from omphalos.format.manifest import PlanInput
from omphalos.format.plan import RunNameError, check_name, is_name, plan_id, run_id

CONFIG, METHOD = ObjectId(b"\x33" * 32), ObjectId(b"\x44" * 32)
FEED = PlanInput("feed", "f.csv", "inputs/feed/f.csv", "csv", 1, 1, "00" * 32, "11" * 32)
LIST = PlanInput("registry", "l.csv", "inputs/registry/l.csv", "csv", 1, 1, "00" * 32, "22" * 32)


def test_known_bytes() -> None:
    """The plan's id is BLAKE3 over exactly these bytes."""
    hashed = (
        "94a164"
        "92"
        f"93a466656564a5662e637376c420{'11' * 32}"
        f"93a87265676973747279a56c2e637376c420{'22' * 32}"
        f"c420{'33' * 32}"
        f"c420{'44' * 32}"
    )
    assert plan_id("d", [FEED, LIST], CONFIG, METHOD) == blake3(bytes.fromhex(hashed)).digest()


def test_the_order_of_inputs_does_not_matter() -> None:
    """Inputs are sorted before they are hashed."""
    assert plan_id("d", [FEED, LIST], CONFIG, METHOD) == plan_id("d", [LIST, FEED], CONFIG, METHOD)


@pytest.mark.parametrize("member", ["path", "format", "size", "records", "sha256"])
def test_what_does_not_change_a_plan(member: str) -> None:
    """Where an input lies in the run and what was read from it are not part of the plan."""
    other = "99" * 32 if member == "sha256" else 9 if member in ("size", "records") else "other"
    changed = msgspec.structs.replace(FEED, **{member: other})
    assert plan_id("d", [changed], CONFIG, METHOD) == plan_id("d", [FEED], CONFIG, METHOD)


def test_what_changes_a_plan() -> None:
    """Name, role, source, content, configuration, method and the number of inputs each give another id."""
    plans = [
        plan_id("d", [FEED], CONFIG, METHOD),
        plan_id("e", [FEED], CONFIG, METHOD),
        plan_id("d", [msgspec.structs.replace(FEED, role="feed2")], CONFIG, METHOD),
        plan_id("d", [msgspec.structs.replace(FEED, source="g.csv")], CONFIG, METHOD),
        plan_id("d", [msgspec.structs.replace(FEED, blake3="12" * 32)], CONFIG, METHOD),
        plan_id("d", [FEED], METHOD, METHOD),
        plan_id("d", [FEED], CONFIG, CONFIG),
        plan_id("d", [], CONFIG, METHOD),
        plan_id("d", [FEED, FEED], CONFIG, METHOD),
    ]
    assert len(set(plans)) == len(plans)


def test_run_id() -> None:
    """A run_id is the name and the first twelve digits of the plan's id."""
    assert run_id("daily", bytes.fromhex("0123456789abcdef" * 4)) == "daily-0123456789ab"


@pytest.mark.parametrize("name", ["a", "0", "daily-2026-11-22", "a" * 64, "a-"])
def test_good_names(name: str) -> None:
    """Lower-case letters, digits and hyphens, up to 64, are a name."""
    check_name(name)
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a.b", "a/b", "a" * 65, "a\n", "é", "..", "a b"])
def test_bad_names(name: str) -> None:
    """Anything else is refused, a newline at the end included."""
    with pytest.raises(RunNameError):
        check_name(name)
    with pytest.raises(RunNameError):
        plan_id(name, [], CONFIG, METHOD)
    with pytest.raises(RunNameError):
        run_id(name, b"\0" * 32)


def test_ids_of_another_length_are_errors() -> None:
    """A plan is made of ids of 32 bytes."""
    with pytest.raises(IdError):
        plan_id("d", [], ObjectId(b"x"), METHOD)
    with pytest.raises(IdError):
        run_id("d", b"x")
