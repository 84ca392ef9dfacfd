with

shipments as (

    select * from {{ ref('int_shipments') }}

),

-- The upper bound of the value keeps every product below within 64 bits; what lies above it is flagged elsewhere.
final as (

    select
        ---------- ids
        shipment_id,

        ---------- text
        hs6,
        currency,

        ---------- numerics
        cast({{ int_div('value_minor * 1000', 'net_mass_grams') }} as bigint) as price_per_kg_minor

    from shipments
    where
        hs6 <> '000000'
        and currency <> 'XXX'
        and value_minor between 1 and 9000000000000
        and net_mass_grams >= 1

)

select * from final
