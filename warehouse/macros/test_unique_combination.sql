{#- Rows of a key of several columns that stand more than once. -#}
{%- test unique_combination(model, columns) -%}
{{ adapter.dispatch('repeated', 'omphalos_warehouse')(model, columns) }}
{%- endtest -%}

{%- macro default__repeated(model, columns) -%}
select {{ columns | join(', ') }}
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{%- endmacro -%}

{#- DuckDB reads neighbours without sorting anything. Where each row comes strictly after the one before it, no key can
    stand twice, and that is all; a NULL, or a row out of order, proves nothing, and then the keys are grouped. -#}
{%- macro duckdb__repeated(model, columns) -%}
with

neighbours as (

    select
        {%- for column in columns %}
        {{ column }},
        lag({{ column }}) over () as previous_{{ column }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ model }}

),

unproved as (

    select count(*) as places
    from neighbours
    where
        {{ not_after(columns) }}
        {%- for column in columns %}
        or {{ column }} is null
        {%- endfor %}

)

select {{ columns | join(', ') }}
from {{ model }}
where (select places from unproved) > 0
group by {{ columns | join(', ') }}
having count(*) > 1
{%- endmacro -%}

{#- True where a row does not come strictly after the one before it, by the first column, then the second, and so on. -#}
{%- macro not_after(columns) -%}
    {%- set first = columns[0] -%}
    {%- if columns | length == 1 -%}
        previous_{{ first }} >= {{ first }}
    {%- else -%}
        previous_{{ first }} > {{ first }} or (previous_{{ first }} = {{ first }} and ({{ not_after(columns[1:]) }}))
    {%- endif -%}
{%- endmacro -%}

{#- The same for dbt's own test of one column, which passes over NULL: that is the business of not_null. -#}
{%- macro duckdb__test_unique(model, column_name) -%}
select *
from (
{{ adapter.dispatch('repeated', 'omphalos_warehouse')(model, [column_name]) }}
) as repeated
where {{ column_name }} is not null
{%- endmacro -%}

{#- Rows for which a condition that must hold does not hold (or is unknown). -#}
{%- test condition_holds(model, condition) -%}
select *
from {{ model }}
where not coalesce(({{ condition }}), false)
{%- endtest -%}
