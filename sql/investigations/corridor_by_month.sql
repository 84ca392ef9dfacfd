/*---
question = "How did trade on one corridor develop?"
grain = "one row per month and chapter"
key = ["ship_month", "hs_chapter"]
tables = ["corridor_flows"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "origin and destination as filed"

[columns]
ship_month = "text"
hs_chapter = "text"
shipments = "int"
net_mass_grams = "int"
matched_shipments = "int"
high_priority_shipments = "int"

[parameters.origin]
kind = "text"
code = "iso3166-alpha2"
about = "country of origin"

[parameters.destination]
kind = "text"
code = "iso3166-alpha2"
about = "country of destination"
---*/
select
    ship_month,
    hs_chapter,
    cast(sum(shipments) as bigint) as shipments,
    cast(sum(net_mass_grams) as bigint) as net_mass_grams,
    cast(sum(matched_shipments) as bigint) as matched_shipments,
    cast(sum(high_priority_shipments) as bigint) as high_priority_shipments
from corridor_flows
where origin_country = $origin and destination_country = $destination
group by ship_month, hs_chapter
order by ship_month, hs_chapter
