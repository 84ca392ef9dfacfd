/*---
question = "Which items lie so close to a threshold that a small change of method would move them?"
grain = "one row per party and listed entity"
key = ["party_id", "entity_id"]
tables = ["review"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "the thresholds of the run are in config/job.json; name the one that matters"

[columns]
party_id = "text"
entity_id = "text"
score_bp = "int"
distance_bp = "int"
band = "text"
party_name = "text"
entity_name = "text"

[parameters.threshold]
kind = "int"
default = 8000
min = 0
max = 10000
about = "score in basis points"

[parameters.within]
kind = "int"
default = 200
min = 0
max = 5000
about = "distance on both sides, in basis points"

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
    cast(score_bp - $threshold as bigint) as distance_bp,
    band,
    party_name,
    entity_name
from review
where score_bp between $threshold - $within and $threshold + $within
order by score_bp desc, party_id, entity_id
limit $top
