/*---
question = "How many listed entities of each combination of programs were met, and on how many shipments?"
grain = "one row per combination of programs and list"
key = ["source", "programs"]
tables = ["entity_exposure"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "shipments are added over entities, so a shipment that touches two entities counts twice"

[columns]
source = "text"
programs = "text"
entities = "int"
high_entities = "int"
shipments = "int"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    source,
    coalesce(programs, '') as programs,
    cast(count(*) as bigint) as entities,
    cast(count(*) filter (where best_band = 'high') as bigint) as high_entities,
    cast(sum(shipments) as bigint) as shipments
from entity_exposure
group by source, coalesce(programs, '')
order by shipments desc, source, programs
limit $top
