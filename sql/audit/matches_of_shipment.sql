/*---
question = "Which matches were found on this shipment, against which version of which list record?"
grain = "one row per role and listed entity"
key = ["role", "entity_id"]
tables = ["entity_matches", "registry"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "record_hash is the digest of the list record as it was when the run was made"

[columns]
role = "text"
entity_id = "text"
party_id = "text"
party_name = "text"
matched_name = "text"
name_kind = "text"
band = "text"
score_bp = "int"
reasons = "text"
source = "text"
record_hash = "text"

[parameters.shipment]
kind = "text"
max_bytes = 200
about = "the shipment"
---*/
select
    entity_matches.role,
    entity_matches.entity_id,
    entity_matches.party_id,
    entity_matches.party_name,
    entity_matches.matched_name,
    entity_matches.name_kind,
    entity_matches.band,
    entity_matches.score_bp,
    entity_matches.reasons,
    entity_matches.source,
    registry.record_hash
from entity_matches
inner join registry on entity_matches.entity_id = registry.entity_id
where entity_matches.shipment_id = $shipment
order by entity_matches.role, entity_matches.entity_id
