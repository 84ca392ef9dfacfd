/*---
question = "Which shipments bear several red flags at once?"
grain = "one row per shipment"
key = ["shipment_id"]
tables = ["flagged_shipments"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "flags overlap by construction: high-priority goods to a transshipment point raise two"

[columns]
shipment_id = "text"
flags = "int"
ship_month = "text"
importer_id = "text"
origin_country = "text"
destination_country = "text"
hs6 = "text"
listed = "int"

[parameters.flags]
kind = "int"
default = 3
min = 1
max = 10
about = "flags at least"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    shipment_id,
    cast(count(*) as bigint) as flags,
    ship_month,
    importer_id,
    origin_country,
    destination_country,
    hs6,
    cast(max(case when flag = 'listedParty' then 1 else 0 end) as bigint) as listed
from flagged_shipments
group by shipment_id, ship_month, importer_id, origin_country, destination_country, hs6
having count(*) >= $flags
order by flags desc, shipment_id
limit $top
