"""Verbs whose names are settled and whose work comes with a later version: each says so and ends with a usage error."""

from typing import Any

import click

from omphalos.cli.main import Verb
from omphalos.format.errors import ErrorKind, OmphalosError


class NotYet(OmphalosError):
    """The verb is reserved and does nothing in this version."""

    kind = ErrorKind.USAGE
    id = "comesLater"


def command(name: str) -> click.Command:
    """Return the command of the reserved verb ``name``; it takes any arguments and refuses."""

    def refuse(**_: Any) -> None:
        raise NotYet(f"'omphalos {name}' comes with a later version", undone="nothing was done")

    return Verb(
        name,
        callback=refuse,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        help="Comes with a later version.",
        context_settings={"ignore_unknown_options": True},
    )
