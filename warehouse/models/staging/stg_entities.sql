with

source as (

    select * from {{ source('run', 'registry') }}

),

final as (

    select
        ---------- ids
        entity_id,
        native_id,

        ---------- text
        source,
        entity_type,
        name as entity_name,
        coalesce(country, 'ZZ') as entity_country,
        programs,

        ---------- months
        coalesce(substr(listed_on, 1, 7), '0000-00') as listed_month

    from source

)

select * from final
