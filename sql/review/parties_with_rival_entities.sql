/*---
question = "Which parties could be one of several listed entities, with scores close together?"
grain = "one row per party"
key = ["party_id"]
tables = ["review"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "lists overlap: rivals are often the same person on two lists"

[columns]
party_id = "text"
party_name = "text"
entities = "int"
best_score_bp = "int"
second_score_bp = "int"
shipments = "int"

[parameters.min_score]
kind = "int"
default = 7500
min = 0
max = 10000
about = "lowest score, in basis points"

[parameters.within]
kind = "int"
default = 300
min = 0
max = 10000
about = "largest distance of the two best scores, in basis points"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
with

ranked as (

    select
        party_id,
        party_name,
        shipments,
        score_bp,
        row_number() over (partition by party_id order by score_bp desc, entity_id) as place,
        count(*) over (partition by party_id) as entities
    from review
    where score_bp >= $min_score

),

pairs as (

    select
        party_id,
        party_name,
        shipments,
        entities,
        max(case when place = 1 then score_bp end) as best_score_bp,
        max(case when place = 2 then score_bp end) as second_score_bp
    from ranked
    group by party_id, party_name, shipments, entities

)

select
    party_id,
    party_name,
    cast(entities as bigint) as entities,
    cast(best_score_bp as bigint) as best_score_bp,
    cast(second_score_bp as bigint) as second_score_bp,
    shipments
from pairs
where best_score_bp - second_score_bp <= $within
order by best_score_bp desc, entities desc, party_id
limit $top
