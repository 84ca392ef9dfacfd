"""Keys, signatures, bundles, proofs, and stores judged by their files: what the verbs do and refuse."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Call


@pytest.fixture
def key(call: "Call", store: Path) -> str:
    """Make a key and return its keyid."""
    return call("key", "new", "office.key").out.strip()


def _directory(first: str) -> Path:
    return Path("artifacts/runs") / first


def test_a_key_is_two_files(call: "Call", store: Path, key: str) -> None:
    """The private key is for its owner alone, the public one is what --key takes, and neither is written over."""
    assert Path("office.key").stat().st_mode & 0o777 == 0o600
    assert Path("office.key.pub").read_text().startswith("-----BEGIN PUBLIC KEY-----\n")
    said = call("key", "new", "office.key", "--json")
    assert (said.code, said.failure["id"]) == (2, "keyExists")
    assert call("key", "new", "second.key").out.strip() != key


def test_sign_and_verify(call: "Call", store: Path, first: str, key: str) -> None:
    """A signed run verifies with the key, another key refuses it, and it is signed once."""
    missing = call("verify", first, "--key", "office.key.pub", "--json")
    assert (missing.code, missing.document["verdict"]) == (1, "refused")
    assert [f["id"] for f in missing.document["checks"][1]["findings"]] == ["signatureMissing"]
    signed = call("sign", first, "--key", "office.key", "--json").document
    assert (signed["run_id"], signed["keyid"]) == (first, key)
    said = call("verify", first, "--key", "office.key.pub", "--json")
    assert (said.code, said.document["checks"][1]["signed_by"]) == (0, [key])
    assert "signatures" not in [item["word"] for item in said.document["checks"][1]["not_checked"]]
    assert f"vouched for by key {key[:12]}" in call("verify", first, "--key", "office.key.pub").out
    again = call("sign", first, "--key", "office.key", "--json")
    assert (again.code, again.failure["id"]) == (2, "alreadySigned")
    call("key", "new", "other.key")
    assert call("verify", f"{_directory(first)}/", "--key", "other.key.pub").code == 1
    assert call("verify", first).code == 0


def test_a_certification_is_signed(call: "Call", store: Path, first: str, key: str) -> None:
    """The statement of a certification is signed as it is and counts; any other one is refused."""
    assert call("certify", first, "--vary", "none", "-o", "again.json").code == 0
    for wrong in ("again.json", "office.key.pub"):
        said = call("sign", "second", "--key", "office.key", "--statement", wrong, "--json")
        assert (said.code, said.failure["id"]) == (2, "notOfThisRun")
    assert call("sign", first, "--key", "office.key", "--statement", "absent", "--json").failure["id"] == "noSuchFile"
    signed = call("sign", first, "--key", "office.key", "--statement", "again.json", "--json").document
    assert signed["path"].endswith(f"{key[:16]}-recomputation.json")
    said = call("verify", first, "--key", "office.key.pub", "--json")
    assert (said.code, said.document["checks"][1]["signed_by"]) == (0, [key])


def test_a_key_that_cannot_be_had(call: "Call", store: Path, first: str, key: str) -> None:
    """Trust material that is missing has its own exit code, and no verdict is printed."""
    for name in ("absent.pub", "office.key", "objects"):
        said = call("verify", first, "--key", name, "--json")
        assert (said.code, said.out, said.failure["id"]) == (12, "", "keyMissing")
    Path("many").mkdir()
    assert call("verify", first, *["--key", "office.key.pub"] * 17, "--json").failure["id"] == "tooManyKeys"


def test_a_private_key_must_be_private(call: "Call", store: Path, first: str, key: str) -> None:
    """A key that others can read, or that is none, signs nothing."""
    Path("office.key").chmod(0o640)
    said = call("sign", first, "--key", "office.key", "--json")
    assert (said.code, said.failure["id"]) == (12, "badPrivateKey")
    assert "others" in said.failure["message"]
    Path("office.key").chmod(0o600)
    Path("office.key").write_text("not a key")
    assert call("sign", first, "--key", "office.key", "--json").failure["id"] == "badPrivateKey"
    assert call("sign", first, "--key", "absent.key", "--json").failure["id"] == "badPrivateKey"
    assert call("sign", first, "--key", "objects", "--json").failure["id"] == "badPrivateKey"
    assert not (_directory(first) / "attestations").exists()


def test_what_does_not_verify_is_not_signed(call: "Call", store: Path, first: str, key: str) -> None:
    """Nobody vouches for a damaged run directory."""
    (_directory(first) / "more.txt").write_text("x")
    said = call("sign", first, "--key", "office.key", "--json")
    assert (said.code, said.failure["id"]) == (1, "notSound")
    assert not (_directory(first) / "attestations").exists()


def test_a_bundle(call: "Call", store: Path, first: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run makes the same bundle under any umask; it verifies by file, and with the key once signed."""
    built = call("release", "build", first, "-o", "one.omphalos", "--json").document
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    mask = os.umask(0o077)
    try:
        other = call("release", "build", first, "-o", "two.omphalos", "--json").document
    finally:
        os.umask(mask)
    assert built["sha256"] == other["sha256"]
    assert Path("one.omphalos").read_bytes() == Path("two.omphalos").read_bytes()
    for argv in (["verify", "one.omphalos"], ["release", "verify", "one.omphalos"], ["verify", "./one.omphalos"]):
        said = call(*argv, "--json")
        assert (said.code, said.document["checks"][0]["run_id"]) == (0, first)
    assert call("release", "verify", "one.omphalos").out.startswith(f"VERIFIED {first}: ")
    assert call("release", "verify", "one.omphalos", "--key", "office.key.pub").code == 1
    call("sign", first, "--key", "office.key")
    call("release", "build", first, "-o", "signed.omphalos")
    assert call("release", "verify", "signed.omphalos", "--key", "office.key.pub").code == 0
    again = call("release", "build", first, "-o", "one.omphalos", "--json")
    assert (again.code, again.failure["id"]) == (2, "alreadyThere")
    assert sorted(path.name for path in Path().glob(".*omphalos*")) == []


def test_a_bundle_of_a_damaged_store(call: "Call", store: Path, first: str) -> None:
    """A bundle that could not be whole is not left behind."""
    for path in Path("objects").rglob("*"):
        if path.is_file() and (path.suffix in (".open", ".pack") or path.parent.parent.name == "large"):
            path.chmod(0o644)
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
    said = call("release", "build", first, "-o", "one.omphalos")
    assert said.code in (1, 3, 10)
    assert list(Path().glob("*omphalos*")) == list(Path().glob(".*omphalos*")) == []


def test_a_damaged_bundle(call: "Call", store: Path, first: str) -> None:
    """One flipped bit anywhere in a bundle refuses it, and what is no bundle is refused as such."""
    call("release", "build", first, "-o", "one.omphalos")
    data = bytearray(Path("one.omphalos").read_bytes())
    for at in range(0, len(data), len(data) // 40):
        data[at] ^= 1
        Path("bad.omphalos").write_bytes(data)
        data[at] ^= 1
        assert call("release", "verify", "bad.omphalos").code == 1, at
    assert call("verify", "objects/gc.lock", "--json").code in (1, 10)
    assert call("release", "verify", "absent").code == 10
    assert call("verify", "one.omphalos", "--deep").code == 2


def test_a_proof(call: "Call", store: Path, first: str, key: str) -> None:
    """A proof is believed with the root or with a signature over it, and not without."""
    path = "reports/scoring.json"
    root = call("prove", first, path, "-o", "p.proof").out.strip()
    file = str(_directory(first) / path)
    bare = call("verify", "--proof", "p.proof", file)
    assert (bare.code, "    root: " in bare.out) == (3, True)
    assert call("verify", "--proof", "p.proof", "--root", root, file).code == 0
    assert call("verify", "--proof", "p.proof", "--root", "0" * 64, file).code == 1
    assert call("verify", "--proof", "p.proof", "--root", root, "office.key.pub").code == 1
    assert call("verify", "--proof", "p.proof", "--root", "zz", file).code == 2
    assert call("verify", "--root", root, file).code == 2
    assert call("prove", first, path).out.encode() == Path("p.proof").read_bytes()
    statement = call("sign", first, "--key", "office.key").out.strip()
    call("prove", first, path, "--statement", statement, "-o", "signed.proof")
    assert call("verify", "--proof", "signed.proof", "--key", "office.key.pub", file).code == 0
    assert call("verify", "--proof", "p.proof", "--key", "office.key.pub", file).code == 1


def test_a_proof_that_cannot_be_made(call: "Call", store: Path, first: str) -> None:
    """No artifact of the name, a file in the way, and a statement that is none are refused, and nothing is written."""
    assert call("prove", first, "reports/absent.json", "--json").failure["id"] == "noSuchArtifact"
    Path("p.proof").write_text("mine")
    assert call("prove", first, "reports/scoring.json", "-o", "p.proof").code == 2
    assert Path("p.proof").read_text() == "mine"
    bad = call("prove", first, "reports/scoring.json", "--statement", "p.proof", "--json")
    assert (bad.code, bad.failure["id"]) == (2, "badStatement")


def test_two_verdicts_are_explained(call: "Call", store: Path, first: str) -> None:
    """Where the run has a directory, each of the two verdicts says what it is about, and names the run."""
    said = call("verify", first)
    lines = [line for line in said.out.splitlines() if line.startswith("VERIFIED")]
    assert [line.startswith(f"VERIFIED {first}: ") for line in lines] == [True, True]
    assert lines[0].endswith("as recorded in the store")
    assert lines[1].endswith("as it lies in the folder")
    assert "two verdicts" in said.err


def test_a_store_by_its_files(call: "Call", store: Path, first: str) -> None:
    """The plain check of a store finds it sound, and one flipped bit, without the index."""
    good = call("fsck", "--plain", "--json")
    assert (good.code, good.document["verdict"]) == (0, "verified")
    assert good.document["checks"][0]["files"] > 10
    (segment,) = Path("objects/packs").iterdir()
    data = bytearray(segment.read_bytes())
    data[80] ^= 1
    segment.chmod(0o644)
    segment.write_bytes(data)
    bad = call("fsck", "--plain", "--json")
    assert (bad.code, bad.document["checks"][0]["findings"][0]["id"]) == (1, "objectDamaged")
    assert call("fsck", "--plain", "--quarantine").code == 2


def test_repair_from_a_bundle(call: "Call", store: Path, first: str) -> None:
    """What is damaged in a store comes back from a bundle of its runs, tree nodes too; a bad bundle gives nothing."""
    runs = sorted(path.name for path in Path("refs/runs").iterdir())
    call("release", "build", first, "-o", "one.omphalos")
    call("release", "build", *runs, "-o", "all.omphalos")
    (segment,) = Path("objects/packs").iterdir()
    data = bytearray(segment.read_bytes())
    for at in range(200, len(data), len(data) // 20):
        data[at] ^= 1
    segment.chmod(0o644)
    segment.write_bytes(data)
    assert call("fsck").code == 1
    assert call("fsck", "--repair", "--from", "all.omphalos").code == 0
    assert call("fsck").code == 0
    assert call("release", "build", first, "-o", "two.omphalos").code == 0
    assert Path("one.omphalos").read_bytes() == Path("two.omphalos").read_bytes()
    assert call("verify", first).code == 0
    data = bytearray(Path("one.omphalos").read_bytes())
    data[5000] ^= 1
    Path("bad.omphalos").write_bytes(data)
    assert call("fsck", "--repair", "--from", "bad.omphalos", "--json").failure["id"] == "notSound"
