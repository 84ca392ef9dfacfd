"""``omphalos prove``: show that one file belongs to a run, without the rest of the run."""

import click

from omphalos.cli.main import App, Verb


@click.command(
    cls=Verb,
    examples=[
        "omphalos prove latest exports/review.csv -o review.proof",
        "omphalos prove latest exports/review.csv --statement artifacts/runs/q3/attestations/office-run.json",
    ],
)
@click.argument("name", metavar="RUN")
@click.argument("path", metavar="PATH")
@click.option("-o", "--output", metavar="FILE", help="Where to write the proof; it must not be there.")
@click.option("--statement", metavar="FILE", help="An attestation of the run, to carry along.")
@click.pass_obj
def command(app: App, name: str, path: str, output: str | None, statement: str | None) -> None:
    """Write the proof that PATH is an artifact of RUN, to be checked by 'omphalos verify --proof'."""
    from omphalos.format.proof import encode_proof
    from omphalos.runs.lookup import resolve_run
    from omphalos.runs.prove import prove, read_statement
    from omphalos.store.newfile import require_absent, write_new

    if output is not None:
        require_absent(app.path(output))
    run = resolve_run(app.store(), name)
    envelope = read_statement(app.existing(statement), run.manifest) if statement is not None else None
    data = encode_proof(prove(run.manifest, path, envelope))
    if output is None:
        app.out.data(data)
        return
    write_new(app.path(output), data)
    if app.out.json:
        app.out.document("omphalos.prove/1", {"path": output, "root": run.manifest.merkle_root})
    else:
        app.out.text(run.manifest.merkle_root)
