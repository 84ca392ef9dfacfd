/*---
question = "Which shipments of a commodity are priced furthest from the rest?"
grain = "one row per shipment"
key = ["shipment_id"]
tables = ["price_outliers"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "a code holds goods of many kinds; compare descriptions before prices"

[columns]
shipment_id = "text"
direction = "text"
price_per_kg_minor = "int"
median_minor = "int"
spreads_away = "int"
currency = "text"
ship_month = "text"
importer_id = "text"
exporter_id = "text"
value_minor = "int"
is_matched = "int"

[parameters.hs6]
kind = "text"
default = ""
code = "hs6-or-none"
about = "six-digit commodity code; all where empty"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    shipment_id,
    direction,
    price_per_kg_minor,
    median_minor,
    spreads_away,
    currency,
    ship_month,
    importer_id,
    exporter_id,
    value_minor,
    is_matched
from price_outliers
where $hs6 = '' or hs6 = $hs6
order by spreads_away desc, shipment_id
limit $top
