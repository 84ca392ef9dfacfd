{#- Where the three dialects part; everything else in this project is written in what they share. -#}

{#- Integer division that truncates towards zero. -#}
{%- macro int_div(a, b) -%}
    {{ return(adapter.dispatch('int_div', 'omphalos_warehouse')(a, b)) }}
{%- endmacro -%}

{%- macro default__int_div(a, b) -%}(({{ a }}) / ({{ b }})){%- endmacro -%}

{#- In DuckDB / is the division of floats. -#}
{%- macro duckdb__int_div(a, b) -%}(({{ a }}) // ({{ b }})){%- endmacro -%}

{#- The SQLite adapter reports the type of a view's column as UNKNOWN, which unit tests would cast to (and get 0). -#}
{%- macro sqlite__safe_cast(field, type) -%}
    {%- if type | upper in ['UNKNOWN', ''] -%}{{ field }}{%- else -%}cast({{ field }} as {{ type }}){%- endif -%}
{%- endmacro -%}
