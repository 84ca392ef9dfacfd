/*---
question = "What did the feed say of this shipment, and in which record?"
grain = "one row per shipment"
key = ["shipment_id"]
tables = ["trade_feed"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "names are as filed but for white space and Unicode normalization; the bytes themselves are in inputs/"

[columns]
shipment_id = "text"
source_row = "int"
flow = "text"
ship_date = "text"
exporter_name = "text"
exporter_country = "text"
importer_name = "text"
importer_country = "text"
hs_code = "text"
description = "text"
origin_country = "text"
destination_country = "text"
value_minor = "int"
currency = "text"
net_mass_grams = "int"

[parameters.shipment]
kind = "text"
max_bytes = 200
about = "the shipment"
---*/
select
    shipment_id,
    source_row,
    flow,
    ship_date,
    exporter_name,
    exporter_country,
    importer_name,
    importer_country,
    hs_code,
    description,
    origin_country,
    destination_country,
    value_minor,
    currency,
    net_mass_grams
from trade_feed
where shipment_id = $shipment
order by shipment_id
