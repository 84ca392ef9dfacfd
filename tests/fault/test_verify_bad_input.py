"""Run directories made to exhaust, stall or mislead a verifier: it says what is wrong, in bounded memory, and ends."""

import os
import subprocess
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omphalos.format import strictjson
from omphalos.format.findings import FindingId
from omphalos.format.manifest import FILE_NAME, MAX_BYTES, decode_manifest
from omphalos.runs import verdict as verdicts
from omphalos.runs import verify
from omphalos.runs.verdict import Verdict
from omphalos.runs.verify import verify_directory

ROOT = Path(__file__).resolve().parents[2]
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that makes the sound base of the conformance corpus, with edits of its recipe language."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("conformance_make", ROOT / "conformance" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def build(*edits: dict[str, object]) -> Path:
        place: Path = module.build({"base": "plain", "edits": list(edits)}, tmp_path / "run")
        return place

    return build


def _ids(found: Verdict) -> list[tuple[str, str]]:
    return [(finding.id.value, finding.path) for finding in found.findings]


def _peak(folder: Path) -> tuple[int, Verdict]:
    """Return the most memory that verifying a folder took at one time, in bytes, and the verdict."""
    tracemalloc.start()
    try:
        found = verify_directory(folder)
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()


def test_files_without_end_take_no_memory(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times as many files that nothing records do not take more memory, and each is counted."""
    monkeypatch.setattr(verdicts, "MAX_FINDINGS", 50)
    folder = make()
    _peak(folder)  # what is loaded once is loaded now
    peaks = []
    made = 0
    for count in (1_000, 10_000):
        (folder / "x").mkdir(exist_ok=True)
        while made < count:
            (folder / "x" / f"{made:08}").touch()
            made += 1
        peak, found = _peak(folder)
        peaks.append(peak)
        assert len(found.findings) == 50
        assert found.suppressed == count + 1 - 50
        assert found.word == "refused"
    assert peaks[1] < peaks[0] + 65_536


def test_many_attestations_take_no_memory(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of attestations without end no more names are kept than may be opened, and one more."""
    folder = make()
    (folder / "attestations").mkdir()
    for number in range(2_000):
        (folder / "attestations" / f"{number}.json").touch()
    kept: list[int] = []
    original = verify._attestations

    def look(root: int, paths: list[str], *rest: object) -> set[str]:
        kept.append(len(paths))
        return original(root, paths, *rest)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(verify, "_attestations", look)
    found = verify_directory(folder, keys=(verify.PublicKey("00" * 32, bytes(32)),))

    assert kept == [257]
    assert ("oversizeLength", "attestations") in _ids(found)


def test_a_manifest_of_two_gibibytes(make: Make) -> None:
    """A manifest beyond the limit is refused by its size; not a byte of it is read."""
    folder = make()
    os.truncate(folder / FILE_NAME, 2 << 30)
    peak, found = _peak(folder)

    assert _ids(found) == [("jsonTooLarge", FILE_NAME)]
    assert peak < 1 << 20 < MAX_BYTES


def test_an_artifact_that_grows(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """An artifact that grows while it is read is said to have changed, and reading ends at its recorded size."""
    folder = make()
    path = folder / "exports" / "review.csv"
    counts: list[int] = []
    original = os.read

    def read(descriptor: int, count: int) -> bytes:
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            with path.open("ab") as stream:
                stream.write(b"more")
            counts.append(count)
        return original(descriptor, count)

    monkeypatch.setattr(verify.os, "read", read)
    found = verify_directory(folder)

    assert _ids(found) == [("toctou", "exports/review.csv")]
    assert sum(counts) <= 2 * (11 + 1)


@pytest.fixture
def looped(make: Make) -> Iterator[Path]:
    """Yield a run directory that is mounted again inside itself; skip where mounting is not permitted."""
    folder = make({"do": "mkdir", "path": "loop"})
    if os.geteuid() != 0:
        pytest.skip("a bind mount takes root")
    done = subprocess.run(["mount", "--rbind", folder, folder / "loop"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"a bind mount is not permitted: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder / "loop"], check=True)


def test_a_folder_that_holds_itself(looped: Path) -> None:
    """A bind mount of the run directory inside itself is walked once and refused for what nothing records."""
    found = verify_directory(looped)

    assert ("dirExtra", "loop") in _ids(found)
    assert ("fileExtra", "loop/manifest.json") in _ids(found)
    assert found.word == "refused"


def test_a_device_without_end(make: Make) -> None:
    """A record of ``/dev/zero``, or of a link to it, of 2^53-1 bytes is refused at once and never opened."""
    largest = {"size": strictjson.MAX_INT}
    seal = {"do": "seal"}
    folder = make(
        {"do": "record", "path": "/dev/zero", "on_disk": None, "members": largest, "text": "x"},
        {"do": "record", "path": "zero", "on_disk": None, "members": {"size": strictjson.MAX_INT}, "text": "y"},
        {"do": "symlink", "path": "zero", "to": "/dev/zero"},
        seal,
    )
    started = time.process_time()
    found = _ids(verify_directory(folder))

    assert time.process_time() - started < 5
    assert ("pathAbsolute", "/dev/zero") in found
    assert ("symlinkEntry", "zero") in found
    assert ("fileMissing", "zero") in found
    assert ("treeTooLarge", FILE_NAME) in found
    assert decode_manifest((folder / FILE_NAME).read_bytes()).artifacts[0].size == strictjson.MAX_INT
    assert FindingId.TOCTOU not in {identifier for identifier, _ in found}
