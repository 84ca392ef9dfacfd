"""The reference job: what ``omphalos run`` does without arguments, on invented data with planted matches.

Rules of this file: the column mapping follows the files the generator writes; sizes are fixed by scale, so that
two people who run the reference job compare the same run.
"""

from pathlib import Path
from typing import Any, Final

from omphalos.screening.job import FeedSpec, RegistrySpec

SCALES: Final = {"small": (500, 100), "full": (100_000, 5_000)}
PACKETS: Final = {"small": 8, "full": 20}  # of evidence; the small run travels with the checkout
SOURCE: Final = "synthetic"
PART: Final = "list"
SEED: Final = 1
QUERIES: Final = ("briefing/flags_raised", "briefing/most_exposed_entities", "review/workload")

_COLUMNS: Final = {
    "shipment_id": "declaration_id",
    "flow": "flow",
    "date": "date",
    "reporter": "reporter",
    "exporter": "exporter",
    "exporter_country": "exporter_country",
    "importer": "importer",
    "importer_country": "importer_country",
    "consignee": "consignee",
    "consignee_country": "importer_country",
    "notify_party": "notify_party",
    "end_user": "end_user",
    "end_user_country": "destination",
    "hs_code": "hs_code",
    "description": "description",
    "origin": "origin",
    "destination": "destination",
    "value": "value",
    "currency": "currency",
    "quantity": "quantity",
    "quantity_unit": "unit",
    "net_mass_kg": "net_mass_kg",
}


def reference_table(scale: str = "full") -> dict[str, Any]:
    """Return the reference job, as the table a job file would hold, at a scale of ``SCALES``: (shipments, entities)."""
    shipments, entities = SCALES[scale]
    name = "reference" if scale == "full" else f"reference-{scale}"
    synthetic = {"seed": SEED, "shipments": shipments, "entities": entities}
    review = {"evidence": PACKETS[scale]}
    return {"name": name, "queries": list(QUERIES), "synthetic": synthetic, "review": review}


def reference_specs() -> tuple[FeedSpec, tuple[RegistrySpec, ...]]:
    """Return how the generated files are read; the paths are set by whoever has the files."""
    feed = FeedSpec(path=Path("feed.csv"), format="csv", currency="USD", columns=tuple(sorted(_COLUMNS.items())))
    return feed, (RegistrySpec(SOURCE, "entities-csv", Path("registry.csv")),)
