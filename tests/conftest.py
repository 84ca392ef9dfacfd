"""What every test may rely on: no network beyond loopback, fixed Hypothesis seeds, and honest skips.

``OMPHALOS_TEST_ALL=1`` turns a skip for a missing tool into a failure. Real data lies beside the checkout in
``../shared/data`` (or where ``OMPHALOS_SHARED_DATA`` says); a test that needs it skips, saying so, where it is absent.
"""

import ipaddress
import os
import shutil
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
ALL_REQUIRED = os.environ.get("OMPHALOS_TEST_ALL") == "1"

settings.register_profile(
    "project", derandomize=True, deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")

_connect = socket.socket.connect


def _loopback_only(self: socket.socket, address: object) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6):
        host = address[0] if isinstance(address, tuple) else ""
        if host != "localhost" and not ipaddress.ip_address(str(host)).is_loopback:
            raise RuntimeError(f"a test tried to reach {host}")
    _connect(self, address)  # type: ignore[arg-type]  # the wrapped call's own type


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", _loopback_only)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real lists and feeds, or skip the test, saying so."""
    folder = Path(os.environ.get("OMPHALOS_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data is not here: {folder.name} (set OMPHALOS_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def need_tool() -> object:
    """Return a function that finds a program, or skips (fails when everything is required)."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            message = f"{name} is not installed"
            if ALL_REQUIRED:
                pytest.fail(message)
            pytest.skip(message)
        return path

    return find
