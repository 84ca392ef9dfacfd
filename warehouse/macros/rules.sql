{#- Rules that more than one model keeps, said once. -#}

{#- Months counted from year 0, so that a difference is a number of months; NULL where the month is not known. -#}
{%- macro month_number(month) -%}
    case
        when {{ month }} <> '0000-00'
        then cast(substr({{ month }}, 1, 4) as bigint) * 12 + cast(substr({{ month }}, 6, 2) as bigint)
    end
{%- endmacro -%}

{#- True for the middle row of a group by nearest rank: rank ceil(size / 2), counted from 1, without a division. -#}
{%- macro is_median(rank, size) -%}
    2 * {{ rank }} >= {{ size }} and 2 * {{ rank }} < {{ size }} + 2
{%- endmacro -%}

{#- The bands that count as matched, as an SQL list. -#}
{%- macro matched_bands() -%}
    ('{{ var("matched_bands") | join("', '") }}')
{%- endmacro -%}
