/*---
question = "From where do goods of a chapter reach this country, and who brings them?"
grain = "one row per origin and importer"
key = ["origin_country", "importer_id"]
tables = ["trade_feed", "shipment_parties"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "shipments without an importer are not here"

[columns]
origin_country = "text"
importer_id = "text"
importer_name = "text"
shipments = "int"
first_date = "text"
last_date = "text"

[parameters.destination]
kind = "text"
code = "iso3166-alpha2"
about = "country of destination"

[parameters.chapter]
kind = "text"
code = "hs-chapter"
about = "chapter of the Harmonized System"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    coalesce(trade_feed.origin_country, 'ZZ') as origin_country,
    shipment_parties.party_id as importer_id,
    trade_feed.importer_name,
    cast(count(*) as bigint) as shipments,
    min(trade_feed.ship_date) as first_date,
    max(trade_feed.ship_date) as last_date
from trade_feed
inner join shipment_parties
    on trade_feed.shipment_id = shipment_parties.shipment_id and shipment_parties.role = 'importer'
where trade_feed.destination_country = $destination and trade_feed.hs_chapter = $chapter
group by coalesce(trade_feed.origin_country, 'ZZ'), shipment_parties.party_id, trade_feed.importer_name
order by shipments desc, origin_country, importer_id
limit $top
