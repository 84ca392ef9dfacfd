"""Names: one meaning, or a refusal that offers what could be meant."""

from collections.abc import Callable

import pytest

from omphalos.format.errors import ErrorKind
from omphalos.format.ids import ObjectId, blob_id
from omphalos.store.names import AmbiguousName, Resolved, UnknownName, resolve, runs
from omphalos.store.objects import KindMismatch, ObjectDamaged, ObjectMissing
from omphalos.store.refs import RefDamaged
from omphalos.store.store import Store
from omphalos.store.trees import PathMissing, put_paths
from omphalos.testing.damage import flip

Manifest = Callable[..., bytes]
FIRST, SECOND, THIRD = "alpha-000000000001", "alpha-000000000002", "beta-aaaaaaaaaaaa"


def put_tree(store: Store, data: bytes = b"data") -> ObjectId:
    oid = store.objects.put("blob", data)
    return put_paths(store, {"out/f.csv": (len(data), oid)})[0]


def add(store: Store, manifest: Manifest, run_id: str, created: str, **more: object) -> ObjectId:
    oid = store.put_run(manifest(put_tree(store), run_id=run_id, created=created, **more))
    store.refs.set(f"runs/{run_id}", oid, old=None)
    return oid


@pytest.fixture
def three(store: Store, manifest: Manifest) -> dict[str, ObjectId]:
    """Put three runs; the second and third were created at one moment, after the first."""
    return {
        THIRD: add(store, manifest, THIRD, "2026-01-01T00:00:00.500000Z"),
        FIRST: add(store, manifest, FIRST, "2026-01-01T00:00:00Z"),
        SECOND: add(store, manifest, SECOND, "2026-01-01T00:00:00.500000Z"),
    }


def test_runs_newest_first(store: Store, three: dict[str, ObjectId]) -> None:
    """Runs come by time of creation, newest first, a fraction of a second counting; equal times by run_id."""
    listed = runs(store)
    assert [entry.run_id for entry in listed] == [SECOND, THIRD, FIRST]
    assert [entry.object_id for entry in listed] == [three[SECOND], three[THIRD], three[FIRST]]
    assert all(entry.error is None and entry.manifest is not None for entry in listed)


def test_damaged_runs_are_listed(store: Store, three: dict[str, ObjectId], manifest: Manifest) -> None:
    """A run that is missing, damaged, another kind, under a wrong ref or with a broken ref is listed with its error."""
    refs = store.root / "refs" / "runs"
    store.refs.set("runs/gone-000000000000", blob_id(b"gone"), old=None)
    store.refs.set("runs/kind-000000000000", put_tree(store), old=None)
    store.refs.set("runs/moved-000000000000", three[FIRST], old=None)
    (refs / "ref-000000000000").write_bytes(b"junk")
    (refs / "bad name.").write_bytes(b"junk")
    flip(store, three[SECOND])
    listed = runs(store)
    assert [entry.run_id for entry in listed[:2]] == [THIRD, FIRST]
    errors = {entry.run_id: entry.error.id for entry in listed if entry.error is not None}
    assert errors == {
        "gone-000000000000": "objectMissing",
        "kind-000000000000": "typeMismatch",
        "moved-000000000000": "refMismatch",
        "ref-000000000000": "refMalformed",
        "bad name.": "badRefName",
        SECOND: "objectDamaged",
    }
    assert resolve(store, "latest").run_id == THIRD
    for name, error in ((SECOND, ObjectDamaged), ("ref-000000000000", RefDamaged), ("kind-000000000000", KindMismatch)):
        with pytest.raises(error):
            resolve(store, name)
    with pytest.raises(ObjectMissing):
        resolve(store, "gone")


def test_every_way_to_name_a_run(store: Store, three: dict[str, ObjectId]) -> None:
    """A run_id, its unique beginning, a tag, latest, latest~N, an object id or its beginning lead to the same run."""
    oid = three[THIRD]
    store.refs.set("tags/good", oid, old=None)
    expected = Resolved("run", oid, THIRD, None)
    for text in (THIRD, "b", "beta-", "good", "latest~1", oid.hex(), oid.hex()[:6]):
        assert resolve(store, text) == expected, text
    assert resolve(store, "latest") == resolve(store, "latest~0") == Resolved("run", three[SECOND], SECOND, None)
    assert resolve(store, "latest~2").run_id == FIRST


def test_paths_in_runs(store: Store, manifest: Manifest) -> None:
    """After a colon: a file or folder of the payload, a control file, the manifest itself, or with nothing the tree."""
    control = {
        "path": "logs/run.jsonl",
        "role": "log",
        "media_type": "application/x-ndjson",
        "size": 4,
        "sha256": "0" * 64,
        "blake3": blob_id(b"log!").hex(),
    }
    run = add(store, manifest, FIRST, "2026-01-01T00:00:00Z", control=[control])
    tree = put_tree(store)
    expected = blob_id(b"data")
    for name in ("alpha", "latest", run.hex()):
        assert resolve(store, f"{name}:out/f.csv") == Resolved("blob", expected, FIRST, "out/f.csv")
        assert resolve(store, f"{name}:out").kind == "tree"
        assert resolve(store, f"{name}:") == Resolved("tree", tree, FIRST, "")
        assert resolve(store, f"{name}:manifest.json") == Resolved("run", run, FIRST, "manifest.json")
        assert resolve(store, f"{name}:logs/run.jsonl").id == blob_id(b"log!")
        with pytest.raises(PathMissing):
            resolve(store, f"{name}:out/none")
    assert resolve(store, f"{tree.hex()[:8]}:out/f.csv") == Resolved("blob", expected, None, "out/f.csv")
    with pytest.raises(UnknownName):
        resolve(store, f"{expected.hex()}:x")


def test_ambiguous(store: Store, three: dict[str, ObjectId]) -> None:
    """A beginning of two run_ids, or of a run_id and of an object, is refused with both named."""
    with pytest.raises(AmbiguousName) as caught:
        resolve(store, "alpha")
    assert caught.value.candidates == [f"run {FIRST}", f"run {SECOND}"]
    blob = store.objects.put("blob", b"some bytes")
    store.refs.set(f"runs/{blob.hex()[:6]}-000000000009", three[FIRST], old=None)
    with pytest.raises(AmbiguousName) as caught:
        resolve(store, blob.hex()[:6])
    assert len(caught.value.candidates) == 2
    assert resolve(store, blob.hex()[:7]) == Resolved("blob", blob, None, None)


def test_unknown(store: Store, three: dict[str, ObjectId]) -> None:
    """What names nothing is not found, whatever was typed, and a near miss is offered the right spelling."""
    for text in (
        "",
        ":",
        "x",
        "latest~3",
        "latest~",
        "latest~-1",
        "../x",
        "abc",
        "f" * 64,
        "\udcff",
        "a\x00b",
        "x" * 5000,
    ):
        with pytest.raises(UnknownName) as caught:
            resolve(store, text)
        assert caught.value.kind is ErrorKind.NOT_FOUND
    with pytest.raises(UnknownName) as caught:
        resolve(store, "bta-aaaaaaaaaaaa")
    assert THIRD in caught.value.hint


def test_an_empty_store(store: Store) -> None:
    """A store without runs lists none, and has no latest."""
    assert runs(store) == []
    with pytest.raises(UnknownName):
        resolve(store, "latest")
