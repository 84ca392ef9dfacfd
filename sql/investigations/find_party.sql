/*---
question = "Which parties have a name that begins like this?"
grain = "one row per party"
key = ["party_id"]
tables = ["parties", "shipment_parties"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "the beginning is compared with the comparison form: lower case, no accents, Latin letters"

[columns]
party_id = "text"
name = "text"
country = "text"
full_form = "text"
shipments = "int"

[parameters.begins]
kind = "text"
max_bytes = 200
about = "beginning of the name in its comparison form"

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
    parties.full_form,
    cast(count(distinct shipment_parties.shipment_id) as bigint) as shipments
from parties
inner join shipment_parties on parties.party_id = shipment_parties.party_id
where substr(parties.full_form, 1, length($begins)) = $begins
group by parties.party_id, parties.name, parties.country, parties.full_form
order by parties.full_form, parties.party_id
limit $top
