"""The warehouse: marts that dbt defines, built from the tables of a run on DuckDB, SQLite or PostgreSQL.

dbt compiles the project in ``warehouse/`` to plain SQL. What it compiled is shipped and bound to the project by a
digest, so that a run pays for dbt only where the project was changed, or on request. This floor knows tables and
SQL; it knows neither the store nor the domain.
"""
