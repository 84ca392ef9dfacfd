with

source as (

    select * from {{ source('run', 'registry_names') }}

),

final as (

    select
        ---------- ids
        entity_id,
        name_no,

        ---------- text
        name_kind,
        script,

        ---------- booleans
        low_information

    from source

)

select * from final
