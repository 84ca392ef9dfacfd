"""``omphalos sign``: vouch for a run with a key."""

from datetime import UTC, datetime

import click

from omphalos.cli.main import App, Verb


@click.command(
    cls=Verb, examples=["omphalos sign latest --key office.key", "omphalos sign evidence/ --key office.key --json"]
)
@click.argument("name", metavar="RUN|DIR")
@click.option("--key", required=True, metavar="FILE", help="The private key, as 'omphalos key new' writes it.")
@click.pass_obj
def command(app: App, name: str, key: str) -> None:
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
    signed = sign_directory(directory, secret, now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    if app.out.json:
        members = {"run_id": signed.run_id, "keyid": signed.keyid, "path": str(signed.path)}
        app.out.document("omphalos.sign/1", members)
    else:
        app.out.message(f"signed {signed.run_id} with key {signed.keyid[:12]}")
        app.out.text(str(signed.path))
