{#- Rows of a key of several columns that stand more than once. -#}
{%- test unique_combination(model, columns) -%}
select {{ columns | join(', ') }}
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{%- endtest -%}

{#- Rows for which a condition that must hold does not hold (or is unknown). -#}
{%- test condition_holds(model, condition) -%}
select *
from {{ model }}
where not coalesce(({{ condition }}), false)
{%- endtest -%}
