"""``omphalos ingest``: help with bringing in a new feed."""

import stat
from pathlib import Path

import click

from omphalos.cli.main import App, Verb, VerbGroup
from omphalos.cli.output import escape


@click.group(cls=VerbGroup, examples=["omphalos ingest guess feed.csv", "omphalos ingest guess feed.csv --json"])
def command() -> None:
    """Bring in a new feed."""


@command.command(
    "guess", cls=Verb, examples=["omphalos ingest guess feed.csv", "omphalos ingest guess feed.csv --json"]
)
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def guess(app: App, file: Path) -> None:
    """Propose the [feed] part of a job file for FILE, from the beginning of it, with the reason for each line.

    It is a proposal to read and correct: nothing is decided, nothing is written, and nothing of the file is kept.
    """
    from omphalos.cli.run import require_utf8
    from omphalos.screening.feeds.decode import FeedNotReadable
    from omphalos.screening.feeds.guess import guess_feed

    require_utf8(str(file), "the name of the feed")
    path = app.existing(str(file))
    if not stat.S_ISREG(path.stat().st_mode):
        raise FeedNotReadable(
            f"not a regular file: '{escape(str(file))}'", hint="save what a pipe or device gives into a file first"
        )
    found = guess_feed(path)
    if app.out.json:
        app.out.document("omphalos.guess/1", found.document())
    else:
        for line in found.job_text(str(file)).rstrip("\n").split("\n"):
            app.out.text(line)
