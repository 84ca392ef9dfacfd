/*---
question = "What did each list gain, lose and change since an earlier run?"
grain = "one row per list"
key = ["source"]
tables = ["registry", "before_registry"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "an entity is known by the list's own identifier; one that was given a new identifier counts as removed and added"

[columns]
source = "text"
before_entities = "int"
after_entities = "int"
added = "int"
removed = "int"
changed = "int"
unchanged = "int"
---*/
with

pairs as (

    select
        registry.source,
        before_registry.record_hash as before_hash,
        registry.record_hash as after_hash
    from registry
    left join before_registry on registry.entity_id = before_registry.entity_id

    union all

    select
        before_registry.source,
        before_registry.record_hash as before_hash,
        null as after_hash
    from before_registry
    left join registry on before_registry.entity_id = registry.entity_id
    where registry.entity_id is null

)

select
    source,
    cast(count(before_hash) as bigint) as before_entities,
    cast(count(after_hash) as bigint) as after_entities,
    cast(count(*) filter (where before_hash is null) as bigint) as added,
    cast(count(*) filter (where after_hash is null) as bigint) as removed,
    cast(count(*) filter (where before_hash <> after_hash) as bigint) as changed,
    cast(count(*) filter (where before_hash = after_hash) as bigint) as unchanged
from pairs
group by source
order by source
