/*---
question = "How many rows do the base tables of the run have?"
grain = "one row per table"
key = ["table_name"]
tables = ["trade_feed", "registry", "entity_matches", "entity_scores"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "compare with reports/validation.json, which was counted while the run was made"

[columns]
table_name = "text"
row_count = "int"
---*/
with

counts as (

    select
        'trade_feed' as table_name,
        count(*) as row_count
    from trade_feed

    union all

    select
        'registry' as table_name,
        count(*) as row_count
    from registry

    union all

    select
        'entity_matches' as table_name,
        count(*) as row_count
    from entity_matches

    union all

    select
        'entity_scores' as table_name,
        count(*) as row_count
    from entity_scores

)

select
    table_name,
    cast(row_count as bigint) as row_count
from counts
order by table_name
