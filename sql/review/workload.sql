/*---
question = "How many items wait in each band, by list, and how many parties and shipments stand behind them?"
grain = "one row per list and band"
key = ["source", "band"]
tables = ["match_quality"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "item_shipments counts a shipment once for each item behind which it stands"

[columns]
source = "text"
band = "text"
items = "int"
with_reasons_against = "int"
min_score_bp = "int"
max_score_bp = "int"
item_shipments = "int"
---*/
select
    source,
    band,
    cast(sum(items) as bigint) as items,
    cast(sum(with_reasons_against) as bigint) as with_reasons_against,
    cast(min(min_score_bp) as bigint) as min_score_bp,
    cast(max(max_score_bp) as bigint) as max_score_bp,
    cast(sum(item_shipments) as bigint) as item_shipments
from match_quality
group by source, band
order by source, case band when 'high' then 1 when 'medium' then 2 else 3 end
