with

entities as (

    select * from {{ ref('stg_entities') }}

),

months as (

    select
        source,
        listed_month,
        count(*) as listed
    from entities
    group by source, listed_month

),

final as (

    select
        source,
        listed_month,
        cast(listed as bigint) as listed,
        cast(
            sum(listed) over (
                partition by source
                order by listed_month
                rows between unbounded preceding and current row
            ) as bigint
        ) as listed_so_far
    from months

)

select * from final
