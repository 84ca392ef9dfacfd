"""docs/howto/test-a-backend.md: its example passes the suite as the page says, and fails it when it is broken."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "howto" / "test-a-backend.md").read_text("utf-8")
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def outcome(folder: Path, text: str) -> str:
    """Run pytest over the example and return its last line."""
    (folder / "test_in_memory.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "test_in_memory.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=200
    )
    return done.stdout.splitlines()[-1]


def test_the_example_passes(tmp_path: Path) -> None:
    """The store of the page passes the suite, as many tests as the page says."""
    (said,) = re.findall(r"`(\d+ passed)`", PAGE)
    assert outcome(tmp_path, EXAMPLE).startswith(said)


def test_a_broken_example_fails(tmp_path: Path) -> None:
    """Without the comparison before a ref is moved the same store fails."""
    assert "1 failed" in outcome(tmp_path, EXAMPLE.replace("            self.expect(name, old)\n", "", 1))
