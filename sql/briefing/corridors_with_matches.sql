/*---
question = "On which corridors do shipments with matched parties run?"
grain = "one row per origin and destination"
key = ["origin_country", "destination_country"]
tables = ["corridor_flows"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "origin and destination are as filed; ZZ is not known"

[columns]
origin_country = "text"
destination_country = "text"
shipments = "int"
matched_shipments = "int"
high_priority_shipments = "int"
first_month = "text"
last_month = "text"

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
    cast(sum(shipments) as bigint) as shipments,
    cast(sum(matched_shipments) as bigint) as matched_shipments,
    cast(sum(high_priority_shipments) as bigint) as high_priority_shipments,
    min(ship_month) as first_month,
    max(ship_month) as last_month
from corridor_flows
group by origin_country, destination_country
having sum(matched_shipments) > 0
order by matched_shipments desc, shipments desc, origin_country, destination_country
limit $top
