/*---
question = "On which shipments does this entity appear, in which role and under which name?"
grain = "one row per shipment and role"
key = ["shipment_id", "role"]
tables = ["entity_matches", "trade_feed"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "an appearance is a match of names, not proof that it was the entity"

[columns]
shipment_id = "text"
role = "text"
ship_date = "text"
party_name = "text"
matched_name = "text"
band = "text"
score_bp = "int"
hs6 = "text"
description = "text"
origin_country = "text"
destination_country = "text"
value_minor = "int"
currency = "text"

[parameters.entity]
kind = "text"
max_bytes = 300
about = "the listed entity"

[parameters.min_score]
kind = "int"
default = 0
min = 0
max = 10000
about = "lowest score, in basis points"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    entity_matches.shipment_id,
    entity_matches.role,
    trade_feed.ship_date,
    entity_matches.party_name,
    entity_matches.matched_name,
    entity_matches.band,
    entity_matches.score_bp,
    trade_feed.hs6,
    trade_feed.description,
    trade_feed.origin_country,
    trade_feed.destination_country,
    trade_feed.value_minor,
    trade_feed.currency
from entity_matches
inner join trade_feed on entity_matches.shipment_id = trade_feed.shipment_id
where entity_matches.entity_id = $entity and entity_matches.score_bp >= $min_score
order by trade_feed.ship_date nulls last, entity_matches.shipment_id, entity_matches.role
limit $top
