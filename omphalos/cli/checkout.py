"""``omphalos checkout``: materialize a run directory."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape, human_size
from omphalos.format.errors import ErrorKind, OmphalosError

if TYPE_CHECKING:
    from omphalos.runs.lookup import Run
    from omphalos.store.checkout import Reflink


class FolderInUse(OmphalosError):
    """The folder for a run holds other things: a run directory is the run and nothing else."""

    kind = ErrorKind.USAGE
    id = "folderInUse"


@click.command(cls=Verb, examples=["omphalos checkout latest", "omphalos checkout latest /tmp/review --path exports"])
@click.argument("name", metavar="RUN")
@click.argument("destination", required=False, metavar="[DEST]")
@click.option("--path", "subpath", metavar="PATH", help="Only this file or folder of the run.")
@click.option("--link", is_flag=True, help="Hard-link files out of the store where the file system can.")
@click.option(
    "--reflink",
    type=click.Choice(["auto", "always"]),
    help="Let files share blocks with large objects of the store, copy on write; auto copies where that cannot be.",
)
@click.option("--force", is_flag=True, help="Replace files that differ.")
@click.pass_obj
def command(
    app: App,
    name: str,
    destination: str | None,
    subpath: str | None,
    link: bool,
    reflink: "Reflink | None",
    force: bool,
) -> None:
    """Write RUN as files, each verified, to DEST (default artifacts/runs/<run_id>); never overwrite what differs."""
    from omphalos.runs.directory import checkout_run
    from omphalos.runs.lookup import resolve_run

    store = app.store()
    run = resolve_run(store, name)
    if destination is not None:
        dest = app.path(destination)
    elif subpath is not None:
        dest = app.cwd / subpath.rstrip("/").split("/")[-1]
    else:
        dest = store.root / "artifacts" / "runs" / run.run_id
    if link and reflink:
        raise click.UsageError("--link and --reflink exclude each other")
    if subpath is None and not force:
        _require_own_folder(dest, run)
    counts = checkout_run(store, run, dest, subpath=subpath, link=link, reflink=reflink, force=force)
    if app.out.json:
        content = {"run_id": run.run_id, "path": str(dest), "files": counts.files, "bytes": counts.bytes}
        shared = {"linked": counts.linked, "cloned": counts.cloned}
        app.out.document("omphalos.checkout/1", {**content, "unchanged": counts.unchanged, **shared})
    else:
        app.out.text(str(dest))
        app.out.message(f"{counts.files} files written ({human_size(counts.bytes)}), {counts.unchanged} already there")


def _require_own_folder(dest: Path, run: "Run") -> None:
    """Refuse a folder that is in use for something else, before a hundred files are mixed into it.

    Raises:
        FolderInUse: it holds what is not of the run.
    """
    from omphalos.format.manifest import ATTESTATIONS, FILE_NAME

    if not dest.is_dir():
        return
    manifest = run.manifest
    own = {FILE_NAME, ATTESTATIONS, *(file.path.split("/")[0] for file in (*manifest.artifacts, *manifest.control))}
    other = min((name for name in os.listdir(dest) if name not in own), default=None)
    if other is not None:
        raise FolderInUse(
            f"'{escape(str(dest))}' holds what is not of the run, such as '{escape(other)}'",
            hint="name a folder that is not there yet; --force writes into this one all the same",
            undone="nothing was written",
        )
