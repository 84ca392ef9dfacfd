with

entities as (

    select * from {{ ref('stg_entities') }}

),

entity_names as (

    select * from {{ ref('stg_entity_names') }}

),

entity_details as (

    select * from {{ ref('stg_entity_details') }}

),

exposures as (

    select * from {{ ref('stg_exposures') }}

),

names as (

    select
        entity_id,
        count(*) filter (where name_kind = 'alias') as aliases,
        count(*) filter (where name_kind = 'weak') as weak_aliases,
        sum(low_information) as low_information_names
    from entity_names
    group by entity_id

),

details as (

    select
        entity_id,
        count(*) filter (where detail = 'address') as addresses,
        count(*) filter (where detail = 'identifier') as identifiers
    from entity_details
    group by entity_id

),

final as (

    select
        entities.source,
        cast(count(*) as bigint) as entities,
        cast(count(*) filter (where entities.entity_type = 'person') as bigint) as persons,
        cast(count(*) filter (where entities.entity_type = 'organization') as bigint) as organizations,
        cast(count(*) filter (where entities.entity_type in ('vessel', 'aircraft')) as bigint) as craft,
        cast(count(*) filter (where entities.entity_type = 'unknown') as bigint) as unknown_type,
        cast(coalesce(sum(names.aliases), 0) as bigint) as aliases,
        cast(coalesce(sum(names.weak_aliases), 0) as bigint) as weak_aliases,
        cast(coalesce(sum(names.low_information_names), 0) as bigint) as low_information_names,
        cast(coalesce(sum(details.addresses), 0) as bigint) as addresses,
        cast(coalesce(sum(details.identifiers), 0) as bigint) as identifiers,
        cast(count(*) filter (where entities.entity_country = 'ZZ') as bigint) as without_country,
        cast(count(*) filter (where entities.listed_month = '0000-00') as bigint) as without_listing_month,
        cast(count(exposures.entity_id) as bigint) as matched_entities,
        cast(count(*) filter (where exposures.best_band = 'high') as bigint) as high_entities
    from entities
    left join names on entities.entity_id = names.entity_id
    left join details on entities.entity_id = details.entity_id
    left join exposures on entities.entity_id = exposures.entity_id
    group by entities.source

)

select * from final
