with

listed_sides as (

    select * from {{ ref('int_listed_sides') }}

),

entities as (

    select * from {{ ref('stg_entities') }}

),

parties as (

    select * from {{ ref('stg_parties') }}

),

shipments as (

    select * from {{ ref('int_shipments') }}

),

review_items as (

    select * from {{ ref('stg_review_items') }}

),

own_matches as (

    select
        party_id,
        max(score_bp) as own_best_score_bp
    from review_items
    group by party_id

),

sums as (

    select
        listed_sides.entity_id,
        listed_sides.counterparty_id,
        count(*) as shipments,
        sum(shipments.is_high_priority) as high_priority_shipments,
        min(shipments.ship_month) as first_month,
        max(shipments.ship_month) as last_month
    from listed_sides
    inner join shipments on listed_sides.shipment_id = shipments.shipment_id
    group by listed_sides.entity_id, listed_sides.counterparty_id

),

final as (

    select
        sums.entity_id,
        sums.counterparty_id,
        entities.entity_name,
        entities.source,
        parties.party_name as counterparty_name,
        parties.party_country as counterparty_country,
        cast(sums.shipments as bigint) as shipments,
        cast(sums.high_priority_shipments as bigint) as high_priority_shipments,
        sums.first_month,
        sums.last_month,
        cast(own_matches.own_best_score_bp as bigint) as own_best_score_bp
    from sums
    inner join entities on sums.entity_id = entities.entity_id
    inner join parties on sums.counterparty_id = parties.party_id
    left join own_matches on sums.counterparty_id = own_matches.party_id

)

select * from final
