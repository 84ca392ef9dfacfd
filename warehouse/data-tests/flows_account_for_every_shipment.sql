-- The corridors add up to the accepted shipments: none lost, none counted twice.
with

flows as (

    select coalesce(sum(shipments), 0) as shipments
    from {{ ref('corridor_flows') }}

),

accepted as (

    select count(*) as shipments
    from {{ ref('stg_shipments') }}

)

select
    cast(flows.shipments as bigint) as counted,
    accepted.shipments as accepted
from flows
cross join accepted
where flows.shipments <> accepted.shipments
