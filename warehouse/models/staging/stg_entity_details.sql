with

addresses as (

    select * from {{ source('run', 'registry_addresses') }}

),

identifiers as (

    select * from {{ source('run', 'registry_identifiers') }}

),

stacked as (

    select
        entity_id,
        'address' as detail,
        address_no as detail_no
    from addresses

    union all

    select
        entity_id,
        'identifier' as detail,
        identifier_no as detail_no
    from identifiers

),

final as (

    select
        ---------- ids
        entity_id,
        detail,
        detail_no

    from stacked

)

select * from final
