-- The shipments of an entity are those of its three bands.
select entity_id
from {{ ref('entity_exposure') }}
where high_shipments + medium_shipments + low_shipments <> shipments
