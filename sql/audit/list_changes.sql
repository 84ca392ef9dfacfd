/*---
question = "Which entities were added to, removed from or changed on a list since an earlier run?"
grain = "one row per entity that was added, removed or changed"
key = ["entity_id"]
tables = ["registry", "before_registry"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "'changed' means that the published record is another; it may be no more than a remark"

[columns]
entity_id = "text"
source = "text"
change = "text"
before_name = "text"
after_name = "text"
before_programs = "text"
after_programs = "text"

[parameters.source]
kind = "text"
default = ""
max_bytes = 64
about = "one list only, or all"

[parameters.change]
kind = "text"
default = ""
one_of = ["", "added", "removed", "changed"]
about = "one kind of change only, or all"

[parameters.top]
kind = "int"
default = 1000
min = 1
max = 1000000
about = "at most these rows"
---*/
with

pairs as (

    select
        registry.entity_id,
        registry.source,
        case
            when before_registry.entity_id is null then 'added'
            when registry.record_hash <> before_registry.record_hash then 'changed'
            else ''
        end as change,
        before_registry.name as before_name,
        registry.name as after_name,
        before_registry.programs as before_programs,
        registry.programs as after_programs
    from registry
    left join before_registry on registry.entity_id = before_registry.entity_id

    union all

    select
        before_registry.entity_id,
        before_registry.source,
        'removed' as change,
        before_registry.name as before_name,
        null as after_name,
        before_registry.programs as before_programs,
        null as after_programs
    from before_registry
    left join registry on before_registry.entity_id = registry.entity_id
    where registry.entity_id is null

)

select
    entity_id,
    source,
    change,
    before_name,
    after_name,
    before_programs,
    after_programs
from pairs
where change <> '' and ($source = '' or source = $source) and ($change = '' or change = $change)
order by source, change, entity_id
limit $top
