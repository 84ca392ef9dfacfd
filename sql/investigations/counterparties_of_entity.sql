/*---
question = "With whom does this entity trade?"
grain = "one row per counterparty"
key = ["counterparty_id"]
tables = ["counterparties_of_listed"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "matches of the high and medium band alone open a side"

[columns]
counterparty_id = "text"
counterparty_name = "text"
counterparty_country = "text"
shipments = "int"
high_priority_shipments = "int"
first_month = "text"
last_month = "text"
own_best_score_bp = "int"

[parameters.entity]
kind = "text"
max_bytes = 300
about = "the listed entity"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    counterparty_id,
    counterparty_name,
    counterparty_country,
    shipments,
    high_priority_shipments,
    first_month,
    last_month,
    own_best_score_bp
from counterparties_of_listed
where entity_id = $entity
order by shipments desc, counterparty_id
limit $top
