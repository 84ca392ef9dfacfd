"""What beyond names makes or weighs a match: the vocabulary of facts, their numbers, and how they enter the matches.

Rules of this file: a fact is a row of ``match_facts`` that shows both sides as filed; scores are integers of
``facts.toml``; a match by identifier is always in the top band and never at the top of the scale by itself, so that
what the names add still orders it; a conflict lowers a match and never removes it. Every order is total.
"""

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar, Final

from omphalos.format.errors import ErrorKind, OmphalosError
from omphalos.screening.match.formula import band_sql
from omphalos.screening.match.integers import FULL
from omphalos.screening.match.params import MatchParams

IDENTIFIER: Final = "IDENTIFIER"
IDENTIFIER_CONFLICT: Final = "IDENTIFIER_CONFLICT"
ADDRESS_MATCH: Final = "ADDRESS_MATCH"
OWNERSHIP_LINK: Final = "OWNERSHIP_LINK"


@dataclass(frozen=True, slots=True)
class FactReason:
    """One code that a fact adds to the reasons of a match, and whether it speaks against it."""

    code: str
    against: bool
    meaning: str


FACT_REASONS: Final[tuple[FactReason, ...]] = (
    FactReason(
        ADDRESS_MATCH,
        False,
        "An address filed for the party is, or is nearly, an address that the list gives for the entity.",
    ),
    FactReason(
        IDENTIFIER,
        False,
        "An identifier filed for the party is an identifier that the list gives for the entity.",
    ),
    FactReason(
        IDENTIFIER_CONFLICT,
        True,
        "Party and entity bear different identifiers of the same family and country, and none in common.",
    ),
    FactReason(
        OWNERSHIP_LINK,
        False,
        "The list links the entity to another listed entity; the path is shown, and no share of ownership is claimed.",
    ),
)


class FactParamsError(OmphalosError):
    """The data file of facts is not what this program reads."""

    kind: ClassVar[ErrorKind] = ErrorKind.USAGE
    id: ClassVar[str] = "fact-params"


@dataclass(frozen=True, slots=True)
class IdentifierParams:
    """Numbers of the comparison of identifiers."""

    score_bp: int
    conflict_bp: int
    least_characters: int
    least_characters_alone: int
    most_characters: int


@dataclass(frozen=True, slots=True)
class AddressParams:
    """Numbers of the comparison of addresses; information in thousandths of a bit."""

    exact_bp: int
    like_bp: int
    alone_exact_bp: int
    alone_like_bp: int
    support_bp: int
    alike_from_bp: int
    least_information: int
    most_holders: int
    most_postings: int
    most_words: int


@dataclass(frozen=True, slots=True)
class OwnershipParams:
    """Bounds of the search for links between entities."""

    most_steps: int
    most_paths: int


@dataclass(frozen=True, slots=True)
class Family:
    """Kinds of identifiers that are one for the comparison; ``world`` ones are unique without a country."""

    name: str
    kinds: tuple[str, ...]
    meets: tuple[str, ...]
    world: bool


@dataclass(frozen=True, slots=True)
class FactParams:
    """The data file of facts."""

    version: int
    identifiers: IdentifierParams
    addresses: AddressParams
    ownership: OwnershipParams
    families: tuple[Family, ...]

    def family_of(self, kind: str) -> str:
        """Return the family of a list's kind of identifier."""
        return next((family.name for family in self.families if kind in family.kinds), "other")


def parse_facts(text: str) -> FactParams:
    """Return the numbers in ``text`` (TOML).

    Raises:
        FactParamsError: the text is no TOML, or a member is missing, unknown or of the wrong type.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FactParamsError(f"the facts are not TOML: {error}") from error
    if (
        set(table) != {"version", "identifiers", "family", "addresses", "ownership"}
        or type(table["version"]) is not int
    ):
        raise FactParamsError("the facts have unknown or missing sections")
    families = []
    for name, members in sorted(table["family"].items()):
        if set(members) != {"kinds", "meets", "world"} or type(members["world"]) is not bool:
            raise FactParamsError(f"the family {name} has unknown or missing members")
        families.append(Family(name, tuple(members["kinds"]), tuple(members["meets"]), members["world"]))
    if "other" not in table["family"]:
        raise FactParamsError("the facts have no family called other")
    return FactParams(
        table["version"],
        IdentifierParams(**_integers(table["identifiers"], IdentifierParams, "identifiers")),
        AddressParams(**_integers(table["addresses"], AddressParams, "addresses")),
        OwnershipParams(**_integers(table["ownership"], OwnershipParams, "ownership")),
        tuple(families),
    )


def _integers(table: Any, shape: Any, name: str) -> dict[str, int]:
    wanted = {field.name for field in fields(shape)}
    if not isinstance(table, dict) or set(table) != wanted or any(type(value) is not int for value in table.values()):
        raise FactParamsError(f"the section {name} of the facts has unknown or missing members, or no whole numbers")
    return table


@cache
def load_facts() -> FactParams:
    """Return the numbers that ship with the package."""
    return parse_facts(files(__package__).joinpath("facts.toml").read_text(encoding="utf-8"))


def make_facts_table(con: Any) -> None:
    """Make the empty table ``match_facts``, one row per fact about a (party_id, entity_id)."""
    con.execute(
        "CREATE OR REPLACE TABLE match_facts (party_id VARCHAR, entity_id VARCHAR, fact VARCHAR, kind VARCHAR, "
        "party_value VARCHAR, listed_value VARCHAR, strength_bp BIGINT, detail VARCHAR)"
    )


def add_matches(con: Any, params: MatchParams, facts: FactParams) -> None:
    """Add to ``party_matches`` the pairs that only a fact connects, and let every fact raise or lower its pair.

    Reads ``match_facts`` (IDENTIFIER and ADDRESS_MATCH), ``parties``, ``registry`` and ``registry_names``. A pair by
    address alone enters from ``params.threshold_bp`` on, one by identifier always, in the band high.
    """
    i, a = facts.identifiers, facts.addresses
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE fact_pairs AS
        WITH best AS (
            SELECT party_id, entity_id, max(strength_bp) FILTER (fact = '{ADDRESS_MATCH}') AS address_bp,
                   bool_or(fact = '{IDENTIFIER}') AS identified
            FROM match_facts WHERE fact IN ('{ADDRESS_MATCH}', '{IDENTIFIER}') GROUP BY ALL)
        SELECT b.*, m.score_bp AS name_bp,
               CASE WHEN b.identified THEN least({FULL}, greatest({i.score_bp} + coalesce(m.score_bp, 0) // 100,
                                                                 coalesce(m.score_bp, 0)))
                    ELSE least({FULL}, greatest(b.address_bp, coalesce(m.score_bp + {a.support_bp}, 0))) END AS fact_bp
        FROM best b LEFT JOIN party_matches m USING (party_id, entity_id)""")
    listed = "coalesce(nullif(r.countries, ''), nullif(r.country, ''))"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE fact_rows AS
        SELECT f.party_id, f.entity_id, 0::BIGINT AS name_no, r.name AS matched_name, 'primary' AS name_kind,
               f.fact_bp::BIGINT AS score_bp, 0::BIGINT AS match_rank, 'low' AS band, '' AS reasons, '' AS against,
               CASE WHEN coalesce(p.country, '') = '' OR {listed} IS NULL THEN 'unknown'
                    WHEN list_contains(string_split({listed}, ';'), p.country) THEN 'support'
                    ELSE 'conflict' END AS country_relation
        FROM fact_pairs f JOIN parties p USING (party_id) JOIN registry r ON r.entity_id = f.entity_id
        WHERE f.name_bp IS NULL AND (f.identified OR f.fact_bp >= {params.threshold_bp})""")
    con.execute("UPDATE fact_rows SET reasons = 'COUNTRY_SUPPORT' WHERE country_relation = 'support'")
    con.execute(
        "UPDATE fact_rows SET reasons = 'COUNTRY_CONFLICT', against = 'COUNTRY_CONFLICT' "
        "WHERE country_relation = 'conflict'"
    )
    described = con.execute("DESCRIBE party_matches").fetchall()
    known = {row[0] for row in con.execute("DESCRIBE fact_rows").fetchall()}
    # What only a comparison of names can fill is zero or empty in a pair that no name connects.
    blank = {"BIGINT": "0", "VARCHAR": "''", "BOOLEAN": "false"}
    items = ", ".join(
        name if name in known else f"{blank.get(kind, 'NULL')}::{kind} AS {name}" for name, kind, *_ in described
    )
    con.execute(f"INSERT INTO party_matches BY NAME SELECT {items} FROM fact_rows")


def weigh_facts(con: Any, params: MatchParams, facts: FactParams) -> None:
    """Let the facts change score, band, reasons and rank of their pairs in ``party_matches``; drop the scratch tables.

    Expects ``add_matches`` and, in ``match_facts``, the conflicts and links of the pairs that are matches.
    """
    against = ", ".join(f"'{reason.code}'" for reason in FACT_REASONS if reason.against)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE fact_codes AS
        SELECT party_id, entity_id, list(DISTINCT fact) AS codes,
               coalesce(list(DISTINCT fact) FILTER (fact IN ({against})), []) AS codes_against
        FROM match_facts SEMI JOIN party_matches USING (party_id, entity_id) GROUP BY ALL""")
    joined = (
        "array_to_string(list_sort(list_distinct(list_filter(list_concat(string_split(m.{0}, ';'), c.{1}), "
        "code -> code <> ''))), ';')"
    )
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE fact_scored AS
        SELECT m.* REPLACE (
                   greatest(least(coalesce(f.fact_bp, m.score_bp), {FULL})
                       + CASE WHEN list_contains(c.codes, '{IDENTIFIER_CONFLICT}')
                              THEN {facts.identifiers.conflict_bp} ELSE 0 END,
                       least({params.threshold_bp}, coalesce(f.fact_bp, m.score_bp)))::BIGINT AS score_bp,
                   {joined.format("reasons", "codes")} AS reasons,
                   {joined.format("against", "codes_against")} AS against),
               coalesce(f.identified, false) AS identified,
               coalesce(f.fact_bp > m.score_bp, false) OR m.match_rank = 0 AS raised
        FROM party_matches m JOIN fact_codes c USING (party_id, entity_id)
        LEFT JOIN fact_pairs f USING (party_id, entity_id)""")
    by_score = band_sql(params)
    # Ranks change only for parties that have a fact; the others keep every byte.
    con.execute(f"""
        CREATE OR REPLACE TABLE party_matches AS
        WITH merged AS (
            SELECT *, false AS identified, false AS raised
            FROM party_matches ANTI JOIN fact_codes USING (party_id, entity_id)
            UNION ALL BY NAME SELECT * FROM fact_scored),
        touched AS (SELECT DISTINCT party_id AS touched_id FROM fact_codes)
        SELECT m.* EXCLUDE (identified, raised, before) REPLACE (
                   CASE WHEN t.touched_id IS NULL THEN match_rank
                        ELSE row_number() OVER (PARTITION BY m.party_id
                                                ORDER BY m.score_bp DESC, before, m.entity_id)
                        END::BIGINT AS match_rank,
                   CASE WHEN t.touched_id IS NULL THEN band
                        WHEN identified THEN 'high'
                        WHEN raised THEN {by_score}
                        -- A pair of names stays in the band that its names may reach, unless a fact is worth more.
                        WHEN band = 'low' OR {by_score} = 'low' THEN 'low'
                        WHEN band = 'medium' THEN 'medium' ELSE {by_score} END AS band)
        FROM (SELECT *, CASE WHEN match_rank = 0 THEN {1 << 40} ELSE match_rank END AS before FROM merged) m
        LEFT JOIN touched t ON t.touched_id = m.party_id
        ORDER BY m.party_id, m.entity_id""")
    for table in ("fact_pairs", "fact_rows", "fact_codes", "fact_scored"):
        con.execute(f"DROP TABLE IF EXISTS temp.{table}")
