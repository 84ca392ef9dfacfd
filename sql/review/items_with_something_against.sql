/*---
question = "Which items of a band carry reasons that speak against the match?"
grain = "one row per party and listed entity"
key = ["party_id", "entity_id"]
tables = ["review"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "a reason against lowers the score and does not decide"

[columns]
party_id = "text"
entity_id = "text"
review_rank = "int"
score_bp = "int"
party_name = "text"
entity_name = "text"
reasons = "text"
against = "text"

[parameters.band]
kind = "text"
default = ""
one_of = ["", "high", "medium", "low"]
about = "one band only; all where empty"

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
    review_rank,
    score_bp,
    party_name,
    entity_name,
    reasons,
    against
from review
where against <> '' and ($band = '' or band = $band)
order by review_rank
limit $top
