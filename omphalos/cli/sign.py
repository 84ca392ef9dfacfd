"""``omphalos sign``: vouch for a run with a key."""

from datetime import UTC, datetime
from pathlib import Path

import click

from omphalos.cli.main import App, NoSuchFile, Verb
from omphalos.format.dsse import MAX_BYTES


@click.command(
    cls=Verb, examples=["omphalos sign latest --key office.key", "omphalos sign evidence/ --key office.key --json"]
)
@click.argument("name", metavar="RUN|DIR")
@click.option("--key", required=True, metavar="FILE", help="The private key, as 'omphalos key new' writes it.")
@click.option(
    "--statement", metavar="FILE", help="Sign this statement, which 'omphalos certify' wrote, instead of vouching."
)
@click.pass_obj
def command(app: App, name: str, key: str, statement: str | None) -> None:
    """Verify the run directory DIR, or that of RUN, and write a signed statement into its attestations/."""
    from omphalos.runs.attest import read_private_key
    from omphalos.runs.lookup import name_run
    from omphalos.runs.sign import sign_directory

    secret = read_private_key(app.path(key))
    if "/" in name or name in (".", ".."):
        directory = app.path(name)
    else:
        store = app.store()
        directory = store.root / "artifacts" / "runs" / name_run(store, name).run_id
    now = datetime.now(UTC)
    said = None if statement is None else _read(app.path(statement))
    signed = sign_directory(directory, secret, now.strftime("%Y-%m-%dT%H:%M:%SZ"), said)
    if app.out.json:
        members = {"run_id": signed.run_id, "keyid": signed.keyid, "path": str(signed.path)}
        app.out.document("omphalos.sign/1", members)
    else:
        app.out.message(f"signed {signed.run_id} with key {signed.keyid[:12]}")
        app.out.text(str(signed.path))


def _read(path: Path) -> bytes:
    """Return a statement's bytes, and no more of a file than a statement may have."""
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise NoSuchFile(
            f"cannot be read: '{path.name}'",
            hint="give the file that 'omphalos certify' wrote",
            undone="nothing was signed",
        ) from error
