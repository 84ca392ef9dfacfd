with

shipments as (

    select * from {{ ref('int_shipments') }}

),

parties as (

    select * from {{ ref('stg_parties') }}

),

sums as (

    select
        importer_id,
        tier,
        currency,
        count(*) as shipments,
        count(distinct hs6) as codes,
        count(distinct exporter_id) as exporters,
        count(distinct origin_country) as origins,
        sum(value_minor) as value_minor,
        sum(is_to_transshipment_point) as to_transshipment_points,
        sum(is_matched) as matched_shipments,
        min(ship_month) as first_month,
        max(ship_month) as last_month
    from shipments
    where is_high_priority = 1 and importer_id is not null
    group by importer_id, tier, currency

),

final as (

    select
        sums.importer_id,
        sums.tier,
        sums.currency,
        parties.party_name as importer_name,
        parties.party_country as importer_country,
        cast(sums.shipments as bigint) as shipments,
        cast(sums.codes as bigint) as codes,
        cast(sums.exporters as bigint) as exporters,
        cast(sums.origins as bigint) as origins,
        cast(sums.value_minor as bigint) as value_minor,
        cast(sums.to_transshipment_points as bigint) as to_transshipment_points,
        cast(sums.matched_shipments as bigint) as matched_shipments,
        sums.first_month,
        sums.last_month
    from sums
    inner join parties on sums.importer_id = parties.party_id

)

select * from final
