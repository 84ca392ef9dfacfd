"""The plan's id and the run_id that follows from it.

Rules of this file: a plan is what fully determines a run: its name, its inputs, its configuration and its method. Only
what is hashed here can change a run_id; where inputs lay, when and on what machine they were read cannot.
"""

import re
from collections.abc import Iterable
from typing import Final, Protocol

from blake3 import blake3

from omphalos.format import msgpack
from omphalos.format.errors import OmphalosError
from omphalos.format.findings import FindingId
from omphalos.format.ids import ID_BYTES, SHORT_DIGITS, IdError, ObjectId, from_hex

NAME_PATTERN: Final = "[a-z0-9][a-z0-9-]{0,63}"
_NAME: Final = re.compile(NAME_PATTERN, re.ASCII)


class RunNameError(OmphalosError):
    """A run's name is not of the allowed form."""

    id = FindingId.NAME_INVALID.value


class InputLike(Protocol):
    """What the plan's id takes of an input; ``blake3`` is 64 lower-case hex digits."""

    @property
    def role(self) -> str:
        """What the input is to the run."""

    @property
    def source(self) -> str:
        """The base name it came under."""

    @property
    def blake3(self) -> str:
        """The BLAKE3 as hex."""


def is_name(name: str) -> bool:
    """Say whether ``name`` may be a run's name: 1 to 64 of ``a-z 0-9 -``, not starting with ``-``."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Refuse a run's name that is not of the allowed form.

    Raises:
        RunNameError: if it is not.
    """
    if not is_name(name):
        raise RunNameError(
            "not a run name: expected 1 to 64 lower-case letters, digits and hyphens, not starting with a hyphen",
            hint="use a name such as daily-screening",
        )


def plan_id(name: str, inputs: Iterable[InputLike], config: ObjectId, method: ObjectId) -> bytes:
    """Return the plan's id: BLAKE3 of the canonical msgpack ``[name, [[role, source, blake3], …], config, method]``.

    Inputs are sorted by (role, source, blake3), so the order they were given in does not matter; ids are 32 bytes.

    Raises:
        RunNameError: if ``name`` is not a run name.
        IdError: if a digest is not of its form, or ``config`` or ``method`` is not 32 bytes.
        CanonicalError: if a role or source holds a lone surrogate.
    """
    check_name(name)
    if len(config) != ID_BYTES or len(method) != ID_BYTES:
        raise IdError("a plan's configuration and method are ids of 32 bytes")
    rows = sorted((item.role, item.source, bytes(from_hex(item.blake3))) for item in inputs)
    return bytes(blake3(msgpack.encode([name, rows, bytes(config), bytes(method)])).digest())


def run_id(name: str, plan: bytes) -> str:
    """Return ``<name>-<first 12 hex digits of the plan's id>``.

    Raises:
        RunNameError: if ``name`` is not a run name.
        IdError: if ``plan`` is not 32 bytes.
    """
    check_name(name)
    if len(plan) != ID_BYTES:
        raise IdError("a plan's id is 32 bytes")
    return f"{name}-{plan.hex()[:SHORT_DIGITS]}"
