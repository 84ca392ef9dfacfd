with

source as (

    select * from {{ source('run', 'review') }}

),

final as (

    select
        ---------- ids
        party_id,
        entity_id,

        ---------- text
        source,
        band,
        name_kind,
        country_relation,
        against,

        ---------- numerics
        review_rank,
        score_bp,
        shipments

    from source

)

select * from final
