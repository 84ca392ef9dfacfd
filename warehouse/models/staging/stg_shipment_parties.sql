with

source as (

    select * from {{ source('run', 'shipment_parties') }}

),

final as (

    select
        ---------- ids
        shipment_id,
        party_id,

        ---------- text
        role

    from source

)

select * from final
