/*---
question = "Where do goods go whose importer sits in another country than their destination?"
grain = "one row per importing country and destination"
key = ["importer_country", "destination_country"]
tables = ["flagged_shipments", "trade_feed"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "third-country delivery is everyday business of traders; it matters for sensitive goods"

[columns]
importer_country = "text"
destination_country = "text"
shipments = "int"
importers = "int"
high_priority_shipments = "int"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    trade_feed.importer_country,
    flagged_shipments.destination_country,
    cast(count(*) as bigint) as shipments,
    cast(count(distinct flagged_shipments.importer_id) as bigint) as importers,
    cast(count(high_priority.shipment_id) as bigint) as high_priority_shipments
from flagged_shipments
inner join trade_feed on flagged_shipments.shipment_id = trade_feed.shipment_id
left join flagged_shipments as high_priority
    on flagged_shipments.shipment_id = high_priority.shipment_id and high_priority.flag = 'highPriorityGoods'
where flagged_shipments.flag = 'deliveredToThirdCountry'
group by trade_feed.importer_country, flagged_shipments.destination_country
order by
    high_priority_shipments desc, shipments desc, trade_feed.importer_country, flagged_shipments.destination_country
limit $top
