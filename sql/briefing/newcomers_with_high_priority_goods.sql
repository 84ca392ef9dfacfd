/*---
question = "Which importers that are new in the feed bring in high-priority goods?"
grain = "one row per importer"
key = ["importer_id"]
tables = ["first_time_importers"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "new in the feed is not new in business; a feed that begins late makes everyone new"

[columns]
importer_id = "text"
importer_name = "text"
importer_country = "text"
first_month = "text"
shipments = "int"
high_priority_shipments = "int"
matched_shipments = "int"

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
    first_month,
    shipments,
    high_priority_shipments,
    matched_shipments
from first_time_importers
where high_priority_shipments > 0
order by high_priority_shipments desc, first_month, importer_id
limit $top
