with

flags as (

    select * from {{ ref('stg_flags') }}

),

shipments as (

    select * from {{ ref('int_shipments') }}

),

counted as (

    select
        shipment_id,
        count(*) as flags_of_shipment
    from flags
    group by shipment_id

),

final as (

    select
        flags.shipment_id,
        flags.flag,
        cast(counted.flags_of_shipment as bigint) as flags_of_shipment,
        shipments.ship_month,
        shipments.importer_id,
        shipments.origin_country,
        shipments.destination_country,
        shipments.hs6
    from flags
    inner join counted on flags.shipment_id = counted.shipment_id
    inner join shipments on flags.shipment_id = shipments.shipment_id

)

select * from final
