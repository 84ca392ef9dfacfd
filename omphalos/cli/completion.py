"""``omphalos completion``: print the completion script of a shell."""

import click
from click.shell_completion import get_completion_class

from omphalos.cli.main import App, Verb


@click.command(cls=Verb, examples=["omphalos completion bash > omphalos.bash", "omphalos completion fish --json"])
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL."""
    app: App = ctx.obj
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    script = kind(ctx.find_root().command, {}, "omphalos", "_OMPHALOS_COMPLETE").source()
    if app.out.json:
        app.out.document("omphalos.completion/1", {"shell": shell, "script": script})
    else:
        app.out.data(f"{script}\n".encode())
