/*---
question = "Where do names agree well and countries contradict each other?"
grain = "one row per party and listed entity"
key = ["party_id", "entity_id"]
tables = ["review"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "the country of an entity is where the list places it, not where it does business"

[columns]
party_id = "text"
entity_id = "text"
score_bp = "int"
party_name = "text"
party_country = "text"
entity_name = "text"
entity_country = "text"
shipments = "int"

[parameters.min_score]
kind = "int"
default = 6000
min = 0
max = 10000
about = "lowest score, in basis points"

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
    score_bp,
    party_name,
    party_country,
    entity_name,
    entity_country,
    shipments
from review
where country_relation = 'conflict' and score_bp >= $min_score
order by score_bp desc, party_id, entity_id
limit $top
