/*---
question = "On which shipments does this party stand, and in which roles?"
grain = "one row per shipment and role"
key = ["shipment_id", "role"]
tables = ["shipment_parties", "trade_feed"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "the same company under another spelling is another party"

[columns]
shipment_id = "text"
role = "text"
ship_date = "text"
exporter_name = "text"
importer_name = "text"
hs6 = "text"
description = "text"
origin_country = "text"
destination_country = "text"
value_minor = "int"
currency = "text"

[parameters.party]
kind = "text"
max_bytes = 21
about = "the party"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    shipment_parties.shipment_id,
    shipment_parties.role,
    trade_feed.ship_date,
    trade_feed.exporter_name,
    trade_feed.importer_name,
    trade_feed.hs6,
    trade_feed.description,
    trade_feed.origin_country,
    trade_feed.destination_country,
    trade_feed.value_minor,
    trade_feed.currency
from shipment_parties
inner join trade_feed on shipment_parties.shipment_id = trade_feed.shipment_id
where shipment_parties.party_id = $party
order by trade_feed.ship_date nulls last, shipment_parties.shipment_id, shipment_parties.role
limit $top
