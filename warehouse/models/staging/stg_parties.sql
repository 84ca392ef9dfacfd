with

source as (

    select * from {{ source('run', 'parties') }}

),

final as (

    select
        ---------- ids
        party_id,

        ---------- text
        name as party_name,
        coalesce(country, 'ZZ') as party_country,
        script,

        ---------- booleans
        low_information

    from source

)

select * from final
