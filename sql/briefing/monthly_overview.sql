/*---
question = "How did volume, newcomers, high-priority goods and matches develop from month to month?"
grain = "one row per month"
key = ["ship_month"]
tables = ["monthly_trend"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "an importer that appears in two flows of its first month counts twice; 0000-00 holds shipments without a month"

[columns]
ship_month = "text"
shipments = "int"
first_time_importers = "int"
high_priority_shipments = "int"
matched_shipments = "int"
high_match_shipments = "int"

[parameters.flow]
kind = "text"
default = ""
one_of = ["", "import", "export", "transit", "reexport", "unknown"]
about = "one direction only; all where empty"
---*/
select
    ship_month,
    cast(sum(shipments) as bigint) as shipments,
    cast(sum(first_time_importers) as bigint) as first_time_importers,
    cast(sum(high_priority_shipments) as bigint) as high_priority_shipments,
    cast(sum(matched_shipments) as bigint) as matched_shipments,
    cast(sum(high_match_shipments) as bigint) as high_match_shipments
from monthly_trend
where $flow = '' or flow = $flow
group by ship_month
order by ship_month
