/*---
question = "Which shipments look like the same one filed twice?"
grain = "one row per group of like shipments"
key = ["first_shipment"]
tables = ["trade_feed"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "the same goods at the same price on the same day also happen in honest trade"

[columns]
first_shipment = "text"
last_shipment = "text"
shipments = "int"
ship_date = "text"
exporter_name = "text"
importer_name = "text"
hs_code = "text"
value_minor = "int"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    min(shipment_id) as first_shipment,
    max(shipment_id) as last_shipment,
    cast(count(*) as bigint) as shipments,
    ship_date,
    exporter_name,
    importer_name,
    hs_code,
    value_minor
from trade_feed
where ship_date is not null and value_minor is not null
group by ship_date, exporter_name, importer_name, hs_code, value_minor, net_mass_grams
having count(*) > 1
order by shipments desc, first_shipment
limit $top
