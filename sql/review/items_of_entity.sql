/*---
question = "Which parties of the feed may be this entity?"
grain = "one row per party"
key = ["party_id"]
tables = ["review"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "low items are many and mostly wrong; raise min_score to see the rest"

[columns]
party_id = "text"
party_name = "text"
party_country = "text"
roles = "text"
band = "text"
score_bp = "int"
matched_name = "text"
reasons = "text"
against = "text"
shipments = "int"
first_seen = "text"
last_seen = "text"
sample_shipments = "text"

[parameters.entity]
kind = "text"
max_bytes = 300
about = "the listed entity"

[parameters.min_score]
kind = "int"
default = 0
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
    party_name,
    party_country,
    roles,
    band,
    score_bp,
    matched_name,
    reasons,
    against,
    shipments,
    first_seen,
    last_seen,
    sample_shipments
from review
where entity_id = $entity and score_bp >= $min_score
order by score_bp desc, party_id
limit $top
