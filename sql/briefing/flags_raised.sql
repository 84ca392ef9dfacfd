/*---
question = "How often was each red flag raised, and how often together with others?"
grain = "one row per flag"
key = ["flag"]
tables = ["red_flag_counts"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "a flag is a reason to look; flags overlap, so their counts do not add up to shipments"

[columns]
flag = "text"
shipments = "int"
with_three_or_more = "int"
matched_shipments = "int"
first_month = "text"
last_month = "text"
---*/
select
    flag,
    cast(sum(shipments) as bigint) as shipments,
    cast(sum(with_three_or_more) as bigint) as with_three_or_more,
    cast(sum(matched_shipments) as bigint) as matched_shipments,
    min(ship_month) as first_month,
    max(ship_month) as last_month
from red_flag_counts
group by flag
order by shipments desc, flag
