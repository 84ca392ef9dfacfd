with

shipments as (

    select * from {{ ref('int_shipments') }}

),

final as (

    select
        origin_country,
        destination_country,
        hs_chapter,
        ship_month,
        currency,
        cast(count(*) as bigint) as shipments,
        cast(count(value_minor) as bigint) as valued_shipments,
        cast(sum(value_minor) as bigint) as value_minor,
        cast(sum(net_mass_grams) as bigint) as net_mass_grams,
        cast(sum(is_matched) as bigint) as matched_shipments,
        cast(sum(is_high_priority) as bigint) as high_priority_shipments
    from shipments
    group by origin_country, destination_country, hs_chapter, ship_month, currency

)

select * from final
