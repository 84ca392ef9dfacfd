with

source as (

    select * from {{ source('run', 'shipment_flags') }}

),

final as (

    select
        ---------- ids
        shipment_id,
        flag,
        party_id,

        ---------- text
        reason,

        ---------- numerics
        flag_version,
        observed,
        expected,
        spread,
        compared

    from source

)

select * from final
