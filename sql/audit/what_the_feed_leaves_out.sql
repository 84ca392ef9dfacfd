/*---
question = "How many shipments of each month lack a value, a mass, a commodity, an importer or an exporter?"
grain = "one row per month"
key = ["ship_month"]
tables = ["trade_feed"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "what is not filed cannot be screened: a shipment without names has no match by construction"

[columns]
ship_month = "text"
shipments = "int"
without_value = "int"
without_mass = "int"
without_commodity = "int"
without_importer = "int"
without_exporter = "int"
---*/
select
    coalesce(ship_month, '0000-00') as ship_month,
    cast(count(*) as bigint) as shipments,
    cast(count(*) - count(value_minor) as bigint) as without_value,
    cast(count(*) - count(net_mass_grams) as bigint) as without_mass,
    cast(count(*) - count(hs6) as bigint) as without_commodity,
    cast(count(*) - count(importer_name) as bigint) as without_importer,
    cast(count(*) - count(exporter_name) as bigint) as without_exporter
from trade_feed
group by coalesce(ship_month, '0000-00')
order by ship_month
