/*---
question = "Which names does the feed place in several countries?"
grain = "one row per comparison form"
key = ["core_form"]
tables = ["parties"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "groups have branches, and common words have many owners"

[columns]
core_form = "text"
countries = "int"
parties = "int"
first_country = "text"
last_country = "text"

[parameters.countries]
kind = "int"
default = 2
min = 2
max = 249
about = "countries at least"

[parameters.top]
kind = "int"
default = 20
min = 1
max = 10000
about = "rows at most"
---*/
select
    core_form,
    cast(count(distinct country) as bigint) as countries,
    cast(count(*) as bigint) as parties,
    min(country) as first_country,
    max(country) as last_country
from parties
where low_information = 0 and core_form <> ''
group by core_form
having count(distinct country) >= $countries
order by countries desc, core_form
limit $top
