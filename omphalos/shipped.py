"""Where the data that ships with omphalOS lies: contracts, catalog, policies, templates.

Rules of this file: a wheel carries these folders under ``omphalos/_shipped``; a source checkout has them at its
root and holds each only once. Nothing else in the package builds a path to them.
"""

from pathlib import Path
from typing import Final, Literal

Room = Literal["warehouse", "sql", "policies", "ui"]
_PACKAGE: Final = Path(__file__).resolve().parent


def shipped(room: Room) -> Path:
    """Return the folder that holds ``room``."""
    inside = _PACKAGE / "_shipped" / room
    return inside if inside.is_dir() else _PACKAGE.parent / room


def package_folder() -> Path:
    """Return the folder of the installed package itself."""
    return _PACKAGE
