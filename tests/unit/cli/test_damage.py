"""A damaged store: every verb says what is wrong, with the right exit code, and shows no damaged bytes as good ones."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from omphalos.format.ids import from_hex
from omphalos.store.store import Store
from omphalos.testing import damage

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Call

REPORT = "reports/validation.json"


@pytest.fixture
def report_id(call: "Call", store: Path, first: str) -> str:
    """The id of an artifact of the reference run."""
    entries = call("ls", f"{first}:reports", "--json").document["entries"]
    (oid,) = (entry["id"] for entry in entries if entry["path"] == "validation.json")
    return str(oid)


def findings(call: "Call", name: str) -> set[str]:
    """Return the ids of all findings of a verification that is refused."""
    said = call("verify", name, "--json")
    assert said.code == 1
    assert said.document["verdict"] == "refused"
    return {finding["id"] for check in said.document["checks"] for finding in check["findings"]}


def test_a_flipped_bit_in_an_artifact(call: "Call", store: Path, first: str, report_id: str) -> None:
    """A damaged object is refused by every verb that needs its bytes, and none of them is written."""
    damage.flip(Store(store), from_hex(report_id), 9)
    assert findings(call, first) == {"objectDamaged"}
    for argv in (["cat", report_id], ["cat", f"{first}:{REPORT}"], ["show", f"{first}:{REPORT}"]):
        said = call(*argv)
        assert (said.code, said.out) == (1, ""), argv
        assert "is damaged" in said.err
        assert call(*argv, "--json").failure["id"] == "objectDamaged"
    assert call("checkout", first, "new").code == 1
    assert not Path("new").exists()
    assert [name.name for name in store.iterdir() if name.name.startswith(".building")] == []
    assert call("log").code == 0
    assert call("verify", f"artifacts/runs/{first}").code == 0


def test_a_missing_artifact(call: "Call", store: Path, first: str, report_id: str) -> None:
    """An object that is gone is a finding of a verification, and 'not found' where it was asked for."""
    damage.lose(Store(store), from_hex(report_id))
    assert findings(call, first) == {"objectMissing"}
    assert call("cat", f"{first}:{REPORT}").code == 10
    assert call("checkout", first, "new").code == 10
    assert not Path("new").exists()


@pytest.mark.parametrize("how", ["flip", "lose"])
def test_a_damaged_run_object(call: "Call", store: Path, first: str, how: str) -> None:
    """A run whose manifest cannot be read is listed with the reason (exit 3), and refused by its name."""
    run = from_hex(call("ref", "get", f"runs/{first}").out.strip())
    damage.flip(Store(store), run, 9) if how == "flip" else damage.lose(Store(store), run)
    said = call("log", "--json")
    assert said.code == 3
    (bad,) = (entry for entry in said.document["runs"] if entry["error"])
    assert bad["run_id"] == first
    assert call("log").code == 3
    assert f"{first}  damaged" in call("log").out
    assert findings(call, first) >= {"objectDamaged" if how == "flip" else "objectMissing"}
    code = 1 if how == "flip" else 10
    for argv in (["show", first], ["certify", first], ["diff", first, "second"], ["status", first], ["ls", first]):
        assert call(*argv).code == code, argv
    assert call("show", "latest", "--json").document["manifest"]["name"] == "second"


@pytest.mark.parametrize("content", [b"", b"0" * 63 + b"\n", b"0" * 64, b"g" * 64 + b"\n", b"\x00" * 65, b"0" * 900])
def test_a_damaged_ref(call: "Call", store: Path, first: str, content: bytes) -> None:
    """A ref file that is not one line of 64 hex digits is listed as damaged, and nothing is read through it."""
    (store / "refs" / "runs" / first).write_bytes(content)
    said = call("ref", "list", "--json")
    assert said.code == 3
    (bad,) = (row for row in said.document["refs"] if row["error"])
    assert (bad["name"], bad["id"]) == (f"refs/runs/{first}", None)
    assert call("log").code == 3
    for argv in (["verify", first], ["show", first], ["ref", "get", f"runs/{first}"], ["checkout", first]):
        said = call(*argv, "--json")
        assert (said.code, said.failure["id"]) == (1, "refMalformed"), argv
    assert call("verify", "second").code == 0


def test_a_ref_of_another_run(call: "Call", store: Path, first: str) -> None:
    """A ref that names another run's manifest is found by a verification."""
    (other,) = (path for path in (store / "refs" / "runs").iterdir() if path.name.startswith("second"))
    (store / "refs" / "runs" / first).write_bytes(other.read_bytes())
    assert "refMismatch" in findings(call, first)
    assert call("log").code == 3


def test_an_object_under_a_wrong_kind(call: "Call", store: Path, report_id: str) -> None:
    """A run's ref that points at a file is no run."""
    (store / "refs" / "runs" / "odd-0123456789ab").write_text(report_id + "\n")
    assert call("log").code == 3
    assert call("show", "odd-0123456789ab").code == 1


def test_a_link_in_place_of_an_object(call: "Call", store: Path, first: str, report_id: str, tmp_path: Path) -> None:
    """A symbolic link where an object should be is not followed, though it leads to the right bytes."""
    content = Store(store).objects.read("blob", from_hex(report_id))
    damage.lose(Store(store), from_hex(report_id))
    (tmp_path / "aside").write_bytes(content)
    path = store / "objects" / "large" / report_id[:2] / report_id[2:]
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(tmp_path / "aside")
    assert findings(call, first) == {"objectDamaged"}
    assert call("cat", f"{first}:{REPORT}").code == 1


@pytest.mark.parametrize("folder", ["objects", "refs"])
def test_half_a_store_is_none(call: "Call", store: Path, folder: str) -> None:
    """A folder that lost its objects or its refs is no store."""
    (store / folder).rename(store / "aside")
    said = call("log")
    assert said.code == 10
    assert "no store" in said.err


def test_a_certification_of_changed_results_is_negative(
    call: "Call", store: Path, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one plan gives other bytes, run refuses and certify ends with 1, and the recorded run stays."""
    from omphalos.screening import reports

    headline = reports.scoring
    with monkeypatch.context() as patch:
        patch.setattr(reports, "scoring", lambda *given: {**headline(*given), "surplus": 1})
        failed = call("run", "--scale", "small", "--json")
        assert (failed.code, failed.failure["id"]) == (1, "notReproduced")
        altered = call("run", "--scale", "small", "--name", "altered", "--json").document["run_id"]
    said = call("certify", altered, "--vary", "none", "--json")
    assert (said.code, said.document["outcome"]) == (1, "different")
    (artifact,) = said.document["artifacts"]
    assert (artifact["path"], artifact["state"]) == ("reports/scoring.json", "different")
    assert "reports/scoring.json: different: line" in call("certify", altered, "--vary", "none").out
    assert call("verify", first).code == 0


def test_another_method_is_not_called_different(
    call: "Call", store: Path, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of a method that is not installed ends a certification as incomplete (3), never as negative."""
    from omphalos.runs import certify

    monkeypatch.setattr(certify, "hash_method", lambda: bytes(32))
    said = call("certify", first, "--json")
    assert (said.code, said.document["outcome"]) == (3, "not-rerunnable")


def test_certify_computes_where_nobody_else_can_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store is read-only the scratch folder is new, of mode 0700, and gone afterwards; beside it, none is."""
    from omphalos.cli.certify import scratch

    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "omphalos").symlink_to(tmp_path)  # what somebody else may have put there
    monkeypatch.setattr("tempfile.tempdir", str(shared))
    with scratch(tmp_path) as place:
        assert place is None
    monkeypatch.setattr("os.access", lambda *_: False)
    with scratch(tmp_path) as place:
        assert place is not None
        assert (place.parent, place.is_symlink(), place.stat().st_mode & 0o777) == (shared, False, 0o700)
        (place / "x").write_text("y")
    assert [path.name for path in shared.iterdir()] == ["omphalos"]
