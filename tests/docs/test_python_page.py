"""docs/howto/read-a-run-in-python.md is executed as it is written, and says what it prints."""

import re
import subprocess
import sys
from pathlib import Path

from omphalos.cli.main import run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "read-a-run-in-python.md"


def test_the_page_prints_what_it_says(tmp_path: Path) -> None:
    """The blocks of the page, one after the other in one program, print the texts beside them."""
    page = PAGE.read_text("utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL))
    said = "".join(re.findall(r"^```text\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL))
    assert run(["run", "--scale", "small", "--store", str(tmp_path)]) == 0
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (said, "") == (done.stdout, done.stderr)
