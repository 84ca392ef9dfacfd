/*---
question = "Which items stand for the most value?"
grain = "one row per party and listed entity"
key = ["party_id", "entity_id"]
tables = ["review"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "the job's currency alone; an item without a value in it is left out"

[columns]
party_id = "text"
entity_id = "text"
value_minor = "int"
shipments = "int"
band = "text"
score_bp = "int"
party_name = "text"
entity_name = "text"
hs_chapters = "text"

[parameters.min_score]
kind = "int"
default = 8000
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
    value_minor,
    shipments,
    band,
    score_bp,
    party_name,
    entity_name,
    hs_chapters
from review
where value_minor is not null and score_bp >= $min_score
order by value_minor desc, party_id, entity_id
limit $top
