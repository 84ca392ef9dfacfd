"""``omphalos release``: bundles: runs in one file, for somebody without a network."""

import click

from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb, VerbGroup
from omphalos.cli.output import human_size


@click.group(
    cls=VerbGroup, examples=["omphalos release build latest -o q3.omphalos", "omphalos release verify q3.omphalos"]
)
def command() -> None:
    """Build a bundle of runs, or verify one."""


@command.command(
    "build",
    cls=Verb,
    examples=[
        "omphalos release build latest -o q3.omphalos",
        "omphalos release build latest latest~1 -o both.omphalos",
    ],
)
@click.argument("names", nargs=-1, required=True, metavar="RUN...")
@click.option("-o", "--output", required=True, metavar="FILE", help="The bundle; it must not be there.")
@click.pass_obj
def build(app: App, names: tuple[str, ...], output: str) -> None:
    """Write RUNs, with the attestations in their directories, into one file; the same runs give the same bytes.

    The bundle is verified before it gets its name.
    """
    from omphalos.runs.bundle_build import build_bundle, read_attestations
    from omphalos.runs.lookup import resolve_run
    from omphalos.store.newfile import require_absent

    path = app.path(output)
    require_absent(path)
    store = app.store()
    runs = {}
    for name in names:
        run = resolve_run(store, name)
        runs[run.id] = read_attestations(store.root / "artifacts" / "runs" / run.run_id)
    built = build_bundle(store, runs, path)
    if app.out.json:
        members = {"path": output, "runs": len(runs), "members": built.members, "bytes": built.size}
        app.out.document("omphalos.release-build/1", {**members, "blake3": built.blake3, "sha256": built.sha256})
        return
    app.out.message(f"{len(runs)} runs, {built.members} members, {human_size(built.size)}")
    app.out.text(f"{built.sha256}  {output}")


@command.command(
    "verify",
    cls=Verb,
    surroundings=False,
    examples=["omphalos release verify q3.omphalos", "omphalos release verify q3.omphalos --key office.pub"],
)
@click.argument("file", metavar="FILE")
@click.option("--key", "keys", multiple=True, metavar="PUB", help="This key must have vouched for every run.")
@click.pass_obj
def verify(app: App, file: str, keys: tuple[str, ...]) -> Exit:
    """Verify the bundle FILE in one pass, without extracting it."""
    from omphalos.cli.verify import BUNDLE, show
    from omphalos.runs.attest import read_keys
    from omphalos.runs.bundle import verify_bundle

    given = read_keys([app.path(text) for text in keys])
    return show(app, [(BUNDLE, verify_bundle(str(app.path(file)) if file else "", keys=given))])
