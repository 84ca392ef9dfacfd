/*---
question = "Which items rest on a name that its publisher calls weak?"
grain = "one row per party and listed entity"
key = ["party_id", "entity_id"]
tables = ["review"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "a weak alias alone is no ground for refusing a shipment"

[columns]
party_id = "text"
entity_id = "text"
band = "text"
score_bp = "int"
party_name = "text"
matched_name = "text"
entity_name = "text"
source = "text"
shipments = "int"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    party_id,
    entity_id,
    band,
    score_bp,
    party_name,
    matched_name,
    entity_name,
    source,
    shipments
from review
where name_kind = 'weak'
order by score_bp desc, party_id, entity_id
limit $top
