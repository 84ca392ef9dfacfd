/*---
question = "What is to be looked at next, in the order of the queue?"
grain = "one row per review item"
key = ["review_rank"]
tables = ["review"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "decisions taken since the run was made are not in its tables"

[columns]
review_rank = "int"
state = "text"
band = "text"
score_bp = "int"
party_id = "text"
party_name = "text"
party_country = "text"
entity_id = "text"
entity_name = "text"
source = "text"
matched_name = "text"
reasons = "text"
against = "text"
shipments = "int"

[parameters.band]
kind = "text"
default = ""
one_of = ["", "high", "medium", "low"]
about = "one band only; all where empty"

[parameters.after_rank]
kind = "int"
default = 0
min = 0
about = "places of the queue to pass over"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    review_rank,
    state,
    band,
    score_bp,
    party_id,
    party_name,
    party_country,
    entity_id,
    entity_name,
    source,
    matched_name,
    reasons,
    against,
    shipments
from review
where review_rank > $after_rank and ($band = '' or band = $band) and state in ('open', 'reopened', 'escalated')
order by review_rank
limit $top
