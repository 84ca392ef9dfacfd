with

source as (

    select * from {{ source('run', 'trade_feed') }}

),

final as (

    select
        ---------- ids
        shipment_id,
        source_row,

        ---------- text
        coalesce(flow, 'unknown') as flow,
        coalesce(origin_country, 'ZZ') as origin_country,
        coalesce(destination_country, 'ZZ') as destination_country,
        coalesce(exporter_country, 'ZZ') as exporter_country,
        coalesce(importer_country, 'ZZ') as importer_country,
        coalesce(hs6, '000000') as hs6,
        coalesce(hs_chapter, '00') as hs_chapter,
        coalesce(currency, 'XXX') as currency,
        description,

        ---------- numerics
        value_minor,
        net_mass_grams,

        ---------- months
        coalesce(ship_month, substr(ship_date, 1, 7), '0000-00') as ship_month

    from source

)

select * from final
