{{ config(materialized='table') }}

with

matches as (

    select * from {{ ref('stg_matches') }}

),

shipment_parties as (

    select * from {{ ref('stg_shipment_parties') }}

),

review_items as (

    select * from {{ ref('stg_review_items') }}

),

opposite as (

    select distinct
        matches.entity_id,
        matches.shipment_id,
        shipment_parties.party_id
    from matches
    inner join shipment_parties on matches.shipment_id = shipment_parties.shipment_id
    where
        matches.is_matched = 1
        and (
            (matches.role = 'exporter' and shipment_parties.role <> 'exporter')
            or (matches.role <> 'exporter' and shipment_parties.role = 'exporter')
        )

),

-- A party that itself may be the entity is not its own counterparty.
final as (

    select
        ---------- ids
        opposite.entity_id,
        opposite.shipment_id,
        opposite.party_id as counterparty_id

    from opposite
    left join review_items
        on opposite.party_id = review_items.party_id and opposite.entity_id = review_items.entity_id
    where review_items.party_id is null

)

select * from final
