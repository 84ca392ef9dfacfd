/*---
question = "Which high-priority goods did this importer bring in?"
grain = "one row per tier and currency"
key = ["tier", "currency"]
tables = ["high_priority_goods_by_importer"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "the tier is that of the edition of the list that ships with the method"

[columns]
tier = "text"
currency = "text"
shipments = "int"
codes = "int"
exporters = "int"
origins = "int"
value_minor = "int"
to_transshipment_points = "int"
first_month = "text"
last_month = "text"

[parameters.party]
kind = "text"
max_bytes = 21
about = "the party"
---*/
select
    tier,
    currency,
    shipments,
    codes,
    exporters,
    origins,
    value_minor,
    to_transshipment_points,
    first_month,
    last_month
from high_priority_goods_by_importer
where importer_id = $party
order by tier, currency
