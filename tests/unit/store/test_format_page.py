"""The store's format page shows the bytes the code writes."""

import re
from pathlib import Path

from omphalos.store.store import Store
from omphalos.store.trees import put_directory

PAGE = Path(__file__).parents[3] / "docs" / "format" / "store.md"


def test_the_example_is_what_the_code_writes(store: Store, tmp_path: Path) -> None:
    """Putting the example's folder and setting its ref gives exactly the files listed, byte for byte."""
    match = re.search(r"```vector store\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert match
    expected: dict[str, bytes] = {}
    refs: list[str] = []
    for line in match[1].splitlines():
        word, _, rest = line.partition(" ")
        if word == "source":
            path, _, content = rest.partition(" ")
            (tmp_path / "d" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "d" / path).write_bytes(bytes.fromhex(content))
        elif word == "ref":
            refs.append(rest)
        else:
            where, _, content = line.rpartition(" ") if rest else (line, "", "")
            expected[where] = bytes.fromhex(content)
    tree, _ = put_directory(store, tmp_path / "d")
    for name in refs:
        store.refs.set(name, tree, old=None)
    found = {str(p.relative_to(store.root)): p.read_bytes() for p in store.root.rglob("*") if p.is_file()}
    left_out = ("objects/index/", "objects/leases/")
    found = {
        re.sub("[0-9a-f]{16}[.]open", "<16 hex>.open", p): d for p, d in found.items() if not p.startswith(left_out)
    }
    assert found == expected
    assert len(expected) == 3
