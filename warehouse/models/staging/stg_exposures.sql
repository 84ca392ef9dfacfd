with

source as (

    select * from {{ source('run', 'entity_scores') }}

),

final as (

    select
        ---------- ids
        entity_id,

        ---------- text
        source,
        name as entity_name,
        entity_type,
        coalesce(country, 'ZZ') as entity_country,
        programs,
        best_band,
        currency,

        ---------- numerics
        best_score_bp,
        parties,
        shipments,
        value_minor,
        other_currency_shipments,
        counterparties,
        as_exporter,
        as_importer,
        as_other,

        ---------- months
        first_seen as first_month,
        last_seen as last_month

    from source

)

select * from final
