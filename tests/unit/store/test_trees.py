"""Trees: folders in, paths out; what may not be in a tree is refused before anything is stored."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from omphalos.format.findings import FindingId
from omphalos.format.ids import ObjectId, blob_id, object_id
from omphalos.format.tree import EMPTY_TREE, TreeEntry, TreeError, encode_tree
from omphalos.store import folders, trees
from omphalos.store.objects import KindMismatch, ObjectMissing, SourceChanged, SourceUnreadable
from omphalos.store.store import Store
from omphalos.store.trees import DirectoryRefused, PathMissing, hash_directory, lookup, put_directory, put_paths, walk
from omphalos.testing.damage import lose

FILES = {
    "a/x.csv": b"x",
    "a.txt": b"dot",
    "a-b": b"dash",
    "a/b/deep": b"deep",
    "z": b"",
    "names/Åse Øst.txt": b"name",
}


def write(root: Path, files: dict[str, bytes], mode: int = 0o644) -> Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
        (root / path).chmod(mode)
    return root


def known(store: Store, files: dict[str, bytes]) -> dict[str, tuple[int, ObjectId]]:
    return {path: (len(data), store.objects.put("blob", data)) for path, data in files.items()}


def test_walk_gives_back_what_was_put_in_byte_order_of_path(store: Store, tmp_path: Path) -> None:
    """Every file comes back with its size and id, ordered by the bytes of the whole path."""
    tree, size = put_directory(store, write(tmp_path / "d", FILES))
    assert size == sum(map(len, FILES.values()))
    order = sorted(FILES, key=os.fsencode)
    assert order.index("a.txt") < order.index("a/x.csv")
    assert list(walk(store, tree)) == [(path, len(FILES[path]), blob_id(FILES[path])) for path in order]
    assert [path for path, _, _ in walk(store, tree, "p/")] == ["p/" + path for path in order]


def test_one_id_for_one_content(store: Store, tmp_path: Path) -> None:
    """Order of creation, modes, times, hard links and empty folders do not change the id; a byte or a name does."""
    first = write(tmp_path / "1", FILES)
    second = write(tmp_path / "2", dict(reversed(FILES.items())), mode=0o400)
    (second / "z").unlink()
    os.link(write(tmp_path / "out", {"z": b""}) / "z", second / "z")
    os.utime(second / "a.txt", (5, 5))
    (second / "empty" / "emptier").mkdir(parents=True)
    expected = put_directory(store, first)
    assert put_directory(store, second) == expected
    assert hash_directory(first) == hash_directory(second) == expected
    assert put_paths(store, known(store, FILES)) == expected
    for change in ({"z": b"1"}, {"zz": b""}):
        assert put_directory(store, write(tmp_path / "3", FILES | change))[0] != expected[0]


def test_hash_directory_stores_nothing(store: Store, tmp_path: Path) -> None:
    """Hashing a folder that holds the store itself leaves no object."""
    write(tmp_path / "d", FILES)
    hash_directory(tmp_path)
    assert list(store.objects.ids()) == []


def test_an_empty_folder_is_the_empty_tree(store: Store, tmp_path: Path) -> None:
    """A folder without files is the empty tree, which walks to nothing."""
    (tmp_path / "d").mkdir()
    assert put_directory(store, tmp_path / "d") == (EMPTY_TREE, 0) == put_paths(store, {})
    assert list(walk(store, EMPTY_TREE)) == []


def test_a_stored_file_does_not_follow_its_hard_link(store: Store, tmp_path: Path) -> None:
    """A file with a second name outside is copied: writing through that name does not reach the object."""
    write(tmp_path, {"outside": b"before"})
    (tmp_path / "d").mkdir()
    os.link(tmp_path / "outside", tmp_path / "d" / "f")
    put_directory(store, tmp_path / "d")
    with (tmp_path / "outside").open("r+b") as file:
        file.write(b"AFTER!")
    assert store.objects.read("blob", blob_id(b"before")) == b"before"


def test_links_and_special_files_are_refused_whole(store: Store, tmp_path: Path) -> None:
    """Links (to files, folders, nowhere, up) and special files are each a finding; nothing is stored."""
    d = write(tmp_path / "d", FILES)
    (d / "link").symlink_to(d / "z")
    (d / "a" / "up").symlink_to("..")
    (d / "dangling").symlink_to("nowhere")
    os.mkfifo(d / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(d / "s"))
    with pytest.raises(DirectoryRefused) as caught:
        put_directory(store, d)
    found = {(f.id, f.path) for f in caught.value.findings}
    links = {(FindingId.SYMLINK_ENTRY, path) for path in ("link", "a/up", "dangling")}
    assert found == links | {(FindingId.SPECIAL_FILE, path) for path in ("fifo", "s")}
    assert list(store.objects.ids()) == []
    with pytest.raises(DirectoryRefused):
        hash_directory(d)


def test_the_root_may_not_be_a_link(store: Store, tmp_path: Path) -> None:
    """A link in place of the folder itself, a file, or nothing is unreadable."""
    write(tmp_path / "d", FILES)
    (tmp_path / "link").symlink_to(tmp_path / "d")
    for path in (tmp_path / "link", tmp_path / "d" / "z", tmp_path / "none"):
        with pytest.raises(SourceUnreadable):
            put_directory(store, path)


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        (b"a\\b", FindingId.PATH_BACKSLASH),
        (b"con.txt", FindingId.PATH_RESERVED),
        (b"dot.", FindingId.PATH_TRAILING),
        (b"x:y", FindingId.PATH_STREAM),
        (b"line\nbreak", FindingId.PATH_CONTROL),
        (b".OMPHALOS", FindingId.PATH_OWN_DIR),
        (b"\xff\xfe", FindingId.NOT_UTF8),
        ("e\u0301".encode(), FindingId.PATH_NOT_NFC),
        (b"A.TXT", FindingId.PATH_CASE_COLLISION),
    ],
)
def test_bad_names_are_refused_before_anything_is_stored(
    store: Store, tmp_path: Path, name: bytes, finding: FindingId
) -> None:
    """One bad name, of a file or of a folder, deep down or not, refuses the whole folder, and nothing is stored."""
    for place, inside in ((b"", b""), (b"/a/b", b""), (b"", b"/inner")):
        d = write(tmp_path / f"d{len(place)}{len(inside)}", {"a.txt": b"1", "a/b/a.txt": b"2"})
        target = os.fsencode(d) + place + b"/" + name + inside
        Path(os.fsdecode(target)).parent.mkdir(exist_ok=True)
        Path(os.fsdecode(target)).write_bytes(b"bad")
        with pytest.raises(DirectoryRefused) as caught:
            put_directory(store, d)
        assert finding in {f.id for f in caught.value.findings}
    assert list(store.objects.ids()) == []


def test_too_deep_is_refused(store: Store, tmp_path: Path) -> None:
    """A file below 64 folders is refused, one below 63 is stored."""
    write(tmp_path / "ok", {"/".join("d" * 63) + "/f": b"1"})
    put_directory(store, tmp_path / "ok")
    write(tmp_path / "deep", {"/".join("d" * 64) + "/f": b"1"})
    with pytest.raises(DirectoryRefused) as caught:
        put_directory(store, tmp_path / "deep")
    assert caught.value.finding is FindingId.PATH_TOO_DEEP


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("swap", ["rewrite", "replace", "link", "add", "remove"])
def test_a_folder_that_changes_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: str, hashed: bool
) -> None:
    """What happens between survey and reading is an error: a file rewritten, replaced, made a link, added or gone."""
    d = write(tmp_path / "d", {"a": b"1", "b": b"2"})
    real = folders.survey

    def late(fd: int, meanwhile: Callable[[folders.Folder], None] | None = None) -> folders.Folder:
        found = real(fd, meanwhile)
        if swap == "rewrite":
            (d / "b").write_bytes(b"3")
        elif swap == "replace":
            (d / "n").write_bytes(b"2")
            (d / "n").rename(d / "b")
        elif swap == "link":
            (d / "b").unlink()
            (d / "b").symlink_to(d / "a")
        elif swap == "add":
            (d / "c").write_bytes(b"3")
        else:
            (d / "b").unlink()
        return found

    monkeypatch.setattr(folders, "survey", late)
    with pytest.raises(SourceChanged):
        hash_directory(d) if hashed else put_directory(store, d)


def test_lookup(store: Store, tmp_path: Path) -> None:
    """A path leads to its file or folder; anything else is missing, a way through a file too."""
    tree, _ = put_directory(store, write(tmp_path / "d", FILES))
    assert lookup(store, tree, "a/b/deep") == TreeEntry("deep", "blob", 4, blob_id(b"deep"))
    folder = lookup(store, tree, "a")
    assert (folder.kind, folder.size) == ("tree", 5)
    assert lookup(store, folder.id, "x.csv").id == blob_id(b"x")
    for path in ("", "b", "a/", "/a", "a/../z", "z/x", "a/b/deep/er", "A", "..", "\udcff"):
        with pytest.raises(PathMissing):
            lookup(store, tree, path)


def test_put_paths_takes_known_blobs_only(store: Store) -> None:
    """A blob that is not there, has another size, or lies under a bad or colliding path is refused."""
    oid = store.objects.put("blob", b"abc")
    with pytest.raises(ObjectMissing):
        put_paths(store, {"f": (3, blob_id(b"other"))})
    with pytest.raises(TreeError) as caught:
        put_paths(store, {"f": (4, oid)})
    assert caught.value.finding is FindingId.SIZE_MISMATCH
    for bad in ({"../f"}, {"a", "a/b"}, {"a", "A"}):
        with pytest.raises(DirectoryRefused):
            put_paths(store, dict.fromkeys(bad, (3, oid)))
    assert list(store.objects.ids()) == [oid]


def test_a_tree_must_be_a_tree(store: Store, tmp_path: Path) -> None:
    """A blob that holds a tree's very bytes is not walked."""
    tree, _ = put_directory(store, write(tmp_path / "d", FILES))
    data = store.objects.read("tree", tree)
    impostor = store.objects.put("blob", data)
    assert impostor != tree
    with pytest.raises(KindMismatch):
        list(walk(store, impostor))


def test_hostile_nodes(store: Store) -> None:
    """Bytes that are no node, sizes that do not add up, and paths too deep as a whole are refused."""
    junk = store.objects.put("tree", b"\x91\x94\xa2..\x00\x01\xc4\x20" + bytes(32))
    with pytest.raises(TreeError) as caught:
        list(walk(store, junk))
    assert caught.value.finding is FindingId.PATH_DOTDOT
    leaf_bytes = encode_tree([TreeEntry("f", "blob", 3, blob_id(b"abc"))])
    node = store.objects.put("tree", leaf_bytes)
    liar = store.objects.put("tree", encode_tree([TreeEntry("d", "tree", 4, node)]))
    with pytest.raises(TreeError) as caught:
        list(walk(store, liar))
    assert caught.value.finding is FindingId.SIZE_MISMATCH
    with pytest.raises(TreeError):
        lookup(store, liar, "d/f")
    for _ in range(64):
        node = store.objects.put("tree", encode_tree([TreeEntry("d", "tree", 3, node)]))
    with pytest.raises(TreeError) as caught:
        list(walk(store, node))
    assert caught.value.finding is FindingId.PATH_TOO_DEEP


def test_a_tree_bomb_is_stopped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty small nodes that stand for 2^60 empty files are given up at the limit."""
    node = store.objects.put("tree", encode_tree([TreeEntry("f", "blob", 0, blob_id(b""))]))
    for _ in range(60):
        node = store.objects.put("tree", encode_tree([TreeEntry(name, "tree", 0, node) for name in "ab"]))
    monkeypatch.setattr(trees, "MAX_FILES", 500)
    with pytest.raises(TreeError) as caught:
        list(walk(store, node))
    assert caught.value.finding is FindingId.TREE_TOO_LARGE


def test_a_missing_or_damaged_node_is_found(store: Store, tmp_path: Path) -> None:
    """Walking over a node that is gone says so."""
    tree, _ = put_directory(store, write(tmp_path / "d", FILES))
    lose(store, lookup(store, tree, "a/b").id)
    with pytest.raises(ObjectMissing):
        list(walk(store, tree))
    assert object_id("tree", b"\x90") == EMPTY_TREE


def test_a_walk_has_an_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree of as many files as a walk may give is walked; one more is a typed error."""
    monkeypatch.setattr(trees, "MAX_FILES", 3)
    oid = store.objects.put("blob", b"x")
    full, _ = put_paths(store, {f"f{n}": (1, oid) for n in range(3)})
    assert len(list(walk(store, full))) == 3
    more, _ = put_paths(store, {f"d/f{n}": (1, oid) for n in range(4)})
    with pytest.raises(TreeError) as caught:
        list(walk(store, more))
    assert caught.value.finding is FindingId.TREE_TOO_LARGE
