/*---
question = "How many entities did each list take up in each year?"
grain = "one row per list and year"
key = ["source", "listed_year"]
tables = ["list_growth"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "entities taken off a list are gone from it: compare two runs to see them"

[columns]
source = "text"
listed_year = "text"
listed = "int"
listed_so_far = "int"

[parameters.source]
kind = "text"
default = ""
max_bytes = 300
about = "one list only; all where empty"
---*/
select
    source,
    substr(listed_month, 1, 4) as listed_year,
    cast(sum(listed) as bigint) as listed,
    cast(max(listed_so_far) as bigint) as listed_so_far
from list_growth
where $source = '' or source = $source
group by source, substr(listed_month, 1, 4)
order by source, listed_year
