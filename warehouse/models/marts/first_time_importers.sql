with

importers as (

    select * from {{ ref('int_importers') }}

),

parties as (

    select * from {{ ref('stg_parties') }}

),

final as (

    select
        importers.importer_id,
        parties.party_name as importer_name,
        parties.party_country as importer_country,
        importers.first_month,
        importers.last_month,
        cast(importers.months_after_feed_start as bigint) as months_after_feed_start,
        importers.shipments,
        importers.high_priority_shipments,
        importers.matched_shipments
    from importers
    inner join parties on importers.importer_id = parties.party_id
    where importers.is_first_time = 1

)

select * from final
