{#- Relations are named bare, without database and schema, so that one compiled text serves every engine and its digest
    says nothing about where it ran. Each build has one schema of its own. -#}
{%- macro ref() -%}
    {%- set relation = builtins.ref(*varargs, **kwargs) -%}
    {{ return(relation.include(database=false, schema=false)) }}
{%- endmacro -%}

{%- macro source(source_name, table_name) -%}
    {%- set relation = builtins.source(source_name, table_name) -%}
    {{ return(relation.include(database=false, schema=false)) }}
{%- endmacro -%}

{%- macro generate_schema_name(custom_schema_name, node) -%}
    {{ target.schema }}
{%- endmacro -%}
