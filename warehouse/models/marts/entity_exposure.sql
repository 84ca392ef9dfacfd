with

exposures as (

    select * from {{ ref('stg_exposures') }}

),

matches as (

    select * from {{ ref('stg_matches') }}

),

shipments as (

    select * from {{ ref('int_shipments') }}

),

-- One row per entity and shipment: an entity on both sides of a shipment counts once.
touched as (

    select
        entity_id,
        shipment_id,
        max(case band when 'high' then 3 when 'medium' then 2 else 1 end) as strength
    from matches
    group by entity_id, shipment_id

),

sums as (

    select
        touched.entity_id,
        count(*) filter (where touched.strength = 3) as high_shipments,
        count(*) filter (where touched.strength = 2) as medium_shipments,
        count(*) filter (where touched.strength = 1) as low_shipments,
        count(*) filter (where shipments.is_high_priority = 1) as high_priority_shipments,
        count(distinct shipments.destination_country) as destinations
    from touched
    inner join shipments on touched.shipment_id = shipments.shipment_id
    group by touched.entity_id

),

final as (

    select
        exposures.entity_id,
        exposures.source,
        exposures.entity_name,
        exposures.entity_type,
        exposures.entity_country,
        exposures.programs,
        exposures.best_band,
        cast(exposures.best_score_bp as bigint) as best_score_bp,
        cast(exposures.parties as bigint) as parties,
        cast(exposures.shipments as bigint) as shipments,
        cast(sums.high_shipments as bigint) as high_shipments,
        cast(sums.medium_shipments as bigint) as medium_shipments,
        cast(sums.low_shipments as bigint) as low_shipments,
        cast(sums.high_priority_shipments as bigint) as high_priority_shipments,
        cast(sums.destinations as bigint) as destinations,
        cast(exposures.counterparties as bigint) as counterparties,
        exposures.currency,
        cast(exposures.value_minor as bigint) as value_minor,
        cast(exposures.other_currency_shipments as bigint) as other_currency_shipments,
        exposures.first_month,
        exposures.last_month
    from exposures
    inner join sums on exposures.entity_id = sums.entity_id

)

select * from final
