with

review_items as (

    select * from {{ ref('stg_review_items') }}

),

ranked as (

    select
        *,
        row_number() over (
            partition by source, band, name_kind, country_relation
            order by score_bp, party_id, entity_id
        ) as place,
        count(*) over (partition by source, band, name_kind, country_relation) as items
    from review_items

),

final as (

    select
        source,
        band,
        name_kind,
        country_relation,
        cast(count(*) as bigint) as items,
        cast(count(distinct party_id) as bigint) as parties,
        cast(count(distinct entity_id) as bigint) as entities,
        cast(sum(shipments) as bigint) as item_shipments,
        cast(count(*) filter (where against <> '') as bigint) as with_reasons_against,
        cast(min(score_bp) as bigint) as min_score_bp,
        cast(max(case when {{ is_median('place', 'items') }} then score_bp end) as bigint) as median_score_bp,
        cast(max(score_bp) as bigint) as max_score_bp
    from ranked
    group by source, band, name_kind, country_relation

)

select * from final
