"""Addresses of parties and of listed entities: comparison forms, and which are the same or nearly the same place.

Rules of this file: an address is compared as a set of canonical words (``addresses.toml``); what a word says is its
information among the listed addresses, in exact integers; only an address that says enough, and that few entities
share, can match; numbers must not contradict each other. No candidate is looked up by a word that many listed addresses
hold, so that the work is bounded per address.
"""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, Final

import pyarrow as pa

from omphalos.screening.match.facts import ADDRESS_MATCH, AddressParams, FactParams
from omphalos.screening.match.integers import FULL, information_milli, whole
from omphalos.screening.normalize.mapping import map_distinct
from omphalos.screening.normalize.text import clean_text, fold

_SPLIT: Final = re.compile(r"[0-9]+|[A-Z]+")
_ALONE: Final = "^ADDRESS( [0-9]+)?$"  # how the Entity List names an address that stands for itself
_POSTCODE_DIGITS: Final = 5


@cache
def _words() -> tuple[dict[str, str], frozenset[str]]:
    table = tomllib.loads(files(__package__).joinpath("addresses.toml").read_text(encoding="utf-8"))
    same = {spelling: form for form, spellings in table["same"].items() for spelling in spellings}
    return same, frozenset(table["empty"]["words"])


def address_words(text: str, most: int) -> list[str]:
    """Return the canonical words of an address, sorted, each once, at most ``most`` of them as they stand.

    Letters and digits are parted (16F and 16/F are one), known spellings of one word are joined, words that say nothing
    are left out.
    """
    same, empty = _words()
    words: dict[str, None] = {}
    for word in _SPLIT.findall(fold(text)):
        form = same.get(word, word).lstrip("0") or "0"
        if form not in empty:
            words.setdefault(form)
        if len(words) == most:
            break
    return sorted(words)


def build_party_addresses(con: Any, mapped: set[str], roles: tuple[str, ...], params: AddressParams) -> None:
    """Make ``party_addresses``: one row per (party_id, address) filed on an accepted shipment.

    Columns: party_id, address (as filed), address_key (its canonical words), shipments. Reads ``raw_feed``,
    ``trade_feed`` and ``shipment_parties``; ``mapped`` are the fields the job maps.
    """
    union = " UNION ALL ".join(
        f"SELECT f.shipment_id, '{role}' AS role, r.{role}_address AS value "
        f"FROM raw_feed r JOIN trade_feed f USING (source_row) WHERE r.{role}_address IS NOT NULL"
        for role in roles
        if f"{role}_address" in mapped
    ) or "SELECT ''::VARCHAR AS shipment_id, ''::VARCHAR AS role, ''::VARCHAR AS value WHERE false"  # fmt: skip
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE filed_addresses AS
        SELECT DISTINCT s.party_id, u.value AS v, u.shipment_id
        FROM ({union}) u JOIN shipment_parties s USING (shipment_id, role)""")
    _map_addresses(con, "party_address_forms", "SELECT DISTINCT v FROM filed_addresses", params)
    con.execute("""
        CREATE OR REPLACE TABLE party_addresses AS
        SELECT f.party_id, a.address, a.address_key, count(DISTINCT f.shipment_id)::BIGINT AS shipments
        FROM filed_addresses f JOIN party_address_forms a USING (v)
        WHERE a.address <> '' GROUP BY ALL ORDER BY ALL""")
    con.execute("DROP TABLE temp.filed_addresses")
    con.execute("DROP TABLE party_address_forms")


def _map_addresses(con: Any, table: str, source: str, params: AddressParams) -> None:
    schema = pa.schema([("address", pa.string()), ("address_key", pa.string())])

    def convert(values: list[str]) -> list[list[str]]:
        keys = [" ".join(address_words(value, params.most_words)) for value in values]
        return [[clean_text(value) for value in values], keys]

    map_distinct(con, table, source, schema, convert)


def find_addresses(con: Any, params: FactParams) -> dict[str, int]:
    """Add to ``match_facts`` every (party, entity) with an address in common; return counts for the report.

    Reads ``party_addresses``, ``registry``, ``registry_addresses`` and ``registry_forms``. Counts: ``listed`` distinct
    keys, ``listed_uninformative`` and ``listed_crowded`` keys that are never compared, ``party_addresses`` distinct
    keys of parties, ``compared`` pairs of keys, ``exact`` and ``alike`` pairs that agree.
    """
    a = params.addresses
    # What a list gives as city belongs to the address; the country is compared by the words of the country itself.
    _map_addresses(
        con,
        "listed_forms",
        "SELECT DISTINCT concat_ws(', ', address, city) AS v FROM registry_addresses "
        "WHERE coalesce(address, city) IS NOT NULL",
        a,
    )
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE listed_addresses AS
        SELECT r.entity_id, l.address, l.address_key,
               regexp_matches(coalesce(n.full_form, ''), '{_ALONE}') AS alone
        FROM registry_addresses r JOIN listed_forms l ON l.v = concat_ws(', ', r.address, r.city)
        LEFT JOIN registry_forms n ON n.entity_id = r.entity_id AND n.name_no = 0
        WHERE l.address_key <> '' AND coalesce(r.address, r.city) IS NOT NULL""")
    con.execute("DROP TABLE listed_forms")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE listed_keys AS
        SELECT row_number() OVER (ORDER BY address_key) - 1 AS key_no, address_key, holders FROM (
            SELECT address_key, count(DISTINCT entity_id) AS holders FROM listed_addresses GROUP BY ALL)""")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE party_address_keys AS
        SELECT row_number() OVER (ORDER BY address_key) - 1 AS key_no, address_key
        FROM (SELECT DISTINCT address_key FROM party_addresses WHERE address_key <> '')""")
    for side in ("listed", "party_address"):
        con.execute(f"""
            CREATE OR REPLACE TEMP TABLE {side}_words AS
            SELECT key_no, unnest(string_split(address_key, ' ')) AS word FROM {side}_keys""")
    _weigh_words(con)
    counts = _compare(con, a)
    con.execute(f"""
        INSERT INTO match_facts
        SELECT p.party_id, l.entity_id, '{ADDRESS_MATCH}', CASE WHEN c.alike = {FULL} THEN 'equal' ELSE 'alike' END,
               min(p.address), min(l.address),
               CASE WHEN l.alone THEN CASE WHEN c.alike = {FULL} THEN {a.alone_exact_bp} ELSE {a.alone_like_bp} END
                    ELSE CASE WHEN c.alike = {FULL} THEN {a.exact_bp} ELSE {a.like_bp} END END,
               c.alike || ' of {FULL} of what the words say agrees'
        FROM address_pairs c
        JOIN party_address_keys pk ON pk.key_no = c.party_key JOIN party_addresses p ON p.address_key = pk.address_key
        JOIN listed_keys lk ON lk.key_no = c.listed_key JOIN listed_addresses l ON l.address_key = lk.address_key
        GROUP BY ALL""")
    for table in ("listed_addresses", "listed_keys", "party_address_keys", "listed_words", "party_address_words",
                  "address_information", "address_pairs"):  # fmt: skip
        con.execute(f"DROP TABLE temp.{table}")
    return counts


def _weigh_words(con: Any) -> None:
    """Make ``address_information``: word, postings (listed keys that hold it), information in thousandths of a bit."""
    found = con.execute(
        "SELECT w.word, count(l.word) AS postings FROM (SELECT DISTINCT word FROM party_address_words "
        "UNION SELECT DISTINCT word FROM listed_words) w LEFT JOIN listed_words l USING (word) GROUP BY ALL ORDER BY 1"
    ).to_arrow_table()
    total = int(con.execute("SELECT greatest(count(*), 4096) FROM listed_keys").fetchone()[0])
    postings = whole(found.column("postings"))
    table = found.append_column("information", pa.array(information_milli(postings, total)))
    con.register("address_batch", table)
    con.execute("CREATE OR REPLACE TEMP TABLE address_information AS SELECT * FROM address_batch")
    con.unregister("address_batch")


def _compare(con: Any, a: AddressParams) -> dict[str, int]:
    """Make ``address_pairs`` (party_key, listed_key, alike in basis points) and return the counts."""
    for side in ("listed", "party_address"):
        con.execute(f"""
            CREATE OR REPLACE TEMP TABLE {side}_says AS
            SELECT key_no, sum(information)::BIGINT AS says,
                   count(*) FILTER (regexp_full_match(word, '[0-9]+') AND length(word) < {_POSTCODE_DIGITS}) AS numbers
            FROM {side}_words JOIN address_information USING (word) GROUP BY ALL""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE usable_listed AS
        SELECT k.key_no FROM listed_keys k JOIN listed_says s USING (key_no)
        WHERE s.says >= {a.least_information} AND s.numbers > 0 AND k.holders <= {a.most_holders}""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE address_pairs AS
        WITH looked AS (
            SELECT DISTINCT p.key_no AS party_key, l.key_no AS listed_key
            FROM party_address_words p JOIN address_information i USING (word)
            JOIN listed_words l USING (word) JOIN usable_listed u ON u.key_no = l.key_no
            WHERE i.postings <= {a.most_postings}),
        shared AS (
            SELECT x.party_key, x.listed_key, sum(i.information)::BIGINT AS both_say,
                   count(*) FILTER (regexp_full_match(p.word, '[0-9]+') AND length(p.word) < {_POSTCODE_DIGITS})
                       AS numbers
            FROM looked x JOIN party_address_words p ON p.key_no = x.party_key
            JOIN listed_words l ON l.key_no = x.listed_key AND l.word = p.word
            JOIN address_information i ON i.word = p.word GROUP BY ALL),
        compared AS (
            SELECT s.party_key, s.listed_key, s.both_say,
                   {FULL} * 2 * s.both_say // (ps.says + ls.says) AS alike,
                   -- Of the side with fewer numbers, each must be among the other's.
                   s.numbers >= least(ps.numbers, ls.numbers) AND s.numbers > 0 AS numbers_agree
            FROM shared s JOIN party_address_says ps ON ps.key_no = s.party_key
            JOIN listed_says ls ON ls.key_no = s.listed_key)
        SELECT * FROM compared""")
    compared = _count(con, "address_pairs")
    con.execute(
        f"DELETE FROM address_pairs WHERE NOT numbers_agree OR alike < {a.alike_from_bp} "
        f"OR both_say < {a.least_information}"
    )
    counts = {
        "alike": _count(con, f"address_pairs WHERE alike < {FULL}"),
        "compared": compared,
        "exact": _count(con, f"address_pairs WHERE alike = {FULL}"),
        "listed": _count(con, "listed_keys"),
        "listed_crowded": _count(con, f"listed_keys WHERE holders > {a.most_holders}"),
        "listed_uninformative": _count(
            con,
            f"listed_keys JOIN listed_says USING (key_no) WHERE says < {a.least_information} OR numbers = 0",
        ),
        "party_addresses": _count(con, "party_address_keys"),
    }
    for table in ("listed_says", "party_address_says", "usable_listed"):
        con.execute(f"DROP TABLE temp.{table}")
    return counts


def _count(con: Any, source: str) -> int:
    return int(con.execute(f"SELECT count(*) FROM {source}").fetchone()[0])
