with

prices as (

    select * from {{ ref('int_prices') }}

),

price_groups as (

    select * from {{ ref('int_price_groups') }}

),

shipments as (

    select * from {{ ref('int_shipments') }}

),

compared as (

    select
        prices.shipment_id,
        prices.hs6,
        prices.currency,
        prices.price_per_kg_minor,
        price_groups.median_minor,
        price_groups.spread_minor,
        price_groups.priced_shipments,
        abs(prices.price_per_kg_minor - price_groups.median_minor) as deviation_minor
    from prices
    inner join price_groups on prices.hs6 = price_groups.hs6 and prices.currency = price_groups.currency

),

outliers as (

    select *
    from compared
    where deviation_minor > {{ var('price_outlier_mads') }} * spread_minor

),

final as (

    select
        outliers.shipment_id,
        outliers.hs6,
        outliers.currency,
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
