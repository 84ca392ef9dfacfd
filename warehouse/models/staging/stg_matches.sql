with

source as (

    select * from {{ source('run', 'entity_matches') }}

),

final as (

    select
        ---------- ids
        shipment_id,
        role,
        entity_id,
        party_id,

        ---------- text
        source,
        band,

        ---------- numerics
        score_bp,

        ---------- booleans
        case when band in {{ matched_bands() }} then 1 else 0 end as is_matched

    from source

)

select * from final
