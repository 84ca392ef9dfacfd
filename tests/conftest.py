"""What every test may rely on: no network beyond loopback, a neutral environment, fixed Hypothesis seeds, honest skips.

``OMPHALOS_TEST_ALL=1`` turns a skip for a missing tool into a failure. Real data lies beside the checkout in
``../shared/data`` (or where ``OMPHALOS_SHARED_DATA`` says); a test that needs it skips, saying so, where it is absent.
"""

import ipaddress
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
ALL_REQUIRED = os.environ.get("OMPHALOS_TEST_ALL") == "1"
SHARED_DATA = Path(os.environ.get("OMPHALOS_SHARED_DATA", ROOT.parent / "shared" / "data"))

settings.register_profile(
    "project", derandomize=True, deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")


def _guard(call: Callable[..., object]) -> Callable[..., object]:
    def loopback_only(self: socket.socket, address: object) -> object:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0] if isinstance(address, tuple) else ""
            if host != "localhost" and not ipaddress.ip_address(str(host)).is_loopback:
                raise RuntimeError(f"a test tried to reach {host}")
        return call(self, address)

    return loopback_only


@pytest.fixture(scope="session", autouse=True)
def _surroundings() -> Iterator[None]:
    """No network beyond loopback, and no setting of the person who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _guard(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", _guard(socket.socket.connect_ex))
        for name in list(os.environ):
            if name.startswith("OMPHALOS_") or name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "SOURCE_DATE_EPOCH"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real lists and feeds, or skip the test, saying so."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real data is not here (set OMPHALOS_SHARED_DATA)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def need_tool() -> Callable[[str], str]:
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
