/*---
question = "Which listed entities have no name that could tell them from another?"
grain = "one row per listed entity"
key = ["entity_id"]
tables = ["registry", "registry_names"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "such entities can be found by identifiers and addresses alone, which a feed rarely has"

[columns]
entity_id = "text"
source = "text"
entity_type = "text"
name = "text"
names = "int"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    registry.entity_id,
    registry.source,
    registry.entity_type,
    registry.name,
    cast(count(registry_names.name_no) as bigint) as names
from registry
left join registry_names on registry.entity_id = registry_names.entity_id
group by registry.entity_id, registry.source, registry.entity_type, registry.name
having count(case when registry_names.low_information = 0 then 1 end) = 0
order by registry.source, registry.entity_id
limit $top
