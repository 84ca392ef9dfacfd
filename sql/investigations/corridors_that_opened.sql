/*---
question = "Which corridors carry high-priority goods only since a certain month?"
grain = "one row per origin and destination"
key = ["origin_country", "destination_country"]
tables = ["corridor_flows"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "a corridor is new when it is new in this feed"

[columns]
origin_country = "text"
destination_country = "text"
first_month = "text"
high_priority_shipments = "int"
chapters = "int"

[parameters.since]
kind = "text"
code = "month"
about = "first month that counts as new"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    origin_country,
    destination_country,
    min(ship_month) as first_month,
    cast(sum(high_priority_shipments) as bigint) as high_priority_shipments,
    cast(count(distinct hs_chapter) as bigint) as chapters
from corridor_flows
where high_priority_shipments > 0 and ship_month <> '0000-00'
group by origin_country, destination_country
having min(ship_month) >= $since
order by first_month, high_priority_shipments desc, origin_country, destination_country
limit $top
