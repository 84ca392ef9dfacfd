"""``omphalos key``: Ed25519 keys in files."""

import click

from omphalos.cli.main import App, Verb, VerbGroup


@click.group(cls=VerbGroup, examples=["omphalos key new office.key", "omphalos key new office.key --json"])
def command() -> None:
    """Make keys with which runs are vouched for."""


@command.command("new", cls=Verb, examples=["omphalos key new office.key", "omphalos key new office.key --json"])
@click.argument("file", metavar="FILE")
@click.pass_obj
def new(app: App, file: str) -> None:
    """Write a new private key to FILE (mode 0600, no password) and its public key to FILE.pub; print the keyid.

    Whoever has FILE can sign as you. Give FILE.pub to those who verify, by a way they trust.
    """
    from omphalos.runs.attest import new_key

    key = new_key(app.path(file))
    if app.out.json:
        app.out.document("omphalos.key/1", {"keyid": key.keyid, "private": file, "public": f"{file}.pub"})
    else:
        app.out.text(key.keyid)
