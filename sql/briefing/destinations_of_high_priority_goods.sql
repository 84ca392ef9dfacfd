/*---
question = "Where do high-priority goods go?"
grain = "one row per destination"
key = ["destination_country"]
tables = ["corridor_flows"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "destination as filed; goods can move on"

[columns]
destination_country = "text"
high_priority_shipments = "int"
shipments = "int"
origins = "int"

[parameters.from_month]
kind = "text"
default = "0000-00"
code = "month-or-none"
about = "first month"

[parameters.to_month]
kind = "text"
default = "9999-12"
code = "month-or-none"
about = "last month"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    destination_country,
    cast(sum(high_priority_shipments) as bigint) as high_priority_shipments,
    cast(sum(shipments) as bigint) as shipments,
    cast(count(distinct case when high_priority_shipments > 0 then origin_country end) as bigint) as origins
from corridor_flows
where ship_month between $from_month and $to_month
group by destination_country
having sum(high_priority_shipments) > 0
order by high_priority_shipments desc, destination_country
limit $top
