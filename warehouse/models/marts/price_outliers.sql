with

flags as (

    select * from {{ ref('stg_flags') }}

),

shipments as (

    select * from {{ ref('int_shipments') }}

),

-- Which prices are far from the rest is said once, by the rule of the flag.
outliers as (

    select
        shipment_id,
        observed as price_per_kg_minor,
        expected as median_minor,
        spread as spread_minor,
        compared as priced_shipments,
        abs(observed - expected) as deviation_minor
    from flags
    where flag = 'priceOutlier'

),

final as (

    select
        outliers.shipment_id,
        shipments.hs6,
        shipments.currency,
        shipments.ship_month,
        shipments.importer_id,
        shipments.exporter_id,
        case
            when outliers.price_per_kg_minor > outliers.median_minor then 'above'
            else 'below'
        end as direction,
        cast(outliers.price_per_kg_minor as bigint) as price_per_kg_minor,
        cast(outliers.median_minor as bigint) as median_minor,
        cast(outliers.spread_minor as bigint) as spread_minor,
        cast({{ int_div('outliers.deviation_minor', 'outliers.spread_minor') }} as bigint) as spreads_away,
        cast(outliers.priced_shipments as bigint) as priced_shipments,
        cast(shipments.value_minor as bigint) as value_minor,
        cast(shipments.net_mass_grams as bigint) as net_mass_grams,
        cast(shipments.is_high_priority as bigint) as is_high_priority,
        cast(shipments.is_matched as bigint) as is_matched
    from outliers
    inner join shipments on outliers.shipment_id = shipments.shipment_id

)

select * from final
