/*---
question = "Which listed entities touch the most shipments of the feed?"
grain = "one row per listed entity"
key = ["entity_id"]
tables = ["entity_exposure"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "value_minor adds the job's currency alone; a name that many parties share lifts an entity without any dealing of its own"

[columns]
entity_id = "text"
source = "text"
entity_name = "text"
entity_country = "text"
best_band = "text"
best_score_bp = "int"
shipments = "int"
high_shipments = "int"
medium_shipments = "int"
high_priority_shipments = "int"
value_minor = "int"
currency = "text"
first_month = "text"
last_month = "text"

[parameters.min_score]
kind = "int"
default = 8000
min = 0
max = 10000
about = "lowest best score, in basis points"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    entity_id,
    source,
    entity_name,
    entity_country,
    best_band,
    best_score_bp,
    shipments,
    high_shipments,
    medium_shipments,
    high_priority_shipments,
    value_minor,
    currency,
    first_month,
    last_month
from entity_exposure
where best_score_bp >= $min_score
order by high_shipments desc, medium_shipments desc, shipments desc, entity_id
limit $top
