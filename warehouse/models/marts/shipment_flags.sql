with

shipments as (

    select * from {{ ref('int_shipments') }}

),

importers as (

    select * from {{ ref('int_importers') }}

),

outliers as (

    select * from {{ ref('price_outliers') }}

),

judged as (

    select
        shipments.shipment_id,
        shipments.ship_month,
        shipments.importer_id,
        shipments.origin_country,
        shipments.destination_country,
        shipments.hs6,
        shipments.is_matched as is_listed,
        shipments.is_high_priority,
        shipments.is_high_priority * shipments.is_to_transshipment_point as is_high_priority_to_point,
        shipments.is_high_priority * coalesce(importers.is_first_time, 0) as is_high_priority_to_newcomer,
        case
            when shipments.destination_country <> shipments.importer_country
                and shipments.destination_country <> 'ZZ'
                and shipments.importer_country <> 'ZZ'
            then 1
            else 0
        end as is_third_country,
        case
            when shipments.origin_country = shipments.destination_country and shipments.origin_country <> 'ZZ' then 1
            else 0
        end as is_round_trip,
        case when outliers.shipment_id is not null then 1 else 0 end as is_price_outlier,
        case when shipments.value_minor > 0 and shipments.value_minor % 100000 = 0 then 1 else 0 end as is_round_value,
        case when shipments.hs6 = '000000' then 1 else 0 end as is_without_commodity,
        case when shipments.importer_id is null then 1 else 0 end as is_without_importer
    from shipments
    left join importers on shipments.importer_id = importers.importer_id
    left join outliers on shipments.shipment_id = outliers.shipment_id

),

counted as (

    select
        *,
        is_listed
        + is_high_priority
        + is_high_priority_to_point
        + is_high_priority_to_newcomer
        + is_third_country
        + is_round_trip
        + is_price_outlier
        + is_round_value
        + is_without_commodity
        + is_without_importer as flags_of_shipment
    from judged

),

-- Only shipments with a flag are repeated for the name of each flag.
flag_names(flag) as (

    values
    ('listedParty'),
    ('highPriorityGoods'),
    ('highPriorityToTransshipmentPoint'),
    ('highPriorityToFirstTimeImporter'),
    ('deliveredToThirdCountry'),
    ('originIsDestination'),
    ('priceOutlier'),
    ('roundValue'),
    ('commodityNotGiven'),
    ('importerNotGiven')

),

final as (

    select
        counted.shipment_id,
        flag_names.flag,
        cast(counted.flags_of_shipment as bigint) as flags_of_shipment,
        counted.ship_month,
        counted.importer_id,
        counted.origin_country,
        counted.destination_country,
        counted.hs6
    from counted
    cross join flag_names
    where
        counted.flags_of_shipment > 0
        and case flag_names.flag
            when 'listedParty' then counted.is_listed
            when 'highPriorityGoods' then counted.is_high_priority
            when 'highPriorityToTransshipmentPoint' then counted.is_high_priority_to_point
            when 'highPriorityToFirstTimeImporter' then counted.is_high_priority_to_newcomer
            when 'deliveredToThirdCountry' then counted.is_third_country
            when 'originIsDestination' then counted.is_round_trip
            when 'priceOutlier' then counted.is_price_outlier
            when 'roundValue' then counted.is_round_value
            when 'commodityNotGiven' then counted.is_without_commodity
            when 'importerNotGiven' then counted.is_without_importer
        end = 1

)

select * from final
