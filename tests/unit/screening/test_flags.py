"""Red flags: the data file, each rule, and the report."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import pytest

from omphalos.screening.flags import FlagDataError, build_shipment_flags, flags_report, load_flags, parse_flags
from omphalos.screening.flags.data import PARAMETERS, high_priority_goods, transshipment_points
from omphalos.tables.contract import load_contract

PAGE = Path(__file__).resolve().parents[3] / "docs" / "flags.md"
TEXT = files("omphalos.screening.flags").joinpath("flags.toml").read_text(encoding="utf-8")


def made(shipments: list[dict[str, Any]], **tables: list[dict[str, Any]]) -> Any:
    """Return a connection with the flags of shipments and of further tables, missing columns NULL."""
    con = duckdb.connect()
    held = {"trade_feed": shipments, **tables}
    for name in ("trade_feed", "shipment_parties", "parties", "entity_matches", "match_facts", "party_identifiers",
                 "party_addresses"):  # fmt: skip
        contract = load_contract(name)
        kinds = ", ".join(f"{c.name} {'VARCHAR' if c.kind == 'text' else 'BIGINT'}" for c in contract.column)
        con.execute(f"CREATE TABLE {name} ({kinds})")
        for row in held.get(name, []):
            marks = ", ".join("?" for _ in row)
            con.execute(f"INSERT INTO {name} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
    build_shipment_flags(con)
    return con


def flags(con: Any, *names: str) -> list[tuple[Any, ...]]:
    """Return (shipment, reason) of the named flags, in order."""
    found: list[tuple[Any, ...]] = con.execute(
        "SELECT shipment_id, reason FROM shipment_flags WHERE list_contains(?, flag) ORDER BY ALL", [list(names)]
    ).fetchall()
    return found


def quiet(number: int, **more: Any) -> dict[str, Any]:
    """Return a shipment that bears no flag by itself."""
    plain = {"shipment_id": f"S{number:03}", "importer_name": "I", "hs6": "010121", "origin_country": "DE"}
    plain |= {"destination_country": "FR", "importer_country": "FR", "ship_month": "2024-01"}
    return {**plain, **more}


def test_a_plain_shipment_bears_no_flag() -> None:
    """What is ordinary in every respect is not flagged."""
    assert 0 == made([quiet(1)]).execute("SELECT count(*) FROM shipment_flags").fetchone()[0]


def test_goods_of_the_list_name_their_tier() -> None:
    """A code of the list is flagged with its tier, and once more where it goes to a transshipment point."""
    con = made([quiet(1, hs6="854231", destination_country="TR", importer_country="TR"), quiet(2, hs6="903082")])

    assert [("S001", "HS 854231 (tier 1) goes to TR")] == flags(con, "highPriorityToTransshipmentPoint")
    assert [
        ("S001", "HS 854231 is in tier 1 of the Common High Priority List"),
        ("S002", "HS 903082 is in tier 4A of the Common High Priority List"),
    ] == flags(con, "highPriorityGoods")


def test_the_first_such_goods_of_an_importer_are_flagged_after_three_months() -> None:
    """Months count from the feed's first; an importer of the second month and a second delivery are not new."""
    rows = [quiet(1), quiet(2, hs6="854231", ship_month="2024-03"), quiet(3, hs6="854231", ship_month="2024-04"),
            quiet(4, hs6="854231", ship_month="2024-05")]  # fmt: skip
    parties = [
        {"shipment_id": f"S{n:03}", "role": "importer", "party_id": p} for n, p in ((2, "A"), (3, "B"), (4, "B"))
    ]

    con = made(rows, shipment_parties=parties)

    text = "the importer brings HS 854231 in 2024-04, 3 months after the feed begins, and no such goods before"
    assert [("S003", text)] == flags(con, "highPriorityToFirstTimeImporter")


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("ALDER FREIGHT FORWARDERS LLC", "a freight forwarder or broker"),
        ("ALDER LOJISTIK", "a freight forwarder or broker"),
        ("FIRST BANK OF ALDER", "a bank"),
        ("ALDER YIN XING", "a bank"),
        ("BANKS AND SONS", None),
        ("RIVERBANK GARDENS", None),
    ],
)
def test_forwarders_and_banks_are_told_by_whole_words(form: str, kind: str | None) -> None:
    """A word of the list counts as a whole word alone, in several languages."""
    con = made(
        [quiet(1)],
        shipment_parties=[{"shipment_id": "S001", "role": "consignee", "party_id": "A"}],
        parties=[{"party_id": "A", "name": "N", "full_form": form}],
    )

    assert ([] if kind is None else [("S001", f"N is called {kind}")]) == flags(con, "forwarderOrBankAsConsignee")


def test_an_importer_beside_a_consignee_may_be_a_bank() -> None:
    """Where a consignee is named, only the consignee is looked at."""
    parties = [
        {"shipment_id": "S001", "role": role, "party_id": p} for role, p in (("consignee", "A"), ("importer", "B"))
    ]
    names = [
        {"party_id": "A", "name": "A", "full_form": "ALDER"},
        {"party_id": "B", "name": "B", "full_form": "B BANK"},
    ]

    assert [] == flags(made([quiet(1)], shipment_parties=parties, parties=names), "forwarderOrBankAsConsignee")


def test_a_price_is_an_outlier_beyond_six_spreads() -> None:
    """With median 100 and spread 10, 161 and 39 are outliers and 160 and 40 are not; 19 prices are too few."""
    prices = [90] * 5 + [110] * 5 + [100] * 7 + [161, 39, 160, 40]
    rows = [quiet(n, currency="USD", value_minor=price, net_mass_grams=1000) for n, price in enumerate(prices)]

    con = made(rows)

    assert [(39, 100, 10, 21), (161, 100, 10, 21)] == con.execute(
        "SELECT observed, expected, spread, compared FROM shipment_flags WHERE flag = 'priceOutlier' ORDER BY observed"
    ).fetchall()
    assert [] == flags(made(rows[-19:]), "priceOutlier")


def test_prices_are_compared_within_64_bits() -> None:
    """The largest values and masses neither overflow nor end the run."""
    top = (1 << 63) - 1
    rows = [quiet(n, currency="USD", value_minor=5, net_mass_grams=top) for n in range(21)]
    rows += [quiet(50, currency="USD", value_minor=top, net_mass_grams=1)]
    rows += [quiet(51, currency="USD", value_minor=9_000_000_000_000, net_mass_grams=1)]

    assert ["S051"] == [row[0] for row in flags(made(rows), "priceOutlier")]


def test_routes_that_hardly_occur_are_odd() -> None:
    """One shipment of 200 from another origin is rare; one of 199 is not judged."""
    rows = [quiet(n) for n in range(199)] + [quiet(500, origin_country="KP")]

    assert [("S500", "1 of 200 shipments of HS 010121 go from KP to FR")] == flags(made(rows), "rareRoute")
    assert [] == flags(made(rows[1:]), "rareRoute")


def test_odd_places_are_flagged() -> None:
    """Goods that return where they come from, or go elsewhere than to the importer's country."""
    con = made([quiet(1, origin_country="FR"), quiet(2, importer_country="AE"), quiet(3, importer_country=None)])

    assert [("S001", "from FR to FR")] == flags(con, "originIsDestination")
    assert [("S002", "delivered to FR, importer in AE")] == flags(con, "deliveredToThirdCountry")


def test_one_address_of_three_names_is_shared() -> None:
    """Three parties of two names are no three names; a town alone is no address."""

    def con(names: list[str], key: str) -> Any:
        return made(
            [quiet(1)],
            shipment_parties=[{"shipment_id": "S001", "role": "exporter", "party_id": "P0"}],
            parties=[{"party_id": f"P{n}", "name": name, "core_form": name} for n, name in enumerate(names)],
            party_addresses=[{"party_id": f"P{n}", "address": "a", "address_key": key} for n in range(len(names))],
        )

    key = "12 ALDER KOWLOON ST"
    assert [("S001", f"parties of 3 names give one address: {key}")] == flags(
        con(["A", "B", "C"], key), "sharedAddress"
    )
    assert [] == flags(con(["A", "B", "A"], key), "sharedAddress")
    assert [] == flags(con(["A", "B", "C"], "KOWLOON"), "sharedAddress")


def test_two_numbers_of_one_kind_are_odd() -> None:
    """One party with two tax numbers is flagged on each of its shipments; two spellings of one number are one."""

    def con(*keys: str) -> Any:
        return made(
            [quiet(1)],
            shipment_parties=[{"shipment_id": "S001", "role": "exporter", "party_id": "P"}],
            party_identifiers=[
                {"party_id": "P", "identifier_kind": "tax", "value": f"{n}", "identifier_key": key}
                for n, key in enumerate(keys)
            ],
        )

    assert [("S001", "one party bears 2 different numbers of the kind tax")] == flags(
        con("1", "2"), "severalIdentifiers"
    )
    assert [] == flags(con("1", "1"), "severalIdentifiers")


def test_what_is_missing_and_what_is_round_is_flagged() -> None:
    """No code, no importer, and a value in whole thousands."""
    con = made(
        [quiet(1, hs6=None), quiet(2, importer_name=None), quiet(3, value_minor=200_000), quiet(4, value_minor=0)]
    )

    assert ["S001"] == [row[0] for row in flags(con, "commodityNotGiven")]
    assert ["S002"] == [row[0] for row in flags(con, "importerNotGiven")]
    assert ["S003"] == [row[0] for row in flags(con, "roundValue")]


def test_the_report_says_what_a_flag_is_not() -> None:
    """Each flag stands in the report with source and date, and HS is said to be no classification."""
    report = flags_report(made([quiet(1, hs6=None)]))

    assert [flag.flag for flag in load_flags().flags] == [entry["flag"] for entry in report["flags"]]
    assert all(entry["source"] and entry["dated"] and entry["version"] >= 1 for entry in report["flags"])
    assert (1, 1) == (report["flagged_shipments"], report["shipments"])
    assert any("not an export-control classification (ECCN)" in limit for limit in report["limits"])
    assert any("never a finding of wrongdoing" in limit for limit in report["limits"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("after_months = 3", "after_month = 3", "highPriorityToFirstTimeImporter has unknown or missing members"),
        ("deviations = 6", 'deviations = "6"', "priceOutlier has a deviations that is no whole number"),
        ("deviations = 6", "deviations = 0", "priceOutlier has a deviations that is no whole number"),
        ('dated = "2024-02"', 'dated = ""', "highPriorityGoods has no dated"),
        ("[flag.rareRoute]", "[flag.rareRoutes]", "not those the rules know: rareRoute, rareRoutes"),
        ('"BANKA"', '"Banka|.*"', "banks that are no folded words"),
        ("[flag.listedParty]", "[flag", "not TOML"),
    ],
)
def test_a_damaged_data_file_is_refused(old: str, new: str, says: str) -> None:
    """An unknown or missing member, a wrong type or a word that is a pattern is an error that names the flag."""
    assert old in TEXT
    with pytest.raises(FlagDataError, match=says.replace("|", r"\|")):
        parse_flags(TEXT.replace(old, new))


def test_the_contract_names_every_flag() -> None:
    """The values a run may write are the flags of the data file."""
    for table in ("shipment_flags", "flagged_shipments"):
        column = next(c for c in load_contract(table).column if c.name == "flag")
        assert list(PARAMETERS) == list(column.one_of)


def test_the_page_lists_each_flag_with_source_and_date() -> None:
    """docs/flags.md has one row per flag, as the data file says it."""
    page = PAGE.read_text(encoding="utf-8")

    for flag in load_flags().flags:
        assert f"| `{flag.flag}` | {flag.version} | {flag.title} | {flag.source} | {flag.dated} |" in page
    assert 50 == len(high_priority_goods())
    assert 18 == len(transshipment_points())
