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
        flag,
        count(*) over (partition by shipment_id) as flags_of_shipment
    from flags

),

final as (

    select
        counted.shipment_id,
        counted.flag,
        cast(counted.flags_of_shipment as bigint) as flags_of_shipment,
        shipments.ship_month,
        shipments.importer_id,
        shipments.origin_country,
        shipments.destination_country,
        shipments.hs6
    from counted
    inner join shipments on counted.shipment_id = shipments.shipment_id

)

select * from final
