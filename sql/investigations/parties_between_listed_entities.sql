/*---
question = "Which parties trade with several listed entities?"
grain = "one row per counterparty"
key = ["counterparty_id"]
tables = ["counterparties_of_listed"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "freight forwarders and banks stand between many parties by trade; shipments with two entities count twice"

[columns]
counterparty_id = "text"
counterparty_name = "text"
counterparty_country = "text"
entities = "int"
shipments = "int"
own_best_score_bp = "int"

[parameters.entities]
kind = "int"
default = 2
min = 1
max = 1000
about = "listed entities at least"

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
    cast(count(*) as bigint) as entities,
    cast(sum(shipments) as bigint) as shipments,
    cast(max(own_best_score_bp) as bigint) as own_best_score_bp
from counterparties_of_listed
group by counterparty_id, counterparty_name, counterparty_country
having count(*) >= $entities
order by entities desc, shipments desc, counterparty_id
limit $top
