"""``omphalos config``: the settings in force, and where each was said."""

import os

import click

from omphalos.cli.config import SETTINGS, files
from omphalos.cli.main import App, Verb, VerbGroup
from omphalos.cli.output import escape


@click.group(cls=VerbGroup, examples=["omphalos config show", "omphalos config show --origin"])
def command() -> None:
    """Show the settings: flags, then OMPHALOS_*, then the nearest omphalos.toml upward, then the user's own."""


@command.command("show", cls=Verb, examples=["omphalos config show --origin", "omphalos config show --json"])
@click.option("--origin", is_flag=True, help="Say where each setting was said.")
@click.pass_obj
def show(app: App, origin: bool) -> None:
    """Print every setting and its value."""
    if app.out.json:
        rows = [
            {"key": s.key, "value": v.value, "origin": v.origin, "place": v.place, "variable": s.variable}
            for s in SETTINGS
            for v in [app.settings[s.key]]
        ]
        read = [str(path) for path in files(os.environ, app.cwd)]
        app.out.document("omphalos.config/1", {"settings": rows, "files": read})
        return
    for setting in SETTINGS:
        value = app.settings[setting.key]
        said = "(none)" if value.value is None else str(value.value)
        line = f"{setting.key} = {escape(said.lower() if setting.kind == 'switch' else said)}"
        if origin:
            line = f"{line:<40}  {value.origin} {escape(value.place)}".rstrip()
        app.out.text(line)
