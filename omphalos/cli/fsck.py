"""``omphalos fsck``: read every object once and say what is wrong, and whom it concerns."""

from typing import Any

import click

from omphalos.cli.exits import Exit
from omphalos.cli.main import App, Verb
from omphalos.cli.output import escape, human_size

SHOWN = 50


@click.command(cls=Verb, examples=["omphalos fsck", "omphalos fsck --repair --from /media/usb/store"])
@click.option("--quarantine", is_flag=True, help="Move damage aside into objects/quarantine; nothing is deleted.")
@click.option("--repair", is_flag=True, help="Take what is missing or damaged from --from.")
@click.option("--from", "sources", multiple=True, metavar="PATH", help="A store, folder or bundle with good copies.")
@click.option("--budget", type=click.IntRange(min=1), metavar="BYTES", help="Read about this much, oldest check first.")
@click.option("--plain", is_flag=True, help="Judge the files alone, without the index, as verifiers elsewhere do.")
@click.pass_obj
def command(
    app: App, quarantine: bool, repair: bool, sources: tuple[str, ...], budget: int | None, plain: bool
) -> Exit:
    """Hash every object of the store, follow every ref, and report what is missing, damaged or of the wrong kind.

    Exit 0 if all is sound, 1 if something is wrong, 3 if all is sound as far as the budget let it look.
    """
    if plain:
        from omphalos.cli.verify import STORE, show
        from omphalos.runs.verify_store import verify_store

        if quarantine or repair or sources or budget:
            raise click.UsageError("--plain only looks, and looks at everything")
        return show(app, [(STORE, verify_store(app.store_folder or app.store().root))])
    from omphalos.store.fsck import from_folder, from_store, fsck
    from omphalos.store.store import Store, StoreMissing

    if repair != bool(sources):
        raise click.UsageError("--repair and --from DIR go together: what is repaired is taken from somewhere")
    found = []
    for text in sources:
        folder = app.existing(text)
        if folder.is_file():
            from omphalos.runs.bundle import from_bundle

            found.append(from_bundle(folder))
            continue
        try:
            found.append(from_store(Store.open(folder)))
        except StoreMissing:
            found.append(from_folder(folder))
    report = fsck(app.store(), quarantine=quarantine or repair, repair=found, budget=budget)
    document = report.document()
    if app.out.json:
        app.out.document("omphalos.fsck/1", document)
    else:
        _print(app, document)
    if not report.clean:
        return Exit.NEGATIVE
    return Exit.INCOMPLETE if report.not_checked else Exit.DONE


def _print(app: App, document: dict[str, Any]) -> None:
    out = app.out
    word = out.style("SOUND", fg="green", bold=True) if document["clean"] else out.style("DAMAGED", fg="red", bold=True)
    out.text(f"{word}: {document['objects']} objects, {human_size(document['bytes'])}, {document['refs']} refs")
    for problem in document["problems"][:SHOWN]:
        repaired = " (repaired)" if problem["repaired"] else ""
        what = f"{problem['severity']:<5} {problem['id']} {problem['object'][:12]}"
        out.text(f"  {what} {escape(problem['place'])}{repaired}")
        for place in problem["needed_by"][:5]:
            out.text(f"        needed by {escape(place)}")
        more = len(problem["needed_by"]) - 5 + problem["more"]
        if more > 0:
            out.text(f"        and {more} more")
    if len(document["problems"]) > SHOWN:
        out.text(f"  and {len(document['problems']) - SHOWN} more (--json lists all)")
    for place in document["quarantined"]:
        out.text(f"  set aside: {escape(place)}")
    if document["not_written"]:
        out.text("  NOT WRITTEN:")
        for place in document["not_written"]:
            out.text(f"    {escape(place)}")
    if document["not_checked"]:
        out.text("  NOT CHECKED:")
        for place in document["not_checked"][:SHOWN]:
            out.text(f"    {escape(place)}")
