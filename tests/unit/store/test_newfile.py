"""A new file outside the store: whole or not there, and never in place of another."""

import errno
import os
from pathlib import Path

import pytest

from omphalos.store.newfile import AlreadyThere, new_file, write_new


def test_a_new_file_is_whole_and_alone(tmp_path: Path) -> None:
    """The bytes are there under the name, readable for others as the umask allows, and nothing else is left."""
    before = os.umask(0o022)
    try:
        write_new(tmp_path / "page", b"x" * 100_000)
    finally:
        os.umask(before)
    assert (tmp_path / "page").read_bytes() == b"x" * 100_000
    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "page").stat().st_nlink == 1
    assert os.listdir(tmp_path) == ["page"]


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_there_stays(tmp_path: Path, kind: str) -> None:
    """A file, a folder and a link that leads nowhere are each refused and left as they are."""
    path = tmp_path / "there"
    if kind == "file":
        path.write_bytes(b"old")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    with pytest.raises(AlreadyThere) as caught:
        write_new(path, b"new")
    assert "'there'" in caught.value.message
    assert os.listdir(tmp_path) == ["there"]
    assert kind != "file" or path.read_bytes() == b"old"


@pytest.mark.parametrize("links", [True, False])
def test_what_another_put_there_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """A file that appears under the name while the new one is written is kept, on file systems without links too."""
    if not links:
        monkeypatch.setattr(os, "link", _refuse)

    def race() -> None:
        with new_file(tmp_path / "name") as (descriptor, _):
            os.write(descriptor, b"mine")
            (tmp_path / "name").write_bytes(b"theirs")

    with pytest.raises(AlreadyThere):
        race()
    assert os.listdir(tmp_path) == ["name"]
    assert (tmp_path / "name").read_bytes() == b"theirs"


def _refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file can have no second name, as on a USB stick, it gets its own by renaming."""
    monkeypatch.setattr(os, "link", _refuse)
    write_new(tmp_path / "page", b"whole")
    assert os.listdir(tmp_path) == ["page"]
    assert (tmp_path / "page").read_bytes() == b"whole"


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full"), ValueError("no")])
def test_whatever_goes_wrong_leaves_nothing(tmp_path: Path, problem: BaseException) -> None:
    """An interrupt, a full disk and a failed check leave neither the file nor a part of it."""

    def broken() -> None:
        with new_file(tmp_path / "name") as (descriptor, temporary):
            os.write(descriptor, b"half")
            assert os.listdir(tmp_path) == [temporary.name]
            raise problem

    with pytest.raises(type(problem)):
        broken()
    assert os.listdir(tmp_path) == []
