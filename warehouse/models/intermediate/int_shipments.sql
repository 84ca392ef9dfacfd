{{ config(materialized='table') }}

with

shipments as (

    select * from {{ ref('stg_shipments') }}

),

shipment_parties as (

    select * from {{ ref('stg_shipment_parties') }}

),

matches as (

    select * from {{ ref('stg_matches') }}

),

listed_goods as (

    select * from {{ ref('high_priority_goods') }}

),

listed_points as (

    select * from {{ ref('transshipment_points') }}

),

importers as (

    select
        shipment_id,
        party_id
    from shipment_parties
    where role = 'importer'

),

exporters as (

    select
        shipment_id,
        party_id
    from shipment_parties
    where role = 'exporter'

),

best_matches as (

    select
        shipment_id,
        max(score_bp) as best_score_bp,
        max(is_matched) as is_matched,
        max(case when band = 'high' then 1 else 0 end) as is_high_match
    from matches
    group by shipment_id

),

final as (

    select
        ---------- ids
        shipments.shipment_id,
        importers.party_id as importer_id,
        exporters.party_id as exporter_id,

        ---------- text
        shipments.flow,
        shipments.origin_country,
        shipments.destination_country,
        shipments.importer_country,
        shipments.hs6,
        shipments.hs_chapter,
        shipments.currency,
        listed_goods.tier,

        ---------- numerics
        shipments.value_minor,
        shipments.net_mass_grams,
        best_matches.best_score_bp,
        {{ month_number('shipments.ship_month') }} as month_number,

        ---------- booleans
        case when listed_goods.hs6 is not null then 1 else 0 end as is_high_priority,
        case when listed_points.country is not null then 1 else 0 end as is_to_transshipment_point,
        coalesce(best_matches.is_matched, 0) as is_matched,
        coalesce(best_matches.is_high_match, 0) as is_high_match,

        ---------- months
        shipments.ship_month

    from shipments
    left join importers on shipments.shipment_id = importers.shipment_id
    left join exporters on shipments.shipment_id = exporters.shipment_id
    left join best_matches on shipments.shipment_id = best_matches.shipment_id
    left join listed_goods on shipments.hs6 = listed_goods.hs6
    left join listed_points on shipments.destination_country = listed_points.country

)

select * from final
