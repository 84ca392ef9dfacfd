with

shipments as (

    select * from {{ ref('int_shipments') }}

),

importers as (

    select * from {{ ref('int_importers') }}

),

final as (

    select
        shipments.ship_month,
        shipments.flow,
        cast(count(*) as bigint) as shipments,
        cast(count(distinct shipments.exporter_id) as bigint) as exporters,
        cast(count(distinct shipments.importer_id) as bigint) as importers,
        cast(
            count(
                distinct case
                    when importers.first_month = shipments.ship_month and importers.is_first_time = 1
                    then shipments.importer_id
                end
            ) as bigint
        ) as first_time_importers,
        cast(sum(shipments.is_high_priority) as bigint) as high_priority_shipments,
        cast(sum(shipments.is_matched) as bigint) as matched_shipments,
        cast(sum(shipments.is_high_match) as bigint) as high_match_shipments
    from shipments
    left join importers on shipments.importer_id = importers.importer_id
    group by shipments.ship_month, shipments.flow

)

select * from final
