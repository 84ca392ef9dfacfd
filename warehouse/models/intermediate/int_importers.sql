{{ config(materialized='table') }}

with

shipments as (

    select * from {{ ref('int_shipments') }}

),

feed as (

    select min(month_number) as feed_month_number
    from shipments

),

importers as (

    select
        importer_id,
        min(month_number) as first_month_number,
        min(ship_month) as first_month,
        max(ship_month) as last_month,
        count(*) as shipments,
        sum(is_high_priority) as high_priority_shipments,
        sum(is_matched) as matched_shipments
    from shipments
    where importer_id is not null and month_number is not null
    group by importer_id

),

final as (

    select
        ---------- ids
        importers.importer_id,

        ---------- numerics
        importers.first_month_number,
        importers.first_month_number - feed.feed_month_number as months_after_feed_start,
        cast(importers.shipments as bigint) as shipments,
        cast(importers.high_priority_shipments as bigint) as high_priority_shipments,
        cast(importers.matched_shipments as bigint) as matched_shipments,

        ---------- booleans
        case
            when importers.first_month_number - feed.feed_month_number >= {{ var('first_time_after_months') }} then 1
            else 0
        end as is_first_time,

        ---------- months
        importers.first_month,
        importers.last_month

    from importers
    cross join feed

)

select * from final
