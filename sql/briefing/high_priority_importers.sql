/*---
question = "Who imports the most goods of the Common High Priority List?"
grain = "one row per importer"
key = ["importer_id"]
tables = ["high_priority_goods_by_importer"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "the list names six-digit codes; an innocent article can share a code with a listed one"

[columns]
importer_id = "text"
importer_name = "text"
importer_country = "text"
shipments = "int"
tiers = "int"
to_transshipment_points = "int"
matched_shipments = "int"
first_month = "text"
last_month = "text"

[parameters.tier]
kind = "text"
default = ""
one_of = ["", "1", "2", "3A", "3B", "4A", "4B"]
about = "one tier only; all where empty"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    importer_id,
    importer_name,
    importer_country,
    cast(sum(shipments) as bigint) as shipments,
    cast(count(distinct tier) as bigint) as tiers,
    cast(sum(to_transshipment_points) as bigint) as to_transshipment_points,
    cast(sum(matched_shipments) as bigint) as matched_shipments,
    min(first_month) as first_month,
    max(last_month) as last_month
from high_priority_goods_by_importer
where $tier = '' or tier = $tier
group by importer_id, importer_name, importer_country
order by shipments desc, importer_id
limit $top
