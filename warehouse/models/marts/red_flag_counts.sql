with

flags as (

    select * from {{ ref('flagged_shipments') }}

),

shipments as (

    select * from {{ ref('int_shipments') }}

),

final as (

    select
        flags.flag,
        flags.ship_month,
        cast(count(*) as bigint) as shipments,
        cast(count(distinct flags.importer_id) as bigint) as importers,
        cast(count(*) filter (where flags.flags_of_shipment >= 3) as bigint) as with_three_or_more,
        cast(sum(shipments.is_matched) as bigint) as matched_shipments
    from flags
    inner join shipments on flags.shipment_id = shipments.shipment_id
    group by flags.flag, flags.ship_month

)

select * from final
