"""The environment of an execution: recorded beside the plan, never part of it.

Rules of this file: it says what may explain a difference between two executions (interpreter, platform, libraries
that compute, locale, time zone) and nothing that identifies a person or a machine.
"""

import platform
from importlib import metadata
from typing import Final

from omphalos.format.manifest import Environment
from omphalos.tables.sqlite_file import sqlite_version

# The packages whose code takes part in computing a payload.
COMPUTING_PACKAGES: Final = (
    "adbc-driver-manager",
    "adbc-driver-sqlite",
    "anyascii",
    "blake3",
    "duckdb",
    "msgspec",
    "numpy",
    "pyarrow",
    "rapidfuzz",
)


def describe(*, cpu_count: int, locale: str, timezone: str) -> Environment:
    """Return the environment record of this process.

    Args:
        cpu_count: processors this process may use.
        locale: the locale's name as the command line saw it.
        timezone: the time zone's name as the command line saw it.
    """
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system().lower()}-{platform.machine()}",
        cpu_count=cpu_count,
        locale=locale,
        timezone=timezone,
        # The driver's wheel carries its own SQLite, whose version stands in the files it writes.
        packages={name: metadata.version(name) for name in COMPUTING_PACKAGES} | {"sqlite": sqlite_version()},
    )
