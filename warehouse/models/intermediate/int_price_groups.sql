{{ config(materialized='table') }}

with

prices as (

    select * from {{ ref('int_prices') }}

),

ranked as (

    select
        hs6,
        currency,
        price_per_kg_minor,
        row_number() over (partition by hs6, currency order by price_per_kg_minor, shipment_id) as place,
        count(*) over (partition by hs6, currency) as priced_shipments
    from prices

),

medians as (

    select
        hs6,
        currency,
        price_per_kg_minor as median_minor,
        priced_shipments
    from ranked
    where priced_shipments >= {{ var('price_group_minimum') }} and {{ is_median('place', 'priced_shipments') }}

),

deviations as (

    select
        medians.hs6,
        medians.currency,
        medians.median_minor,
        medians.priced_shipments,
        abs(prices.price_per_kg_minor - medians.median_minor) as deviation_minor,
        row_number() over (
            partition by medians.hs6, medians.currency
            order by abs(prices.price_per_kg_minor - medians.median_minor), prices.shipment_id
        ) as place
    from medians
    inner join prices on medians.hs6 = prices.hs6 and medians.currency = prices.currency

),

final as (

    select
        ---------- ids
        hs6,
        currency,

        ---------- numerics
        cast(priced_shipments as bigint) as priced_shipments,
        cast(median_minor as bigint) as median_minor,
        -- Never below a twentieth of the median, nor 1: in a group of equal prices every cent would be an outlier.
        cast(
            case
                when deviation_minor >= {{ int_div('median_minor', '20') }} and deviation_minor >= 1
                then deviation_minor
                when median_minor >= 20 then {{ int_div('median_minor', '20') }}
                else 1
            end as bigint
        ) as spread_minor

    from deviations
    where {{ is_median('place', 'priced_shipments') }}

)

select * from final
