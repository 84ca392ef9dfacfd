"""Whatever is changed in a run directory or in the store is found, under the id of its case."""

import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from omphalos.format import strictjson
from omphalos.format.findings import Finding, FindingId, NotChecked
from omphalos.format.ids import ObjectId, blob_id, from_hex
from omphalos.runs.deep import deepen
from omphalos.runs.execute import Outcome
from omphalos.runs.verdict import MAX_FINDINGS, Findings, Verdict
from omphalos.runs.verify import NoRunDirectory, verify_directory
from omphalos.runs.verify_recorded import verify_recorded
from omphalos.store.durable import StoreIOError
from omphalos.store.names import read_run
from omphalos.store.store import Store
from omphalos.store.trees import walk
from omphalos.testing.damage import flip, lose

Recorded = tuple[Path, Outcome]
FILE = "exports/review_queue.csv"


def _ids(verdict: Verdict) -> list[tuple[str, str]]:
    return [(finding.id.value, finding.path) for finding in verdict.findings]


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_good_run_directory_is_verified(run_directory: Path) -> None:
    """An untouched run directory has no findings, and the verdict ends by naming what was not checked."""
    verdict = verify_directory(run_directory)

    assert ("verified", []) == (verdict.word, _ids(verdict))
    assert verdict.files == sum(1 for path in run_directory.rglob("*") if path.is_file()) - 1
    assert NotChecked.SIGNATURES in verdict.not_checked
    assert NotChecked.FINGERPRINTS in verdict.not_checked


@pytest.mark.parametrize("at", [0, 100, -1])
def test_one_flipped_bit_is_found(run_directory: Path, at: int) -> None:
    """A bit flipped at the beginning, in the middle or at the end of an artifact is a hash mismatch."""
    _flip(run_directory / FILE, at)

    assert [("hashMismatch", FILE)] == _ids(verify_directory(run_directory))


def _grow(folder: Path) -> None:
    with (folder / FILE).open("ab") as stream:
        stream.write(b"\n")


def _shrink(folder: Path) -> None:
    os.truncate(folder / FILE, 10)


def _empty(folder: Path) -> None:
    os.truncate(folder / FILE, 0)


def _remove(folder: Path) -> None:
    (folder / FILE).unlink()


def _extra(folder: Path) -> None:
    (folder / "exports" / "dist").mkdir()
    (folder / "exports" / "dist" / "added.csv").write_text("x")


def _dotfile(folder: Path) -> None:
    (folder / ".hidden").write_text("x")


def _empty_folder(folder: Path) -> None:
    (folder / "exports" / "nothing").mkdir()


def _symlink(folder: Path) -> None:
    target = (folder / FILE).rename(folder.parent / "elsewhere.csv")
    (folder / FILE).symlink_to(target)


def _folder_link(folder: Path) -> None:
    target = (folder / "exports").rename(folder.parent / "elsewhere")
    (folder / "exports").symlink_to(target)


def _fifo(folder: Path) -> None:
    (folder / FILE).unlink()
    os.mkfifo(folder / FILE)


def _socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(folder)  # a socket's path may not be long
        server.bind("s")
        os.chdir(here)


def _folder_for_file(folder: Path) -> None:
    (folder / FILE).unlink()
    (folder / FILE).mkdir()


def _not_utf8(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.csv")).write_text("x")


def _no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _manifest_link(folder: Path) -> None:
    target = (folder / "manifest.json").rename(folder.parent / "m.json")
    (folder / "manifest.json").symlink_to(target)


def _manifest_folder(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").mkdir()


def _manifest_socket(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    _socket(folder)
    (folder / "s").rename(folder / "manifest.json")


def _attestations_file(folder: Path) -> None:
    (folder / "attestations").write_text("x")


def _attestations(folder: Path) -> None:
    (folder / "attestations" / "a").mkdir(parents=True)
    (folder / "attestations" / "a" / "statement.json").write_text("{}")
    (folder / "attestations" / "link").symlink_to("a")


def _deep(folder: Path) -> None:
    (folder / Path(*"d" * 66)).mkdir(parents=True)


def _not_utf8_folder(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff/inner")).mkdir(parents=True)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_grow, [("sizeMismatch", FILE)]),
        (_shrink, [("sizeMismatch", FILE)]),
        (_empty, [("sizeMismatch", FILE)]),
        (_remove, [("fileMissing", FILE)]),
        (_extra, [("dirExtra", "exports/dist"), ("fileExtra", "exports/dist/added.csv")]),
        (_dotfile, [("fileExtra", ".hidden")]),
        (_empty_folder, [("dirExtra", "exports/nothing")]),
        (_symlink, [("fileMissing", FILE), ("symlinkEntry", FILE)]),
        (_fifo, [("fileMissing", FILE), ("specialFile", FILE)]),
        (_socket, [("specialFile", "s")]),
        (_folder_for_file, [("dirExtra", FILE), ("fileMissing", FILE)]),
        (_not_utf8, [("notUtf8", "\\xff.csv")]),
        (_manifest_link, [("symlinkEntry", "manifest.json")]),
        (_manifest_folder, [("manifestMissing", "manifest.json")]),
        (_manifest_socket, [("specialFile", "manifest.json")]),
        (_attestations_file, [("fileExtra", "attestations")]),
        (_attestations, [("symlinkEntry", "attestations/link")]),
        (_not_utf8_folder, [("notUtf8", "\\xff")]),
        (
            _deep,
            [("dirExtra", "/".join("d" * count)) for count in range(1, 64)] + [("pathTooDeep", "/".join("d" * 64))],
        ),
    ],
)
def test_each_kind_of_damage_has_its_finding(
    run_directory: Path, damage: Callable[[Path], None], expected: list[tuple[str, str]]
) -> None:
    """Each way to damage a run directory gives exactly its findings and a negative verdict."""
    damage(run_directory)

    verdict = verify_directory(run_directory)

    assert expected == _ids(verdict)
    assert "refused" == verdict.word


def test_a_linked_folder_hides_nothing(run_directory: Path) -> None:
    """A folder replaced by a link is reported as a link, and its files as missing."""
    _folder_link(run_directory)

    found = _ids(verify_directory(run_directory))

    assert ("symlinkEntry", "exports") in found
    assert ("fileMissing", FILE) in found


def test_without_a_manifest_nothing_else_is_judged(run_directory: Path) -> None:
    """A run directory without its manifest is refused for that alone, however much else lies in it."""
    _no_manifest(run_directory)

    verdict = verify_directory(run_directory)

    assert [("manifestMissing", "manifest.json")] == _ids(verdict)
    assert "refused" == verdict.word


def test_the_run_directory_itself_may_not_be_a_link(run_directory: Path) -> None:
    """A symbolic link to a good run directory is refused as a link."""
    link = run_directory.parent / "link"
    link.symlink_to(run_directory)

    assert [("symlinkEntry", ".")] == _ids(verify_directory(link))


def test_no_folder_is_no_run(tmp_path: Path) -> None:
    """A path where there is no folder is an error of its own, not a verdict."""
    with pytest.raises(NoRunDirectory):
        verify_directory(tmp_path / "nothing")


def test_two_digests_that_disagree_are_fatal(run_directory: Path) -> None:
    """Bytes that have one of the recorded digests and not the other are a finding of their own."""
    path = run_directory / "manifest.json"
    manifest = strictjson.parse(path.read_bytes(), max_bytes=1 << 20)
    assert isinstance(manifest, dict)
    for artifact in manifest["artifacts"]:
        if artifact["path"] == FILE:
            artifact["sha256"] = "0" * 64
    path.write_bytes(strictjson.dump(manifest))

    verdict = verify_directory(run_directory)

    assert ("hashDisagree", FILE) in _ids(verdict)
    assert ("merkleMismatch", "manifest.json") in _ids(verdict)


def test_a_manifest_that_is_no_manifest_is_refused(run_directory: Path) -> None:
    """A manifest with a key twice, or that is not canonical, is refused under the id of the case."""
    path = run_directory / "manifest.json"
    good = path.read_bytes()

    path.write_bytes(good.replace(b'"name":', b'"name": "x",\n  "name":', 1))
    twice = _ids(verify_directory(run_directory))
    path.write_bytes(good.rstrip() + b"\n\n")
    spelled = _ids(verify_directory(run_directory))

    assert ("jsonDuplicateKey", "manifest.json") in twice
    assert ("manifestNotCanonical", "manifest.json") in spelled


def test_another_runs_manifest_in_the_directory_is_found(run_directory: Path, copy: Recorded) -> None:
    """A directory whose manifest is sound but not the one the store records is a mismatch."""
    verdict = verify_directory(run_directory, expected=Store.open(copy[0]).objects.put("run", b"another"))

    assert [("refMismatch", "manifest.json")] == _ids(verdict)


def test_a_flood_of_findings_is_bounded(run_directory: Path) -> None:
    """More unrecorded files than can be listed still give a bounded list and a negative verdict."""
    for number in range(MAX_FINDINGS + 5):
        (run_directory / f"{number}.x").touch()

    verdict = verify_directory(run_directory)

    assert MAX_FINDINGS == len(verdict.findings)
    assert 5 == verdict.suppressed
    assert "refused" == verdict.word


DENIED = PermissionError(13, "Permission denied")


def _failing(monkeypatch: pytest.MonkeyPatch, name: str, error: OSError = DENIED) -> None:
    """Let what has this name be opened by nobody."""
    true = os.open

    def failing(path: str | bytes | Path, flags: int, *rest: int, dir_fd: int | None = None) -> int:
        if os.fsencode(path).endswith(os.fsencode(name)):
            raise error
        return true(path, flags, *rest, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", failing)


def test_a_folder_that_cannot_be_opened_makes_the_verdict_incomplete(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is said to be missing from a folder that cannot be looked into."""
    _failing(monkeypatch, "exports")
    verdict = verify_directory(run_directory)

    assert ("incomplete", ("exports",), []) == (verdict.word, verdict.unreadable, _ids(verdict))


@pytest.mark.parametrize(("name", "path"), [("manifest.json", "manifest.json"), ("run", ".")])
def test_what_everything_depends_on_cannot_be_opened(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch, name: str, path: str
) -> None:
    """A manifest or run directory that cannot be opened is unreadable, and not refused."""
    _failing(monkeypatch, run_directory.name if name == "run" else name)
    verdict = verify_directory(run_directory)

    assert ("incomplete", (path,), []) == (verdict.word, verdict.unreadable, _ids(verdict))


def _opened(descriptor: int) -> Path:
    """Return the path of an open file."""
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def test_an_unreadable_file_makes_the_verdict_incomplete(run_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be read is never counted as checked, nor as tampered."""
    true = os.read

    def failing(descriptor: int, count: int) -> bytes:
        if _opened(descriptor).name == "review_queue.csv":
            raise OSError(5, "Input/output error")
        return true(descriptor, count)

    monkeypatch.setattr(os, "read", failing)
    verdict = verify_directory(run_directory)

    assert ("incomplete", (FILE,)) == (verdict.word, verdict.unreadable)


def test_a_file_that_changes_while_it_is_read_is_found(run_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file touched between the first and the last byte is a finding, not something to try again."""
    true = os.read

    def meddling(descriptor: int, count: int) -> bytes:
        if _opened(descriptor).name == "review_queue.csv":
            os.utime(_opened(descriptor), ns=(1, 1))
        return true(descriptor, count)

    monkeypatch.setattr(os, "read", meddling)

    assert [("toctou", FILE)] == _ids(verify_directory(run_directory))


def test_a_manifest_that_changes_while_it_is_read_is_not_believed(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest touched while it is read is the only finding: nothing it says is used."""
    true, times = os.fstat, iter(range(1, 100))

    def meddling(descriptor: int) -> os.stat_result:
        if _opened(descriptor).name == "manifest.json":
            os.utime(_opened(descriptor), ns=(1, next(times)))
        return true(descriptor)

    monkeypatch.setattr(os, "fstat", meddling)

    assert [("toctou", "manifest.json")] == _ids(verify_directory(run_directory))


def test_a_folder_that_goes_away_is_found(run_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is there when it is listed and gone when it is opened changed while it was read."""
    _failing(monkeypatch, "exports", FileNotFoundError(2, "No such file or directory"))
    found = _ids(verify_directory(run_directory))

    assert ("toctou", "exports") in found
    assert ("fileMissing", FILE) in found


@pytest.mark.parametrize(("name", "path"), [("review_queue.csv", FILE), ("manifest.json", "manifest.json")])
def test_a_file_that_becomes_a_link_is_not_followed(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch, name: str, path: str
) -> None:
    """A file that is replaced by a link to the same bytes just before it is opened is a finding."""
    true, there = os.open, run_directory / path

    def meddling(opened: str | bytes | Path, flags: int, *rest: int, dir_fd: int | None = None) -> int:
        if os.fsencode(opened) == name.encode() and not there.is_symlink():
            there.rename(run_directory.parent / name)
            there.symlink_to(run_directory.parent / name)
        return true(opened, flags, *rest, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", meddling)

    assert [("toctou", path)] == _ids(verify_directory(run_directory))


@pytest.mark.parametrize(("name", "path"), [("review_queue.csv", FILE), ("manifest.json", "manifest.json")])
def test_a_file_that_becomes_a_folder_has_changed(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch, name: str, path: str
) -> None:
    """A file that is a folder by the time it is opened has changed; it is not said to be unreadable."""
    true, there = os.open, run_directory / path

    def meddling(opened: str | bytes | Path, flags: int, *rest: int, dir_fd: int | None = None) -> int:
        if os.fsencode(opened) == name.encode() and there.is_file():
            there.rename(run_directory.parent / name)
            there.mkdir()
        return true(opened, flags, *rest, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", meddling)
    verdict = verify_directory(run_directory)

    assert ([("toctou", path)], ()) == (_ids(verdict), verdict.unreadable)


def test_suppressed_warnings_do_not_refuse() -> None:
    """However many warnings there are, they do not refuse; one error among what is not listed does."""
    found = Findings()
    found.extend(Finding(FindingId.PATH_INVISIBLE, f"{number:06}") for number in range(MAX_FINDINGS + 5))
    verdict = found.verdict("x", None, 0, 0)
    assert ("verified", 5) == (verdict.word, verdict.suppressed)

    found.extend([Finding(FindingId.UNSORTED, "manifest.json")])
    verdict = found.verdict("x", None, 0, 0)
    assert ("refused", 6) == (verdict.word, verdict.suppressed)
    assert "unsorted" not in {finding.id.value for finding in verdict.findings}


def _object(outcome: Outcome, path: str = FILE) -> ObjectId:
    """Return the id of an artifact."""
    return blob_id((outcome.directory / path).read_bytes())


def test_a_good_run_in_the_store_is_verified(copy: Recorded) -> None:
    """The run as the store holds it has no findings."""
    folder, outcome = copy

    verdict = verify_recorded(Store.open(folder), f"runs/{outcome.run_id}", outcome.run)

    assert ("verified", []) == (verdict.word, _ids(verdict))


def test_a_damaged_object_is_found(copy: Recorded) -> None:
    """A bit flipped in an object names the artifact it belongs to."""
    folder, outcome = copy
    flip(Store(folder), _object(outcome), 3)

    assert [("objectDamaged", FILE)] == _ids(verify_recorded(Store.open(folder), f"runs/{outcome.run_id}", outcome.run))


def test_a_missing_object_is_found(copy: Recorded) -> None:
    """An object that is gone names the artifact it belongs to."""
    folder, outcome = copy
    lose(Store(folder), _object(outcome))

    assert [("objectMissing", FILE)] == _ids(verify_recorded(Store.open(folder), f"runs/{outcome.run_id}", outcome.run))


def test_a_damaged_run_object_is_found(copy: Recorded) -> None:
    """A bit flipped in the run object itself leaves nothing to believe."""
    folder, outcome = copy
    flip(Store(folder), outcome.run, 9)

    verdict = verify_recorded(Store.open(folder), f"runs/{outcome.run_id}", outcome.run)

    assert [("objectDamaged", f"runs/{outcome.run_id}")] == _ids(verdict)


def test_a_ref_that_names_another_run_is_found(copy: Recorded) -> None:
    """A ref whose run says it is another is a mismatch."""
    folder, outcome = copy

    verdict = verify_recorded(Store.open(folder), "runs/other-000000000000", outcome.run)

    assert [("refMismatch", "runs/other-000000000000")] == _ids(verdict)


def test_deep_verification_reads_the_tables(run_directory: Path) -> None:
    """With deep verification every fingerprint is computed again and nothing remains to be said about them."""
    verdict = deepen(verify_directory(run_directory), run_directory)

    assert ("verified", []) == (verdict.word, _ids(verdict))
    assert NotChecked.FINGERPRINTS not in verdict.not_checked


@pytest.mark.parametrize("name", ["what? now", "100%41", "no #1"])
def test_deep_verification_in_a_folder_of_any_name(run_directory: Path, name: str) -> None:
    """Marks that mean something in a URI may stand in the name of a folder above the run; no other file is opened."""
    odd = run_directory.parent / name
    odd.mkdir()
    there = run_directory.rename(odd / run_directory.name)
    before = sorted(odd.parent.iterdir())

    verdict = deepen(verify_directory(there), there)

    assert ("verified", []) == (verdict.word, _ids(verdict))
    assert before == sorted(odd.parent.iterdir())


def test_deep_verification_finds_a_wrong_fingerprint(run_directory: Path) -> None:
    """A fingerprint in the manifest that is not the table's is found although every byte is as recorded."""
    path = run_directory / "manifest.json"
    manifest = strictjson.parse(path.read_bytes(), max_bytes=1 << 20)
    assert isinstance(manifest, dict)
    named = [artifact for artifact in manifest["artifacts"] if artifact["path"] in (FILE, "review/review.parquet")]
    named[0]["fingerprint"] = "0" * 64
    named[1]["rows"] += 1
    path.write_bytes(strictjson.dump(manifest))

    found = _ids(deepen(verify_directory(run_directory), run_directory))

    assert [("fingerprintMismatch", FILE), ("recordsMismatch", "review/review.parquet")] == found


def test_deep_verification_opens_the_warehouse(run_directory: Path) -> None:
    """The warehouse file of a good run is sound from within, and opening it changes nothing."""
    path = run_directory / "warehouse" / "warehouse.sqlite"
    before = path.read_bytes()

    deepen(verify_directory(run_directory), run_directory)

    assert before == path.read_bytes()
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        tables = {name for (name,) in db.execute("select name from sqlite_master where type in ('table', 'view')")}
    assert {"trade_feed", "registry", "entity_matches", "entity_scores", "entity_exposure"} <= tables


def test_a_damaged_method_is_found_in_the_store(copy: Recorded) -> None:
    """A file of the recorded method that was changed or lost is found where the store's record is verified."""
    store = Store.open(copy[0])
    method = from_hex(read_run(store, copy[1].run).plan.method)
    path, _, oid = next(iter(walk(store, method)))
    flip(store, oid)
    assert ("objectDamaged", f"method/{path}") in _ids(verify_recorded(store, "latest", copy[1].run))
    other = next(oid for name, _, oid in walk(store, method) if name != path)
    lose(store, other)
    assert "objectMissing" in {name for name, _ in _ids(verify_recorded(store, "latest", copy[1].run))}


def test_a_disk_that_fails_makes_the_verdict_incomplete(copy: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blob that the disk does not give is named as not read, and everything else is judged all the same."""
    store = Store.open(copy[0])
    first = read_run(store, copy[1].run).artifacts[0]
    opened = store.objects.open

    def failing(oid: ObjectId) -> object:
        if oid.hex() == first.blake3:
            raise StoreIOError("the disk gave up")
        return opened(oid)

    monkeypatch.setattr(store.objects, "open", failing)
    verdict = verify_recorded(store, "latest", copy[1].run)
    assert (verdict.word, verdict.unreadable, verdict.findings) == ("incomplete", (first.path,), ())
