/*---
question = "Do the exposures agree with the matches they were counted from?"
grain = "one row per listed entity that does not agree"
key = ["entity_id"]
tables = ["entity_matches", "entity_scores"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "no row is the answer that is hoped for"

[columns]
entity_id = "text"
recorded_shipments = "int"
counted_shipments = "int"
recorded_parties = "int"
counted_parties = "int"
recorded_best_bp = "int"
counted_best_bp = "int"
---*/
with

counted as (

    select
        entity_id,
        count(distinct shipment_id) as shipments,
        count(distinct party_id) as parties,
        max(score_bp) as best_bp
    from entity_matches
    group by entity_id

)

select
    coalesce(counted.entity_id, entity_scores.entity_id) as entity_id,
    cast(entity_scores.shipments as bigint) as recorded_shipments,
    cast(counted.shipments as bigint) as counted_shipments,
    cast(entity_scores.parties as bigint) as recorded_parties,
    cast(counted.parties as bigint) as counted_parties,
    cast(entity_scores.best_score_bp as bigint) as recorded_best_bp,
    cast(counted.best_bp as bigint) as counted_best_bp
from counted
full outer join entity_scores on counted.entity_id = entity_scores.entity_id
where
    counted.shipments is distinct from entity_scores.shipments
    or counted.parties is distinct from entity_scores.parties
    or counted.best_bp is distinct from entity_scores.best_score_bp
order by 1
