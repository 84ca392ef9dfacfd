/*---
question = "Which entities may this party be, and why?"
grain = "one row per listed entity"
key = ["entity_id"]
tables = ["review"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "a party is a name and a country as filed; the same company under another spelling is another party"

[columns]
entity_id = "text"
match_rank = "int"
entity_name = "text"
source = "text"
entity_type = "text"
entity_country = "text"
band = "text"
score_bp = "int"
matched_name = "text"
name_kind = "text"
reasons = "text"
against = "text"
country_relation = "text"
programs = "text"

[parameters.party]
kind = "text"
max_bytes = 21
about = "the party"
---*/
select
    entity_id,
    match_rank,
    entity_name,
    source,
    entity_type,
    entity_country,
    band,
    score_bp,
    matched_name,
    name_kind,
    reasons,
    against,
    country_relation,
    programs
from review
where party_id = $party
order by match_rank, entity_id
