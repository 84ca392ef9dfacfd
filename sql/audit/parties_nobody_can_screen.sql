/*---
question = "Which parties have names that say nothing, and on how many shipments do they stand?"
grain = "one row per party"
key = ["party_id"]
tables = ["parties", "shipment_parties"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "to order, bank names and single letters are the usual ones"

[columns]
party_id = "text"
name = "text"
country = "text"
shipments = "int"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    parties.party_id,
    parties.name,
    parties.country,
    cast(count(distinct shipment_parties.shipment_id) as bigint) as shipments
from parties
inner join shipment_parties on parties.party_id = shipment_parties.party_id
where parties.low_information = 1
group by parties.party_id, parties.name, parties.country
order by shipments desc, parties.party_id
limit $top
